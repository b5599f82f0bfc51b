/**
 * Numbered bugs of other Rafts, membership (field notes 4.3), and reads while members change: what the core promises about each.
 * M1 to M7 are scenarios, for they need several replicas; docs/bugs.md names them all.
 */
import { describe, expect, test } from 'vitest';
import { asReplicaId } from '../../src/raft/core/types.ts';
import { accepted, echo, makeLeader, persist, replicaWith, sentOf } from './core-fixture.ts';
import { diskOf, membersText, type Replica } from './replica.ts';

/** A leader of so many that has committed in its term, and was heard by nobody since. */
function settledLeader(voters: number): { replica: Replica; term: number } {
  const replica = replicaWith(diskOf({}), voters);
  const others = Array.from({ length: voters - 1 }, (_, at) => `${at + 2}`);
  const term = makeLeader(replica, others);
  persist(replica);
  for (const from of others) replica.step(accepted({ from, term, match: 1 }));
  replica.takeOutcome();
  return { replica, term };
}

const members = (replica: Replica): string => membersText(replica.raft.configuration.configuration);
const readsOf = (replica: Replica): readonly unknown[] => replica.takeOutcome().reads;

/** Everything up to `match` is durable here and on these. */
function acknowledge(replica: Replica, term: number, from: readonly string[]): void {
  persist(replica);
  const match = replica.raft.last.index;
  for (const one of from) replica.step(accepted({ from: one, term, match }));
}

describe('reads while members change', () => {
  test('bug R7: one that waits when the configuration becomes joint is confirmed by both halves', () => {
    const { replica, term } = settledLeader(5);
    replica.read('r');
    replica.change({ kind: 'remove', replica: asReplicaId('5') }, null);
    expect(members(replica)).toBe('1 2 3 4 | 1 2 3 4 5');
    for (const from of ['2', '5']) replica.step(echo({ from, term, round: 1 }));
    // Three of the five that were, and two of the four that will be.
    expect(readsOf(replica)).toEqual([]);
    replica.step(echo({ from: '3', term, round: 1 }));
    expect(readsOf(replica)).toEqual([{ requestId: 'r', index: 1 }]);
  });

  test('bug R7: one that waits when fewer are needed is confirmed by those, without another word from anybody', () => {
    const { replica, term } = settledLeader(2);
    replica.read('r');
    replica.change({ kind: 'remove', replica: asReplicaId('2') }, null);
    acknowledge(replica, term, ['2']);
    expect(members(replica)).toBe('1');
    expect(readsOf(replica)).toEqual([]);
    replica.tick();
    expect(readsOf(replica)).toEqual([{ requestId: 'r', index: 1 }]);
  });
});

describe('reads and writes at a time', () => {
  test('bug R10: however many reads come in a turn, they are one round, and no append more', () => {
    const { replica } = settledLeader(3);
    for (let time = 0; time < 100; time += 1) replica.raft.readIndex(`r${time}`);
    replica.propose('a');
    const sent = replica.takeOutcome().sent.map(({ message }) => `${message.type} to ${message.to}`);
    expect(sent.toSorted()).toEqual(['append to 2', 'append to 3', 'heartbeat to 2', 'heartbeat to 3']);
  });

  test('bug R10: a read is confirmed by its round, however many entries wait for a disk', () => {
    const { replica, term } = settledLeader(3);
    for (let entry = 0; entry < 50; entry += 1) replica.propose('a');
    replica.read('r');
    replica.step(echo({ term, round: 1 }));
    expect(readsOf(replica)).toEqual([{ requestId: 'r', index: 1 }]);
  });
});

describe('membership', () => {
  test('bug M10: of two changes meant for one configuration only one is begun, and the other is told', () => {
    const { replica, term } = settledLeader(3);
    const seen = replica.raft.configuration.index;
    const add = { kind: 'add', replica: asReplicaId('4'), replaces: null, addresses: {} } as const;
    expect(replica.change(add, seen)).toEqual({ outcome: 'appended', index: 2 });
    const remove = { kind: 'remove', replica: asReplicaId('3') } as const;
    expect(replica.change(remove, seen)).toEqual({ outcome: 'busy' });
    acknowledge(replica, term, ['2', '3']);
    expect(replica.change(remove, seen)).toEqual({ outcome: 'moved' });
    expect(members(replica)).toBe('1 2 3 +4');
  });

  test('bug M11: a learner that holds what was committed, but not the configuration it is to vote by, is not promoted', () => {
    const { replica, term } = settledLeader(3);
    replica.change({ kind: 'add', replica: asReplicaId('4'), replaces: null, addresses: {} }, null);
    const { session = 0 } = sentOf(replica, 'append').find(({ to }) => to === '4') ?? {};
    acknowledge(replica, term, ['2', '3']);
    replica.step(accepted({ from: '4', term, match: 1, session }));
    expect(members(replica)).toBe('1 2 3 +4');
    replica.step(accepted({ from: '4', term, match: 2, session }));
    expect(members(replica)).toBe('1 2 3 4 | 1 2 3');
  });
});
