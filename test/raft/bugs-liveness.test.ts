/**
 * Numbered bugs of other Rafts, reads and liveness (field notes 4.2, 4.4): what the core promises about each.
 * What the core cannot promise alone has to be held elsewhere:
 *
 *   bug R6   a pause between check and answer       read-gate test: no lease, the index is confirmed after the request came
 *   bug R8   requests and answers that are lost     read-gate test: asked again under a leader, refused at the deadline
 *   bug L12  every proposal ends exactly once       proposals test: committed, lost (proposed again), or unknown
 */
import { describe, expect, test } from 'vitest';
import {
  accepted,
  append,
  echo,
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
import { diskOf, type Replica } from './replica.ts';

/** A leader of three that has committed in its term; `options` as for the core. */
function settledLeader(options: Parameters<typeof replicaWith>[2] = {}): { replica: Replica; term: number } {
  const replica = replicaWith(diskOf({}), 3, options);
  const term = makeLeader(replica);
  persist(replica);
  for (const from of ['2', '3']) replica.step(accepted({ from, term, match: 1 }));
  replica.takeOutcome();
  return { replica, term };
}

const readsOf = (replica: Replica): readonly unknown[] => replica.takeOutcome().reads;
const peer = (replica: Replica, at: number) => replica.raft.progress?.get(replica.voters[at - 1] ?? replica.id);

describe('reads', () => {
  test('bug R1: no read before the first commit of the term, whoever echoes', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1], commit: 1 }));
    const term = makeLeader(replica);
    replica.read('r');
    replica.tick();
    const rounds = sentOf(replica, 'heartbeat').map((message) => message.round);
    for (const round of rounds) for (const from of ['2', '3']) replica.step(echo({ from, term, round }));
    expect(readsOf(replica)).toEqual([]);
    persist(replica);
    replica.step(accepted({ term, match: 3 }));
    expect(readsOf(replica)).toEqual([]);
    replica.step(echo({ term, round: 1 }));
    expect(readsOf(replica)).toEqual([{ requestId: 'r', index: 3 }]);
  });

  test('bug R2: an echo of an earlier round confirms no read that came after that round was sent', () => {
    const { replica, term } = settledLeader();
    replica.read('early');
    replica.read('late');
    replica.step(echo({ term, round: 1 }));
    expect(readsOf(replica)).toEqual([{ requestId: 'early', index: 1 }]);
    replica.step(echo({ from: '3', term, round: 1 }));
    expect(readsOf(replica)).toEqual([]);
    replica.step(echo({ from: '3', term, round: 2 }));
    expect(readsOf(replica)).toEqual([{ requestId: 'late', index: 1 }]);
  });

  test('bug R2: the same request asked twice is confirmed by two rounds', () => {
    const { replica, term } = settledLeader();
    replica.read('r');
    replica.read('r');
    replica.step(echo({ term, round: 1 }));
    expect(readsOf(replica)).toHaveLength(1);
    replica.step(echo({ term, round: 2 }));
    expect(readsOf(replica)).toHaveLength(1);
  });

  test('bug R2: a follower echoes the round of the message, and keeps no maximum from leader to leader (protocol D1)', () => {
    const replica = replicaWith();
    replica.step(heartbeat({ from: '2', term: 1, round: 50, session: 4 }));
    replica.step(heartbeat({ from: '3', term: 2, round: 1, session: 7 }));
    replica.step(heartbeat({ from: '2', term: 1, round: 51 }));
    expect(sentOf(replica, 'heartbeat-reply')).toMatchObject([
      { to: '2', term: 1, round: 50, session: 4 },
      { to: '3', term: 2, round: 1, session: 7 },
      { to: '2', term: 2, round: 0, session: 0 },
    ]);
  });

  test('bug R2: an echo of an earlier term or session confirms nothing', () => {
    const { replica, term } = settledLeader();
    replica.read('r');
    replica.step(echo({ term: term - 1, round: 9 }));
    replica.step(echo({ term, round: 9, session: 77 }));
    expect(readsOf(replica)).toEqual([]);
  });

  test('bug R3: nothing is answered before a majority echoed', () => {
    const replica = replicaWith(diskOf({}), 5);
    const term = makeLeader(replica, ['2', '3']);
    persist(replica);
    for (const from of ['2', '3']) replica.step(accepted({ from, term, match: 1 }));
    replica.read('r');
    replica.tick();
    replica.step(echo({ from: '2', term, round: 1 }));
    replica.step(echo({ from: '2', term, round: 1 }));
    expect(readsOf(replica)).toEqual([]);
    replica.step(echo({ from: '3', term, round: 1 }));
    expect(readsOf(replica)).toEqual([{ requestId: 'r', index: 1 }]);
  });

  test('bug R6: a leader deposed during a pause confirms nothing of before; the index it gives was confirmed, not assumed', () => {
    const { replica, term } = settledLeader();
    replica.read('r');
    // The pause: another leader was elected meanwhile. Its message is handled before any tick (protocol G1).
    replica.step(append({ from: '3', term: term + 1, after: [1, 1] }));
    replica.step(echo({ term, round: 1 }));
    expect(readsOf(replica)).toEqual([{ requestId: 'r', index: null }]);
  });

  test.each([
    ['a newer term', (replica: Replica, term: number) => replica.step(heartbeat({ term: term + 1 }))],
    ['check-quorum', (replica: Replica) => Array.from({ length: 6 }).forEach(() => replica.tick())],
  ])('bug R8: a leader that steps down by %s releases all who wait', (_, stepDown) => {
    const { replica, term } = settledLeader();
    replica.read('own');
    replica.step({ ...echo({ term, round: 0 }), type: 'read-index', requestId: 'theirs' });
    sentBy(replica);
    stepDown(replica, term);
    const { reads, sent } = replica.takeOutcome();
    expect(reads).toEqual([{ requestId: 'own', index: null }]);
    expect(sent.map(({ message }) => message)).toContainEqual(
      expect.objectContaining({ type: 'read-index-reply', to: '2', requestId: 'theirs', index: null }),
    );
  });

  test('bug R8: whoever cannot help says so, in every role and across terms', () => {
    const replica = replicaWith(diskOf({ term: 5 }));
    replica.read('follower without leader');
    for (const term of [4, 5])
      replica.step({ ...echo({ term, round: 0 }), type: 'read-index', requestId: `asked in ${term}` });
    replica.step({ ...echo({ term: 4, round: 0 }), type: 'read-index-reply', requestId: 'answered in 4', index: null });
    makeCandidate(replica);
    replica.read('candidate');
    const { reads, sent } = replica.takeOutcome();
    expect(reads.map(({ requestId }) => requestId)).toEqual(['follower without leader', 'answered in 4', 'candidate']);
    expect(reads.every(({ index }) => index === null)).toBe(true);
    expect(sent.map(({ message }) => message).filter(({ type }) => type === 'read-index-reply')).toMatchObject([
      { requestId: 'asked in 4', index: null },
      { requestId: 'asked in 5', index: null },
    ]);
  });
});

