/**
 * An election that does not succeed at once: a split vote ends after two ticks, a pre-vote that came a tick too early is repeated.
 * What must hold beside: nobody is held back for another one, for that one may be the one that cannot win.
 */
import { describe, expect, test } from 'vitest';
import {
  append,
  echo,
  granted,
  heartbeat,
  makeCandidate,
  makeLeader,
  persist,
  preGranted,
  replicaWith,
  sentOf,
  vote,
} from './core-fixture.ts';
import { defaultOptions, diskOf, type Disk, type Replica, type ReplicaOptions } from './replica.ts';
import { SmallCluster } from './small-cluster.ts';

const { electionTicksMin, electionTicksMax } = defaultOptions;
/** Whoever draws this waits longest. */
const longest = electionTicksMax - electionTicksMin;

/** Ticks until it campaigns, having nothing to hear. */
function waits(replica: Replica): number {
  for (let tick = 1; tick <= 10 * electionTicksMax; tick += 1) {
    const { term } = replica.raft;
    sentOf(replica, 'pre-vote');
    replica.tick();
    if (replica.raft.role === 'pre-candidate') return tick;
    if (replica.raft.term !== term) throw new Error('no pre-vote');
  }
  throw new Error('it never campaigns');
}

/** Replica 1 as a candidate of term 2 that draws the longest timeouts; its log ends in entry 2 of term 1. */
function candidate(options: Partial<ReplicaOptions> = {}, voters = 3): Replica {
  const replica = replicaWith(diskOf({ terms: [1, 1] }), voters, { randomBelow: () => longest, ...options });
  expect(makeCandidate(replica, voters === 3 ? ['2'] : ['2', '3'])).toBe(2);
  return replica;
}

describe('of two candidates of one term', () => {
  test('the one with the newer log tries again after two ticks', () => {
    for (const last of [
      [1, 1],
      [0, 0],
    ] as const) {
      const replica = candidate();
      replica.step(vote({ from: '3', term: 2, last }));
      expect(waits(replica)).toBe(2);
    }
  });

  test('the one with the older log keeps its timeout', () => {
    for (const last of [
      [3, 1],
      [1, 2],
    ] as const) {
      const replica = candidate();
      replica.step(vote({ from: '3', term: 2, last }));
      expect(waits(replica)).toBe(electionTicksMax);
    }
  });

  test('of equal logs that of the higher name counts as the newer one', () => {
    const lower = candidate();
    lower.step(vote({ from: '3', term: 2, last: [2, 1] }));
    expect(waits(lower)).toBe(electionTicksMax);
    const higher = candidate();
    higher.step(vote({ from: '0', term: 2, last: [2, 1] }));
    expect(waits(higher)).toBe(2);
  });

  test('a candidate alone keeps its timeout, and so does one that meets a request of another term', () => {
    const alone = candidate();
    alone.step(granted({ term: 2, granted: false }));
    alone.step(vote({ from: '3', term: 1, last: [1, 1] }));
    expect(waits(alone)).toBe(electionTicksMax);
  });

  test('one that lets others go first, because it could not commit, goes on doing so (protocol G2)', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1] }));
    makeLeader(replica);
    for (let tick = 0; tick < 2 * electionTicksMax; tick += 1) {
      replica.tick();
      for (const from of ['2', '3']) replica.step(echo({ from, term: 2, round: 0 }));
    }
    expect(replica.raft.role).toBe('follower');
    expect(makeCandidate(replica)).toBe(3);
    replica.step(vote({ from: '3', term: 3, last: [1, 1] }));
    expect(waits(replica)).toBeGreaterThan(electionTicksMax);
  });
});

test('of more than two only the first: having met one that is ahead, and another that is not, it waits', () => {
  for (const order of [
    [1, 3],
    [3, 1],
  ]) {
    const replica = candidate({}, 5);
    for (const last of order) replica.step(vote({ from: `${last + 1}`, term: 2, last: [last, 1] }));
    expect(waits(replica)).toBe(electionTicksMax);
  }
});

test('one that has lost already tries again, too: what it waits for is not the role', () => {
  const replica = candidate();
  replica.step(vote({ from: '3', term: 2, last: [1, 1] }));
  for (const from of ['2', '3']) replica.step(granted({ from, term: 2, granted: false }));
  expect(replica.raft.role).toBe('follower');
  expect(waits(replica)).toBe(2);
});

test.each([
  ['an append', append({ from: '2', term: 2, after: [2, 1] })],
  ['a heartbeat', heartbeat({ from: '2', term: 2 })],
  ['a vote for another', vote({ from: '2', term: 3, last: [2, 1] })],
])('%s ends the hurry: whoever follows waits for a whole timeout', (_, message) => {
  const replica = candidate();
  replica.step(vote({ from: '3', term: 2, last: [1, 1] }));
  replica.tick();
  replica.step(message);
  expect(replica.raft.role).toBe('follower');
  expect(waits(replica)).toBe(electionTicksMax);
});

