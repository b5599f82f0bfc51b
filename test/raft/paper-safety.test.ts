/**
 * Section 5.4 of the Raft paper, safety, and the five properties of figure 3. A test for each sentence that can be
 * checked; the others:
 *
 *   5.4.1  in any leader-based algorithm the leader ends up with all    about other algorithms; nothing to check
 *   5.4.1  some let an incomplete leader catch up first                 about other algorithms
 *   5.4.1  two majorities share a server                                properties.test.ts, quorum
 *   5.4.1  a vote request tells of the candidate's log                  figure 2, paper.test.ts
 *   5.4.2  an entry of the own term is committed by a majority          figure 2
 *   5.4.2  figure 8 as a story                                          scenarios/commit-rule-*.txt
 *   5.4.2  other algorithms renumber, and send more                     about other algorithms
 *   5.4.3  step 1: leaders remove nothing                               figure 3, leader append-only
 *   5.4.3  step 2: who stored and who voted overlap                     properties.test.ts, quorum
 *   5.4.3  steps 7, 8: the leader of the later last term had it         figure 3, leader completeness; log matching
 *   5.4.3  entries are applied in the order of the log                  differs: the core tells a commit index that never
 *                                                                       goes back, its driver applies (docs/spec.md, S3)
 *
 * Two leaders of one term need a rare race: random schedules meet a planted double vote once in some 400. What finds it
 * every time is the table of all votes in paper-elections.test.ts.
 *
 * Where voters judge by what they promised (docs/divergence.md): scenarios/recovering-*.txt.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asTerm } from '../../src/raft/core/types.ts';
import { accepted, append, makeLeader, persist, refused, replicaWith, sentBy, sentOf, vote } from './core-fixture.ts';
import {
  ElectionSafety,
  LeaderAppendOnly,
  LeaderCompleteness,
  LogMatching,
  type Property,
  StateMachineSafety,
} from './figure-3.ts';
import { noCoverage } from './promises.ts';
import { RandomCluster, schedule } from './random-cluster.ts';
import { appendsOf, diskOf, logOfTerms, type Replica, textOf } from './replica.ts';
import {
  AppliesWhatIsCommitted,
  EntriesFlowOneWay,
  FollowersRemoveOnlyConflicts,
  SameLastTermIsPrefix,
  UpToDateIsComplete,
} from './safety-argument.ts';
import { SmallCluster } from './small-cluster.ts';

/** Checks a property after every action of random schedules, with 3 and 5 servers, with disks that forget and without. */
function holdsAlways(property: (replicas: readonly Replica[]) => Property): void {
  let checked = 0;
  fc.assert(
    fc.property(fc.constantFrom(3, 5), fc.boolean(), schedule(1_000), (size, amnesia, choices) => {
      const watchers: Property[] = [];
      const cluster = new RandomCluster(size, amnesia, noCoverage(), (replicas) => {
        const watcher = property(replicas);
        watchers.push(watcher);
        return watcher;
      });
      for (const choice of choices) cluster.step(choice);
      if (!amnesia) cluster.settle();
      for (const watcher of watchers) checked += watcher.checked;
    }),
    { numRuns: 60, interruptAfterTimeLimit: 12_000 },
  );
  // Truncations, the rarest, come 40 times or so.
  expect(checked).toBeGreaterThan(5);
}

const terms = (replica: Replica): number[] => replica.entries.map(({ term }) => term);

describe('figure 3', () => {
  test('election safety: at most one leader is elected in a term', () => holdsAlways(() => new ElectionSafety()));

  test('leader append-only: a leader overwrites and deletes nothing in its log', () =>
    holdsAlways(() => new LeaderAppendOnly()));

  test('log matching: logs with an entry of the same index and term are equal up to it', () =>
    holdsAlways((replicas) => new LogMatching(replicas)));

  test('leader completeness: what is committed in a term stands in the logs of all later leaders', () =>
    holdsAlways((replicas) => new LeaderCompleteness(replicas)));

  test('state machine safety: no two servers apply different entries at one index', () =>
    holdsAlways(() => new StateMachineSafety()));
});

