/** The system's clocks and timers. */
import type { Clock } from '../clock.ts';

/** setTimeout takes a 32-bit delay; a longer one would fire at once. */
const timeoutMsMax = 2 ** 31 - 1;

export const realClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, fire) {
    const dueMs = performance.now() + delayMs;
    let timer: NodeJS.Timeout;
    // The event loop counts whole ms from a cached time and may wake up to one early: then wait for the rest.
    const wake = (): void => {
      const leftMs = dueMs - performance.now();
      if (leftMs > 0) arm(leftMs);
      else fire();
    };
    const arm = (leftMs: number): void => {
      timer = setTimeout(wake, Math.min(Math.ceil(leftMs), timeoutMsMax));
    };
    arm(Math.max(0, delayMs));
    return () => clearTimeout(timer);
  },
};
