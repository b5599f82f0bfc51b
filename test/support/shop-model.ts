/**
 * What the spans of the workload say: ten services of a shop, what they call, and attributes with the cardinalities
 * such attributes have (few routes, many users, every message id once). Compression is only as honest as these are.
 */
import { bytesField, doubleField, messageField, varintField } from './protobuf-writer.ts';
import type { Encoded } from './protobuf-writer.ts';
import type { SeededRandom } from './seeded-random.ts';

/** Numbers of opentelemetry.proto.trace.v1.Span.SpanKind. */
export const kinds = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 } as const;

type AttributeValue = string | number | boolean | { readonly double: number };
type Attributes = readonly (readonly [key: string, value: AttributeValue])[];

/** One kind of work a service does: its span's name and kind, who instruments it, and what it says of itself. */
export interface Operation {
  readonly name: string;
  readonly kind: number;
  readonly scope: Encoded;
  /** Seven attributes that are always there, and up to five more. */
  readonly describe: (random: SeededRandom, failed: boolean) => { always: Attributes; sometimes: Attributes };
  /** ms. */
  readonly medianMs: number;
}

export interface Service {
  readonly name: string;
  /** One encoded Resource per running instance. */
  readonly instances: readonly Encoded[];
  readonly operations: readonly Operation[];
  readonly calls: readonly string[];
}

const languages = {
  frontend: 'nodejs',
  cart: 'dotnet',
  checkout: 'go',
  catalog: 'go',
  currency: 'cpp',
  payment: 'nodejs',
  shipping: 'rust',
  email: 'ruby',
  recommendation: 'python',
  ads: 'java',
};
const calls: Record<keyof typeof languages, readonly string[]> = {
  frontend: ['cart', 'checkout', 'catalog', 'currency', 'recommendation', 'ads'],
  checkout: ['cart', 'payment', 'shipping', 'email', 'currency', 'catalog'],
  recommendation: ['catalog'],
  shipping: ['currency'],
  cart: [],
  catalog: [],
  currency: [],
  payment: [],
  email: [],
  ads: [],
};
const nouns: Record<keyof typeof languages, readonly string[]> = {
  frontend: ['home', 'product', 'cart', 'checkout', 'search'],
  cart: ['items', 'coupons'],
  checkout: ['orders', 'quotes'],
  catalog: ['products', 'categories', 'stock'],
  currency: ['rates'],
  payment: ['charges', 'refunds', 'cards'],
  shipping: ['quotes', 'parcels', 'addresses'],
  email: ['confirmations'],
  recommendation: ['lists'],
  ads: ['banners', 'slots'],
};
const browsers = [
  'Mozilla/5.0 (X11; Linux x86_64) Chrome/139.0',
  'Mozilla/5.0 (Macintosh) Safari/18.5',
  'Mozilla/5.0 (Windows NT 10.0) Firefox/141.0',
  'okhttp/4.12.0',
  'shop-ios/7.3.1',
  'shop-android/7.2.9',
];
const tiers = ['free', 'basic', 'gold'];
const countries = ['DE', 'US', 'FR', 'IT', 'NL', 'PL', 'JP', 'BR'];

const encodedAttributes = new Map<string, Encoded>();

/** An encoded KeyValue, as field `field` of the message around it. Only values that come again are remembered. */
export function attribute(field: number, key: string, value: AttributeValue, remember = false): Encoded {
  const name = remember ? `${field} ${key} ${typeof value} ${JSON.stringify(value)}` : '';
  const known = encodedAttributes.get(name);
  if (known !== undefined) return known;
  const encoded = messageField(field, [bytesField(1, key), messageField(2, [anyValue(value)])]);
  if (remember) encodedAttributes.set(name, encoded);
  return encoded;
}

function anyValue(value: AttributeValue): Encoded {
  switch (typeof value) {
    case 'string':
      return bytesField(1, value);
    case 'boolean':
      return varintField(2, value ? 1 : 0);
    case 'number':
      return varintField(3, value);
    default:
      return doubleField(4, value.double);
  }
}

const scopes = new Map<string, Encoded>();

/** An encoded InstrumentationScope; the same buffer for the same name, so that its spans are packed together. */
function scope(name: string, version: string): Encoded {
  const encoded = scopes.get(name) ?? messageField(1, [bytesField(1, name), bytesField(2, version)]);
  scopes.set(name, encoded);
  return encoded;
}

const hex = (random: SeededRandom, bytes: number): string => random.bytes(bytes).toString('hex');
const skewedNumber = (random: SeededRandom, below: number): number => Math.floor(below * random.fraction() ** 3);
const address = (random: SeededRandom): string =>
  `10.${skewedNumber(random, 4)}.${skewedNumber(random, 30)}.${random.below(250)}`;

function httpServer(service: string, noun: string): Operation {
  const method = noun.length % 2 === 0 ? 'GET' : 'POST';
  const route = `/${noun}/{id}`;
  return {
    name: `${method} ${route}`,
    kind: kinds.server,
    medianMs: 24,
    scope: scope('otel/http', '0.58.1'),
    describe: (random, failed) => ({
      always: [
        ['http.method', method],
        ['http.route', route],
        ['http.target', `/${noun}/${skewedNumber(random, 5_000)}`],
        ['http.status', failed ? 500 : random.below(30) === 0 ? 404 : 200],
        ['peer.ip', address(random)],
        ['user.id', `u${skewedNumber(random, 60_000)}`],
        ['http.flavor', '1.1'],
      ],
      sometimes: [
        ['agent', random.pickSkewed(browsers)],
        ['user.tier', random.pickSkewed(tiers)],
        ['geo', random.pickSkewed(countries)],
        ['session', hex(random, 4)],
        ['http.bytes', Math.floor(random.logNormal(2_000, 1))],
      ],
    }),
  };
}

