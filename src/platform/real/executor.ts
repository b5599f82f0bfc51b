/**
 * Long jobs on the main thread, in slices. All jobs together get one slice per turn of the event loop,
 * in rotation, so ten lookups delay a heartbeat no more than one does (protocol F2, F4).
 */
import type { Executor } from '../executor.ts';

const sliceMsDefault = 2;

interface Task {
  readonly sliceMs: number;
  /** Works until it is finished (true) or the time is up (false). */
  work(untilMs: number): boolean;
}

class RealExecutor implements Executor {
  #tasks: Task[] = [];
  #scheduled = false;

  nextTurn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  run<Result>(job: Iterator<void, Result, void>, options?: { readonly sliceMs?: number }): Promise<Result> {
    return new Promise((resolve, reject) => {
      const work = (untilMs: number): boolean => {
        try {
          do {
            const step = job.next();
            if (step.done === true) {
              resolve(step.value);
              return true;
            }
          } while (performance.now() < untilMs);
          return false;
        } catch (error) {
          reject(error);
          return true;
        }
      };
      this.#tasks.push({ sliceMs: options?.sliceMs ?? sliceMsDefault, work });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    const startMs = performance.now();
    // What is left of the slice goes to the next job; the one that used it up goes to the end of the line.
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) {
      if (!task.work(startMs + task.sliceMs)) this.#tasks.push(task);
      if (performance.now() - startMs >= task.sliceMs) break;
    }
    if (this.#tasks.length > 0) this.#schedule();
  }
}

export function openRealExecutor(): Executor {
  return new RealExecutor();
}
