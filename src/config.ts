/**
 * Every setting, declared once: from this table come the flags, the `QUORATE_*` environment, the config file,
 * validation and docs/configuration.md. A flag wins over the environment, the environment over the file, the file over
 * the default (src/settings.ts).
 */
import { resolve } from 'node:path';
import { type ClientLimits, limits, type RetentionLimits, settableLimits } from './limits.ts';
import { isNodeId } from './raft/core/types.ts';
import { type Address, addressIn, formatAddress } from './platform/pipe.ts';
import { assertParsed, ConfigError, environmentName, readSettings, Refusal } from './settings.ts';
import type { Setting, SettingSources, Values } from './settings.ts';

/** What `quorate start` was told, checked. */
export interface NodeConfig {
  readonly id: string;
  /** Absolute path of the data directory. */
  readonly data: string;
  /**
   * Peer addresses of all members by node id, this node among them; only addresses once a cluster is founded (protocol B1).
   * Empty for a node that joins.
   */
  readonly cluster: ReadonlyMap<string, Address>;
  /** The peer address of any member, for a node that joins; null for one that is in `cluster`. */
  readonly join: Address | null;
  readonly mode: 'cp';
  /** Where the HTTP API listens. */
  readonly http: Address;
  /** Where OTLP/gRPC listens. */
  readonly grpc: Address;
  /** Where other nodes connect to. */
  readonly peer: Address;
  readonly logLevel: LogLevel;
  readonly retention: RetentionLimits;
  readonly limits: ClientLimits;
}

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

const KiB = 1024;
const MiB = 1024 * KiB;
const dayMs = 86_400_000;

/** One of the settable limits, a number or a size; its flag is `limitFlag(name)`. */
function countLimit(name: keyof ClientLimits, range: Range, description: string) {
  const parse = (text: string): number | Refusal => parseCount(text, range);
  return { placeholder: 'NUMBER', description, parse, default: String(limits[name]) };
}
function sizeLimit(name: keyof ClientLimits, range: Range, description: string) {
  const parse = (text: string): number | Refusal => parseSize(text, range);
  return { placeholder: 'SIZE', description, parse, default: formatSize(limits[name]) };
}

