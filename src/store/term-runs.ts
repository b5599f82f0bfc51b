/** Where terms begin in a log, with few reads: terms never fall, so equal ends mean one run. */
import type { LogIndex, Term } from '../raft/core/types.ts';
import { asIndex } from '../raft/core/types.ts';
import { DamagedError } from './damaged.ts';

/** Entries [first, next run's first) were made in `term`. */
export interface TermRun {
  readonly term: Term;
  readonly first: LogIndex;
}

/**
 * The runs of [first, last]; none when it is empty. A damaged entry between two of the same term is skipped over
 * (protocol A4: it costs neither vote nor lead); one at the edge of a term rejects with its `DamagedError`.
 */
export async function findTermRuns(
  first: number,
  last: number,
  termAt: (index: number) => Promise<Term>,
): Promise<TermRun[]> {
  if (last < first) return [];
  const runs: TermRun[] = [];

  /** Adds the runs that begin in (low, high]. */
  const search = async (low: number, lowTerm: Term, high: number, highTerm: Term): Promise<void> => {
    if (lowTerm === highTerm) return;
    if (high === low + 1) {
      runs.push({ term: highTerm, first: asIndex(high) });
      return;
    }
    const middle = await readNear(low, high, termAt);
    await search(low, lowTerm, middle.index, middle.term);
    await search(middle.index, middle.term, high, highTerm);
  };

  const [firstTerm, lastTerm] = [await termAt(first), await termAt(last)];
  runs.push({ term: firstTerm, first: asIndex(first) });
  await search(first, firstTerm, last, lastTerm);
  return runs;
}

/** A readable entry strictly between, as close to the middle as there is one. */
async function readNear(
  low: number,
  high: number,
  termAt: (index: number) => Promise<Term>,
): Promise<{ index: number; term: Term }> {
  const middle = Math.floor((low + high) / 2);
  let damage: unknown;
  for (let distance = 0; middle - distance > low || middle + distance < high; distance += 1) {
    for (const index of distance === 0 ? [middle] : [middle + distance, middle - distance]) {
      if (index <= low || index >= high) continue;
      try {
        return { index, term: await termAt(index) };
      } catch (error) {
        if (!(error instanceof DamagedError)) throw error;
        damage ??= error;
      }
    }
  }
  throw damage;
}
