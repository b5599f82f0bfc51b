/**
 * Deletes what the index store still holds of windows that its flush record no longer names, and gives the space back
 * (protocol E2, F2). In small steps off the way of flushes, and unsynced: what a crash leaves of them is garbage that nobody
 * looks at, and is deleted after the next trim or opening. Must always hold when a window's keys go:
 *
 * - a synced flush record names a later first window;
 * - whoever looked up something while the window was there has read what he needs.
 */
import { limits } from '../limits.ts';
import type { Executor } from '../platform/executor.ts';
import type { KeyValue } from '../platform/key-value.ts';
import { firstKey, windowKey, windowOfKey } from './index-records.ts';

export interface IndexCleaning {
  readonly store: KeyValue;
  /** The first window that stays. */
  readonly firstWindow: number;
  /** Resolves when nobody reads from the others any more. */
  readonly unread: Promise<unknown>;
}

/** One go at it. */
interface Job extends IndexCleaning {
  stopped: boolean;
}

export class IndexCleaner {
  readonly #executor: Executor;
  /** The handle writes no more. */
  readonly #failed: () => void;
  /** Nothing stands below this window. */
  #cleanBelow = 0;
  #job: Job | null = null;
  /** What came up meanwhile. */
  #next: IndexCleaning | null = null;
  #working: Promise<void> = Promise.resolve();

  constructor(executor: Executor, failed: () => void) {
    this.#executor = executor;
    this.#failed = failed;
  }

  /** Begins, or goes on with it after what is under way. */
  start(cleaning: IndexCleaning): void {
    if (cleaning.firstWindow <= this.#cleanBelow) return;
    if (this.#job !== null) {
      this.#next = cleaning;
      return;
    }
    const job = { ...cleaning, stopped: false };
    this.#job = job;
    void cleaning.unread.then(() => {
      if (!job.stopped) this.#working = this.#work(job);
    });
  }

  async #work(job: Job): Promise<void> {
    try {
      await this.#clean(job);
    } catch {
      this.#failed();
      return;
    }
    if (job.stopped) return;
    this.#cleanBelow = job.firstWindow;
    this.#job = null;
    const next = this.#next;
    this.#next = null;
    if (next !== null) this.start(next);
  }

  /** Resolves when nothing is under way in the store any more. The next store may be another one. */
  async stop(): Promise<void> {
    if (this.#job !== null) this.#job.stopped = true;
    this.#job = null;
    this.#next = null;
    this.#cleanBelow = 0;
    await this.#working;
  }

  async #clean(job: Job): Promise<void> {
    const { store, firstWindow } = job;
    for (let from = firstKey; !job.stopped;) {
      const [key] = await store.keys({ gte: from, lt: windowKey(firstWindow), limit: 1 });
      if (key === undefined) return;
      const end = windowKey(Math.min(firstWindow, windowOfKey(key) + limits.indexCleanWindows));
      await this.#delete(job, key, end);
      if (!job.stopped) await store.compact({ gte: key, lt: end });
      from = end;
    }
  }

  async #delete(job: Job, first: Uint8Array, end: Uint8Array): Promise<void> {
    for (let from = first; !job.stopped;) {
      const keys = await job.store.keys({ gte: from, lt: end, limit: limits.indexCleanKeys });
      const last = keys.at(-1);
      if (last === undefined) return;
      await job.store.batch(
        keys.map((key) => ({ type: 'del', key })),
        { sync: false },
      );
      // The next key that there can be.
      from = Uint8Array.of(...last, 0);
      await this.#executor.nextTurn();
    }
  }
}
