/**
 * Exports as OTLP protobuf bytes, made ahead of time so that a load generator only sends: batches of realistic spans
 * for measuring, and small exports of one trace for correctness tests. The same seed gives the same bytes.
 *
 * A workload is endless: the batches made once are stamped with new ids and later times for every further round, so
 * no span is ever sent twice and the generator stays cheap.
 */
import { bytesField, bytesHeader, fixed32Field, fixed64Field, messageField, varintField } from './protobuf-writer.ts';
import type { Encoded } from './protobuf-writer.ts';
import { SeededRandom } from './seeded-random.ts';
import { attribute, kinds, shopServices } from './shop-model.ts';
import type { Service } from './shop-model.ts';

const traceIdBytes = 16;
const spanIdBytes = 8;
/** A span begins with its trace id and its span id; from one to the other: the id, one tag, one length. */
const fromTraceIdToSpanId = traceIdBytes + 2;
const nsPerMs = 1_000_000;
/** Traces that come in at the same time. */
const openTraces = 120;

/** Where the values stand, in bytes, that differ from round to round. */
interface Stamps {
  /** The trace id of every span. */
  readonly spanAt: number[];
  /** Trace ids of links. */
  readonly traceIdAt: number[];
  /** Span ids of parents and links. */
  readonly spanIdAt: number[];
  /** Times: unsigned 64-bit, little endian, ns. */
  readonly timeAt: number[];
}

interface Batch extends Stamps {
  readonly bytes: Buffer;
}

export interface WorkloadOptions {
  readonly seed: number;
  /** Batches made ahead; the next round begins after them. */
  readonly batches: number;
  readonly spansPerBatch: number;
  /** Start of the first trace, ms since the epoch. */
  readonly startMs: number;
}

export class OtlpWorkload {
  readonly spansPerBatch: number;
  readonly #batches: Batch[];
  readonly #seed: number;
  readonly #roundMs: number;

  constructor({ seed, batches, spansPerBatch, startMs }: WorkloadOptions) {
    this.#seed = seed;
    this.spansPerBatch = spansPerBatch;
    // As if 20,000 spans a second came in: what a trace's time bounds look like to the store.
    this.#roundMs = (batches * spansPerBatch) / 20;
    this.#batches = makeBatches(new SeededRandom(seed), batches, spansPerBatch, startMs, this.#roundMs);
  }

  /** Bytes of a batch on average. */
  get averageBytes(): number {
    return this.#batches.reduce((sum, batch) => sum + batch.bytes.length, 0) / this.#batches.length;
  }

