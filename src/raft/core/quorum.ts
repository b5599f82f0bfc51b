/**
 * Majority arithmetic, used for commits, votes and read rounds alike: one function, so that no clever second one can
 * disagree with it (bug E11).
 */

/** How many of `voters` make a majority. */
export const majority = (voters: number): number => Math.floor(voters / 2) + 1;

/** The largest value that a majority of `values` has reached: the value at the majority's place in descending order. */
export function reachedByMajority(values: readonly number[]): number {
  const descending = values.toSorted((left, right) => right - left);
  return descending[majority(values.length) - 1] ?? 0;
}

/** The largest value that a majority of each half has reached. */
export function reachedByHalves<Voter>(
  halves: readonly (readonly Voter[])[],
  valueOf: (voter: Voter) => number,
): number {
  return Math.min(...halves.map((voters) => reachedByMajority(voters.map(valueOf))));
}

export type VoteResult = 'won' | 'lost' | 'pending';

/** `votes` holds true for granted and false for refused; who has not answered is absent. */
export function countVotes<Voter>(voters: readonly Voter[], votes: ReadonlyMap<Voter, boolean>): VoteResult {
  const granted = voters.filter((voter) => votes.get(voter) === true).length;
  const refused = voters.filter((voter) => votes.get(voter) === false).length;
  if (granted >= majority(voters.length)) return 'won';
  return voters.length - refused < majority(voters.length) ? 'lost' : 'pending';
}

/** The same of a joint configuration: won in each half, lost in any. */
export function countHalves<Voter>(
  halves: readonly (readonly Voter[])[],
  votes: ReadonlyMap<Voter, boolean>,
): VoteResult {
  const results = halves.map((voters) => countVotes(voters, votes));
  if (results.includes('lost')) return 'lost';
  return results.every((result) => result === 'won') ? 'won' : 'pending';
}
