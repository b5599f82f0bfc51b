/**
 * A leader that cannot commit makes room, whatever its heartbeats say: the way on which entries travel may be dead, or its own
 * disk (protocol G2, bug L3).
 */
import { describe, expect, test } from 'vitest';
import { accepted, append, echo, heartbeat, makeLeader, persist, replicaWith } from './core-fixture.ts';
import { defaultOptions, diskOf, type Replica, type ReplicaOptions } from './replica.ts';

const patience = 2 * defaultOptions.electionTicksMax;

/** Leads term 1 of three; its first entry is committed. */
function settledLeader(options: Partial<ReplicaOptions> = {}): { replica: Replica; term: number } {
  const replica = replicaWith(diskOf({}), 3, options);
  const term = makeLeader(replica);
  persist(replica);
  for (const from of ['2', '3']) replica.step(accepted({ from, term, match: 1 }));
  replica.tick();
  return { replica, term };
}

/** Time passes while followers answer heartbeats, and nothing else. */
function heartbeatsFlow(replica: Replica, ticks: number): void {
  for (let tick = 0; tick < ticks; tick += 1) {
    replica.tick();
    for (const from of ['2', '3']) replica.step(echo({ from, term: replica.raft.term, round: 0 }));
  }
}

test('steps down when its oldest entry has waited for two election timeouts, and stays in its term', () => {
  const { replica, term } = settledLeader();
  replica.propose('a');
  heartbeatsFlow(replica, patience - 1);
  expect(replica.raft.role).toBe('leader');
  heartbeatsFlow(replica, 1);
  expect(replica.raft).toMatchObject({ role: 'follower', term, leader: null });
});

test('does so for the entry that opens its term', () => {
  const replica = replicaWith();
  makeLeader(replica);
  heartbeatsFlow(replica, patience);
  expect(replica.raft.role).toBe('follower');
});

test('stays while something is committed now and then, however much waits', () => {
  const { replica, term } = settledLeader();
  replica.propose('a', 'b', 'c', 'd');
  persist(replica);
  for (const match of [2, 3, 4]) {
    heartbeatsFlow(replica, patience - 1);
    replica.step(accepted({ from: '2', term, match }));
  }
  expect(replica.raft).toMatchObject({ role: 'leader', commit: 4 });
});

test('stays while nothing waits', () => {
  const { replica } = settledLeader();
  heartbeatsFlow(replica, 3 * patience);
  replica.propose('a');
  heartbeatsFlow(replica, patience - 1);
  expect(replica.raft.role).toBe('leader');
});

/** Ticks until it campaigns. */
function waits(replica: Replica): number {
  for (let tick = 1; ; tick += 1) {
    replica.tick();
    if (replica.raft.role === 'pre-candidate') return tick;
  }
}

test('lets the others go first: it waits longer than any of them before it campaigns, and longer each time', () => {
  const { replica } = settledLeader();
  replica.propose('a');
  heartbeatsFlow(replica, patience);
  const first = waits(replica);
  expect(first).toBeGreaterThan(defaultOptions.electionTicksMax);

  const again = settledLeader().replica;
  again.propose('a');
  heartbeatsFlow(again, patience);
  makeLeader(again);
  heartbeatsFlow(again, 2 * patience - 1);
  // What is large may take its time: the second attempt is longer.
  expect(again.raft.role).toBe('leader');
  heartbeatsFlow(again, 1);
  expect(again.raft.role).toBe('follower');
  expect(waits(again)).toBeGreaterThan(first);
});

test('something was committed under another leader: all that is forgotten', () => {
  const { replica, term } = settledLeader();
  replica.propose('a');
  heartbeatsFlow(replica, patience);
  persist(replica);
  replica.step(append({ from: '2', term: term + 1, after: [2, 1], commit: 2 }));
  expect(replica.raft).toMatchObject({ leader: '2', commit: 2 });
  replica.step(heartbeat({ from: '3', term: term + 2 }));
  expect(waits(replica)).toBeLessThanOrEqual(defaultOptions.electionTicksMax);
});

describe('its own disk hangs, and the others commit', () => {
  const unsyncedBytesMax = 4;

  /** Leads term 1, and everybody holds its first entry; from here on its own disk is silent. */
  function leaderWithoutDisk(): ReturnType<typeof settledLeader> {
    return settledLeader({ unsyncedBytesMax });
  }

  /** One more proposal, which both followers acknowledge at once. */
  function commitsOneMore(replica: Replica, term: number): void {
    expect(replica.propose('x')).toBe('appended');
    for (const from of ['2', '3']) replica.step(accepted({ from, term, match: replica.raft.last.index }));
    expect(replica.raft.commit).toBe(replica.raft.last.index);
  }

  test('it goes on for as long as it takes something in', () => {
    const { replica, term } = leaderWithoutDisk();
    for (let bytes = 1; bytes < unsyncedBytesMax; bytes += 1) {
      heartbeatsFlow(replica, patience - 1);
      commitsOneMore(replica, term);
    }
    heartbeatsFlow(replica, 3 * patience);
    expect(replica.raft.role).toBe('leader');
  });

  test('once what waits for it has no more room, nothing is taken in, and two election timeouts later it makes room', () => {
    const { replica, term } = leaderWithoutDisk();
    for (let bytes = 0; bytes < unsyncedBytesMax; bytes += 1) commitsOneMore(replica, term);
    expect(replica.propose('x')).toBe('busy');
    heartbeatsFlow(replica, patience - 1);
    expect(replica.raft.role).toBe('leader');
    heartbeatsFlow(replica, 1);
    expect(replica.raft).toMatchObject({ role: 'follower', term, leader: null });
    expect(waits(replica)).toBeGreaterThan(defaultOptions.electionTicksMax);
  });

  test('a disk that is slow and gets on keeps its leader', () => {
    const { replica, term } = leaderWithoutDisk();
    for (let bytes = 0; bytes < unsyncedBytesMax; bytes += 1) commitsOneMore(replica, term);
    for (let time = 0; time < 5; time += 1) {
      heartbeatsFlow(replica, patience - 1);
      replica.persistLog(1);
      commitsOneMore(replica, term);
    }
    expect(replica.raft.role).toBe('leader');
  });
});
