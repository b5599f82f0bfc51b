/** Makes the input of a finding as small as a bounded number of tries gets it: what is left is what matters. */
import { SeededRandom } from '../support/seeded-random.ts';
import type { Target } from './target.ts';

const triesMax = 4_000;
/** Tries in vain after which nothing more is expected. */
const patience = 800;

/** The smallest input found for which `isStillFound` holds; it holds for `input`. */
export function shrink(target: Target, input: Uint8Array, isStillFound: (input: Uint8Array) => boolean): Uint8Array {
  const random = new SeededRandom(1);
  let smallest = input;
  let inVain = 0;
  for (let tries = 0; tries < triesMax && inVain < patience && smallest.length > 0; tries += 1) {
    const candidate = target.reduce(smallest, random);
    inVain += 1;
    if (candidate.length > smallest.length || !isStillFound(candidate)) continue;
    if (candidate.length < smallest.length) inVain = 0;
    smallest = candidate;
  }
  return smallest;
}
