/**
 * Who may hold many bytes for a lookup: so many at once, the others one after the other in the order they came
 * (protocol D4). A lookup comes here once it holds more than a small answer takes, so small ones never wait.
 *
 *   inside <= atOnce
 */
import { QuorateError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';

export interface LargeLookupsOptions {
  readonly clock: Clock;
  readonly atOnce: number;
}

export class LargeLookups {
  readonly #options: LargeLookupsOptions;
  readonly #waiting = new Set<() => void>();
  #inside = 0;

  constructor(options: LargeLookupsOptions) {
    this.#options = options;
  }

  /**
   * Resolves once there is room, with the function that gives it back; calling it again does nothing. Rejects with
   * `unavailable` at `untilMs` of monotonic time.
   */
  async enter(untilMs: number): Promise<() => void> {
    if (this.#inside >= this.#options.atOnce) await this.#turn(untilMs);
    else this.#inside += 1;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#leave();
    };
  }

  /** Resolves when one that leaves hands its room over. */
  #turn(untilMs: number): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        cancel();
        resolve();
      };
      const cancel = clock.after(Math.max(0, untilMs - clock.monotonicMs()), () => {
        this.#waiting.delete(enter);
        reject(
          new QuorateError(
            'unavailable',
            'this node reads as many large traces as it may: ask it again later, or another one',
          ),
        );
      });
      this.#waiting.add(enter);
    });
  }

  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#inside -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