export const nodeSettings = {
  id: {
    placeholder: 'ID',
    description: 'Name of this node, one of those in --cluster.',
    parse: parseNodeId,
  },
  data: {
    placeholder: 'DIR',
    description: 'Data directory of this node; made when absent. One node, one directory.',
    parse: (text) => (text === '' ? new Refusal('is not a directory, for example ./data/n1') : resolve(text)),
  },
  cluster: {
    placeholder: 'ID=HOST:PORT,...',
    description: 'Every member with the address where it listens for the others. Three or five are sensible.',
    parse: parseCluster,
    default: '<required without --join>',
  },
  join: {
    placeholder: 'HOST:PORT',
    description: 'Instead of --cluster, for a node that is new to a cluster: where any member listens for the others.',
    parse: parseAddress,
    default: '<none>',
  },
  mode: {
    placeholder: 'cp',
    description: 'What an acknowledgement means. `cp`: a majority has the spans on disk and every read sees them.',
    parse: (text) =>
      text === 'ap' ? new Refusal('is not in this version; use cp') : parseChoice(text, ['cp'] as const),
    default: 'cp',
  },
  http: {
    placeholder: 'HOST:PORT',
    description: 'Where this node listens for OTLP/HTTP and queries.',
    parse: parseAddress,
    default: '127.0.0.1:4318',
  },
  grpc: {
    placeholder: 'HOST:PORT',
    description: 'Where this node listens for OTLP/gRPC.',
    parse: parseAddress,
    default: '127.0.0.1:4317',
  },
  peer: {
    placeholder: 'HOST:PORT',
    description: 'Where this node listens for the others, when that differs from what they call it.',
    parse: parseAddress,
    default: '<its address in --cluster>',
  },
  retention: {
    placeholder: 'AGE',
    description:
      'How long spans are kept, for example 7d, 36h, 90m or 45s. The leader goes by its own: give all nodes the same.',
    parse: parseAge,
    default: '<for ever>',
  },
  'retention-bytes': {
    placeholder: 'BYTES',
    description: 'How many bytes of the log each node keeps, for example 50GB, 500MB or 2GiB. Give all nodes the same.',
    parse: parseBytes,
    default: '<no limit>',
  },
  'log-level': {
    placeholder: logLevels.join('|'),
    description: 'The least severe lines to log.',
    parse: (text) => parseChoice(text, logLevels),
    default: 'info',
  },
  'request-bytes-max': sizeLimit(
    'requestBytesMax',
    { least: 64 * KiB, most: 512 * MiB },
    'Largest request, as received and after inflation; at most two thirds of --admission-bytes-max.',
  ),
  'inflation-ratio-max': countLimit(
    'inflationRatioMax',
    { least: 2, most: 10_000 },
    'How many times its size a compressed request may inflate to; its first MiB is free.',
  ),
  'admission-bytes-max': sizeLimit(
    'admissionBytesMax',
    { least: MiB, most: 4096 * MiB },
    'Bytes of all requests being read, inflated and built at a time; above it requests are answered 429.',
  ),
  'headers-timeout-ms': countLimit(
    'headersTimeoutMs',
    { least: 100, most: 600_000 },
    'The headers of a request must arrive within this time.',
  ),
  'request-timeout-ms': countLimit(
    'requestTimeoutMs',
    { least: 100, most: 600_000 },
    'A request must arrive whole within this time.',
  ),
  'connections-per-source-max': countLimit(
    'connectionsPerSourceMax',
    { least: 1, most: 65_536 },
    'Connections of one remote address, HTTP and gRPC each.',
  ),
  'span-bytes-max': sizeLimit(
    'spanBytesMax',
    { least: KiB, most: limits.spanBytesMax },
    'Largest span, and largest resource with its scope; larger ones are rejected by partial_success.',
  ),
  'any-value-depth-max': countLimit(
    'anyValueDepthMax',
    { least: 1, most: 100 },
    'Deepest nesting of an attribute value.',
  ),
  'attributes-max': countLimit(
    'attributesMax',
    { least: 1, most: 1_000_000 },
    'Attributes of one span, event, link, resource or scope.',
  ),
  'events-max': countLimit('eventsMax', { least: 0, most: 1_000_000 }, 'Events of one span.'),
  'links-max': countLimit('linksMax', { least: 0, most: 1_000_000 }, 'Links of one span.'),
  'fields-max': countLimit(
    'fieldsMax',
    { least: 100, most: 10_000_000 },
    'Encoded fields of one span, of one resource, or of one scope, at every depth.',
  ),
  'key-bytes-max': sizeLimit('keyBytesMax', { least: 128, most: limits.spanBytesMax }, 'Longest key of an attribute.'),
  'value-bytes-max': sizeLimit(
    'valueBytesMax',
    { least: 128, most: limits.spanBytesMax },
    'Largest value of an attribute, as encoded.',
  ),
  'shared-ratio-max': countLimit(
    'sharedRatioMax',
    { least: 1, most: 10_000 },
    'What resources and scopes may hold when each resource is counted once a scope, as a multiple of the request.',
  ),
  'spans-per-request-max': countLimit(
    'spansPerRequestMax',
    { least: 1, most: 10_000_000 },
    'Spans of one request; those behind are rejected by partial_success.',
  ),
  'lookup-blocks-max': countLimit(
    'lookupBlocksMax',
    { least: 1, most: 100_000 },
    'Blocks behind one answer to a lookup; what is more comes on further pages.',
  ),
  'lookup-bytes-max': sizeLimit(
    'lookupBytesMax',
    { least: 64 * KiB, most: 256 * MiB },
    'Bytes of spans behind one answer to a lookup; what is more comes on further pages.',
  ),
  'scrub-bytes-per-second': sizeLimit(
    'scrubBytesPerSecond',
    { least: 0, most: 1024 * MiB },
    'How fast the log is read again, in the background, to find damage while others can repair it; 0 to leave it.',
  ),
} as const satisfies Record<string, Setting<unknown>>;

