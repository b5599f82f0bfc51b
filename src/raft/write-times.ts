/**
 * How long writes of the log took lately: what a write waited for the one before it, and its own synced write (protocol F4, G3).
 * A write that hangs counts with its age, so a disk that answers nothing is slow and not unknown.
 */
import type { Clock } from '../platform/clock.ts';

export interface WriteSummary {
  readonly syncP50Ms: number;
  readonly syncP99Ms: number;
  readonly queueP50Ms: number;
  readonly queueP99Ms: number;
}

interface Sample {
  readonly atMs: number;
  readonly queueMs: number;
  readonly syncMs: number;
}

/** Long enough that a compaction or two does not make the median, short enough that a disk that recovers is seen to. */
const windowMs = 10_000;
const samplesMax = 512;

export class WriteTimes {
  readonly #clock: Clock;
  #samples: Sample[] = [];
  /** Since when something waits to be written; null: nothing does. */
  #waitingSinceMs: number | null = null;
  /** Since when a write is under way. */
  #writingSinceMs: number | null = null;
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Writes so far. */
  get count(): number {
    return this.#count;
  }

  /** Something waits to be written. */
  waits(): void {
    this.#waitingSinceMs ??= this.#clock.monotonicMs();
  }

  /** Measures a write that is done. One at a time. */
  async measure<Result>(write: () => Promise<Result>): Promise<Result> {
    const startMs = this.#clock.monotonicMs();
    const queueMs = startMs - (this.#waitingSinceMs ?? startMs);
    this.#waitingSinceMs = null;
    this.#writingSinceMs = startMs;
    const result = await write();
    this.#writingSinceMs = null;
    const atMs = this.#clock.monotonicMs();
    this.#count += 1;
    this.#samples.push({ atMs, queueMs, syncMs: atMs - startMs });
    if (this.#samples.length > samplesMax) this.#samples.shift();
    return result;
  }

  /** Of the last ten seconds; null when nothing was written. */
  get recent(): WriteSummary | null {
    const nowMs = this.#clock.monotonicMs();
    const first = this.#samples.findIndex(({ atMs }) => nowMs - atMs <= windowMs);
    this.#samples = first < 0 ? [] : this.#samples.slice(first);
    const sync = sorted(this.#samples.map(({ syncMs }) => syncMs));
    const queue = sorted(this.#samples.map(({ queueMs }) => queueMs));
    const ageMs = this.#writingSinceMs === null ? 0 : nowMs - this.#writingSinceMs;
    // One that has just begun says nothing.
    if (ageMs > Math.max(percentile(sync, 50), 1)) sync.push(Math.max(ageMs, sync.at(-1) ?? 0));
    if (sync.length === 0) return null;
    return {
      syncP50Ms: percentile(sync, 50),
      syncP99Ms: percentile(sync, 99),
      queueP50Ms: percentile(queue, 50),
      queueP99Ms: percentile(queue, 99),
    };
  }
}

const sorted = (values: number[]): number[] => values.toSorted((left, right) => left - right);

function percentile(ascending: readonly number[], percent: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor((ascending.length * percent) / 100))] ?? 0;
}
