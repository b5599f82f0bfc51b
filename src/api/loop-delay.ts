/** How late the event loop is. The histogram holds the time from one sample to the next: without delay, the sampling interval. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock } from '../platform/clock.ts';

/** Each sample wakes the process up: an idle node does little else. */
const samplingMs = 20;
const rollMs = 10_000;

export class LoopDelay {
  readonly #histogram = monitorEventLoopDelay({ resolution: samplingMs });
  /** 99th percentile of the time before, ms. */
  #beforeMs = 0;
  #cancel: () => void = () => undefined;

  constructor() {
    this.#histogram.enable();
  }

  /** The 99th percentile since the last call, ms. */
  takeP99Ms(): number {
    const delayMs = this.#p99Ms();
    this.#histogram.reset();
    return delayMs;
  }

  /** From now on `recentP99Ms` tells of the last ten to twenty seconds. Not to be mixed with `takeP99Ms`. */
  roll(clock: Clock): this {
    this.#cancel = clock.after(rollMs, () => {
      this.#beforeMs = this.takeP99Ms();
      this.roll(clock);
    });
    return this;
  }

  get recentP99Ms(): number {
    return Math.max(this.#beforeMs, this.#p99Ms());
  }

  close(): void {
    this.#cancel();
    this.#histogram.disable();
  }

  #p99Ms(): number {
    return Math.max(0, this.#histogram.percentile(99) / 1e6 - samplingMs);
  }
}