describe('5.4 why elections are restricted', () => {
  test('a follower that missed committed entries is not elected, so it overwrites nothing', () => {
    const cluster = new SmallCluster([diskOf({}), diskOf({}), diskOf({})]);
    cluster.campaign(1);
    cluster.away(3);
    cluster.at(1).propose('a');
    cluster.settle();
    expect(cluster.at(1).raft.commit).toBe(2);
    cluster.away(1);
    cluster.tick(3);
    expect(cluster.campaign(3)).toBe(false);
    expect(cluster.campaign(2)).toBe(true);
    expect(cluster.at(3).entries.map((entry) => textOf(entry))).toEqual(['noop', 'a', 'noop']);
  });
});

describe('5.4.1 election restriction', () => {
  /** All ways of choosing `count` of these. */
  function choose(from: readonly number[], count: number): number[][] {
    const [first, ...rest] = from;
    if (count === 0) return [[]];
    if (first === undefined) return [];
    return [...choose(rest, count - 1).map((chosen) => [first, ...chosen]), ...choose(rest, count)];
  }

  const servers = [1, 2, 3, 4, 5];

  test.each([3, 4, 5])(
    'of five servers %i hold a committed entry: who lacks it wins nowhere, who has it has it at once',
    (count) => {
      for (const holders of choose(servers, count)) {
        for (const majority of choose(servers, 3)) {
          for (const candidate of majority) {
            const cluster = new SmallCluster(
              servers.map((one) => diskOf({ terms: holders.includes(one) ? [1, 1] : [1] })),
            );
            cluster.away(...servers.filter((one) => !majority.includes(one)));
            expect(cluster.campaign(candidate)).toBe(holders.includes(candidate));
            if (holders.includes(candidate)) expect(terms(cluster.at(candidate))).toEqual([1, 1, 2]);
          }
        }
      }
    },
  );

  test('nothing is brought to a leader: entries flow from leaders to followers alone', () =>
    holdsAlways(() => new EntriesFlowOneWay()));

  test('a log at least as up to date as those of a majority holds all that is committed', () =>
    holdsAlways((replicas) => new UpToDateIsComplete(replicas)));

  describe.each(['vote', 'pre-vote'] as const)('a voter refuses a %s if its own log is more up to date', (type) => {
    test.each([
      { last: [9, 1], granted: false, why: 'the other one ends in an earlier term, however long it is' },
      { last: [1, 2], granted: false, why: 'the other one ends in the same term and is shorter' },
      { last: [2, 2], granted: true, why: 'not if they end alike' },
      { last: [3, 2], granted: true, why: 'not if the other one ends in the same term and is longer' },
      { last: [1, 3], granted: true, why: 'not if the other one ends in a later term, however short it is' },
    ] as const)('$why', ({ last, granted }) => {
      const replica = replicaWith(diskOf({ terms: [1, 2], term: 3 }));
      replica.step(vote({ type, term: type === 'vote' ? 4 : 3, last }));
      expect(sentBy(replica)).toMatchObject([{ type: `${type}-reply`, granted }]);
    });
  });
});

