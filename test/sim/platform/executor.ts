/** Jobs in slices of a few steps, each slice an event; how many steps fit into a slice is drawn from the seed. */
import type { Executor } from '../../../src/platform/executor.ts';
import type { SimProcess } from './process.ts';
import type { SimRandom } from './random.ts';

const stepsPerSliceMax = 64;
const turnMsMax = 0.5;

export class SimExecutor implements Executor {
  readonly #process: SimProcess;
  readonly #random: SimRandom;

  constructor(process: SimProcess, random: SimRandom) {
    this.#process = process;
    this.#random = random;
  }

  nextTurn(): Promise<void> {
    return new Promise((resolve) => void this.#process.after(this.#random.between(0, turnMsMax), resolve));
  }

  run<Result>(job: Iterator<void, Result, void>, options?: { readonly sliceMs?: number }): Promise<Result> {
    const sliceMs = options?.sliceMs ?? 2;
    return new Promise((resolve, reject) => {
      const slice = (): void => {
        try {
          for (let steps = 1 + this.#random.below(stepsPerSliceMax); steps > 0; steps--) {
            const step = job.next();
            if (step.done === true) {
              resolve(step.value);
              return;
            }
          }
        } catch (error) {
          reject(error);
          return;
        }
        this.#process.after(sliceMs + this.#random.between(0, turnMsMax), slice);
      };
      this.#process.after(this.#random.between(0, turnMsMax), slice);
    });
  }
}