describe('a pre-candidate', () => {
  test('asks those who have not agreed again, with every tick, and nobody twice who has', () => {
    const replica = replicaWith(diskOf({}), 5, { randomBelow: () => longest });
    replica.campaign();
    expect(sentOf(replica, 'pre-vote').map(({ to }) => to)).toEqual(['2', '3', '4', '5']);
    replica.step(preGranted({ from: '2', term: 0 }));
    replica.step(preGranted({ from: '3', term: 0, granted: false }));
    replica.tick();
    expect(sentOf(replica, 'pre-vote')).toMatchObject([{ to: '3' }, { to: '4' }, { to: '5' }]);
    replica.step(preGranted({ from: '3', term: 0 }));
    expect(replica.raft).toMatchObject({ role: 'candidate', term: 1 });
    replica.tick();
    expect(sentOf(replica, 'pre-vote')).toEqual([]);
  });

  test('is no pre-candidate any more, and silent, once a majority refused', () => {
    const replica = replicaWith();
    replica.campaign();
    for (const from of ['2', '3']) replica.step(preGranted({ from, term: 0, granted: false }));
    sentOf(replica, 'pre-vote');
    replica.tick();
    expect(sentOf(replica, 'pre-vote')).toEqual([]);
  });

  test('that came a tick too early is elected a tick later', () => {
    const cluster = new SmallCluster([1, 2, 3].map(() => diskOf({})));
    expect(cluster.campaign(1)).toBe(true);
    cluster.away(1);
    cluster.tick(electionTicksMin - 1);
    cluster.at(2).campaign();
    cluster.settle();
    expect(cluster.at(2).raft.role).toBe('pre-candidate');
    cluster.tick();
    cluster.settle();
    expect(cluster.at(2).raft.role).toBe('leader');
  });
});

/** Random numbers that are the same in every run. */
function randomFrom(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

/** The leader vanishes: ticks until another one leads, with messages that take one tick, or next to nothing. */
function electionTicks(cluster: SmallCluster, isSlow: boolean): number {
  const [leader] = cluster.leaders;
  cluster.away(Number(leader?.id));
  for (let tick = 1; tick <= 1_000; tick += 1) {
    cluster.tick();
    if (isSlow) cluster.exchange();
    else cluster.settle();
    if (cluster.leaders.length > 0) return tick;
  }
  throw new Error('no leader');
}

describe('a leader vanishes, and another is elected within an election timeout and a little more', () => {
  test.each([
    { voters: 3, isSlow: false, extra: 2 },
    { voters: 5, isSlow: false, extra: 2 },
    { voters: 3, isSlow: true, extra: 8 },
    { voters: 5, isSlow: true, extra: 8 },
  ])('$voters voters, slow messages: $isSlow', ({ voters, isSlow, extra }) => {
    const options = { electionTicksMin: 6, electionTicksMax: 12 };
    for (let seed = 0; seed < 300; seed += 1) {
      const randomBelow = randomFrom(seed);
      const disks: Disk[] = Array.from({ length: voters }, () => diskOf({}));
      const cluster = new SmallCluster(disks, () => ({ ...options, randomBelow }));
      expect(cluster.campaign(1 + (seed % voters))).toBe(true);
      cluster.tick(1 + (seed % 3));
      cluster.settle();
      expect(electionTicks(cluster, isSlow), `seed ${seed}`).toBeLessThanOrEqual(options.electionTicksMax + extra);
    }
  });
});

test('a candidate whose requests are heard and who hears no answer holds nobody up: the other one wins at its own timeout', () => {
  const cluster = new SmallCluster([1, 2, 3].map(() => diskOf({})));
  cluster.away(1);
  const [, two, three] = cluster.replicas;
  if (two === undefined || three === undefined) throw new Error('three replicas');
  for (const replica of [two, three]) replica.campaign();
  cluster.settle();
  expect(cluster.leaders).toEqual([]);
  // 3 is the one that tries again; from here on it is deaf.
  for (let tick = 1; tick <= 2 * electionTicksMax && two.raft.role !== 'leader'; tick += 1) {
    for (const replica of [two, three]) replica.tick();
    for (const replica of [two, three]) persist(replica);
    for (const { message } of three.takeOutcome().sent) if (message.to === two.id) two.step(message);
    // What 2 sends reaches 1, which is back.
    for (const { message } of two.takeOutcome().sent) if (message.to === '1') cluster.at(1).step(message);
    persist(cluster.at(1));
    for (const { message } of cluster.at(1).takeOutcome().sent) if (message.to === two.id) two.step(message);
  }
  expect(two.raft.role).toBe('leader');
});
