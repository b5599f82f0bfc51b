/**
 * How late the event loop is, of one sampler in two ways: since the last scrape of `/metrics`, and lately for status pages, which
 * must not take each other's samples away.
 */
import { createHistogram } from 'node:perf_hooks';
import type { Clock } from '../platform/clock.ts';

/** Each sample wakes the process up: an idle node does little else. */
const samplingMs = 20;
const rollMs = 10_000;

export class LoopDelay {
  readonly #clock: Clock;
  readonly #sinceTaken = createHistogram();
  readonly #rolling = createHistogram();
  /** 99th percentile of the time before the last roll, ms. */
  #beforeMs = 0;
  #sampledMs: number;
  #rolledMs: number;
  #cancel: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sampledMs = this.#rolledMs = clock.monotonicMs();
    this.#sampleLater();
  }

  #sampleLater(): void {
    this.#cancel = this.#clock.after(samplingMs, () => this.#sample());
  }

  #sample(): void {
    this.#sampleLater();
    const nowMs = this.#clock.monotonicMs();
    const lateMs = Math.max(0, nowMs - this.#sampledMs - samplingMs);
    this.#sampledMs = nowMs;
    // A histogram holds whole numbers from 1 on: microseconds.
    const late = Math.round(lateMs * 1_000) + 1;
    this.#sinceTaken.record(late);
    this.#rolling.record(late);
    if (nowMs - this.#rolledMs < rollMs) return;
    this.#rolledMs = nowMs;
    this.#beforeMs = takeP99Ms(this.#rolling);
  }

  /** The 99th percentile since the last call, ms. */
  takeP99Ms(): number {
    return takeP99Ms(this.#sinceTaken);
  }

  /** That of the last ten to twenty seconds, ms. */
  get recentP99Ms(): number {
    return Math.max(this.#beforeMs, p99Ms(this.#rolling));
  }

  close(): void {
    this.#cancel();
  }
}

type Histogram = ReturnType<typeof createHistogram>;

const p99Ms = (histogram: Histogram): number => Math.max(0, histogram.percentile(99) - 1) / 1_000;

function takeP99Ms(histogram: Histogram): number {
  const delayMs = p99Ms(histogram);
  histogram.reset();
  return delayMs;
}
