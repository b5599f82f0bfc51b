/** Majority arithmetic as its definition says it, slow on purpose: what the core's is compared with. */

/** The largest value that more than half have reached, found by trying every value. */
export function naiveReached(values: readonly number[]): number {
  for (let value = Math.max(0, ...values); value > 0; value -= 1) {
    if (values.filter((one) => one >= value).length * 2 > values.length) return value;
  }
  return 0;
}

/** Decided when every way in which the missing votes can still come in ends alike. */
export function naiveVote(votes: readonly (boolean | undefined)[]): 'won' | 'lost' | 'pending' {
  const open = votes.indexOf(undefined);
  if (open < 0) return votes.filter((vote) => vote === true).length * 2 > votes.length ? 'won' : 'lost';
  const granted = naiveVote(votes.with(open, true));
  return granted === naiveVote(votes.with(open, false)) ? granted : 'pending';
}
