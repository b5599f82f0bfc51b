/** One boot of one simulated node: everything it takes from its machine. */
import type { Platform } from '../../../src/platform/platform.ts';
import { SimClock, type ClockSkew } from './clock.ts';
import { simCodec } from './codec.ts';
import { SimDisk } from './disk.ts';
import type { SimDiskState } from './disk-state.ts';
import { SimExecutor } from './executor.ts';
import { SimProcess } from './process.ts';
import type { SimRandom } from './random.ts';
import type { SimScheduler } from './scheduler.ts';

export interface SimPlatform extends Platform {
  readonly process: SimProcess;
  readonly clock: SimClock;
  readonly random: SimRandom;
  /** `disk.crash(kind)` ends the process too. */
  readonly disk: SimDisk;
}

export interface SimMachine {
  readonly scheduler: SimScheduler;
  readonly disk: SimDiskState;
  readonly skew: ClockSkew;
}

/** @param random a stream for this boot alone: `seed.fork('n1 boot 3')` */
export function bootSimPlatform(machine: SimMachine, random: SimRandom): SimPlatform {
  const process = new SimProcess(machine.scheduler);
  return {
    process,
    clock: new SimClock(process, machine.skew),
    random: random.fork('node'),
    codec: simCodec,
    executor: new SimExecutor(process, random.fork('executor')),
    disk: new SimDisk(machine.disk, process, random.fork('disk')),
  };
}
