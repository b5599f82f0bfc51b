/** Those who wait for another leader: each is told once, of a later term (bug L12). */
import { beforeEach, expect, test } from 'vitest';
import { QuorateError } from '../../src/errors.ts';
import { asReplicaId, asTerm } from '../../src/raft/core/types.ts';
import { LeaderChanges } from '../../src/raft/leader-changes.ts';
import { SimClock } from '../sim/platform/clock.ts';
import { SimProcess } from '../sim/platform/process.ts';
import { SimScheduler } from '../sim/platform/scheduler.ts';

const [one, two] = [asReplicaId('n1#a'), asReplicaId('n2#b')];

let scheduler: SimScheduler;
let changes: LeaderChanges;
let told: string[];

beforeEach(() => {
  scheduler = new SimScheduler();
  told = [];
  changes = new LeaderChanges({ clock: new SimClock(new SimProcess(scheduler)), deadlineMs: 1_000 });
});

function wait(): (error: QuorateError) => void {
  const { next, fail } = changes.after({ leader: one, term: asTerm(3) });
  next.then(
    ({ leader, term }) => told.push(`${leader} leads ${term}`),
    (error: unknown) => told.push(error instanceof QuorateError ? `${error.code}: ${error.message}` : 'what?'),
  );
  return fail;
}
const pass = (ms: number): Promise<void> => scheduler.run({ untilMs: scheduler.nowMs + ms });

test('another one in a later term: everybody who waits is told, once', async () => {
  wait();
  wait();
  changes.announced(asTerm(4), two);
  changes.announced(asTerm(5), one);
  await pass(2_000);
  expect(told).toEqual(['n2#b leads 4', 'n2#b leads 4']);
});

test('the leader of the same term, heard of again, is no change', async () => {
  wait();
  changes.announced(asTerm(3), one);
  await pass(10);
  expect(told).toEqual([]);
});

test('the same one in a later term: that is no other leader', async () => {
  wait();
  changes.announced(asTerm(5), one);
  await pass(10);
  expect(told).toEqual(['unavailable: n1 was elected again, in term 5: ask again']);
});

test('nobody: told at the deadline', async () => {
  wait();
  await pass(999);
  expect(told).toEqual([]);
  await pass(2);
  expect(told).toEqual(['unavailable: no other leader was heard of within 1000 ms: look at cluster status']);
});

test('a failure reaches the one it is for; the end of the node all others', async () => {
  const fail = wait();
  wait();
  fail(new QuorateError('conflict', 'no'));
  await pass(10);
  expect(told).toEqual(['conflict: no']);
  changes.close(new QuorateError('not-ready', 'stopping'));
  await pass(10);
  expect(told).toEqual(['conflict: no', 'not-ready: stopping']);
});
