/**
 * The answer to a lookup: the spans of one trace, out of slices of many blocks, as one TracesData message.
 *
 * Always holds: the answer depends on the set of spans alone, not on how they are spread over slices, repeated or
 * ordered, so nodes that hold the same spans answer byte for byte alike (protocol C4). Span bytes are copied, never
 * encoded again. Exact duplicates appear once; the same span id with other bytes, or under another resource or scope,
 * appears as often as it differs.
 */
import { sha256 } from '../platform/digest.ts';
import { FoundSpans, type Part } from './found-spans.ts';
import { noSpanLimits } from './span-fault.ts';
import { walkExport, type SpanGroup } from './walk.ts';
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
  const found = new FoundSpans();
  for (const slice of slices) {
    yield* collecting(slice, traceId, found);
    yield;
  }
  const sorted = yield* sorting(numbersBelow(found.length), (a, b) => compareKeys(found, a, b));
  return yield* encoding(found, yield* withoutDuplicates(found, sorted));
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

const traceIdBytes = 16;
/** Spans sorted, merged or written without a pause; about 0.3 ms. */
const spansAtOnce = 1_024;
/** Bytes copied without a pause. */
const bytesAtOnce = 1024 * 1024;

function* collecting(slice: Uint8Array, traceId: Uint8Array, found: FoundSpans): Generator<void, void, void> {
  // Slices were checked when they were stored, perhaps under larger limits; a read must not lose a span over that.
  const { spanCount, rejected, groups, spans } = walkExport(slice, noSpanLimits);
  if (rejected.count > 0) throw new Error(`a stored span is invalid: ${rejected.firstReason}`);
  const sliceNumber = found.addSlice(slice);
  const parts = groups.map((group) => found.partNumber(group));
  const bytes = found.slices[sliceNumber] as Buffer;
  for (let row = 0; row < spanCount; row += 1) {
    const traceIdAt = spans.traceIdAt[row] as number;
    if (bytes.compare(traceId, 0, traceIdBytes, traceIdAt, traceIdAt + traceIdBytes) !== 0) continue;
    const spanIdAt = spans.spanIdAt[row] as number;
    const at = found.addRow();
    found.slice[at] = sliceNumber;
    found.start[at] = spans.start[row] as number;
    found.end[at] = spans.end[row] as number;
    found.part[at] = parts[spans.group[row] as number] as number;
    found.timeHigh[at] = spans.startTimeHigh[row] as number;
    found.timeLow[at] = spans.startTimeLow[row] as number;
    found.idHigh[at] = bytes.readUInt32BE(spanIdAt);
    found.idLow[at] = bytes.readUInt32BE(spanIdAt + 4);
    if (found.length % spansAtOnce === 0) yield;
  }
}

/** Row numbers, in some order. */
type Rows = Uint32Array<ArrayBuffer>;
type CompareRows = (a: number, b: number) => number;

function numbersBelow(count: number): Rows {
  const rows = new Uint32Array(count);
  for (let row = 0; row < count; row += 1) rows[row] = row;
  return rows;
}

/** Sorts in runs that are then merged pairwise, to and fro between two columns. */
function* sorting(rows: Rows, compare: CompareRows): Generator<void, Rows, void> {
  for (let at = 0; at < rows.length; at += spansAtOnce) {
    rows.subarray(at, at + spansAtOnce).sort(compare);
    yield;
  }
  let from = rows;
  let to = new Uint32Array(rows.length);
  for (let run = spansAtOnce; run < rows.length; run *= 2) {
    for (let at = 0; at < rows.length; at += 2 * run) yield* mergingRuns(from, to, at, run, compare);
    [from, to] = [to, from];
  }
  return from;
}

/** Merges the run of `run` rows that begins at `start` with the one behind it; either may be cut by the end. */
function* mergingRuns(
  from: Rows,
  to: Rows,
  start: number,
  run: number,
  compare: CompareRows,
): Generator<void, void, void> {
  const leftEnd = Math.min(start + run, from.length);
  const rightEnd = Math.min(leftEnd + run, from.length);
  let left = start;
  let right = leftEnd;
  for (let at = start; at < rightEnd; at += 1) {
    const takesLeft =
      left < leftEnd && (right >= rightEnd || compare(from[left] as number, from[right] as number) <= 0);
    to[at] = takesLeft ? (from[left] as number) : (from[right] as number);
    if (takesLeft) left += 1;
    else right += 1;
    if (at % spansAtOnce === 0) yield;
  }
}

/** By start time, then span id. */
function compareKeys({ timeHigh, timeLow, idHigh, idLow }: FoundSpans, a: number, b: number): number {
  return (
    (timeHigh[a] as number) - (timeHigh[b] as number) ||
    (timeLow[a] as number) - (timeLow[b] as number) ||
    (idHigh[a] as number) - (idHigh[b] as number) ||
    (idLow[a] as number) - (idLow[b] as number)
  );
}

