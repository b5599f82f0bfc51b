/**
 * The sentences of figure 2 of the Raft paper, one test each, as far as the core carries them out. Where pre-votes and
 * check-quorum (thesis 9.6, 6.2) or the protocol's own rules change a sentence, its test says how. Sections 5.2 and 5.4
 * are in paper-elections.test.ts and paper-safety.test.ts.
 */
import { describe, expect, test } from 'vitest';
import {
  append,
  accepted,
  granted,
  heartbeat,
  makeCandidate,
  makeLeader,
  persist,
  preGranted,
  refused,
  replicaWith,
  sentBy,
  sentOf,
  vote,
} from './core-fixture.ts';
import { appendsOf, diskOf, logOfTerms } from './replica.ts';

describe('AppendEntries, receiver', () => {
  test('1. reply false if term < currentTerm', () => {
    const replica = replicaWith(diskOf({ terms: [1], term: 3 }));
    replica.step(append({ term: 2, after: [1, 1], entries: logOfTerms([1, 2]).slice(1) }));
    // The answer is the newer term alone: nothing that an old leader could count.
    expect(sentBy(replica)).toMatchObject([{ type: 'heartbeat-reply', term: 3, round: 0, session: 0 }]);
    expect(replica.raft.last.index).toBe(1);
  });

  test('2. reply false if the log has no entry at prevLogIndex whose term matches prevLogTerm', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1] }));
    replica.step(append({ term: 2, after: [2, 2] }));
    replica.step(append({ term: 2, after: [5, 2] }));
    expect(sentOf(replica, 'append-reply').map(({ result }) => result)).toMatchObject([
      { accepted: false, rejected: 2 },
      { accepted: false, rejected: 5 },
    ]);
  });

  test('3. an existing entry that conflicts with a new one is deleted, with all that follow it', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1, 1, 1] }));
    replica.step(append({ term: 2, after: [1, 1], entries: logOfTerms([1, 2]).slice(1) }));
    expect(replica.entries.map(({ term }) => term)).toEqual([1, 2]);
  });

  test('3. one that does not conflict is not, nor what follows it', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1, 1, 1] }));
    replica.step(append({ term: 2, after: [1, 1], entries: logOfTerms([1, 1]).slice(1) }));
    replica.step(append({ term: 2, after: [1, 1] }));
    expect(replica.entries).toHaveLength(4);
    expect(replica.takeOutcome().writes).toEqual([]);
  });

  test('4. append any new entries not already in the log', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1] }));
    replica.step(append({ term: 2, after: [1, 1], entries: logOfTerms([1, 1, 2]).slice(1) }));
    expect(replica.takeOutcome().writes).toMatchObject([{ truncateFrom: null, entries: [{ index: 3, term: 2 }] }]);
  });

  test('5. commitIndex = min(leaderCommit, index of last new entry)', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1, 1] }));
    replica.step(append({ term: 2, after: [1, 1], entries: logOfTerms([1, 1]).slice(1), commit: 3 }));
    expect(replica.raft.commit).toBe(2);
    replica.step(append({ term: 2, after: [2, 1], entries: logOfTerms([1, 1, 1]).slice(2), commit: 1 }));
    expect(replica.raft.commit).toBe(2);
    replica.step(append({ term: 2, after: [3, 1], commit: 3 }));
    expect(replica.raft.commit).toBe(3);
  });
});

describe('RequestVote, receiver', () => {
  test('1. reply false if term < currentTerm', () => {
    const replica = replicaWith(diskOf({ term: 3 }));
    replica.step(vote({ term: 2, last: [9, 2] }));
    expect(sentBy(replica)).toMatchObject([{ type: 'vote-reply', granted: false, term: 3 }]);
  });

  test('2. if votedFor is null and the log is at least as up-to-date, grant the vote', () => {
    const replica = replicaWith(diskOf({ terms: [1, 2], term: 2 }));
    replica.step(vote({ term: 3, last: [2, 2] }));
    expect(sentBy(replica)).toMatchObject([{ type: 'vote-reply', granted: true, term: 3 }]);
    expect(replica.raft.vote).toBe('2');
  });

  test('2. if votedFor is candidateId, grant it again; to anybody else refuse it', () => {
    const replica = replicaWith(diskOf({}));
    for (const from of ['2', '3', '2']) replica.step(vote({ from, term: 1, last: [0, 0] }));
    expect(sentOf(replica, 'vote-reply').map((reply) => [reply.to, reply.granted])).toEqual([
      ['2', true],
      ['3', false],
      ['2', true],
    ]);
  });
});

