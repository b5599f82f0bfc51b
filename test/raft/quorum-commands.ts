/** The commands of scenarios that need no replicas: the core's majority arithmetic, each result compared with a naive one. */
import { countHalves, reachedByHalves } from '../../src/raft/core/quorum.ts';
import { naiveReached, naiveVote } from './naive-quorum.ts';

/** `1=5 2=3 3=_`: what each voter is known to hold durably; `_`, from whom nothing was heard, counts as 0. */
export function commitIndexText(words: readonly string[]): string {
  const halves = halvesIn(words).map(matchesIn);
  const core = reachedByHalves(halves, (match) => match);
  return agreed(core, Math.min(...halves.map(naiveReached)));
}

/** A joint configuration has a `|` between its halves. */
function halvesIn(words: readonly string[]): string[][] {
  const bar = words.indexOf('|');
  return bar < 0 ? [[...words]] : [words.slice(0, bar), words.slice(bar + 1)];
}

function matchesIn(words: readonly string[]): number[] {
  return words.map((word) => {
    const [, match = ''] = /^\d+=(\d+|_)$/.exec(word) ?? [];
    if (match === '') throw new Error(`not a voter and its index: ${word}`);
    return match === '_' ? 0 : Number(match);
  });
}

/** `y n _`: granted, refused, not heard. */
export function voteResultText(words: readonly string[]): string {
  const halves = halvesIn(words).map(votesIn);
  const cast = new Map<string, boolean>();
  const voters = halves.map((votes, half) =>
    votes.map((vote, at) => {
      const voter = `${half}.${at}`;
      if (vote !== undefined) cast.set(voter, vote);
      return voter;
    }),
  );
  const naive = halves.map(naiveVote);
  const joint = naive.includes('lost') ? 'lost' : naive.includes('pending') ? 'pending' : 'won';
  return agreed(countHalves(voters, cast), joint);
}

function votesIn(words: readonly string[]): (boolean | undefined)[] {
  return words.map((word) => {
    if (!['y', 'n', '_'].includes(word)) throw new Error(`not a vote: ${word}`);
    return word === '_' ? undefined : word === 'y';
  });
}

function agreed<Value extends number | string>(core: Value, naive: Value): string {
  if (core !== naive) throw new Error(`the core says ${core}, the definition ${naive}`);
  return `${core}`;
}