/** `requestBytesMax` -> `request-bytes-max`. */
export const limitFlag = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Settings of the commands that talk to a running cluster. */
export const clientSettings = {
  url: {
    placeholder: 'URL',
    description: 'HTTP address of any node.',
    parse: parseUrl,
    default: 'http://127.0.0.1:4318',
  },
  consistency: {
    placeholder: 'linearizable|stale',
    description: 'Whether the answer has every acknowledged span (linearizable) or is whatever the node holds (stale).',
    parse: (text) => parseChoice(text, ['linearizable', 'stale'] as const),
    default: 'linearizable',
  },
  format: {
    placeholder: 'tree|json',
    description: 'A tree to read, or OTLP JSON to process.',
    parse: (text) => parseChoice(text, ['tree', 'json'] as const),
    default: 'tree',
  },
} as const satisfies Record<string, Setting<unknown>>;

/** Settings of `quorate cluster transfer`. */
export const transferSettings = {
  to: {
    placeholder: 'ID',
    description: 'The node that is to lead.',
    parse: parseNodeId,
    default: '<the voter that is best able to>',
  },
  url: clientSettings.url,
} as const satisfies Record<string, Setting<unknown>>;

/** Settings of the commands that look at a data directory, or compare the nodes of a cluster. */
export const maintenanceSettings = {
  data: {
    ...nodeSettings.data,
    description: 'Data directory of a node that does not run.',
    default: '<none>',
  },
  url: {
    placeholder: 'URL',
    description: 'HTTP address of any node: the nodes of its cluster are compared while they run.',
    parse: parseUrl,
    default: '<none>',
  },
  json: {
    placeholder: '',
    description: 'Print one JSON object instead of a table.',
    parse: parseBare('json'),
    default: 'false',
  },
} as const satisfies Record<string, Setting<unknown>>;

/** Settings of `quorate recover`. */
export const recoverSettings = {
  data: {
    placeholder: 'DIR,...',
    description:
      'Data directories of nodes of the cluster, none of which runs: all that can be brought to this machine.',
    parse: (text) => {
      const directories = text.split(',');
      return directories.includes('')
        ? new Refusal('is not DIR or DIR,DIR,...')
        : directories.map((path) => resolve(path));
    },
    default: '<required>',
  },
  keep: {
    placeholder: 'ID',
    description: 'The node whose log the cluster goes on with.',
    parse: parseNodeId,
    default: '<the one with the longest log>',
  },
  cluster: {
    ...nodeSettings.cluster,
    description:
      'Where the voters listened, to make sure that none of them answers; those that the log knows may be left out.',
    default: '<what the log says>',
  },
  'accept-loss': {
    placeholder: '',
    description: 'Go on with the log of --keep although another one is longer.',
    parse: parseBare('accept-loss'),
    default: 'false',
  },
  yes: {
    placeholder: '',
    description: 'Do it. Without it nothing is changed.',
    parse: parseBare('yes'),
    default: 'false',
  },
} as const satisfies Record<string, Setting<unknown>>;

/** Where the config file is; itself not a key of the file. */
export const configFileSetting: Setting<string> = {
  placeholder: 'FILE',
  description: 'JSON file whose keys are these flags without their dashes.',
  parse: (text) => (text === '' ? new Refusal('is not a file') : resolve(text)),
  default: '<none>',
};

const allNames = [
  ...Object.keys({
    ...nodeSettings,
    ...clientSettings,
    ...transferSettings,
    ...maintenanceSettings,
    ...recoverSettings,
  }),
  'config',
];