describe('all servers', () => {
  test.each([
    ['append', append({ term: 7, after: [0, 0] })],
    ['heartbeat', heartbeat({ term: 7 })],
    ['append reply', accepted({ term: 7, match: 0 })],
    ['vote reply', granted({ term: 7, granted: false })],
    ['pre-vote reply', preGranted({ term: 7, granted: false })],
    ['vote', vote({ term: 7, last: [0, 0] })],
  ])('an RPC with term T > currentTerm sets currentTerm = T and makes a follower: %s', (_, message) => {
    const replica = replicaWith();
    makeCandidate(replica);
    replica.step(message);
    expect(replica.raft).toMatchObject({ term: 7, role: 'follower' });
    expect(replica.takeOutcome().ballots.at(-1)).toMatchObject({ term: 7 });
  });

  test('persistent state is on disk before a server responds', () => {
    const replica = replicaWith();
    replica.step(append({ term: 1, after: [0, 0], entries: logOfTerms([1]) }));
    expect(sentOf(replica, 'append-reply')).toEqual([]);
    persist(replica);
    expect(sentOf(replica, 'append-reply')).toMatchObject([{ result: { accepted: true, match: 1 } }]);
  });
});

describe('followers', () => {
  test('an election timeout without an append or a granted vote starts an election', () => {
    const replica = replicaWith();
    for (let tick = 0; tick < 3; tick += 1) replica.tick();
    expect(replica.raft.role).toBe('follower');
    replica.tick();
    // With pre-vote (thesis 9.6) the election begins by asking.
    expect(replica.raft).toMatchObject({ role: 'pre-candidate', term: 0 });
  });

  test.each([
    ['an append', append({ term: 1, after: [0, 0] })],
    ['a heartbeat', heartbeat({ term: 1 })],
    ['a granted vote', vote({ term: 1, last: [0, 0] })],
  ])('%s starts the timeout anew', (_, message) => {
    const replica = replicaWith();
    for (let round = 0; round < 3; round += 1) {
      for (let tick = 0; tick < 3; tick += 1) replica.tick();
      replica.step(message);
      expect(replica.raft.role).toBe('follower');
    }
  });

  test('a refused vote in the same term does not', () => {
    const replica = replicaWith(diskOf({ terms: [1], term: 1 }));
    for (let tick = 0; tick < 3; tick += 1) replica.tick();
    replica.step(vote({ term: 1, last: [0, 0] }));
    replica.tick();
    expect(replica.raft.role).toBe('pre-candidate');
  });
});

describe('candidates', () => {
  test('on conversion: increment the term, vote for self, reset the timer, ask all others', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1], term: 4 }));
    makeCandidate(replica);
    const { ballots, sent } = replica.takeOutcome();
    expect(ballots).toEqual([{ term: 5, vote: '1' }]);
    expect(sent.map(({ message }) => message).filter(({ type }) => type === 'vote')).toMatchObject([
      { to: '2', term: 5, lastIndex: 2, lastTerm: 1 },
      { to: '3', term: 5, lastIndex: 2, lastTerm: 1 },
    ]);
    for (let tick = 0; tick < 3; tick += 1) replica.tick();
    expect(replica.raft.role).toBe('candidate');
  });

  test('votes of a majority make a leader', () => {
    const replica = replicaWith(diskOf({}), 5);
    const term = makeCandidate(replica, ['2', '3']);
    replica.step(granted({ from: '2', term }));
    replica.step(granted({ from: '2', term }));
    expect(replica.raft.role).toBe('candidate');
    replica.step(granted({ from: '3', term }));
    expect(replica.raft.role).toBe('leader');
  });

  test.each([
    ['append', append({ from: '3', term: 1, after: [0, 0] })],
    ['heartbeat', heartbeat({ from: '3', term: 1 })],
  ])('an AppendEntries from the new leader makes a follower: %s', (_, message) => {
    const replica = replicaWith();
    makeCandidate(replica);
    replica.step(message);
    expect(replica.raft).toMatchObject({ role: 'follower', term: 1, leader: '3', vote: '1' });
  });

  test('an election timeout starts a new election', () => {
    const replica = replicaWith();
    makeCandidate(replica);
    for (let tick = 0; tick < 4; tick += 1) replica.tick();
    expect(replica.raft.role).toBe('pre-candidate');
    replica.step(preGranted({ from: '3', term: 1 }));
    expect(replica.raft).toMatchObject({ role: 'candidate', term: 2, vote: '1' });
  });
});

