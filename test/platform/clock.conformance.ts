/** What every Clock and Executor must do. */
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/platform/clock.ts';
import type { Executor } from '../../src/platform/executor.ts';
import { expectRejection, type Drive } from './harness.ts';

export function clockConformance(name: string, open: () => { readonly clock: Clock; readonly drive: Drive }): void {
  describe(`Clock: ${name}`, () => {
    const story = (title: string, tell: (clock: Clock) => Promise<void>): void =>
      it(title, () => {
        const { clock, drive } = open();
        return drive(() => tell(clock));
      });
    const sleep = (clock: Clock, delayMs: number): Promise<void> =>
      new Promise((resolve) => clock.after(delayMs, resolve));

    story('a timer never fires in the turn that set it, nor before its time', async (clock) => {
      for (const delayMs of [0, 1, 1.5, 3, 7]) {
        const startMs = clock.monotonicMs();
        let armed = false;
        const fired = new Promise<void>((resolve) => {
          clock.after(delayMs, () => {
            expect(armed).toBe(true);
            resolve();
          });
        });
        armed = true;
        await fired;
        expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(delayMs);
      }
    });

    story('timers fire by their time, whatever the order they were set in', async (clock) => {
      const fired: number[] = [];
      for (const delayMs of [40, 5, 25]) clock.after(delayMs, () => fired.push(delayMs));
      await sleep(clock, 60);
      expect(fired).toEqual([5, 25, 40]);
    });

    story('a cancelled timer does not fire; cancelling late or twice does nothing', async (clock) => {
      let fired = 0;
      const cancel = clock.after(2, () => fired++);
      cancel();
      cancel();
      const cancelLate = clock.after(1, () => fired++);
      await sleep(clock, 10);
      cancelLate();
      expect(fired).toBe(1);
    });

    story('both clocks move with the timers', async (clock) => {
      const wallMs = clock.nowMs();
      const monotonicMs = clock.monotonicMs();
      expect(Number.isFinite(wallMs)).toBe(true);
      await sleep(clock, 5);
      expect(clock.monotonicMs()).toBeGreaterThan(monotonicMs);
      expect(clock.nowMs()).toBeGreaterThan(wallMs);
    });
  });
}

export function executorConformance(
  name: string,
  open: () => { readonly executor: Executor; readonly clock: Clock; readonly drive: Drive },
): void {
  describe(`Executor: ${name}`, () => {
    const story = (title: string, tell: (executor: Executor, clock: Clock) => Promise<void>): void =>
      it(title, () => {
        const { executor, clock, drive } = open();
        return drive(() => tell(executor, clock));
      });

    function* count(to: number): Generator<void, string, void> {
      for (let n = 0; n < to; n++) yield;
      return `counted to ${to}`;
    }
    /** Fails half way. */
    // oxlint-disable-next-line require-yield
    function* fail(): Generator<void, never, void> {
      throw new Error('the job failed');
    }
    /** Never ends by itself. */
    function* spin(stop: { now: boolean }): Generator<void, string, void> {
      while (!stop.now) yield;
      return 'stopped';
    }

    story('a job runs to its end and gives its result', async (executor) => {
      expect(await executor.run(count(0))).toBe('counted to 0');
      expect(await executor.run(count(5000))).toBe('counted to 5000');
    });

    story('a job that throws rejects, and harms no other', async (executor) => {
      const other = executor.run(count(1000));
      await expectRejection(executor.run(fail()), { message: /the job failed/ });
      expect(await other).toBe('counted to 1000');
    });

    story('timers fire and other jobs finish while a long job works', async (executor, clock) => {
      const stop = { now: false };
      const long = executor.run(spin(stop), { sliceMs: 1 });
      expect(await executor.run(count(100))).toBe('counted to 100');
      await new Promise<void>((resolve) => clock.after(3, resolve));
      await executor.nextTurn();
      stop.now = true;
      expect(await long).toBe('stopped');
    });

    story('nextTurn comes after what is already due', async (executor) => {
      const order: string[] = [];
      await Promise.all([
        executor.nextTurn().then(() => order.push('turn')),
        Promise.resolve().then(() => order.push('microtask')),
      ]);
      expect(order).toEqual(['microtask', 'turn']);
    });
  });
}
