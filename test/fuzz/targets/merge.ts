/** A trace out of many slices: however its spans are spread, repeated and ordered, the answer is the same bytes. */
import { limits } from '../../../src/limits.ts';
import { mergeTrace } from '../../../src/otlp/trace-merge.ts';
import { walkExport, type WalkedExport } from '../../../src/otlp/walk.ts';
import { WireError } from '../../../src/otlp/wire.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { generateExport } from '../generate-export.ts';
import { mutateWire, reduceWire } from '../mutate-wire.ts';
import { storedSpan, storedSpans } from '../stored-spans.ts';
import type { Finding, Target } from '../target.ts';

const slicesMax = 4;

export const mergeTarget: Target = {
  name: 'merge',
  generate: generateExport,
  mutate: mutateWire,
  reduce: reduceWire,
  judge(request) {
    const walked = walkOrNull(request);
    if (walked === null || walked.spanCount === 0) return { outcome: 'refused', shape: '', finding: null };
    const { spanCount, groups } = walked;
    const found = differenceOf(request, walked);
    const shape = `${Math.min(spanCount, 9)} ${Math.min(groups.length, 6)} ${found.kept}`;
    return { outcome: found.finding === null ? 'accepted' : 'finding', shape, finding: found.finding };
  },
};

function walkOrNull(request: Uint8Array): WalkedExport | null {
  try {
    return walkExport(request, limits);
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
}

function differenceOf(
  request: Uint8Array,
  walked: WalkedExport,
): { readonly kept: number; readonly finding: Finding | null } {
  const traceId = traceIdOf(request, walked, 0);
  const rows = Array.from({ length: walked.spanCount }, (_, row) => row);
  const distinct = new Set(
    rows
      .filter((row) => traceIdOf(request, walked, row).equals(traceId))
      .map((row) => latin1(storedSpan(request, walked, row))),
  );
  const merged = mergeTrace([storedSpans(request, walked)], traceId);
  const found = (kind: string, bytes: Uint8Array): { kept: number; finding: Finding } => {
    const hex = [merged, bytes].map((trace) => Buffer.from(trace).toString('hex'));
    return { kept: distinct.size, finding: { kind, detail: hex.join(' | ') } };
  };
  if (walkExport(merged, limits).spanCount !== distinct.size) return found(`another number of spans`, merged);
  const again = mergeTrace([merged], traceId);
  if (!merged.every((byte, at) => byte === again[at]) || merged.length !== again.length)
    return found('another trace when merged again', again);
  const spread = mergeTrace(spreadOut(request, walked), traceId);
  if (Buffer.compare(spread, merged) !== 0) return found('another trace from other slices', spread);
  return { kept: distinct.size, finding: null };
}

/** Each span under a resource and scope of its own, some of them twice, in any order, in a few slices. */
function spreadOut(request: Uint8Array, walked: WalkedExport): readonly Uint8Array[] {
  // The same for the same request, so that a finding is found again.
  const random = new SeededRandom(request.reduce((sum, byte) => Math.imul(sum, 31) + byte, request.length));
  const slices: Uint8Array[][] = Array.from({ length: 1 + random.below(slicesMax) }, () => []);
  for (let row = 0; row < walked.spanCount; row += 1) {
    for (let copies = random.pick([1, 1, 2, 3]); copies > 0; copies -= 1) {
      const slice = random.pick(slices);
      slice.splice(random.below(slice.length + 1), 0, storedSpan(request, walked, row));
    }
  }
  return slices.map((pieces) => Buffer.concat(pieces));
}

function traceIdOf(request: Uint8Array, { spans }: WalkedExport, row: number): Buffer {
  const at = spans.traceIdAt[row] ?? 0;
  return Buffer.from(request.subarray(at, at + 16));
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
