/** The commands of scenarios that need no replicas: the core's majority arithmetic, each result compared with a naive one. */
import { countVotes, reachedByMajority } from '../../src/raft/core/quorum.ts';
import { naiveReached, naiveVote } from './naive-quorum.ts';

/** `1=5 2=3 3=_`: what each voter is known to hold durably; `_`, from whom nothing was heard, counts as 0. */
export function commitIndexText(words: readonly string[]): string {
  const matches = words.map((word) => {
    const [, match = ''] = /^\d+=(\d+|_)$/.exec(word) ?? [];
    if (match === '') throw new Error(`not a voter and its index: ${word}`);
    return match === '_' ? 0 : Number(match);
  });
  return agreed(reachedByMajority(matches), naiveReached(matches));
}

/** `y n _`: granted, refused, not heard. */
export function voteResultText(words: readonly string[]): string {
  const votes = words.map((word) => {
    if (!['y', 'n', '_'].includes(word)) throw new Error(`not a vote: ${word}`);
    return word === '_' ? undefined : word === 'y';
  });
  const cast = new Map<number, boolean>();
  votes.forEach((vote, voter) => {
    if (vote !== undefined) cast.set(voter, vote);
  });
  return agreed(countVotes([...votes.keys()], cast), naiveVote(votes));
}

function agreed<Value extends number | string>(core: Value, naive: Value): string {
  if (core !== naive) throw new Error(`the core says ${core}, the definition ${naive}`);
  return `${core}`;
}
