/**
 * Section 5.2 of the Raft paper, leader election: a test for each sentence that can be checked and that figure 2 does not
 * say already. The others:
 *
 *   leaders send heartbeats; silence starts an election      figure 2, paper.test.ts
 *   an election: new term, own vote, requests to all         figure 2; here a pre-vote comes first (thesis 9.6), below
 *   a candidate that won leads, and says so to all           figure 2, "upon election"
 *   a leader of the same term makes a candidate a follower   figure 2
 *   one leader in a term, whatever happens                   figure 3, paper-safety.test.ts
 *   a split vote goes on until the candidates time out       differs: who can no longer win follows at once, and waits; one
 *                                                            of the candidates tries again sooner, split-votes.test.ts
 *   rankings of candidates were tried and given up           nobody steps back for another here, split-votes.test.ts
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Message } from '../../src/raft/core/message.ts';
import {
  accepted,
  append,
  granted,
  heartbeat,
  makeCandidate,
  makeLeader,
  preGranted,
  refused,
  replicaWith,
  sentBy,
  sentOf,
  vote,
} from './core-fixture.ts';
import { diskOf, type Replica } from './replica.ts';
import { SmallCluster } from './small-cluster.ts';

const ticks = (replica: Replica, count: number): void => {
  for (let tick = 0; tick < count; tick += 1) replica.tick();
};

/** `count` empty disks. */
const disks = (count: number): ReturnType<typeof diskOf>[] => Array.from({ length: count }, () => diskOf({}));