describe('5.4.2 entries of earlier terms', () => {
  test('if a leader dies before an entry is committed, the next one that has it goes on replicating it', () => {
    const cluster = new SmallCluster(Array.from({ length: 5 }, () => diskOf({})));
    cluster.campaign(1);
    cluster.away(3, 4, 5);
    cluster.at(1).propose('a');
    cluster.settle();
    expect(cluster.at(1).raft.commit).toBe(1);
    cluster.away(1);
    cluster.tick(3);
    expect(cluster.campaign(2)).toBe(true);
    for (const number of [2, 3, 4, 5]) {
      expect(cluster.at(number).entries.map((entry) => textOf(entry))).toEqual(['noop', 'a', 'noop']);
      expect(cluster.at(number).raft.commit).toBe(3);
    }
  });

  test.each([
    ['a majority', ['2', '3']],
    ['every server', ['2', '3', '4', '5']],
  ])('a leader does not take an entry of an earlier term for committed because %s holds it', (_, holders) => {
    const replica = replicaWith(diskOf({ terms: [1, 2, 2], commit: 1 }), 5);
    const term = makeLeader(replica, ['2', '3']);
    persist(replica);
    for (const from of holders) replica.step(accepted({ from, term, match: 3 }));
    expect(replica.raft).toMatchObject({ last: { index: 4 }, commit: 1 });
  });

  test('a later leader can still overwrite one that a majority holds', () => {
    const cluster = new SmallCluster(
      [[1, 2], [1, 2], [1, 2], [1], [1, 3]].map((list) => diskOf({ terms: list, term: 3, commit: 1 })),
    );
    expect(cluster.campaign(5)).toBe(true);
    expect(cluster.replicas.map((replica) => terms(replica))).toEqual(Array.from({ length: 5 }, () => [1, 3, 4]));
  });

  test('only entries of the own term are committed by counting; all before them are committed along', () => {
    const log = fc
      .array(fc.integer({ min: 1, max: 3 }), { maxLength: 5 })
      .map((list) => list.toSorted((left, right) => left - right));
    const reply = fc.record({ from: fc.constantFrom('2', '3', '4', '5'), match: fc.nat({ max: 9 }) });
    fc.assert(
      fc.property(log, fc.nat({ max: 3 }), fc.array(reply, { maxLength: 12 }), (list, proposals, replies) => {
        const replica = replicaWith(diskOf({ terms: list, term: 3 }), 5);
        const term = makeLeader(replica, ['2', '3']);
        for (let proposal = 0; proposal < proposals; proposal += 1) replica.propose('a');
        persist(replica);
        const match = new Map([['1', replica.entries.length]]);
        for (const one of replies) {
          const upTo = Math.min(one.match, replica.entries.length);
          replica.step(accepted({ from: one.from, term, match: upTo }));
          match.set(one.from, Math.max(upTo, match.get(one.from) ?? 0));
          const counted = replica.entries.findLast(
            ({ index, term: of }) => of === term && [...match.values()].filter((held) => held >= index).length >= 3,
          );
          expect(replica.raft.commit).toBe(counted?.index ?? 0);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('an entry keeps the term it was made in, whoever replicates it later', () => {
    const leader = replicaWith(diskOf({ terms: [1, 2, 4], term: 6 }));
    const term = makeLeader(leader);
    sentBy(leader);
    leader.step(refused({ term, at: 3, hint: [0, 0] }));
    const [message] = sentOf(leader, 'append');
    expect(message?.term).toBe(7);
    expect(message?.entries.map((entry) => entry.term)).toEqual([1, 2, 4, 7]);
    expect(message?.entries.slice(0, 3)).toEqual(logOfTerms([1, 2, 4]));
    const follower = new SmallCluster([diskOf({}), diskOf({})]).at(2);
    if (message !== undefined) follower.step(message);
    expect(follower.entries).toEqual(leader.entries);
  });
});

describe('5.4.3 the argument', () => {
  test('step 3: a voter took the entry before it voted in the later term; afterwards it would have refused it', () => {
    const entries = logOfTerms([1, 2]);
    const voter = replicaWith(diskOf({ terms: [1], term: 2 }));
    voter.step(vote({ from: '3', term: 3, last: [1, 1] }));
    persist(voter);
    sentBy(voter);
    voter.step(append({ from: '2', term: 2, after: [1, 1], entries: entries.slice(1), commit: 2 }));
    expect(terms(voter)).toEqual([1]);
    expect(voter.raft.commit).toBe(0);
    expect(sentBy(voter)).toMatchObject([{ type: 'heartbeat-reply', term: 3, session: 0 }]);
  });

  test('step 4: a follower removes only what conflicts with its leader', () =>
    holdsAlways(() => new FollowersRemoveOnlyConflicts()));

  test('step 4: so an entry outlives every leader that has it', () => {
    const log = logOfTerms([1, 2, 3, 4]);
    const follower = replicaWith(diskOf({ terms: [1, 2] }));
    for (const term of [3, 4]) {
      follower.step(append({ term, after: [term - 1, term - 1], entries: log.slice(term - 1, term) }));
      // What came late from the same leader, up to any point, takes nothing away either.
      for (let upTo = 0; upTo <= term; upTo += 1)
        follower.step(append({ term, after: [0, 0], entries: log.slice(0, upTo) }));
    }
    expect(terms(follower)).toEqual([1, 2, 3, 4]);
    expect(appendsOf(follower.takeOutcome().writes).map(({ truncateFrom }) => truncateFrom)).toEqual([null, null]);
  });

  test('step 5: a vote that was given says that the log of the candidate is at least as up to date', () => {
    const log = fc
      .array(fc.integer({ min: 1, max: 4 }), { maxLength: 5 })
      .map((list) => list.toSorted((left, right) => left - right));
    fc.assert(
      fc.property(log, log, (own, theirs) => {
        const voter = replicaWith(diskOf({ terms: own, term: 4 }));
        voter.step(vote({ term: 5, last: [theirs.length, theirs.at(-1) ?? 0] }));
        const ownTerm = asTerm(own.at(-1) ?? 0);
        const theirTerm = asTerm(theirs.at(-1) ?? 0);
        const upToDate = theirTerm > ownTerm || (theirTerm === ownTerm && theirs.length >= own.length);
        expect(sentOf(voter, 'vote-reply')).toMatchObject([{ granted: upToDate }]);
        expect(voter.raft.vote).toBe(upToDate ? '2' : null);
      }),
      { numRuns: 300 },
    );
  });

  test('step 6: of two logs that end in one term the longer holds all of the shorter', () =>
    holdsAlways((replicas) => new SameLastTermIsPrefix(replicas)));

  test('what was committed along with a later entry stands in the logs of later leaders, too', () => {
    // Figure 8 (e): 2@2 is committed along with 3@4 of 1; 5 with its 2@3 cannot win any more.
    const cluster = new SmallCluster(
      [[1, 2], [1, 2], [1], [1], [1, 3]].map((list) => diskOf({ terms: list, term: 3, commit: 1 })),
    );
    cluster.away(4, 5);
    expect(cluster.campaign(1)).toBe(true);
    expect(cluster.at(1).raft.commit).toBe(3);
    cluster.away(1);
    cluster.tick(3);
    // Its first campaign learns the term.
    for (let campaign = 0; campaign < 2; campaign += 1) expect(cluster.campaign(5)).toBe(false);
    expect(cluster.campaign(3)).toBe(true);
    expect(terms(cluster.at(3)).slice(0, 3)).toEqual([1, 2, 4]);
    expect(terms(cluster.at(5))).toEqual(terms(cluster.at(3)));
  });

  test("what a server applies is committed, and its log up to there is the leader's", () =>
    holdsAlways(() => new AppliesWhatIsCommitted()));

  test('all servers apply the same entries in the same order', () => {
    fc.assert(
      fc.property(schedule(500), (choices) => {
        let servers: readonly Replica[] = [];
        const cluster = new RandomCluster(3, false, noCoverage(), (replicas) => {
          servers = replicas;
          return new StateMachineSafety();
        });
        for (const choice of choices) cluster.step(choice);
        cluster.settle();
        const applied = servers.map(({ entries, raft }) => entries.slice(0, raft.commit).map((entry) => textOf(entry)));
        expect(applied[0]?.length).toBeGreaterThan(0);
        expect(applied).toEqual(servers.map(() => applied[0]));
      }),
      { numRuns: 40 },
    );
  });
});
