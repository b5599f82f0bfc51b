/**
 * The same question answered the slow way: try every order of the operations that respects real time and see whether
 * a set, added to one element at a time, could have returned what was read. For histories of one trace, up to about
 * eight operations.
 */
import type { History, HistoryOperation } from '../support/history.ts';

export function linearizableByBruteForce(history: History): boolean {
  return search(
    history.filter((operation) => operation.kind === 'read' || operation.outcome !== 'fail'),
    new Set(),
  );
}

/** May `operations` be ordered legally when `state` is what has been added already? */
function search(operations: History, state: ReadonlySet<string>): boolean {
  if (operations.every((operation) => operation.kind === 'add' && operation.outcome === 'unknown')) return true;
  return operations.some((next, at) => {
    const rest = operations.toSpliced(at, 1);
    // An operation that ended before this one began must come first; an unknown add never ended.
    if (rest.some((other) => other.end < earliest(next))) return false;
    if (next.kind === 'add') return search(rest, new Set(state).add(next.element));
    const returned = new Set(next.elements);
    const same = returned.size === state.size && next.elements.every((element) => state.has(element));
    return same && search(rest, state);
  });
}

function earliest(operation: HistoryOperation): number {
  return operation.kind === 'read' && operation.consistency === 'stale' ? -Infinity : operation.start;
}