describe('liveness', () => {
  test('bug L1: old terms are answered with the new one; the asker adopts it without giving a vote', () => {
    const high = replicaWith(diskOf({ term: 9 }));
    high.step(vote({ type: 'pre-vote', term: 3, last: [5, 3] }));
    high.step(append({ term: 3, after: [0, 0] }));
    expect(sentBy(high).map(({ type, term }) => [type, term])).toEqual([
      ['pre-vote-reply', 9],
      ['heartbeat-reply', 9],
    ]);
    const low = replicaWith(diskOf({ terms: [3, 3] }));
    low.campaign();
    low.step({ ...preGranted({ term: 9, granted: false }), to: low.id });
    expect(low.raft).toMatchObject({ role: 'follower', term: 9, vote: null });
  });

  test('bug L2: replies to an earlier campaign, late or repeated, start nothing', () => {
    const replica = replicaWith();
    const term = makeLeader(replica);
    replica.step(preGranted({ from: '3', term: 0 }));
    replica.step(preGranted({ from: '3', term }));
    replica.step(granted({ from: '3', term }));
    replica.campaign();
    expect(replica.raft).toMatchObject({ role: 'leader', term });

    const candidate = replicaWith(diskOf({ term: 4 }));
    candidate.campaign();
    candidate.step(preGranted({ term: 4, campaignTerm: 4 }));
    expect(candidate.raft).toMatchObject({ role: 'pre-candidate', term: 4 });
  });

  test('bug L7: a full window that was lost is found out by heartbeats', () => {
    const { replica, term } = settledLeader({ window: { messagesMax: 2, bytesMax: 1024 } });
    for (const text of ['a', 'b', 'c']) replica.propose(text);
    expect(sentOf(replica, 'append').filter(({ to }) => to === '2')).toHaveLength(2);
    replica.step(echo({ term, round: 0 }));
    replica.step(echo({ term, round: 0 }));
    const [question] = sentOf(replica, 'append');
    expect(question).toMatchObject({ to: '2', previousIndex: 3, entries: [] });
    replica.step(refused({ term, at: 3, hint: [1, 1] }));
    expect(sentOf(replica, 'append')).toMatchObject([
      { to: '2', previousIndex: 1, entries: [{ index: 2 }, { index: 3 }, { index: 4 }] },
    ]);
  });

  test('bug L7: the window is bounded in bytes, too', () => {
    const { replica } = settledLeader({ window: { messagesMax: 100, bytesMax: 10 } });
    for (const text of ['12345', '67890', 'next']) replica.propose(text);
    expect(sentOf(replica, 'append').filter(({ to }) => to === '2')).toHaveLength(2);
    expect(peer(replica, 2)).toMatchObject({ paused: true, inflightMessages: 2 });
  });

  test('bug L8: a late refusal neither rewinds a good follower nor stops the leader', () => {
    const { replica, term } = settledLeader();
    replica.propose('a');
    replica.step(accepted({ term, match: 2 }));
    sentBy(replica);
    replica.step(refused({ term, at: 0, hint: [0, 0] }));
    replica.step(refused({ term, at: 2, hint: [0, 0] }));
    expect(peer(replica, 2)).toMatchObject({ state: 'replicate', match: 2, next: 3 });
    expect(sentBy(replica)).toEqual([]);
  });

  test('bug L8: a late refusal of another probe changes nothing', () => {
    const replica = replicaWith(diskOf({ terms: [1, 1, 1, 1] }));
    const term = makeLeader(replica);
    replica.step(refused({ term, at: 4, hint: [2, 1] }));
    expect(peer(replica, 2)).toMatchObject({ state: 'probe', next: 3 });
    sentBy(replica);
    replica.step(refused({ term, at: 4, hint: [0, 0] }));
    expect(peer(replica, 2)).toMatchObject({ state: 'probe', next: 3 });
    expect(sentBy(replica)).toEqual([]);
  });

  test('bug L8: an acknowledgement of what was never sent stops the node', () => {
    const { replica, term } = settledLeader();
    expect(() => replica.step(accepted({ term, match: 9 }))).toThrow('which was never sent');
  });

  test('bug L12: a proposal is appended, refused for good or refused for now; nothing else', () => {
    const { replica, term } = settledLeader({ uncommittedBytesMax: 4 });
    expect(replica.propose('1234')).toBe('appended');
    expect(replica.propose('5')).toBe('busy');
    persist(replica);
    replica.step(accepted({ term, match: 2 }));
    expect(replica.propose('5')).toBe('appended');
    replica.step(heartbeat({ term: term + 1 }));
    expect(replica.propose('6')).toBe('not-leader');
    expect(replica.entries).toHaveLength(3);
  });

  test('bug L14: an idle follower hears of a commit in the same turn', () => {
    const { replica, term } = settledLeader();
    replica.propose('a');
    persist(replica);
    sentBy(replica);
    replica.step(accepted({ term, match: 2 }));
    expect(sentBy(replica)).toMatchObject([{ type: 'heartbeat', to: '2', commit: 2 }]);
  });

  test('bug L4: a follower whose disk stalled for long is brought up to date by the same leader', () => {
    const { replica, term } = settledLeader({ window: { messagesMax: 2, bytesMax: 2 ** 24 } });
    for (const payload of ['a', 'b', 'c', 'd', 'e']) replica.propose(payload);
    persist(replica);
    replica.step(accepted({ from: '3', term, match: 6 }));
    // Its window is full, it hears heartbeats and writes nothing, for a minute.
    for (let tick = 0; tick < 1_200; tick += 1) {
      replica.tick();
      for (const from of ['2', '3']) replica.step(echo({ from, term, round: 0 }));
    }
    expect(replica.raft).toMatchObject({ role: 'leader', commit: 6 });
    sentBy(replica);
    for (let rounds = 0; rounds < 5; rounds += 1) {
      const match = Math.max(
        3,
        ...sentOf(replica, 'append').flatMap(({ to, entries }) => (to === '2' ? [entries.at(-1)?.index ?? 0] : [])),
      );
      replica.step(accepted({ from: '2', term, match }));
    }
    expect(peer(replica, 2)).toMatchObject({ state: 'replicate', match: 6 });
  });
});
