/** How slow a log's disk is said to be. */
import { expect, test } from 'vitest';
import type { Clock } from '../../src/platform/clock.ts';
import { WriteTimes } from '../../src/raft/write-times.ts';

class Stage {
  nowMs = 1_000;
  readonly times: WriteTimes;

  constructor() {
    const clock: Clock = { nowMs: () => 0, monotonicMs: () => this.nowMs, after: () => () => undefined };
    this.times = new WriteTimes(clock);
  }

  /** One that waited so long before it began. */
  async write(syncMs: number, queueMs = 0): Promise<void> {
    this.times.waits();
    this.nowMs += queueMs;
    await this.times.measure(async () => (this.nowMs += syncMs));
  }
}

test('nothing written is nothing known', () => {
  expect(new Stage().times.recent).toBeNull();
});

test('the time in the queue and the time of the sync are told apart', async () => {
  const stage = new Stage();
  for (const [sync, queue] of [
    [2, 30],
    [3, 40],
    [4, 50],
  ] as const)
    await stage.write(sync, queue);
  expect(stage.times.recent).toEqual({ syncP50Ms: 3, syncP99Ms: 4, queueP50Ms: 40, queueP99Ms: 50 });
  expect(stage.times.count).toBe(3);
});

test('what comes in while a write is under way waits from then on', async () => {
  const stage = new Stage();
  stage.times.waits();
  await stage.times.measure(async () => {
    stage.nowMs += 10;
    stage.times.waits();
    stage.nowMs += 5;
  });
  await stage.write(1);
  expect(stage.times.recent?.queueP99Ms).toBe(5);
});

test('what was long ago does not count', async () => {
  const stage = new Stage();
  await stage.write(500);
  stage.nowMs += 9_000;
  await stage.write(1);
  expect(stage.times.recent?.syncP99Ms).toBe(500);
  stage.nowMs += 2_000;
  expect(stage.times.recent).toMatchObject({ syncP50Ms: 1, syncP99Ms: 1 });
  stage.nowMs += 10_000;
  expect(stage.times.recent).toBeNull();
});

test('a write that hangs is as slow as it is old, and at last all there is', async () => {
  const stage = new Stage();
  for (let n = 0; n < 10; n += 1) await stage.write(1);
  void stage.times.measure(() => new Promise(() => undefined));
  stage.nowMs += 5_000;
  expect(stage.times.recent).toMatchObject({ syncP50Ms: 1, syncP99Ms: 5_000 });
  stage.nowMs += 10_000;
  expect(stage.times.recent).toMatchObject({ syncP50Ms: 15_000 });
});
