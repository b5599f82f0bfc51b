/**
 * Leadership transfer in the core (thesis 3.10, 4.2.3, protocol G2), by the numbers of the field's bug list: L10 (writes slip
 * in, a failed one never ends, a target that is not caught up), R5 (reads while it is under way).
 */
import { describe, expect, test } from 'vitest';
import { asReplicaId } from '../../src/raft/core/types.ts';
import {
  accepted,
  append,
  echo,
  granted,
  heartbeat,
  makeLeader,
  persist,
  replicaWith,
  sentBy,
  sentOf,
  timeoutNow,
  vote,
} from './core-fixture.ts';
import { defaultOptions, diskOf, logOfTerms, type Replica, tailOf } from './replica.ts';

const two = asReplicaId('2');
const three = asReplicaId('3');

/** Leads term 1 of three; all hold its first entry, which is committed. */
function settledLeader(): { replica: Replica; term: number } {
  const replica = replicaWith();
  const term = makeLeader(replica);
  persist(replica);
  for (const from of ['2', '3']) replica.step(accepted({ from, term, match: 1 }));
  replica.takeOutcome();
  return { replica, term };
}

/** Follows 2, the leader of term 1, and holds its log: `count` entries, durable. */
function follower(count = 2, disk = diskOf({})): Replica {
  const replica = replicaWith(disk);
  const entries = logOfTerms(Array.from({ length: count }, () => 1));
  replica.step(append({ from: '2', term: 1, after: [0, 0], entries }));
  persist(replica);
  sentBy(replica);
  return replica;
}

const tick = (replica: Replica, times: number): void => Array.from({ length: times }).forEach(() => replica.tick());

describe('the leader', () => {
  test('tells a target that holds everything at once, and names its last index', () => {
    const { replica } = settledLeader();
    expect(replica.transfer(two)).toBe('begun');
    expect(sentOf(replica, 'timeout-now')).toMatchObject([{ to: '2', term: 1, lastIndex: 1 }]);
    expect(replica.raft.transferTarget).toBe('2');
  });

  test('bug L10: brings the target up to date first, and tells it when its last entry is durable there', () => {
    const { replica, term } = settledLeader();
    replica.propose('a', 'b');
    sentBy(replica);
    replica.transfer(three);
    replica.step(accepted({ from: '3', term, match: 2 }));
    tick(replica, 1);
    expect(sentOf(replica, 'timeout-now')).toEqual([]);
    replica.step(accepted({ from: '3', term, match: 3 }));
    expect(sentOf(replica, 'timeout-now')).toMatchObject([{ to: '3', lastIndex: 3 }]);
  });

  test('bug L10: takes no proposal meanwhile, and takes them again when it has given up', () => {
    const { replica } = settledLeader();
    replica.transfer(two);
    expect(replica.propose('a')).toBe('busy');
    tick(replica, defaultOptions.electionTicksMin - 1);
    expect(replica.propose('a')).toBe('busy');
    tick(replica, 1);
    expect(replica.raft.transferTarget).toBeNull();
    expect(replica.propose('a')).toBe('appended');
  });

  test('bug L10: reads and their rounds do not keep one that failed alive', () => {
    const { replica, term } = settledLeader();
    replica.transfer(two);
    for (let turn = 1; turn <= defaultOptions.electionTicksMin; turn += 1) {
      for (const from of ['2', '3']) {
        replica.read(`r${turn} ${from}`);
        replica.step(echo({ from, term, round: 2 * turn }));
      }
      replica.tick();
    }
    expect(replica.raft.transferTarget).toBeNull();
    expect(replica.raft.role).toBe('leader');
  });

  test('says it again with every tick, for a message may be lost', () => {
    const { replica } = settledLeader();
    replica.transfer(two);
    sentBy(replica);
    tick(replica, 1);
    expect(sentOf(replica, 'timeout-now')).toMatchObject([{ to: '2', lastIndex: 1 }]);
  });

  test('bugs L10 and E12: a target that restarted has to show again that it holds everything', () => {
    const { replica, term } = settledLeader();
    replica.transfer(two);
    replica.step(echo({ from: '2', term, round: 0, boot: 2 }));
    sentBy(replica);
    tick(replica, 1);
    expect(sentOf(replica, 'timeout-now')).toEqual([]);
  });

  test('refuses with the reason, and changes nothing', () => {
    const { replica } = settledLeader();
    expect(replica.transfer(asReplicaId('1'))).toBe('leads-already');
    expect(replica.transfer(asReplicaId('9'))).toBe('not-a-voter');
    expect(replica.raft.transferTarget).toBeNull();
    replica.transfer(two);
    expect(replica.transfer(three)).toBe('under-way');
    expect(replica.raft.transferTarget).toBe('2');
    expect(follower().transfer(three)).toBe('not-leader');
  });

  test('bug L9: one that began in a term is not under way in the next', () => {
    const { replica, term } = settledLeader();
    replica.transfer(three);
    replica.step(heartbeat({ from: '2', term: term + 1 }));
    expect(replica.raft.transferTarget).toBeNull();
    tick(replica, defaultOptions.electionTicksMax);
    makeLeader(replica);
    expect(replica.raft.transferTarget).toBeNull();
    expect(replica.propose('a')).toBe('appended');
  });

  test('makes room for the candidate it asked for, and leaves no read waiting (bugs R5 and R8)', () => {
    const { replica, term } = settledLeader();
    replica.transfer(two);
    replica.read('r');
    replica.takeOutcome();
    replica.step(vote({ from: '2', term: term + 1, last: [1, 1], transfer: true }));
    // An echo of its round, from before: it leads no more, so it confirms nothing.
    replica.step(echo({ from: '3', term, round: 1 }));
    const { reads, sent } = replica.takeOutcome();
    expect(reads).toEqual([{ requestId: 'r', index: null }]);
    expect(sent.map(({ message }) => message)).toMatchObject([{ type: 'vote-reply', to: '2', granted: true }]);
  });

  test('bug R5: a read while it is under way is confirmed by a round, as ever', () => {
    const { replica, term } = settledLeader();
    replica.transfer(two);
    replica.read('r');
    expect(replica.takeOutcome().reads).toEqual([]);
    replica.step(echo({ from: '3', term, round: 1 }));
    expect(replica.takeOutcome().reads).toEqual([{ requestId: 'r', index: 1 }]);
  });
});