/** The configuration of a node and what is legal in it but unwise. Throws ConfigError. */
export function readNodeConfig(sources: SettingSources): { config: NodeConfig; warnings: string[] } {
  const { values, origins } = readSettings(nodeSettings, sources, { known: allNames, file: configFileSetting });
  const required = <Name extends 'id' | 'data'>(name: Name) => {
    const value = values[name];
    if (value !== undefined) return value as Exclude<typeof value, undefined>;
    const { placeholder } = nodeSettings[name];
    throw new ConfigError(`--${name} is missing: give --${name} ${placeholder} or set ${environmentName(name)}.`);
  };
  const id = required('id');
  const data = required('data');
  const { cluster, join = null } = values;
  if (cluster === undefined && join === null) {
    throw new ConfigError(
      `--cluster is missing: give --cluster ${nodeSettings.cluster.placeholder} to every node of a new cluster, or --join HOST:PORT to a node that is new to one, or set ${environmentName('cluster')}.`,
    );
  }
  if (cluster !== undefined && join !== null)
    throw new ConfigError(
      '--cluster and --join are both given: --cluster is for the nodes of the founding, --join for one that is new.',
    );
  const own = cluster?.get(id) ?? values.peer;
  if (cluster === undefined && own === undefined) {
    throw new ConfigError('--peer is missing: with --join, say by --peer HOST:PORT where the others reach this node.');
  }
  if (own === undefined || (cluster !== undefined && !cluster.has(id))) {
    throw new ConfigError(
      `--id: ${JSON.stringify(id)} is not in --cluster, which has ${[...(cluster?.keys() ?? [])].join(', ')}${origins['id'] ?? ''}`,
    );
  }
  const http = values.http ?? assertParsed(parseAddress(nodeSettings.http.default));
  const peer = values.peer ?? own;
  const grpc = values.grpc ?? assertParsed(parseAddress(nodeSettings.grpc.default));
  refuseSharedPorts({ http, grpc, peer });
  const warnings: string[] = [];
  const size = cluster?.size ?? 0;
  if (size > 0 && size % 2 === 0) {
    warnings.push(`${size} members survive no more failures than ${size - 1}; use ${size - 1} or ${size + 1}.`);
  } else if (size === 1) {
    warnings.push('One member survives no failure: use three for anything you want to keep.');
  }
  const logLevel = values['log-level'] ?? nodeSettings['log-level'].default;
  const config = {
    id,
    data,
    cluster: cluster ?? new Map<string, Address>(),
    join,
    mode: values.mode ?? 'cp',
    http,
    grpc,
    peer,
    logLevel,
    retention: { ageMs: values.retention ?? null, bytes: values['retention-bytes'] ?? null },
    limits: limitsOf(values),
  };
  return { config, warnings };
}

function refuseSharedPorts(listening: Readonly<Record<string, Address>>): void {
  const taken = new Map<string, string>();
  for (const [name, address] of Object.entries(listening)) {
    const text = formatAddress(address);
    const other = taken.get(text);
    if (other !== undefined && address.port !== 0) {
      throw new ConfigError(`--${other} and --${name} are both ${text}; give each a port of its own.`);
    }
    taken.set(text, name);
  }
}

/** The settable limits, checked against one another. */
function limitsOf(values: Partial<Record<string, unknown>>): ClientLimits {
  const given = (name: keyof ClientLimits): number => {
    const value = values[limitFlag(name)];
    return typeof value === 'number' ? value : limits[name];
  };
  const set = Object.fromEntries(settableLimits.map((name) => [name, given(name)])) as Record<
    keyof ClientLimits,
    number
  >;
  if (set.requestBytesMax * 1.5 > set.admissionBytesMax) {
    throw new ConfigError(
      `--request-bytes-max: ${formatSize(set.requestBytesMax)} is more than two thirds of --admission-bytes-max ` +
        `${formatSize(set.admissionBytesMax)}; no such request could be taken in.`,
    );
  }
  if (set.headersTimeoutMs > set.requestTimeoutMs) {
    throw new ConfigError(
      `--headers-timeout-ms: ${set.headersTimeoutMs} is more than --request-timeout-ms ${set.requestTimeoutMs}.`,
    );
  }
  return set;
}

/** The settings of a client command; `names` are the ones it takes. Throws ConfigError. */
export function readClientSettings<Name extends keyof typeof clientSettings>(
  names: readonly Name[],
  sources: Omit<SettingSources, 'readFile'>,
): { [Key in Name]: NonNullable<Values<typeof clientSettings>[Key]> } {
  const table = Object.fromEntries(names.map((name) => [name, clientSettings[name]])) as Pick<
    typeof clientSettings,
    Name
  >;
  const { values } = readSettings(table, { ...sources, readFile: () => '{}' }, { known: allNames });
  const complete = names.map((name) => [name, values[name] ?? clientSettings[name].default]);
  return Object.fromEntries(complete) as { [Key in Name]: NonNullable<Values<typeof clientSettings>[Key]> };
}

