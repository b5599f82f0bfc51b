/** One sampler, two readers that do not take each other's samples away. */
import { beforeEach, expect, test } from 'vitest';
import { LoopDelay } from '../../src/api/loop-delay.ts';
import type { Clock } from '../../src/platform/clock.ts';

let nowMs = 0;
let fire = (): void => undefined;
const clock: Clock = {
  nowMs: () => nowMs,
  monotonicMs: () => nowMs,
  after: (_, action) => {
    fire = action;
    return () => (fire = () => undefined);
  },
};
let delay: LoopDelay;

beforeEach(() => {
  nowMs = 0;
  delay = new LoopDelay(clock);
});

/** The sampler comes so often, and so late each time. */
function run(samples: number, lateMs: number): void {
  for (let sample = 0; sample < samples; sample += 1) {
    nowMs += 20 + lateMs;
    fire();
  }
}

test('without delay there is none', () => {
  run(100, 0);
  expect(delay.recentP99Ms).toBe(0);
  expect(delay.takeP99Ms()).toBe(0);
});

test('a scrape tells of the time since the one before, and takes nothing from the status', () => {
  run(100, 20);
  expect(delay.takeP99Ms()).toBeCloseTo(20, 1);
  expect(delay.takeP99Ms()).toBe(0);
  expect(delay.recentP99Ms).toBeCloseTo(20, 1);
});

test('the status forgets what is more than twenty seconds ago; a scrape that never came does not', () => {
  run(100, 20);
  run(500, 0);
  expect(delay.recentP99Ms).toBeCloseTo(20, 1);
  run(550, 0);
  expect(delay.recentP99Ms).toBe(0);
  expect(delay.takeP99Ms()).toBeCloseTo(20, 1);
});

test('closed it takes no more samples', () => {
  delay.close();
  run(100, 20);
  expect(delay.takeP99Ms()).toBe(0);
});
