/** A node's clock on virtual time. Its wall clock may be off, run fast or slow, and jump; its monotonic one only drifts. */
import type { Clock } from '../../../src/platform/clock.ts';
import type { SimProcess } from './process.ts';

/** The clock chip of a machine: outlives its processes, and is the simulator's to change. */
export interface ClockSkew {
  /** Added to the wall clock. */
  offsetMs: number;
}

/** 2026-01-01T00:00:00Z, where every run begins. */
const epochMs = 1_767_225_600_000;

export class SimClock implements Clock {
  readonly #process: SimProcess;
  readonly #skew: ClockSkew;

  constructor(process: SimProcess, skew: ClockSkew = { offsetMs: 0 }) {
    this.#process = process;
    this.#skew = skew;
  }

  nowMs(): number {
    return Math.floor(epochMs + this.#process.scheduler.nowMs + this.#skew.offsetMs);
  }

  monotonicMs(): number {
    return this.#process.scheduler.nowMs - this.#process.bootMs;
  }

  after(delayMs: number, fire: () => void): () => void {
    return this.#process.after(Math.max(0, delayMs), fire);
  }
}
