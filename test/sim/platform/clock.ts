/** A node's clock on virtual time. Its wall clock may be off and jump; both run fast or slow with their chip. */
import type { Clock } from '../../../src/platform/clock.ts';
import type { SimProcess } from './process.ts';

/** The clock chip of a machine: outlives its processes, and is the simulator's to change. */
export class ClockSkew {
  /** Added to the wall clock. */
  offsetMs = 0;
  #rate = 1;
  #sinceMs = 0;
  #countedMs = 0;

  /** Ms that the chip counts in a ms. */
  get rate(): number {
    return this.#rate;
  }

  /** From `nowMs`, virtual, the chip runs fast or slow. */
  drift(rate: number, nowMs: number): void {
    this.#countedMs = this.countedAt(nowMs);
    this.#sinceMs = nowMs;
    this.#rate = rate;
  }

  /** From `nowMs`, virtual, the wall clock shows the true time, and the chip runs as it should. */
  setRight(nowMs: number): void {
    this.drift(1, nowMs);
    this.offsetMs = nowMs - this.countedAt(nowMs);
  }

  /** What it has counted at a virtual time. */
  countedAt(nowMs: number): number {
    return this.#countedMs + (nowMs - this.#sinceMs) * this.#rate;
  }
}

/** 2026-01-01T00:00:00Z, where every run begins. */
const epochMs = 1_767_225_600_000;

export class SimClock implements Clock {
  readonly #process: SimProcess;
  readonly #skew: ClockSkew;
  readonly #bootCountedMs: number;

  constructor(process: SimProcess, skew = new ClockSkew()) {
    this.#process = process;
    this.#skew = skew;
    this.#bootCountedMs = skew.countedAt(process.bootMs);
  }

  nowMs(): number {
    return Math.floor(epochMs + this.#skew.countedAt(this.#process.scheduler.nowMs) + this.#skew.offsetMs);
  }

  monotonicMs(): number {
    return this.#skew.countedAt(this.#process.scheduler.nowMs) - this.#bootCountedMs;
  }

  after(delayMs: number, fire: () => void): () => void {
    return this.#process.after(Math.max(0, delayMs) / this.#skew.rate, fire);
  }
}