describe('leaders', () => {
  test('upon election: an append to each server, and nextIndex = last log index + 1, matchIndex = 0', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1], term: 1 }));
    makeLeader(replica);
    // The empty append of the paper carries the entry that opens the term (thesis 6.4).
    expect(sentOf(replica, 'append')).toMatchObject([
      { to: '2', previousIndex: 2, previousTerm: 1, entries: [{ index: 3, term: 2, kind: 'noop' }] },
      { to: '3', previousIndex: 2, previousTerm: 1, entries: [{ index: 3, term: 2, kind: 'noop' }] },
    ]);
    expect(replica.raft.progress?.get(replica.voters[1] ?? replica.id)).toMatchObject({ next: 3, match: 0 });
  });

  test('during idle periods: heartbeats, so that nobody times out', () => {
    const replica = replicaWith();
    makeLeader(replica);
    sentBy(replica);
    replica.tick();
    expect(sentBy(replica).map(({ type, to }) => `${type} ${to}`)).toEqual(['heartbeat 2', 'heartbeat 3']);
  });

  test('a command is appended to the local log, and never anything overwritten there', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1], term: 1 }));
    makeLeader(replica);
    replica.propose('a', 'b');
    expect(replica.entries.map(({ term }) => term)).toEqual([1, 1, 2, 2, 2]);
    expect(appendsOf(replica.takeOutcome().writes).every(({ truncateFrom }) => truncateFrom === null)).toBe(true);
  });

  test('if last log index >= nextIndex: append entries starting at nextIndex', () => {
    const replica = replicaWith();
    const term = makeLeader(replica);
    replica.step(accepted({ term, match: 1 }));
    sentBy(replica);
    replica.propose('a');
    replica.propose('b');
    expect(sentOf(replica, 'append')).toMatchObject([
      { to: '2', previousIndex: 1, entries: [{ index: 2 }] },
      { to: '2', previousIndex: 2, entries: [{ index: 3 }] },
    ]);
  });

  test('on success: update nextIndex and matchIndex', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1], term: 1 }));
    const term = makeLeader(replica);
    replica.step(accepted({ term, match: 3 }));
    expect(replica.raft.progress?.get(replica.voters[1] ?? replica.id)).toMatchObject({ next: 4, match: 3 });
  });

  test('on failure because of inconsistency: decrement nextIndex and retry', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1, 1], term: 1 }));
    const term = makeLeader(replica);
    sentBy(replica);
    replica.step(refused({ term, at: 3, hint: [2, 1] }));
    expect(sentOf(replica, 'append')).toMatchObject([
      { to: '2', previousIndex: 2, entries: [{ index: 3 }, { index: 4 }] },
    ]);
    replica.step(refused({ term, at: 2, hint: [2, 1] }));
    expect(sentOf(replica, 'append')).toMatchObject([{ to: '2', previousIndex: 1 }]);
  });

  test('if N > commitIndex, a majority of matchIndex >= N and log[N].term = currentTerm: commitIndex = N', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1], term: 1, commit: 1 }), 5);
    const term = makeLeader(replica, ['2', '3']);
    persist(replica);
    for (const from of ['2', '3', '4', '5']) replica.step(accepted({ from, term, match: 2 }));
    expect(replica.raft.commit).toBe(1);
    replica.step(accepted({ from: '2', term, match: 3 }));
    expect(replica.raft.commit).toBe(1);
    replica.step(accepted({ from: '3', term, match: 3 }));
    expect(replica.raft.commit).toBe(3);
  });
});