/** Throws ConfigError. */
export function readTransferSettings(sources: Omit<SettingSources, 'readFile'>): { url: string; to: string | null } {
  const { values } = readSettings(transferSettings, { ...sources, readFile: () => '{}' }, { known: allNames });
  return { url: values.url ?? transferSettings.url.default, to: values.to ?? null };
}

/** What `quorate verify` looks at. A flag wins over the environment, here between settings, too. Throws ConfigError. */
export function readVerifySettings(
  sources: Omit<SettingSources, 'readFile'>,
): { readonly json: boolean } & ({ readonly data: string } | { readonly url: string }) {
  const { values } = readSettings(maintenanceSettings, { ...sources, readFile: () => '{}' }, { known: allNames });
  const { flags } = sources;
  if (flags['data'] !== undefined && flags['url'] !== undefined)
    throw new ConfigError('--data and --url: give one of them, a directory to check or a cluster to compare.');
  const { data, url } = values;
  const json = values.json ?? false;
  if (url !== undefined && flags['data'] === undefined && (data === undefined || flags['url'] !== undefined))
    return { json, url };
  if (data !== undefined) return { json, data };
  throw new ConfigError(
    'Say what to verify: --data DIR for the directory of a node that does not run, --url URL for a cluster that does.',
  );
}

/** The data directory of `quorate reindex`. Throws ConfigError. */
export function readReindexSettings(sources: Omit<SettingSources, 'readFile'>): { readonly data: string } {
  const { data } = maintenanceSettings;
  const { values } = readSettings({ data }, { ...sources, readFile: () => '{}' }, { known: allNames });
  if (values.data !== undefined) return { data: values.data };
  throw new ConfigError('--data is missing: give the data directory of a node that does not run.');
}

export interface RecoverSettings {
  readonly directories: readonly string[];
  readonly keep: string | null;
  readonly cluster: ReadonlyMap<string, Address>;
  readonly acceptLoss: boolean;
  readonly yes: boolean;
}

/** What `quorate recover` is to do. Throws ConfigError. */
export function readRecoverSettings(sources: Omit<SettingSources, 'readFile'>): RecoverSettings {
  const { values } = readSettings(recoverSettings, { ...sources, readFile: () => '{}' }, { known: allNames });
  if (values.data === undefined)
    throw new ConfigError('--data is missing: give the data directory of a node that does not run.');
  const { data: directories, keep = null, cluster = new Map<string, Address>(), yes = false } = values;
  if (values['accept-loss'] === true && keep === null)
    throw new ConfigError('--accept-loss goes with --keep ID: say whose log the cluster is to go on with.');
  return { directories, keep, cluster, acceptLoss: values['accept-loss'] ?? false, yes };
}

function parseChoice<Choice extends string>(text: string, choices: readonly Choice[]): Choice | Refusal {
  return choices.find((choice) => choice === text) ?? new Refusal(`is not one of ${choices.join(', ')}`);
}

/** A flag without a value. */
function parseBare(name: string): (text: string) => boolean | Refusal {
  return (text) =>
    ['', 'true', 'false'].includes(text) ? text !== 'false' : new Refusal(`is not a value: --${name} stands alone`);
}

function parseNodeId(text: string): string | Refusal {
  return isNodeId(text)
    ? text
    : new Refusal('is not a node id: letters, digits, dot, dash and underscore, at most 63, for example n1');
}

interface Range {
  readonly least: number;
  readonly most: number;
}

function parseCount(text: string, { least, most }: Range): number | Refusal {
  const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
  return value >= least && value <= most ? value : new Refusal(`is not a whole number from ${least} to ${most}`);
}

/** Bytes, with or without a unit: `65536`, `64KiB`, `4MiB`. */
function parseSize(text: string, { least, most }: Range): number | Refusal {
  const [, digits = '', unit = ''] = /^(\d{1,12})(KiB|MiB|GiB|B)?$/.exec(text) ?? [];
  const factor = { KiB, MiB, GiB: 1024 * MiB, B: 1 }[unit === '' ? 'B' : unit] ?? Number.NaN;
  const value = digits === '' ? Number.NaN : Number(digits) * factor;
  if (value >= least && value <= most) return value;
  return new Refusal(`is not a size from ${formatSize(least)} to ${formatSize(most)}, for example 4MiB`);
}

