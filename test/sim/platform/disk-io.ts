/** How long operations of one boot on its simulated disk take, and whether they fail. */
import { DiskError } from '../../../src/platform/disk-error.ts';
import type { DiskLatency, SimDiskState } from './disk-state.ts';
import type { SimProcess } from './process.ts';
import type { SimRandom } from './random.ts';

export type CrashKind = 'process' | 'power';
type Cost = Exclude<keyof DiskLatency, 'slowChance'>;

export class DiskIo {
  readonly random: SimRandom;
  readonly #state: SimDiskState;
  readonly #process: SimProcess;

  constructor(state: SimDiskState, process: SimProcess, random: SimRandom) {
    this.#state = state;
    this.#process = process;
    this.random = random;
  }

  /** The error that a write of so many bytes more to `name` meets now, if any. */
  writeFailure(name: string, bytes = 0): DiskError | null {
    const failing = this.#state.failWrites.get(name) ?? this.#state.failWrites.get('*');
    const how = failing ?? (this.#state.space.take(bytes) ? undefined : 'full');
    if (how === undefined) return null;
    if (how === 'full') this.#state.metFull = true;
    return how === 'full'
      ? new DiskError('full', 'the simulated disk is full; free some space and start again')
      : new DiskError('io', 'the simulated disk failed; use an empty --data');
  }

  /** Runs `effect` when an operation of this cost, begun now, ends; never when the process dies before. */
  end(cost: Cost, effect: () => void): void {
    const [low, high] = this.#state.latency[cost];
    const factor = this.random.chance(this.#state.latency.slowChance) ? this.random.between(10, 50) : 1;
    this.#process.scheduler.after(this.random.between(low, high) * factor, () => this.#unlessStalled(effect));
  }

  /** The same with a promise of what `effect` gives. */
  after<Result>(cost: Cost, effect: () => Result): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.end(cost, () => {
        try {
          resolve(effect());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  get alive(): boolean {
    return this.#process.alive;
  }

  /** See `SimProcess.boundary`. */
  boundary(where: string): void {
    this.#process.boundary(where);
  }

  #unlessStalled(effect: () => void): void {
    const { scheduler } = this.#process;
    const untilMs = this.#state.stalledUntilMs;
    if (untilMs === Infinity) this.#state.waiting.push(() => this.#unlessStalled(effect));
    else if (untilMs > scheduler.nowMs) scheduler.at(untilMs, () => this.#unlessStalled(effect));
    else this.#process.whenRunning(effect);
  }
}
