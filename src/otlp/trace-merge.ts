/**
 * The answer to a lookup: the spans of one trace, out of slices of many blocks, as one TracesData message.
 *
 * Always holds: the answer depends on the set of spans alone, not on how they are spread over slices, repeated or
 * ordered, so nodes that hold the same spans answer byte for byte alike (protocol C4). Span bytes are copied, never
 * encoded again. Exact duplicates appear once; the same span id with other bytes, or under another resource or scope,
 * appears as often as it differs.
 */
import { sha256 } from '../platform/digest.ts';
import { walkExport, type SpanGroup, type WalkLimits } from './walk.ts';
import { putBytes, putTagged, taggedSize } from './wire.ts';

/** The merged trace; empty when no slice holds a span of it. Throws WireError when a slice is damaged. */
export function mergeTrace(slices: readonly Uint8Array[], traceId: Uint8Array): Uint8Array {
  const job = mergingTrace(slices, traceId);
  for (;;) {
    const step = job.next();
    if (step.done) return step.value;
  }
}

/**
 * The same as a job that can pause (Executor.run), because a trace may have 100,000 spans. `slices` are TracesData
 * messages; spans of other traces in them are left out.
 */
export function* mergingTrace(slices: readonly Uint8Array[], traceId: Uint8Array): Generator<void, Uint8Array, void> {
  const parts = new PartTable();
  const found: FoundSpan[] = [];
  for (const slice of slices) {
    yield* collecting(slice, traceId, parts, found);
    yield;
  }
  return yield* encoding(yield* withoutDuplicates(yield* sorting(found, compareKeys)));
}

/**
 * What makes two spans the same span: 128 bits over resource, scope and span bytes, with lengths in between so that
 * bytes cannot move from one into the other.
 */
export function spanIdentity({ resourcePart, scopePart }: SpanGroup, span: Uint8Array): Uint8Array {
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32LE(resourcePart.length, 0);
  lengths.writeUInt32LE(scopePart.length, 4);
  return sha256(Buffer.concat([lengths, resourcePart, scopePart, span]));
}

/** Slices were checked when they were stored, perhaps under larger limits; a read must not lose a span over that. */
const storedLimits: WalkLimits = { spanBytesMax: Number.POSITIVE_INFINITY, anyValueDepthMax: 1_000 };
const traceIdBytes = 16;
/** Spans sorted, merged or written without a pause; about 0.3 ms. */
const spansAtOnce = 1_024;
/** Bytes copied without a pause. */
const bytesAtOnce = 1024 * 1024;

interface FoundSpan {
  readonly slice: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** Start time and span id, big-endian, in halves that compare as numbers. */
  readonly timeHigh: number;
  readonly timeLow: number;
  readonly idHigh: number;
  readonly idLow: number;
  readonly part: SpanGroup;
}

/** One object for each distinct pair of resource and scope bytes, and one Uint8Array for each distinct resource. */
class PartTable {
  readonly #groups = new Map<string, SpanGroup>();
  readonly #resources = new Map<string, Uint8Array>();

  intern({ resourcePart, scopePart }: SpanGroup): SpanGroup {
    const resourceKey = latin1(resourcePart);
    const key = `${resourceKey.length} ${resourceKey}${latin1(scopePart)}`;
    let group = this.#groups.get(key);
    if (!group) {
      const known = this.#resources.get(resourceKey);
      if (!known) this.#resources.set(resourceKey, resourcePart);
      group = { resourcePart: known ?? resourcePart, scopePart };
      this.#groups.set(key, group);
    }
    return group;
  }
}

function* collecting(
  slice: Uint8Array,
  traceId: Uint8Array,
  parts: PartTable,
  found: FoundSpan[],
): Generator<void, void, void> {
  const { spanCount, rejected, groups, spans } = walkExport(slice, storedLimits);
  if (rejected.count > 0) throw new Error(`a stored span is invalid: ${rejected.firstReason}`);
  const interned = groups.map((group) => parts.intern(group));
  const view = new DataView(slice.buffer, slice.byteOffset, slice.byteLength);
  for (let row = 0; row < spanCount; row += 1) {
    const traceIdAt = spans.traceIdAt[row] as number;
    if (Buffer.compare(slice.subarray(traceIdAt, traceIdAt + traceIdBytes), traceId) !== 0) continue;
    const spanIdAt = spans.spanIdAt[row] as number;
    found.push({
      slice,
      start: spans.start[row] as number,
      end: spans.end[row] as number,
      timeHigh: spans.startTimeHigh[row] as number,
      timeLow: spans.startTimeLow[row] as number,
      idHigh: view.getUint32(spanIdAt),
      idLow: view.getUint32(spanIdAt + 4),
      part: interned[spans.group[row] as number] as SpanGroup,
    });
    if (found.length % spansAtOnce === 0) yield;
  }
}