/** The inverse of `parseSize`. */
function formatSize(bytes: number): string {
  if (bytes % MiB === 0) return `${bytes / MiB}MiB`;
  return bytes % KiB === 0 ? `${bytes / KiB}KiB` : `${bytes}B`;
}

const ageUnits = [
  ['d', dayMs],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;
const ageMsMax = 36_500 * dayMs;

/** Milliseconds, of text with a unit: `7d`, `36h`, `90m`, `45s`. */
function parseAge(text: string): number | Refusal {
  const [, digits = '', unit] = /^(\d{1,10})([dhms])$/.exec(text) ?? [];
  const ageMs = Number(digits) * (ageUnits.find(([name]) => name === unit)?.[1] ?? 0);
  return ageMs > 0 && ageMs <= ageMsMax
    ? ageMs
    : new Refusal('is not an age from 1s to 36500d, for example 7d, 36h, 90m or 45s');
}

/** The inverse of `parseAge`, in the largest unit that leaves no rest. */
export const formatAge = (ageMs: number): string => inUnits(ageMs, ageUnits);

const byteUnits = [
  ['TB', 1e12],
  ['TiB', 1024 ** 4],
  ['GB', 1e9],
  ['GiB', 1024 ** 3],
  ['MB', 1e6],
  ['MiB', MiB],
  ['KB', 1e3],
  ['KiB', KiB],
  ['B', 1],
] as const;
const keptBytesMin = 1e6;
const keptBytesMax = 1e15;

/** Bytes, with or without a unit, as disks are sold or as memory is: `50GB`, `500MB`, `2GiB`, `1000000`. */
function parseBytes(text: string): number | Refusal {
  const [, digits = '', unit = ''] = /^(\d{1,15})([KMGT]i?B|B)?$/.exec(text) ?? [];
  const name = unit === '' ? 'B' : unit;
  const bytes = digits === '' ? 0 : Number(digits) * (byteUnits.find(([other]) => other === name)?.[1] ?? 0);
  return bytes >= keptBytesMin && bytes <= keptBytesMax
    ? bytes
    : new Refusal('is not a number of bytes from 1MB to 1000TB, for example 50GB, 500MB or 2GiB');
}

/** The inverse of `parseBytes`, in the largest unit that leaves no rest. */
export const formatBytes = (bytes: number): string => inUnits(bytes, byteUnits);

function inUnits(value: number, units: readonly (readonly [name: string, size: number])[]): string {
  const [name, size] = units.find(([, unit]) => value % unit === 0) ?? ['', 1];
  return `${value / size}${name}`;
}

function parseAddress(text: string): Address | Refusal {
  return addressIn(text) ?? new Refusal('is not HOST:PORT, for example 127.0.0.1:4318');
}

function parseCluster(text: string): ReadonlyMap<string, Address> | Refusal {
  const example = 'is not ID=HOST:PORT,..., for example n1=127.0.0.1:4319,n2=127.0.0.1:4329,n3=127.0.0.1:4339';
  const members = new Map<string, Address>();
  const addresses = new Set<string>();
  for (const part of text.split(',')) {
    const [id = '', address = '', ...more] = part.trim().split('=');
    const parsed = parseAddress(address);
    if (parseNodeId(id) instanceof Refusal || parsed instanceof Refusal || parsed.port === 0 || more.length > 0) {
      return new Refusal(example);
    }
    if (members.has(id)) return new Refusal(`names ${id} twice`);
    if (addresses.has(address)) return new Refusal(`gives ${address} to two members`);
    members.set(id, parsed);
    addresses.add(address);
  }
  if (members.size > limits.votersMax) {
    return new Refusal(`has ${members.size} members; at most ${limits.votersMax} can vote, three or five are sensible`);
  }
  return members;
}

function parseUrl(text: string): string | Refusal {
  const refusal = new Refusal('is not an HTTP address, for example http://127.0.0.1:4318');
  if (!URL.canParse(text)) return refusal;
  const { protocol } = new URL(text);
  return protocol === 'http:' || protocol === 'https:' ? text.replace(/\/+$/, '') : refusal;
}