/** The rows without repetitions. Only spans with the same start and id can be duplicates, so only those are hashed: in most traces none. */
function* withoutDuplicates(found: FoundSpans, sorted: Rows): Generator<void, Rows, void> {
  const kept = new Uint32Array(sorted.length);
  let count = 0;
  for (let start = 0; start < sorted.length;) {
    const first = sorted[start] as number;
    let end = start + 1;
    while (end < sorted.length && compareKeys(found, first, sorted[end] as number) === 0) {
      end += 1;
      if (end % spansAtOnce === 0) yield;
    }
    const distinct = end === start + 1 ? [first] : yield* onlyDistinct(found, sorted.subarray(start, end));
    for (const row of distinct) {
      kept[count] = row;
      count += 1;
    }
    start = end;
    if (start % spansAtOnce === 0) yield;
  }
  return kept.subarray(0, count);
}

/** Rows of the same start and id: each identity once, ordered by it. A trace can be one span, sent 100,000 times. */
function* onlyDistinct(found: FoundSpans, run: Rows): Generator<void, number[], void> {
  const hashes: Uint8Array[] = [];
  for (const row of run) {
    hashes.push(spanIdentity(found.partOf(row), found.bytesOf(row)));
    yield;
  }
  const hashOf = (number: number): Uint8Array => hashes[number] as Uint8Array;
  const distinct: number[] = [];
  let before: Uint8Array | null = null;
  for (const number of yield* sorting(numbersBelow(run.length), (a, b) => Buffer.compare(hashOf(a), hashOf(b)))) {
    if (before === null || Buffer.compare(before, hashOf(number)) !== 0) distinct.push(run[number] as number);
    before = hashOf(number);
  }
  return distinct;
}

/** The spans of one part in the answer. */
interface ScopeGroup {
  readonly part: Part;
  bytes: number;
  /** Where its next span is written. */
  at: number;
}
interface ResourceGroup {
  readonly scopes: ScopeGroup[];
  bytes: number;
}

/** Writes the spans under their resources and scopes, each group where its first span puts it. */
function* encoding(found: FoundSpans, rows: Rows): Generator<void, Uint8Array, void> {
  const resources = new Map<number, ResourceGroup>();
  const scopes = new Map<number, ScopeGroup>();
  for (let at = 0; at < rows.length; at += 1) {
    const row = rows[at] as number;
    const number = found.part[row] as number;
    let scope = scopes.get(number);
    if (scope === undefined) {
      const part = found.partOf(row);
      scope = { part, bytes: part.scopePart.length, at: 0 };
      scopes.set(number, scope);
      const resource = resources.get(part.resource);
      if (resource === undefined) resources.set(part.resource, { scopes: [scope], bytes: part.resourcePart.length });
      else resource.scopes.push(scope);
    }
    scope.bytes += taggedSize(2, (found.end[row] as number) - (found.start[row] as number));
    if (at % spansAtOnce === 0) yield;
  }
  const traces = yield* layingOut([...resources.values()]);
  let pausedAt = 0;
  let written = 0;
  for (let at = 0; at < rows.length; at += 1) {
    const row = rows[at] as number;
    const start = found.start[row] as number;
    const end = found.end[row] as number;
    const scope = scopes.get(found.part[row] as number) as ScopeGroup;
    const valueAt = putTagged(traces, scope.at, 2, end - start);
    found.sliceOf(row).copy(traces, valueAt, start, end);
    scope.at = valueAt + end - start;
    written += end - start;
    if (at % spansAtOnce !== 0 && written - pausedAt < bytesAtOnce) continue;
    pausedAt = written;
    yield;
  }
  return traces;
}

/** The answer with everything but its spans, for which it notes in each scope where they go. */
function* layingOut(resources: readonly ResourceGroup[]): Generator<void, Uint8Array, void> {
  let size = 0;
  for (const resource of resources) {
    for (const { bytes } of resource.scopes) resource.bytes += taggedSize(2, bytes);
    size += taggedSize(1, resource.bytes);
    yield;
  }
  const traces = new Uint8Array(size);
  let at = 0;
  for (const { scopes, bytes } of resources) {
    at = putTagged(traces, at, 1, bytes);
    at = putBytes(traces, at, (scopes[0] as ScopeGroup).part.resourcePart);
    for (const scope of scopes) {
      at = putTagged(traces, at, 2, scope.bytes);
      scope.at = putBytes(traces, at, scope.part.scopePart);
      at += scope.bytes;
    }
    yield;
  }
  if (at !== size) throw new Error(`a merged trace took ${at} bytes where ${size} were reckoned`);
  return traces;
}