/** Sorts in runs that are then merged pairwise. */
function* sorting<Item>(
  items: readonly Item[],
  compare: (a: Item, b: Item) => number,
): Generator<void, readonly Item[], void> {
  let runs: (readonly Item[])[] = [];
  for (let at = 0; at < items.length; at += spansAtOnce) {
    runs.push(items.slice(at, at + spansAtOnce).toSorted(compare));
    yield;
  }
  while (runs.length > 1) {
    const merged: (readonly Item[])[] = [];
    for (let index = 0; index < runs.length; index += 2)
      merged.push(yield* mergingRuns(runs[index] ?? [], runs[index + 1] ?? [], compare));
    runs = merged;
  }
  return runs[0] ?? [];
}

function* mergingRuns<Item>(
  left: readonly Item[],
  right: readonly Item[],
  compare: (a: Item, b: Item) => number,
): Generator<void, readonly Item[], void> {
  const merged: Item[] = [];
  let leftAt = 0;
  let rightAt = 0;
  while (leftAt < left.length || rightAt < right.length) {
    const a = left[leftAt];
    const b = right[rightAt];
    if (a && (!b || compare(a, b) <= 0)) {
      merged.push(a);
      leftAt += 1;
    } else if (b) {
      merged.push(b);
      rightAt += 1;
    }
    if (merged.length % spansAtOnce === 0) yield;
  }
  return merged;
}

function compareKeys(a: FoundSpan, b: FoundSpan): number {
  return a.timeHigh - b.timeHigh || a.timeLow - b.timeLow || a.idHigh - b.idHigh || a.idLow - b.idLow;
}

/** Only spans with the same start and id can be duplicates, so only those are hashed: in most traces none. */
function* withoutDuplicates(sorted: readonly FoundSpan[]): Generator<void, readonly FoundSpan[], void> {
  const kept: FoundSpan[] = [];
  for (let start = 0; start < sorted.length;) {
    const first = sorted[start] as FoundSpan;
    let end = start + 1;
    while (end < sorted.length && compareKeys(first, sorted[end] as FoundSpan) === 0) {
      end += 1;
      if (end % spansAtOnce === 0) yield;
    }
    if (end === start + 1) kept.push(first);
    else yield* keepingDistinct(sorted.slice(start, end), kept);
    start = end;
    if (start % spansAtOnce === 0) yield;
  }
  return kept;
}

/** A trace can be one span, sent 100,000 times. */
function* keepingDistinct(run: readonly FoundSpan[], kept: FoundSpan[]): Generator<void, void, void> {
  const hashed: { readonly span: FoundSpan; readonly hash: Uint8Array }[] = [];
  for (const span of run) {
    hashed.push({ span, hash: spanIdentity(span.part, span.slice.subarray(span.start, span.end)) });
    yield;
  }
  let before: Uint8Array | null = null;
  for (const { span, hash } of yield* sorting(hashed, (a, b) => Buffer.compare(a.hash, b.hash))) {
    if (before === null || Buffer.compare(before, hash) !== 0) kept.push(span);
    before = hash;
  }
}

interface ScopeGroup {
  readonly scopePart: Uint8Array;
  readonly spans: FoundSpan[];
  bytes: number;
}
interface ResourceGroup {
  readonly resourcePart: Uint8Array;
  readonly scopes: Map<SpanGroup, ScopeGroup>;
  bytes: number;
}

/** Writes the spans under their resources and scopes, each group where its first span puts it. */
function* encoding(spans: readonly FoundSpan[]): Generator<void, Uint8Array, void> {
  const resources = new Map<Uint8Array, ResourceGroup>();
  for (const [number, span] of spans.entries()) {
    const { resourcePart, scopePart } = span.part;
    const resource = entryOf(resources, resourcePart, (): ResourceGroup => ({
      resourcePart,
      scopes: new Map(),
      bytes: resourcePart.length,
    }));
    const scope = entryOf(resource.scopes, span.part, (): ScopeGroup => ({
      scopePart,
      spans: [],
      bytes: scopePart.length,
    }));
    scope.spans.push(span);
    scope.bytes += taggedSize(2, span.end - span.start);
    if (number % spansAtOnce === 0) yield;
  }
  let size = 0;
  for (const resource of resources.values()) {
    for (const { bytes } of resource.scopes.values()) resource.bytes += taggedSize(2, bytes);
    size += taggedSize(1, resource.bytes);
    yield;
  }
  const traces = new Uint8Array(size);
  let at = 0;
  let written = 0;
  let pausedAt = 0;
  for (const { resourcePart, scopes, bytes } of resources.values()) {
    at = putTagged(traces, at, 1, bytes);
    at = putBytes(traces, at, resourcePart);
    for (const scope of scopes.values()) {
      at = putTagged(traces, at, 2, scope.bytes);
      at = putBytes(traces, at, scope.scopePart);
      for (const { slice, start, end } of scope.spans) {
        at = putTagged(traces, at, 2, end - start);
        at = putBytes(traces, at, slice.subarray(start, end));
        written += 1;
        if (written % spansAtOnce !== 0 && at - pausedAt < bytesAtOnce) continue;
        pausedAt = at;
        yield;
      }
    }
  }
  if (at !== traces.length) throw new Error(`a merged trace took ${at} bytes where ${traces.length} were reckoned`);
  return traces;
}

function entryOf<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