function rpcClient(service: string, callee: string): Operation {
  const method = `${callee === 'cart' ? 'Get' : 'List'}${callee.slice(0, 1).toUpperCase()}${callee.slice(1)}`;
  return {
    name: `${callee}.v1.${method}`,
    kind: kinds.client,
    medianMs: 9,
    scope: scope('otel/grpc', '0.58.1'),
    describe: (random, failed) => ({
      always: [
        ['rpc.system', 'grpc'],
        ['rpc.service', `${callee}.v1`],
        ['rpc.method', method],
        ['rpc.code', failed ? 14 : 0],
        ['peer', `${callee}-${random.below(2)}`],
        ['port', 8080],
        ['thread', random.below(32)],
      ],
      sometimes: [
        ['retries', random.below(2)],
        ['rpc.bytes', Math.floor(random.logNormal(40, 1))],
        ['request.id', hex(random, 6)],
        ['canary', random.below(10) === 0],
        ['tenant', `t${skewedNumber(random, 300)}`],
      ],
    }),
  };
}

function database(service: string, noun: string): Operation {
  const table = `${service}_${noun}`;
  return {
    name: `SELECT ${table}`,
    kind: kinds.client,
    medianMs: 3,
    scope: scope('otel/sql', '0.51.0'),
    describe: (random) => ({
      always: [
        ['db.system', 'postgresql'],
        ['db.name', 'shop'],
        ['db.op', 'SELECT'],
        ['db.table', table],
        ['db.rows', skewedNumber(random, 400)],
        ['peer', `db-${random.below(3)}`],
        ['thread', random.below(32)],
      ],
      sometimes: [
        ['db.statement', `SELECT * FROM ${table} WHERE id = $1`],
        ['db.pool', random.below(16)],
        ['cached', random.below(2) === 0],
        ['db.us', { double: Math.round(random.logNormal(1_800, 0.7)) / 10 }],
        ['shard', random.below(8)],
      ],
    }),
  };
}

function internal(service: string, noun: string): Operation {
  return {
    name: `${service}.price_${noun}`,
    kind: kinds.internal,
    medianMs: 1,
    scope: scope(`shop/${service}`, '7.3.1'),
    describe: (random) => ({
      always: [
        ['code.fn', `price_${noun}`],
        ['code.line', 40 + noun.length],
        ['thread', random.below(32)],
        ['items', random.between(1, 9)],
        ['sku', `sku-${skewedNumber(random, 3_000)}`],
        ['currency', random.pickSkewed(['EUR', 'USD', 'JPY', 'PLN'])],
        ['amount', { double: skewedNumber(random, 900) + 0.99 }],
      ],
      sometimes: [
        ['user.tier', random.pickSkewed(tiers)],
        ['discount', random.below(30)],
        ['flag', random.pick(['on', 'off'])],
        ['order.id', hex(random, 4)],
        ['stock', skewedNumber(random, 900)],
      ],
    }),
  };
}

function queue(service: string, noun: string): Operation {
  return {
    name: `publish ${noun}`,
    kind: kinds.producer,
    medianMs: 2,
    scope: scope('otel/amqp', '0.49.0'),
    describe: (random) => ({
      always: [
        ['mq.system', 'rabbitmq'],
        ['mq.dest', noun],
        ['mq.id', hex(random, 6)],
        ['peer', `mq-${random.below(3)}`],
        ['mq.bytes', Math.floor(random.logNormal(700, 0.8))],
        ['thread', random.below(32)],
        ['persistent', true],
      ],
      sometimes: [
        ['order.id', hex(random, 4)],
        ['priority', random.below(5)],
        ['geo', random.pickSkewed(countries)],
      ],
    }),
  };
}

function resource(random: SeededRandom, service: string, language: string, instance: number): Encoded {
  const pod = `${service}-${hex(random, 5)}-${hex(random, 3)}`;
  return messageField(1, [
    attribute(1, 'service.name', service),
    attribute(1, 'service.version', `7.${service.length}.1`),
    attribute(1, 'service.instance.id', `${hex(random, 4)}-${hex(random, 2)}-${instance}`),
    attribute(1, 'k8s.pod.name', pod),
    attribute(1, 'k8s.namespace.name', 'shop'),
    attribute(1, 'host.name', `node-${random.below(12)}`),
    attribute(1, 'deployment.environment', 'production'),
    attribute(1, 'cloud.region', 'eu-1'),
    attribute(1, 'telemetry.sdk.language', language),
    attribute(1, 'telemetry.sdk.version', '1.31.0'),
  ]);
}

/** The ten services, each running twice. */
export function shopServices(random: SeededRandom): Service[] {
  return Object.entries(languages).map(([name, language]) => {
    const own = name as keyof typeof languages;
    return {
      name,
      calls: calls[own],
      instances: [0, 1].map((instance) => resource(random, name, language, instance)),
      operations: [
        ...nouns[own].flatMap((noun) => [httpServer(name, noun), database(name, noun), internal(name, noun)]),
        ...calls[own].map((callee) => rpcClient(name, callee)),
        ...(own === 'checkout' || own === 'payment' || own === 'email' ? [queue(name, `${name}.events`)] : []),
      ],
    };
  });
}
