/**
 * What may be missing from an answer of a cluster with retention by age, exactly:
 *
 *   a span that came in longer ago than the age, when the read ended,
 *   where the answer says that a part of the trace has expired, or is that the trace is unknown.
 *
 * Such answers get back what they may lack, and the history is one that knows no retention: all else that is missing is a fault
 * in `checkHistory`. A span came in when the export that was acknowledged last was sent, or later; one that was sent twice may be kept
 * for longer.
 */
import type { History, ReadOperation } from './history.ts';

export function giveBackExpired(history: History, ageMs: number): History {
  if (!Number.isFinite(ageMs)) return history;
  const sentMs = knownSpans(history);
  return history.map((operation) => {
    if (operation.kind === 'add' || !mayBeCut(operation)) return operation;
    const given = new Set(operation.elements);
    const expired = [...(sentMs.get(operation.trace) ?? [])].filter(
      ([element, ms]) => !given.has(element) && operation.endMs - ms > ageMs,
    );
    return { ...operation, elements: [...operation.elements, ...expired.map(([element]) => element)] };
  });
}

/** Whether a read lacks, lawfully, something that was known before. */
const mayBeCut = ({ elements, expired }: ReadOperation): boolean => expired === true || elements.length === 0;

/** How many answers said that a part has expired, and had the rest. */
export const cutAnswers = (history: History): number =>
  history.filter(
    (operation) => operation.kind === 'read' && operation.expired === true && operation.elements.length > 0,
  ).length;

/** By trace, the spans that the store took in for certain, and when the export was sent that counts. */
function knownSpans(history: History): Map<string, Map<string, number>> {
  const seen = new Set(history.flatMap((operation) => (operation.kind === 'read' ? operation.elements : [])));
  const traces = new Map<string, Map<string, number>>();
  const acked = new Set<string>();
  for (const operation of history) {
    if (operation.kind === 'read') continue;
    const { element, outcome, startMs, trace } = operation;
    if (outcome === 'fail' || (outcome === 'unknown' && (acked.has(element) || !seen.has(element)))) continue;
    const spans = traces.get(trace) ?? new Map<string, number>();
    traces.set(trace, spans);
    const before = spans.get(element);
    const counts =
      before === undefined || (outcome === 'ok' ? !acked.has(element) || startMs > before : startMs < before);
    if (counts) spans.set(element, startMs);
    if (outcome === 'ok') acked.add(element);
  }
  return traces;
}
