/** Readers that wait for a read index and for it to be applied (protocol D1; bugs R2, R6, R8). */
import { beforeEach, expect, test } from 'vitest';
import { errorOf } from '../../src/errors.ts';
import { asIndex } from '../../src/raft/core/types.ts';
import { ReadGate } from '../../src/raft/read-gate.ts';
import { SimClock } from '../sim/platform/clock.ts';
import { SimProcess } from '../sim/platform/process.ts';
import { SimScheduler } from '../sim/platform/scheduler.ts';

let scheduler: SimScheduler;
let gate: ReadGate;
let asked: string[];
let seen: string[];

beforeEach(() => {
  scheduler = new SimScheduler();
  asked = [];
  seen = [];
  const options = {
    clock: new SimClock(new SimProcess(scheduler)),
    deadlineMs: 1_000,
    retryMs: 150,
    boot: 'boot',
    ask: (requestId: string) => asked.push(requestId),
    unavailable: () => new Error('unavailable'),
  };
  gate = new ReadGate(options, asIndex(5));
});

function read(name: string): void {
  gate.pass().then(
    (index) => seen.push(`${name} at ${index}`),
    (error: unknown) => seen.push(`${name} ${errorOf(error).message}`),
  );
}
const pass = (ms: number): Promise<void> => scheduler.run({ untilMs: scheduler.nowMs + ms });

test('passes once the index is applied, not before', async () => {
  read('r');
  gate.answered('boot:1', asIndex(7));
  await pass(10);
  expect(seen).toEqual([]);
  gate.appliedTo(asIndex(6));
  gate.appliedTo(asIndex(8));
  await pass(10);
  expect(seen).toEqual(['r at 8']);
});

test('who comes while a request is under way waits for the next one', async () => {
  read('first');
  read('second');
  expect(asked).toEqual(['boot:1']);
  gate.answered('boot:1', asIndex(5));
  await pass(1);
  expect(seen).toEqual(['first at 5']);
  expect(asked).toEqual(['boot:1', 'boot:2']);
  gate.answered('boot:2', asIndex(5));
  await pass(1);
  expect(seen).toEqual(['first at 5', 'second at 5']);
});

test('bug R2: a late answer to an earlier question serves nobody', async () => {
  read('r');
  gate.retry();
  expect(asked).toEqual(['boot:1', 'boot:2']);
  gate.answered('boot:1', asIndex(5));
  await pass(1);
  expect(seen).toEqual([]);
  gate.answered('boot:2', asIndex(5));
  await pass(1);
  expect(seen).toEqual(['r at 5']);
});

test('bug R8: an unanswered question is asked again, and given up at the deadline', async () => {
  read('r');
  gate.answered('boot:1', null);
  await pass(160);
  expect(asked).toEqual(['boot:1', 'boot:2']);
  await pass(1_000);
  expect(seen).toEqual(['r unavailable']);
  const before = asked.length;
  await pass(1_000);
  expect(asked.length - before).toBeLessThanOrEqual(1);
});

test('bug R6: after a pause of the process the deadline has passed, whatever is answered then', async () => {
  read('r');
  await pass(1_001);
  gate.answered(asked.at(-1) ?? '', asIndex(5));
  await pass(1);
  expect(seen).toEqual(['r unavailable']);
});

test('closing gives everybody up, later readers too', async () => {
  read('waiting');
  gate.answered('boot:1', asIndex(9));
  read('asking');
  gate.close();
  read('late');
  await pass(1);
  expect(seen.toSorted()).toEqual(['asking unavailable', 'late unavailable', 'waiting unavailable']);
});