  /** The body of export number `index`, 0 and up without end. The buffer is the caller's. */
  body(index: number): Buffer {
    const { batch, round } = this.#at(index);
    const out = Buffer.from(batch.bytes);
    if (round === 0) return out;
    const view = new DataView(out.buffer, out.byteOffset, out.length);
    const { trace, span } = this.#masks(round);
    for (const at of batch.spanAt) {
      mask(view, at, trace);
      mask(view, at + fromTraceIdToSpanId, span);
    }
    for (const at of batch.traceIdAt) mask(view, at, trace);
    for (const at of batch.spanIdAt) mask(view, at, span);
    const laterNs = BigInt(Math.round(this.#roundMs * round)) * BigInt(nsPerMs);
    const low = Number(laterNs & 0xffff_ffffn);
    const high = Number(laterNs >> 32n);
    for (const at of batch.timeAt) {
      const sum = view.getUint32(at, true) + low;
      view.setUint32(at, sum, true);
      view.setUint32(at + 4, view.getUint32(at + 4, true) + high + (sum > 0xffff_ffff ? 1 : 0), true);
    }
    return out;
  }

  /** Ids of one span of export number `index`. */
  ids(index: number, span: number): { readonly traceId: string; readonly spanId: Buffer } {
    const { batch, round } = this.#at(index);
    const at = batch.spanAt[span];
    if (at === undefined) throw new RangeError(`a batch has ${this.spansPerBatch} spans, there is no number ${span}`);
    const traceId = Buffer.from(batch.bytes.subarray(at, at + traceIdBytes));
    const spanId = Buffer.from(batch.bytes.subarray(at + fromTraceIdToSpanId, at + fromTraceIdToSpanId + spanIdBytes));
    if (round > 0) {
      const masks = this.#masks(round);
      mask(new DataView(traceId.buffer, traceId.byteOffset), 0, masks.trace);
      mask(new DataView(spanId.buffer, spanId.byteOffset), 0, masks.span);
    }
    return { traceId: traceId.toString('hex'), spanId };
  }

  #at(index: number): { batch: Batch; round: number } {
    const batch = this.#batches[index % this.#batches.length];
    if (batch === undefined) throw new RangeError(`there is no export number ${index}`);
    return { batch, round: Math.floor(index / this.#batches.length) };
  }

  /** What ids are XORed with in a round, in words of 32 bits. */
  #masks(round: number): { trace: readonly number[]; span: readonly number[] } {
    const random = new SeededRandom(this.#seed ^ Math.imul(round, 0x85eb_ca6b));
    const words = (bytes: number): number[] => Array.from({ length: bytes / 4 }, () => random.uint32());
    return { trace: words(traceIdBytes), span: words(spanIdBytes) };
  }
}

function mask(view: DataView, at: number, words: readonly number[]): void {
  let offset = at;
  for (const word of words) {
    view.setUint32(offset, view.getUint32(offset) ^ word);
    offset += 4;
  }
}

interface MadeSpan extends Stamps {
  readonly bytes: Buffer;
  readonly resource: Encoded;
  readonly scope: Encoded;
}

const noStamps = (): Stamps => ({ spanAt: [], traceIdAt: [], spanIdAt: [], timeAt: [] });

function makeBatches(
  random: SeededRandom,
  batches: number,
  perBatch: number,
  startMs: number,
  overMs: number,
): Batch[] {
  const services = shopServices(random);
  let left = batches * perBatch;
  const begin = (): MadeSpan[] | undefined => {
    if (left === 0) return undefined;
    const wanted = Math.min(50, Math.max(5, Math.round(random.logNormal(22, 0.6))));
    const length = left - wanted < 5 ? left : wanted;
    left -= length;
    const startOfTrace = startMs + overMs * (1 - (left + length) / (batches * perBatch));
    return makeTrace(random, services, length, startOfTrace);
  };
  // About a hundred traces meet in a batch, and one trace comes in over about five of them.
  const open: MadeSpan[][] = [];
  const refill = (): void => {
    while (open.length < openTraces) {
      const trace = begin();
      if (trace === undefined) return;
      open.push(trace);
    }
  };
  return Array.from({ length: batches }, () => {
    const spans: MadeSpan[] = [];
    while (spans.length < perBatch) {
      refill();
      const at = random.below(open.length);
      const trace = open[at];
      if (trace === undefined) throw new Error('the workload ran out of spans');
      spans.push(...trace.splice(0, Math.min(random.between(1, 8), perBatch - spans.length)));
      if (trace.length === 0) open.splice(at, 1);
    }
    return packBatch(spans);
  });
}

/** One trace as a tree; spans in the order they end, so children mostly come before their parents. */
function makeTrace(random: SeededRandom, services: readonly Service[], length: number, startMs: number): MadeSpan[] {
  const byName = new Map(services.map((service) => [service.name, service]));
  const traceId = random.bytes(traceIdBytes);
  const root = {
    service: random.pickSkewed(services),
    id: random.bytes(spanIdBytes),
    startMs,
    endMs: startMs + random.logNormal(120, 0.8),
  };
  const made: { endMs: number; span: MadeSpan }[] = [];
  const nodes = [root];
  for (let n = 0; n < length; n += 1) {
    const parent = n === 0 ? undefined : random.pick(nodes.slice(-6));
    let node = root;
    if (parent !== undefined) {
      const callee =
        random.below(3) === 0 ? byName.get(random.pick([parent.service.name, ...parent.service.calls])) : undefined;
      const start = parent.startMs + (parent.endMs - parent.startMs) * random.fraction() * 0.8;
      node = { service: callee ?? parent.service, id: random.bytes(spanIdBytes), startMs: start, endMs: start };
      node.endMs = Math.min(parent.endMs, start + random.logNormal(8, 1));
      nodes.push(node);
    }
    made.push({ endMs: node.endMs, span: makeSpan(random, node, traceId, parent?.id) });
  }
  return made.toSorted((a, b) => a.endMs - b.endMs).map(({ span }) => span);
}

function makeSpan(
  random: SeededRandom,
  { service, id, startMs, endMs }: { service: Service; id: Buffer; startMs: number; endMs: number },
  traceId: Buffer,
  parentId: Buffer | undefined,
): MadeSpan {
  const operation = random.pick(service.operations);
  const failed = random.below(50) === 0;
  const { always, sometimes } = operation.describe(random, failed);
  const extra = sometimes.slice(0, Math.floor((sometimes.length + 1) * random.fraction() ** 3));
  const stamps = noStamps();
  const parts: Encoded[] = [];
  let length = 0;
  const put = (part: Encoded): number => {
    parts.push(part);
    length += part.length;
    return length;
  };
  const time = (ms: number): bigint => BigInt(Math.round(ms * 1_000)) * 1_000n;
  stamps.spanAt.push(put(bytesField(1, traceId)) - traceIdBytes);
  put(bytesField(2, id));
  if (parentId !== undefined) stamps.spanIdAt.push(put(bytesField(4, parentId)) - spanIdBytes);
  put(bytesField(5, operation.name));
  put(varintField(6, operation.kind));
  stamps.timeAt.push(put(fixed64Field(7, time(startMs))) - 8);
  stamps.timeAt.push(put(fixed64Field(8, time(Math.max(endMs, startMs + 1)))) - 8);
  for (const [key, value] of [...always, ...extra]) put(attribute(9, key, value, isCommon(key)));
  if (failed) {
    const exception = [
      attribute(3, 'exception.type', 'TimeoutError', true),
      attribute(3, 'exception.message', `no answer from ${service.name}`, true),
    ];
    const event = messageField(11, [fixed64Field(1, time(startMs)), bytesField(2, 'exception'), ...exception]);
    const before = length;
    put(event);
    stamps.timeAt.push(before + event.indexOf(9, 1) + 1);
  }
  if (random.below(100) === 0) {
    const link = put(messageField(13, [bytesField(1, traceId), bytesField(2, id)]));
    stamps.spanIdAt.push(link - spanIdBytes);
    stamps.traceIdAt.push(link - spanIdBytes - fromTraceIdToSpanId);
  }
  if (failed) put(messageField(15, [bytesField(2, 'deadline exceeded'), varintField(3, 2)]));
  put(fixed32Field(16, 257));
  return { ...stamps, bytes: Buffer.concat(parts), resource: random.pick(service.instances), scope: operation.scope };
}

const rareValues = new Set([
  'http.target',
  'peer.ip',
  'user.id',
  'session',
  'request.id',
  'sku',
  'amount',
  'order.id',
  'db.us',
  'mq.id',
]);
const isCommon = (key: string): boolean => !rareValues.has(key) && !key.endsWith('bytes');

/** Spans under their resources and scopes, as a collector's batch has them. */
function packBatch(spans: readonly MadeSpan[]): Batch {
  const resources = new Map<Encoded, Map<Encoded, MadeSpan[]>>();
  for (const span of spans) {
    let scopes = resources.get(span.resource);
    if (scopes === undefined) resources.set(span.resource, (scopes = new Map<Encoded, MadeSpan[]>()));
    const same = scopes.get(span.scope);
    if (same === undefined) scopes.set(span.scope, [span]);
    else same.push(span);
  }
  const parts: Buffer[] = [];
  const stamps = noStamps();
  let at = 0;
  const put = (part: Buffer): void => {
    parts.push(part);
    at += part.length;
  };
  const sized = (content: number): number => bytesHeader(2, content).length + content;
  const sizeOf = (scope: Encoded, members: readonly MadeSpan[]): number =>
    members.reduce((sum, { bytes }) => sum + sized(bytes.length), scope.length);
  for (const [resource, scopes] of resources) {
    let content = resource.length;
    for (const [scope, members] of scopes) content += sized(sizeOf(scope, members));
    put(bytesHeader(1, content));
    put(resource);
    for (const [scope, members] of scopes) {
      put(bytesHeader(2, sizeOf(scope, members)));
      put(scope);
      for (const span of members) {
        put(bytesHeader(2, span.bytes.length));
        for (const key of ['spanAt', 'traceIdAt', 'spanIdAt', 'timeAt'] as const) {
          for (const offset of span[key]) stamps[key].push(at + offset);
        }
        put(span.bytes);
      }
    }
  }
  return { bytes: Buffer.concat(parts), ...stamps };
}

export interface SmallExport {
  readonly traceId: string;
  readonly spanIds: readonly string[];
  /** ExportTraceServiceRequest, protobuf. */
  readonly body: Buffer;
}

/** One export of `spans` spans of one trace, each with an id nobody else has and, where given, so many bytes that do not compress. */
export function smallExport(
  random: SeededRandom,
  { spans, traceId, noiseBytes = 0 }: { spans: number; traceId?: string; noiseBytes?: number },
): SmallExport {
  const trace = traceId === undefined ? random.bytes(traceIdBytes) : Buffer.from(traceId, 'hex');
  const spanIds = Array.from({ length: spans }, () => random.bytes(spanIdBytes));
  const startNs = 1_750_000_000_000_000_000n + BigInt(random.below(1_000_000_000));
  const encoded = spanIds.map((id, n) =>
    messageField(2, [
      bytesField(1, trace),
      bytesField(2, id),
      bytesField(5, `step ${n}`),
      varintField(6, kinds.internal),
      fixed64Field(7, startNs),
      fixed64Field(8, startNs + 1_000_000n),
      attribute(9, 'n', n),
      ...(noiseBytes === 0 ? [] : [attribute(9, 'noise', random.bytes(noiseBytes).toString('base64'))]),
    ]),
  );
  const scope = messageField(1, [bytesField(1, 'small')]);
  const resource = messageField(1, [attribute(1, 'service.name', 'small')]);
  const body = messageField(1, [resource, messageField(2, [scope, ...encoded])]);
  return { traceId: trace.toString('hex'), spanIds: spanIds.map((id) => id.toString('hex')), body };
}

/** One export with a span, as small as they come, of each of so many traces: what weighs on an index. Named is the last one. */
export function wideExport(random: SeededRandom, traces: number): SmallExport {
  const made = Array.from({ length: traces }, () => ({
    trace: random.bytes(traceIdBytes),
    id: random.bytes(spanIdBytes),
  }));
  const time = fixed64Field(7, 1_750_000_000_000_000_000n);
  const spans = made.map(({ trace, id }) => messageField(2, [bytesField(1, trace), bytesField(2, id), time]));
  return {
    traceId: made.at(-1)?.trace.toString('hex') ?? '',
    spanIds: made.slice(-1).map(({ id }) => id.toString('hex')),
    body: messageField(1, [messageField(2, spans)]),
  };
}
