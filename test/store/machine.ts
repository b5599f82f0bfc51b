/** One simulated machine whose store is booted, crashed and damaged; waiting for a promise runs virtual time. */
import { ClockSkew } from '../sim/platform/clock.ts';
import { SimDiskState } from '../sim/platform/disk-state.ts';
import { bootSimPlatform, type SimPlatform } from '../sim/platform/platform.ts';
import { SimRandom } from '../sim/platform/random.ts';
import { SimScheduler } from '../sim/platform/scheduler.ts';

export class Machine {
  readonly random: SimRandom;
  readonly scheduler = new SimScheduler();
  readonly disk: SimDiskState;
  #platform: SimPlatform;
  #boots = 0;

  constructor(seed: number) {
    this.random = new SimRandom(seed);
    this.disk = new SimDiskState(this.random.fork('disk'));
    this.#platform = this.#boot();
  }

  get platform(): SimPlatform {
    return this.#platform;
  }

  /** Runs virtual time until the promise is settled. */
  wait<Result>(promise: Promise<Result>): Promise<Result> {
    return this.scheduler.complete(promise);
  }

  /** Runs virtual time until what `body` does is done. */
  tell<Result>(body: (machine: Machine) => Promise<Result>): Promise<Result> {
    return this.wait(body(this));
  }

  /** Runs a few events, so that what is under way gets somewhere. */
  async events(count: number): Promise<void> {
    for (let event = 0; event < count; event += 1) await this.scheduler.step();
  }

  /** The process or the machine dies now, and starts again. */
  crash(kind: 'process' | 'power'): void {
    this.#platform.disk.crash(kind);
    this.#platform = this.#boot();
  }

  #boot(): SimPlatform {
    this.#boots += 1;
    return bootSimPlatform(
      { scheduler: this.scheduler, disk: this.disk, skew: new ClockSkew() },
      this.random.fork(`boot ${this.#boots}`),
    );
  }
}

/** A test that runs on a machine: virtual time goes on until its promise is settled. */
export function story(body: (machine: Machine) => Promise<void>): () => Promise<void> {
  return () => new Machine(1).tell(body);
}
