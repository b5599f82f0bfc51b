/**
 * Numbered bugs of other Rafts, elections and persistence (field notes 4.1): what the core promises about each.
 * What the core cannot promise alone has to be held elsewhere:
 *
 *   bug E2   term, vote, promise in one write       hard-state test: crash at every write boundary
 *   bug E3   no vote leaves before its ballot       driver test: held messages; here the harness enforces it
 *   bug E7   entries never outlive their term       driver and recovery test: log batch, crash, hard state
 *   bug E8   batches complete in order              driver test: one batch of the log in flight
 *   bug E10  the ack of a single node               driver test: crash after the ack
 *   bug E14  entries cannot be read                 append-sender test: a failed read sends nothing
 *   bug E15  wiped disk under the same id           founding and handshake tests: a new incarnation
 *   bug E16  ack without fsync                      block-log test over a disk that loses unsynced writes; the simulator
 */
import { describe, expect, test } from 'vitest';
import {
  accepted,
  append,
  granted,
  heartbeat,
  makeCandidate,
  makeLeader,
  persist,
  preGranted,
  replicaWith,
  sentBy,
  sentOf,
  vote,
} from './core-fixture.ts';
import { diskOf, logOfTerms } from './replica.ts';

describe('elections and persistence', () => {
  test('bug E1: entries of earlier terms on every disk are not committed by counting', () => {
    const replica = replicaWith(diskOf({ terms: [1, 2, 2], term: 3 }));
    const term = makeLeader(replica);
    persist(replica);
    for (const from of ['2', '3']) replica.step(accepted({ from, term, match: 3 }));
    expect(replica.raft.commit).toBe(0);
    replica.step(accepted({ term, match: 4 }));
    expect(replica.raft.commit).toBe(4);
  });

  test('bug E2: term and vote are handed out together, once', () => {
    const replica = replicaWith();
    replica.step(vote({ term: 4, last: [0, 0] }));
    replica.step(vote({ term: 4, last: [0, 0] }));
    expect(replica.takeOutcome().ballots).toEqual([{ term: 4, vote: '2' }]);
  });

  test('bug E2: a vote that did not reach the disk before a crash was not heard by anybody, so another may follow', () => {
    const replica = replicaWith();
    replica.step(vote({ from: '2', term: 4, last: [0, 0] }));
    const [held] = replica.takeOutcome().sent;
    expect(replica.holds(held?.ballot ?? 0)).toBe(true);
    replica.crash();
    replica.restart();
    replica.step(vote({ from: '3', term: 4, last: [0, 0] }));
    expect(sentOf(replica, 'vote-reply')).toMatchObject([{ to: '3', granted: true }]);
  });

  test('bug E3: requests and answers of a vote come with the ballot they depend on, never before it', () => {
    const candidate = replicaWith();
    candidate.campaign();
    candidate.step(preGranted({ term: 0 }));
    const { sent, ballots } = candidate.takeOutcome();
    expect(ballots).toEqual([{ term: 1, vote: '1' }]);
    const requests = sent.filter(({ message }) => message.type === 'vote');
    expect(requests.map(({ ballot }) => candidate.holds(ballot))).toEqual([true, true]);
    candidate.persistBallot();
    expect(requests.map(({ ballot }) => candidate.holds(ballot))).toEqual([false, false]);
  });

  test('bug E4: a candidate that steps down in its own term keeps its vote, also over a crash', () => {
    const replica = replicaWith();
    makeCandidate(replica);
    replica.step(heartbeat({ from: '2', term: 1 }));
    replica.step(vote({ from: '3', term: 1, last: [9, 1] }));
    replica.crash();
    replica.restart();
    replica.step(vote({ from: '3', term: 1, last: [9, 1] }));
    expect(replica.raft.vote).toBe('1');
    expect(sentOf(replica, 'vote-reply')).toMatchObject([{ granted: false }]);
  });

  test('bug E5: a longer log of an older term wins neither pre-vote nor vote', () => {
    const replica = replicaWith(diskOf({ terms: [1, 3], term: 3 }));
    replica.step(vote({ type: 'pre-vote', term: 3, last: [100, 2] }));
    replica.step(vote({ term: 4, last: [100, 2] }));
    expect(sentBy(replica)).toMatchObject([{ granted: false }, { granted: false }]);
    expect(replica.raft.vote).toBeNull();
  });

  test('bug E6: a leader that hears a newer term by heartbeat appends nothing more, under either term', () => {
    const replica = replicaWith();
    const term = makeLeader(replica);
    replica.step(heartbeat({ term: term + 1 }));
    sentBy(replica);
    expect(replica.propose('late')).toBe('not-leader');
    expect(replica.raft).toMatchObject({ role: 'follower', term: 2, leader: '2' });
    expect(replica.takeOutcome()).toMatchObject({ writes: [], sent: [] });
  });

  test('bug E6: two leaders in one term stop the node', () => {
    const replica = replicaWith();
    const term = makeLeader(replica);
    expect(() => replica.step(append({ from: '3', term, after: [0, 0] }))).toThrow('two leaders in term 1');
    const follower = replicaWith();
    follower.step(heartbeat({ from: '2', term: 1 }));
    expect(() => follower.step(heartbeat({ from: '3', term: 1 }))).toThrow('two leaders in term 1');
  });

  test('bug E7: a log newer than the ballot on disk raises the term, so no vote is given below its own entries', () => {
    const replica = replicaWith(diskOf({ terms: [1, 5], term: 3 }));
    expect(replica.raft).toMatchObject({ term: 5, vote: null });
    replica.step(vote({ term: 4, last: [9, 9] }));
    expect(sentOf(replica, 'vote-reply')).toMatchObject([{ granted: false, term: 5 }]);
  });

  test('bug E8: a completion that comes late takes nothing back and adds nothing', () => {
    const replica = replicaWith();
    const [first, second, third] = logOfTerms([1, 1, 1]).map((entry) => [entry]);
    replica.step(append({ term: 1, after: [0, 0], entries: first ?? [] }));
    replica.step(append({ term: 1, after: [1, 1], entries: second ?? [] }));
    replica.step(append({ term: 1, after: [2, 1], entries: third ?? [] }));
    replica.raft.logDurable(replica.raft.last.index, 3);
    replica.raft.logDurable(logOfTerms([1])[0]?.index ?? replica.raft.last.index, 1);
    expect(replica.raft.durable).toBe(3);
  });

  test('bug E9: the completed write of an entry that was replaced meanwhile is not acknowledged', () => {
    const replica = replicaWith(diskOf({ terms: [1], term: 1 }));
    replica.step(append({ from: '2', term: 2, after: [1, 1], entries: logOfTerms([1, 2, 2]).slice(1) }));
    replica.step(append({ from: '3', term: 3, after: [1, 1], entries: logOfTerms([1, 3, 3]).slice(1) }));
    sentBy(replica);
    replica.persistLog(1);
    expect(replica.raft.durable).toBe(1);
    expect(sentBy(replica)).toEqual([]);
    replica.persistLog(1);
    expect(sentOf(replica, 'append-reply')).toMatchObject([{ to: '3', result: { match: 3 } }]);
  });

  test('bug E10: a single voter commits only what its own disk holds', () => {
    const replica = replicaWith(diskOf({}), 1);
    replica.campaign();
    replica.propose('a');
    replica.tick();
    replica.persistBallot();
    expect(replica.raft).toMatchObject({ role: 'leader', commit: 0 });
    replica.persistLog(1);
    expect(replica.raft.commit).toBe(1);
    replica.persistLog(1);
    expect(replica.raft.commit).toBe(2);
  });

  test('bug E12: an acknowledgement of another session, or another boot, moves no match', () => {
    const replica = replicaWith();
    const term = makeLeader(replica);
    persist(replica);
    replica.step(accepted({ term, match: 1, session: 99 }));
    expect(replica.raft.commit).toBe(0);
    replica.step(accepted({ term, match: 0, boot: 2 }));
    replica.step(accepted({ term, match: 1, boot: 1 }));
    expect(replica.raft.commit).toBe(0);
  });

  test('bug E13: a reordered old append removes nothing', () => {
    const entries = logOfTerms([1, 1, 1, 1]);
    const replica = replicaWith();
    replica.step(append({ term: 1, after: [0, 0], entries, commit: 4 }));
    replica.step(append({ term: 1, after: [0, 0], entries: entries.slice(0, 1), commit: 0 }));
    expect(replica.raft).toMatchObject({ last: { index: 4 }, commit: 4 });
  });

  test('bug E13: a leader that would replace a committed entry stops the node', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1], commit: 2 }));
    const message = append({ term: 2, after: [1, 1], entries: logOfTerms([1, 2]).slice(1) });
    expect(() => replica.step(message)).toThrow('entry 2 is committed');
  });

  test('bug E14: an append whose entries do not follow its previous index stops the node', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1, 1] }));
    const message = append({ term: 2, after: [0, 0], entries: logOfTerms([1, 1, 1]).slice(1) });
    expect(() => replica.step(message)).toThrow('entries of an append must follow');
  });

  test('bug E15: a commit index beyond the log, or beyond what the leader matched, moves nothing', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1, 1], commit: 1 }));
    replica.step(heartbeat({ term: 2, commit: 9 }));
    expect(replica.raft.commit).toBe(1);
    replica.step(append({ term: 2, after: [2, 1], commit: 9 }));
    expect(replica.raft.commit).toBe(2);
    replica.step(heartbeat({ term: 2, commit: 9 }));
    expect(replica.raft.commit).toBe(2);
  });

  test('bug E15: what one leader matched says nothing of the next', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1, 1], commit: 1 }));
    replica.step(append({ from: '2', term: 2, after: [3, 1] }));
    replica.step(heartbeat({ from: '3', term: 3, commit: 3 }));
    expect(replica.raft.commit).toBe(1);
  });

  test('bug E15: a leader never tells a commit index beyond what the follower acknowledged', () => {
    const replica = replicaWith();
    const term = makeLeader(replica);
    persist(replica);
    replica.step(accepted({ from: '2', term, match: 1 }));
    sentBy(replica);
    replica.tick();
    expect(sentOf(replica, 'heartbeat')).toMatchObject([
      { to: '2', commit: 1 },
      { to: '3', commit: 0 },
    ]);
  });

  test('bug E15, protocol A2: a shortened log keeps its promise: no campaign, no vote for less, until it is whole again', () => {
    const promise = logOfTerms([1, 1, 1]).at(-1);
    const replica = replicaWith(diskOf({ terms: [1], ...(promise && { promise }) }));
    expect(replica.raft.lostPromise).toMatchObject({ index: 3, term: 1 });
    replica.campaign();
    expect(replica.raft.role).toBe('follower');
    replica.step(vote({ from: '2', term: 2, last: [2, 1] }));
    replica.step(vote({ from: '3', term: 2, last: [3, 1] }));
    expect(sentOf(replica, 'vote-reply').map((reply) => reply.granted)).toEqual([false, true]);
    replica.step(append({ from: '3', term: 2, after: [1, 1], entries: logOfTerms([1, 1, 1]).slice(1) }));
    expect(replica.raft.lostPromise).not.toBeNull();
    persist(replica);
    expect(replica.raft.lostPromise).toBeNull();
  });

  test('bug E16: an append is acknowledged when its entries are durable, as far as they are', () => {
    const replica = replicaWith();
    const entries = logOfTerms([1, 1, 1]);
    replica.step(append({ term: 1, after: [0, 0], entries: entries.slice(0, 2) }));
    replica.step(append({ term: 1, after: [2, 1], entries: entries.slice(2) }));
    replica.persistBallot();
    expect(sentOf(replica, 'append-reply')).toEqual([]);
    replica.persistLog(1);
    replica.persistLog(1);
    expect(sentOf(replica, 'append-reply').map(({ result }) => result)).toMatchObject([{ match: 2 }, { match: 3 }]);
  });

  test('bug E16: a leader does not count its own disk before it is done', () => {
    const replica = replicaWith(diskOf({}), 5);
    const term = makeLeader(replica, ['2', '3']);
    replica.step(accepted({ from: '2', term, match: 1 }));
    replica.step(accepted({ from: '3', term, match: 1 }));
    expect(replica.raft.commit).toBe(0);
    replica.persistLog();
    expect(replica.raft.commit).toBe(1);
  });

  test('bug E17: votes of strangers count nothing', () => {
    const replica = replicaWith();
    const term = makeCandidate(replica);
    for (const from of ['8', '9']) replica.step(granted({ from, term }));
    expect(replica.raft.role).toBe('candidate');
  });
});