describe('the target', () => {
  test('campaigns at once, without a pre-vote, and its request says why', () => {
    const replica = follower();
    replica.step(timeoutNow({ from: '2', term: 1, last: 2 }));
    expect(replica.raft).toMatchObject({ role: 'candidate', term: 2, vote: '1' });
    const request = { type: 'vote', term: 2, lastIndex: 2, lastTerm: 1, transfer: true };
    expect(sentBy(replica)).toMatchObject([
      { ...request, to: '2' },
      { ...request, to: '3' },
    ]);
    replica.persistBallot();
    replica.step(granted({ from: '2', term: 2 }));
    expect(replica.raft.role).toBe('leader');
  });

  test('a campaign of its own is no transfer', () => {
    const replica = replicaWith();
    makeLeader(replica);
    expect(sentOf(replica, 'vote')).toMatchObject([{ transfer: false }, { transfer: false }]);
  });

  test.each([
    ['has not heard of the entry', 3],
    ['has gone on since: the message is late', 1],
  ])('bug L10: does nothing when it %s', (_, last) => {
    const replica = follower();
    replica.step(timeoutNow({ from: '2', term: 1, last }));
    expect(replica.raft).toMatchObject({ role: 'follower', term: 1, leader: '2' });
    expect(sentBy(replica)).toEqual([]);
  });

  test('bug L10: does nothing while its disk lacks the entry', () => {
    const replica = follower(1);
    replica.step(append({ from: '2', term: 1, after: [1, 1], entries: logOfTerms([1, 1]).slice(1) }));
    replica.step(timeoutNow({ from: '2', term: 1, last: 2 }));
    expect(replica.raft.role).toBe('follower');
  });

  test('does nothing when its own entries there are not known to be the leader’s', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1] }));
    replica.step(heartbeat({ from: '2', term: 1 }));
    replica.step(timeoutNow({ from: '2', term: 1, last: 2 }));
    expect(replica.raft).toMatchObject({ role: 'follower', term: 1 });
  });

  test('does nothing while it is recovering (protocol A2)', () => {
    const replica = follower(2, diskOf({ terms: [1], promise: tailOf(logOfTerms([1, 1, 1])) }));
    expect(replica.raft.lostPromise).not.toBeNull();
    replica.step(timeoutNow({ from: '2', term: 1, last: 2 }));
    expect(replica.raft).toMatchObject({ role: 'follower', term: 1 });
  });

  test.each([
    ['another than its leader', '3', 1],
    ['a leader of an earlier term', '2', 0],
    ['a leader of a later term, of whose log it knows nothing', '3', 2],
  ])('does nothing when it is told by %s', (_, from, term) => {
    const replica = follower();
    replica.step(timeoutNow({ from, term, last: 2 }));
    expect(replica.raft.role).toBe('follower');
    expect(sentBy(replica)).toEqual([]);
  });

  test('being told twice is one campaign', () => {
    const replica = follower();
    replica.step(timeoutNow({ from: '2', term: 1, last: 2 }));
    replica.step(timeoutNow({ from: '2', term: 1, last: 2 }));
    expect(replica.raft).toMatchObject({ role: 'candidate', term: 2 });
  });
});

describe('a voter that hears a leader', () => {
  test('answers a campaign that the leader asked for, and no other (thesis 4.2.3)', () => {
    const replica = follower();
    replica.step(vote({ from: '3', term: 2, last: [2, 1] }));
    expect(sentBy(replica)).toEqual([]);
    expect(replica.raft.term).toBe(1);
    replica.step(vote({ from: '3', term: 2, last: [2, 1], transfer: true }));
    expect(sentBy(replica)).toMatchObject([{ type: 'vote-reply', to: '3', term: 2, granted: true }]);
  });

  test('judges it by its log, as ever (bug E5)', () => {
    const replica = follower();
    replica.step(vote({ from: '3', term: 2, last: [1, 1], transfer: true }));
    expect(sentBy(replica)).toMatchObject([{ type: 'vote-reply', term: 2, granted: false }]);
  });

  test('votes once a term, as ever (bug E4)', () => {
    const replica = follower();
    replica.step(vote({ from: '3', term: 2, last: [2, 1], transfer: true }));
    replica.step(vote({ from: '2', term: 2, last: [2, 1], transfer: true }));
    expect(sentOf(replica, 'vote-reply')).toMatchObject([
      { to: '3', granted: true },
      { to: '2', granted: false },
    ]);
  });
});
