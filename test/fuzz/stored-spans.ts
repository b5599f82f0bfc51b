/** The spans of an export that the walk accepts, one by one: what the store keeps, and what it is given back. */
import type { WalkedExport } from '../../src/otlp/walk.ts';
import { ByteSink } from './byte-sink.ts';

const resourceSpansTag = 0x0a;
const childTag = 0x12;
const sink = new ByteSink();

/** The span of `row` as TracesData, with what stands around it. */
export function storedSpan(request: Uint8Array, { groups, spans }: WalkedExport, row: number): Uint8Array {
  const group = groups[spans.group[row] ?? -1];
  if (group === undefined) throw new Error(`row ${row} has no group`);
  const resource = sink.open(resourceSpansTag);
  sink.bytes(group.resourcePart);
  const scope = sink.open(childTag);
  sink.bytes(group.scopePart);
  const span = sink.open(childTag);
  sink.bytes(request.subarray(spans.start[row], spans.end[row]));
  sink.close(span);
  sink.close(scope);
  sink.close(resource);
  return sink.take();
}

/** All accepted spans as one TracesData. */
export function storedSpans(request: Uint8Array, walked: WalkedExport): Uint8Array {
  return Buffer.concat(Array.from({ length: walked.spanCount }, (_, row) => storedSpan(request, walked, row)));
}