/** Random numbers that are the same in every run. */
function randomFrom(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

describe('5.2 followers', () => {
  test.each([
    ['with an empty disk', diskOf({})],
    ['after a vote for itself', diskOf({ terms: [1], term: 4, vote: replicaWith().id })],
    ['with a log of its own term', diskOf({ terms: [1, 4], term: 4, commit: 2 })],
  ])('a server starts as one: %s', (_, disk) => {
    const replica = replicaWith(disk);
    expect(replica.raft).toMatchObject({ role: 'follower', leader: null, term: disk.ballot.term });
    expect(sentBy(replica)).toEqual([]);
  });

  test('it remains one, through any number of timeouts, while a leader or candidates of its term are heard', () => {
    const replica = replicaWith();
    for (let term = 1; term <= 10; term += 1) {
      ticks(replica, 3);
      replica.step(vote({ from: '3', term, last: [0, 0] }));
      ticks(replica, 3);
      replica.step(heartbeat({ from: '3', term }));
      ticks(replica, 3);
      replica.step(append({ from: '3', term, after: [0, 0] }));
    }
    expect(sentOf(replica, 'pre-vote')).toEqual([]);
    expect(replica.raft.role).toBe('follower');
  });

  test.each([
    ['appends', append({ term: 2, after: [0, 0] })],
    ['heartbeats', heartbeat({ term: 2 })],
    ['votes', vote({ term: 2, last: [9, 2] })],
  ])('but not by what is not valid, the %s of an old term', (_, message) => {
    const replica = replicaWith(diskOf({ term: 3 }));
    for (let tick = 0; tick < 4; tick += 1) {
      replica.step(message);
      replica.tick();
    }
    expect(replica.raft.role).toBe('pre-candidate');
  });

  test('a leader speaks to every follower each tick: to one that is silent and one whose window is full, too', () => {
    const replica = replicaWith(diskOf({}), 4, { window: { messagesMax: 1, bytesMax: 2 ** 20 } });
    const term = makeLeader(replica, ['2', '3']);
    replica.step(accepted({ from: '2', term, match: 0 }));
    replica.propose('a');
    replica.propose('b');
    expect([...(replica.raft.progress?.values() ?? [])].map(({ paused }) => paused)).toEqual([true, true, true]);
    sentBy(replica);
    replica.tick();
    expect(sentOf(replica, 'heartbeat').map(({ to }) => to)).toEqual(['2', '3', '4']);
  });
});

describe('5.2 candidates', () => {
  test('before an election a majority is asked; while it is silent or refuses, no term rises (differs: thesis 9.6)', () => {
    const replica = replicaWith(diskOf({ term: 3 }));
    ticks(replica, 40);
    for (const from of ['2', '3']) replica.step(preGranted({ from, term: 3, granted: false }));
    ticks(replica, 40);
    expect(replica.raft).toMatchObject({ term: 3, vote: null });
    expect(replica.takeOutcome().ballots).toEqual([]);
  });

  test.each<readonly [string, readonly Message[]]>([
    ['one vote more', [granted({ from: '2', term: 1 })]],
    ['two refusals', ['2', '3'].map((from) => granted({ from, term: 1, granted: false }))],
    ['votes of both kinds', [granted({ from: '2', term: 1 }), granted({ from: '3', term: 1, granted: false })]],
    ['more pre-votes', ['4', '5'].map((from) => preGranted({ from, term: 0 }))],
    ['requests of its term', ['2', '3'].map((from) => vote({ from, term: 1, last: [9, 1] }))],
    ['a pre-vote of its term', [vote({ from: '2', type: 'pre-vote', term: 1, last: [9, 1] })]],
    ['replies to appends', [accepted({ term: 1, match: 0 }), refused({ term: 1, at: 0, hint: [0, 0] })]],
  ])('a candidate stays one until it wins, meets a leader or times out: %s', (_, messages) => {
    const replica = replicaWith(diskOf({}), 5);
    makeCandidate(replica, ['2', '3']);
    for (const message of messages) replica.step(message);
    expect(replica.raft).toMatchObject({ role: 'candidate', term: 1, vote: '1' });
    ticks(replica, 3);
    expect(replica.raft).toMatchObject({ role: 'candidate', term: 1, vote: '1' });
  });

  test.each([2, 3, 4, 5, 6, 7])(
    'it wins by a majority of the whole cluster, however many answer: %i servers',
    (size) => {
      const others = Array.from({ length: size - 1 }, (_, at) => `${at + 2}`);
      const needed = Math.floor(size / 2);
      const replica = replicaWith(diskOf({}), size);
      const term = makeCandidate(replica, others);
      for (const from of others.slice(0, needed - 1)) replica.step(granted({ from, term }));
      expect(replica.raft.role).toBe('candidate');
      replica.step(granted({ from: others[needed - 1] ?? '', term }));
      expect(replica.raft.role).toBe('leader');
    },
  );

  test('of votes for one and the same term: neither early ones nor late ones count for another', () => {
    const replica = replicaWith(diskOf({}), 5);
    makeCandidate(replica, ['2', '3']);
    replica.step(granted({ from: '2', term: 1 }));
    expect(makeCandidate(replica, ['2', '3'])).toBe(2);
    for (const from of ['2', '3', '4', '5']) replica.step(granted({ from, term: 1 }));
    replica.step(granted({ from: '3', term: 2 }));
    expect(replica.raft.role).toBe('candidate');
    replica.step(granted({ from: '2', term: 2 }));
    expect(replica.raft.role).toBe('leader');
  });

  test('a server votes for at most one candidate in a term, whatever it is asked and however often it dies', () => {
    const request = fc.record({
      from: fc.constantFrom('2', '3', '4', '5'),
      term: fc.integer({ min: 1, max: 4 }),
      disk: fc.constantFrom('nothing', 'persist', 'crash'),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 20 }), (requests) => {
        const replica = replicaWith(diskOf({}), 5);
        const votedFor = new Map<number, string>();
        let waiting = replica.takeOutcome().sent;
        for (const { from, term, disk } of requests) {
          replica.step(vote({ from, term, last: [0, 0] }));
          waiting.push(...replica.takeOutcome().sent);
          if (disk === 'persist') replica.persistBallot();
          for (const { message, ballot } of waiting) {
            if (replica.holds(ballot) || message.type !== 'vote-reply' || !message.granted) continue;
            expect(votedFor.get(message.term) ?? message.to).toBe(message.to);
            votedFor.set(message.term, message.to);
          }
          waiting = waiting.filter(({ ballot }) => replica.holds(ballot));
          if (disk !== 'crash') continue;
          replica.crash();
          replica.restart();
          waiting = [];
        }
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ['2', '3', '4'],
    ['3', '4', '2'],
    ['4', '2', '3'],
  ])('who asks first gets the vote: %s before %s and %s', (...order) => {
    const replica = replicaWith(diskOf({}), 5);
    for (const from of order) replica.step(vote({ from, term: 1, last: [0, 0] }));
    const replies = sentOf(replica, 'vote-reply').map(({ to, granted: yes }) => [to, yes]);
    expect(replies).toEqual(order.map((from, at) => [from, at === 0]));
  });

  test('so at most one candidate wins a term: every way in which three servers can vote for two candidates or not', () => {
    const choices = ['first', 'second', 'nobody'] as const;
    const wins: number[] = [];
    for (const third of choices) {
      for (const fourth of choices) {
        for (const fifth of choices) {
          const candidates = [1, 2].map((number) => candidateOf(number));
          [third, fourth, fifth].forEach((choice, at) => {
            const voter = new SmallCluster(disks(5)).at(at + 3);
            // Both ask everybody; who asks first is answered yes.
            const order = choice === 'first' ? candidates : choice === 'second' ? candidates.toReversed() : [];
            for (const candidate of order) {
              voter.step({ ...vote({ from: candidate.id, term: 1, last: [0, 0] }), to: voter.id });
            }
            for (const reply of sentOf(voter, 'vote-reply')) candidates.find(({ id }) => id === reply.to)?.step(reply);
          });
          wins.push(candidates.filter(({ raft }) => raft.role === 'leader').length);
        }
      }
    }
    expect(Math.max(...wins)).toBe(1);
    // Two votes of three and its own are a majority of five: 7 of the 27 ways for each.
    expect(wins.filter((count) => count === 1)).toHaveLength(14);
  });

  /** Number `number` of five, a candidate of term 1. */
  function candidateOf(number: number): Replica {
    const replica = new SmallCluster(disks(5)).at(number);
    replica.campaign();
    for (const from of ['4', '5']) replica.step({ ...preGranted({ from, term: 0 }), to: replica.id });
    replica.persistBallot();
    replica.takeOutcome();
    expect(replica.raft.role).toBe('candidate');
    return replica;
  }
});

describe('5.2 a leader is there', () => {
  test.each(['follower', 'pre-candidate', 'candidate'] as const)(
    'who hears the winner starts no election and helps none: a %s',
    (role) => {
      const replica = replicaWith();
      if (role === 'follower') ticks(replica, 3);
      else if (role === 'pre-candidate') replica.campaign();
      else makeCandidate(replica);
      expect(replica.raft.role).toBe(role);
      replica.step(append({ from: '3', term: 1, after: [0, 0] }));
      sentBy(replica);
      ticks(replica, 2);
      replica.step(vote({ from: '2', type: 'pre-vote', term: 1, last: [9, 1] }));
      replica.step(vote({ from: '2', term: 2, last: [9, 1] }));
      ticks(replica, 1);
      expect(replica.raft).toMatchObject({ role: 'follower', leader: '3', term: 1 });
      expect(sentBy(replica)).toMatchObject([{ type: 'pre-vote-reply', granted: false }]);
    },
  );

  test.each([
    ['append', append({ from: '3', term: 7, after: [0, 0] })],
    ['heartbeat', heartbeat({ from: '3', term: 7 })],
  ])('a candidate recognises a leader of a newer term by its %s, and has no vote there yet', (_, message) => {
    const replica = replicaWith();
    makeCandidate(replica);
    replica.step(message);
    expect(replica.raft).toMatchObject({ role: 'follower', leader: '3', term: 7, vote: null });
  });

  test.each([
    ['append', append({ from: '3', term: 4, after: [0, 0] })],
    ['heartbeat', heartbeat({ from: '3', term: 4 })],
  ])('it refuses the %s of an older term and goes on', (_, message) => {
    const replica = replicaWith(diskOf({ term: 4 }));
    expect(makeCandidate(replica)).toBe(5);
    sentBy(replica);
    replica.step(message);
    // The refusal is the newer term: nothing in it can be counted.
    expect(sentBy(replica)).toMatchObject([{ to: '3', type: 'heartbeat-reply', term: 5, session: 0 }]);
    expect(replica.raft).toMatchObject({ role: 'candidate', term: 5, vote: '1' });
    replica.step(granted({ term: 5 }));
    expect(replica.raft.role).toBe('leader');
  });
});

describe('5.2 split votes', () => {
  /** All campaign at once, and every message takes as long as every other. */
  function allAtOnce(cluster: SmallCluster): void {
    for (const replica of cluster.replicas) replica.campaign();
    cluster.settle();
  }

  test.each([2, 3, 4, 5])('%i candidates at once have a vote each: nobody wins', (size) => {
    const cluster = new SmallCluster(disks(size));
    allAtOnce(cluster);
    expect(cluster.replicas.map(({ id, raft }) => raft.vote === id && raft.term)).toEqual(disks(size).map(() => 1));
    expect(cluster.leaders).toEqual([]);
  });

  test('then one of them begins another election, of a higher term', () => {
    // 1 waits 3 ticks, 2 waits 4, ... but 4 is the one that tries again sooner.
    const cluster = new SmallCluster(disks(4), (number) => ({ randomBelow: () => number - 1 }));
    allAtOnce(cluster);
    cluster.tick();
    cluster.settle();
    expect(cluster.replicas.map(({ raft }) => raft.term)).toEqual([1, 1, 1, 1]);
    cluster.tick();
    cluster.settle();
    expect(cluster.leaders).toEqual([cluster.at(4)]);
    expect(cluster.replicas.map(({ raft }) => raft.term)).toEqual([2, 2, 2, 2]);
  });

  test('with nothing done against it, votes can be split for ever', () => {
    const cluster = new SmallCluster(disks(4), () => ({ randomBelow: () => 0 }));
    for (let election = 1; election <= 20; election += 1) {
      cluster.tick(3);
      cluster.settle();
      expect(cluster.leaders).toEqual([]);
      expect(cluster.at(1).raft.term).toBe(election);
    }
  });

  test.each([
    { min: 3, max: 6 },
    { min: 10, max: 20 },
    { min: 5, max: 5 },
  ])('so timeouts are drawn at random from a fixed interval, $min to $max, all alike', ({ min, max }) => {
    for (let draw = 0; draw <= max - min; draw += 1) {
      const bounds = new Set<number>();
      const randomBelow = (bound: number): number => {
        bounds.add(bound);
        return draw;
      };
      const replica = replicaWith(diskOf({}), 3, { electionTicksMin: min, electionTicksMax: max, randomBelow });
      ticks(replica, min + draw - 1);
      expect(replica.raft.role).toBe('follower');
      ticks(replica, 1);
      expect(replica.raft.role).toBe('pre-candidate');
      expect([...bounds]).toEqual([max - min + 1]);
    }
  });

  test('one server times out before the others, wins, and is heard before any of them does', () => {
    const cluster = new SmallCluster(disks(4), (number) => ({ randomBelow: () => (number + 1) % 4 }));
    for (let tick = 0; tick < 40; tick += 1) {
      cluster.tick();
      cluster.settle();
    }
    expect(cluster.leaders).toEqual([cluster.at(3)]);
    expect(cluster.replicas.map(({ raft }) => [raft.term, raft.vote])).toEqual(disks(4).map(() => [1, '3']));
  });

  test('each election draws anew, and the whole timeout passes before the next', () => {
    const draws = [0, 3, 1, 2, 0];
    const replica = replicaWith(diskOf({}), 3, { randomBelow: () => draws.shift() ?? 0 });
    const campaigns: number[] = [];
    for (let tick = 1; tick <= 18; tick += 1) {
      replica.tick();
      if (sentOf(replica, 'pre-vote').length === 0) continue;
      campaigns.push(tick);
      // Without an answer it would ask the same again.
      for (const from of ['2', '3']) replica.step(preGranted({ from, term: 0, granted: false }));
    }
    expect(campaigns).toEqual([3, 3 + 6, 9 + 4, 13 + 5]);
  });

  test('a candidate draws when it becomes one, too: its votes get a whole timeout', () => {
    const draws = [0, 0, 3, 0];
    const replica = replicaWith(diskOf({}), 3, { randomBelow: () => draws.shift() ?? 0 });
    ticks(replica, 5);
    replica.step(preGranted({ term: 0 }));
    ticks(replica, 5);
    expect(replica.raft).toMatchObject({ role: 'candidate', term: 1 });
    ticks(replica, 1);
    expect(replica.raft.role).toBe('pre-candidate');
  });

  test('that makes another split unlikely: of 200 elections by five at once, most end at once and all soon', () => {
    const lasted: number[] = [];
    for (let seed = 0; seed < 200; seed += 1) {
      const randomBelow = randomFrom(seed);
      // Thesis 9.3: ten to twenty times as long as a message takes, which is a tick here.
      const cluster = new SmallCluster(disks(5), () => ({ electionTicksMin: 10, electionTicksMax: 20, randomBelow }));
      allAtOnce(cluster);
      let tick = 0;
      while (cluster.leaders.length === 0 && tick < 1_000) {
        tick += 1;
        cluster.tick();
        cluster.exchange();
      }
      lasted.push(tick);
    }
    lasted.sort((left, right) => left - right);
    expect(lasted[100]).toBeLessThanOrEqual(20);
    expect(lasted[199]).toBeLessThanOrEqual(100);
  });
});
