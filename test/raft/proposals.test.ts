/** Blocks on their way into the log (protocol C1, C2): each resolves exactly once (bug L12). */
import { beforeEach, expect, test } from 'vitest';
import { asTerm, type Term } from '../../src/raft/core/types.ts';
import { AppendOnce } from '../../src/raft/append-once.ts';
import { Proposals, type ProposalOutcome } from '../../src/raft/proposals.ts';
import { SimClock } from '../sim/platform/clock.ts';
import { SimProcess } from '../sim/platform/process.ts';
import { SimScheduler } from '../sim/platform/scheduler.ts';

const [t1, t2, t3] = [asTerm(1), asTerm(2), asTerm(3)];
const payload = new Uint8Array([1]);

let scheduler: SimScheduler;
let proposals: Proposals;
let sent: Term[];
let outcomes: [id: string, outcome: ProposalOutcome][];

beforeEach(() => {
  scheduler = new SimScheduler();
  sent = [];
  outcomes = [];
  proposals = new Proposals({
    clock: new SimClock(new SimProcess(scheduler)),
    deadlineMs: 5_000,
    retryMs: 400,
    send: (term) => sent.push(term),
  });
});

function submit(id: string): void {
  void proposals.submit(id, payload).then((outcome) => outcomes.push([id, outcome]));
}
const pass = (ms: number): Promise<void> => scheduler.run({ untilMs: scheduler.nowMs + ms });

test('waits for a leader, goes to it, and is committed when it is applied here', async () => {
  submit('a');
  expect(sent).toEqual([]);
  proposals.leaderChanged(t1);
  expect(sent).toEqual([t1]);
  proposals.applied(t1, 'a');
  proposals.applied(t1, 'a');
  await pass(10_000);
  expect(outcomes).toEqual([['a', 'committed']]);
});

test('bug L12: a block that an entry of a later term overtook is lost for certain, and goes to the new leader by itself', async () => {
  proposals.leaderChanged(t1);
  submit('a');
  proposals.leaderChanged(null);
  proposals.leaderChanged(t2);
  // Not yet: the leader of term 1 may have got it into the log.
  expect(sent).toEqual([t1]);
  proposals.applied(t1, 'somebody else');
  expect(sent).toEqual([t1]);
  proposals.applied(t2, null);
  expect(sent).toEqual([t1, t2]);
  proposals.applied(t2, 'a');
  await pass(10_000);
  expect(outcomes).toEqual([['a', 'committed']]);
});

test('a block that was met in an older term before the later term began is committed, not sent again', async () => {
  proposals.leaderChanged(t1);
  submit('a');
  proposals.leaderChanged(t3);
  proposals.applied(t1, 'a');
  proposals.applied(t3, null);
  await pass(0);
  expect(sent).toEqual([t1]);
  expect(outcomes).toEqual([['a', 'committed']]);
});

test('is sent again to the leader of the same term while it does not show up', async () => {
  proposals.leaderChanged(t1);
  submit('a');
  await pass(300);
  proposals.tick();
  expect(sent).toEqual([t1]);
  await pass(200);
  proposals.tick();
  proposals.tick();
  expect(sent).toEqual([t1, t1]);
});

test('is unknown at its deadline, and stays so', async () => {
  proposals.leaderChanged(t1);
  submit('a');
  await pass(5_001);
  proposals.applied(t1, 'a');
  await pass(0);
  expect(outcomes).toEqual([['a', 'unknown']]);
  expect(proposals.size).toBe(0);
});

test('bug L12: when the node stops everything under way is unknown', async () => {
  submit('a');
  submit('b');
  proposals.abandon();
  await pass(0);
  expect(outcomes).toEqual([
    ['a', 'unknown'],
    ['b', 'unknown'],
  ]);
});

test('a leader takes a block once in a term, and again in another', () => {
  const once = new AppendOnce();
  expect([once.admit(t1, 'a'), once.admit(t1, 'a'), once.admit(t1, 'b')]).toEqual([true, false, true]);
  expect(once.admit(t2, 'a')).toBe(true);
  once.forget('a');
  expect(once.admit(t2, 'a')).toBe(true);
});
