/**
 * Reads of the disk for lookups: so many at a time over all of them, the others in the order they came (protocol F4). Each
 * keeps a thread of the pool busy for as long as the disk takes, and the writes of the log need threads, too.
 *
 *   under way <= atOnce
 */
import { QuorateError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';

/** Calls `read` when it is its turn; ends as that does. */
export type InTurn = <Result>(read: () => Promise<Result>) => Promise<Result>;

/** For who need not wait. */
export const now: InTurn = (read) => read();

export class DiskReads {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #atOnce: number;
  readonly #waiting = new Set<() => void>();
  #underWay = 0;

  constructor(clock: Pick<Clock, 'monotonicMs'>, atOnce: number) {
    this.#clock = clock;
    this.#atOnce = atOnce;
  }

  /**
   * For reads of one lookup. Those whose turn comes at `untilMs` of monotonic time or later reject with `unavailable` and read
   * nothing: else, after a disk hung, everybody would wait behind what nobody waits for.
   */
  until(untilMs: number): InTurn {
    return (read) => this.#run(read, untilMs);
  }

  async #run<Result>(read: () => Promise<Result>, untilMs: number): Promise<Result> {
    if (this.#underWay >= this.#atOnce) await new Promise<void>((resolve) => this.#waiting.add(resolve));
    else this.#underWay += 1;
    try {
      if (this.#clock.monotonicMs() >= untilMs)
        throw new QuorateError('unavailable', 'this node could not read its disk in time: ask another one');
      return await read();
    } finally {
      this.#leave();
    }
  }

  /** The place of one that is done is handed over. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#underWay -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
