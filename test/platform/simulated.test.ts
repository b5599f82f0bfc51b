/** The simulated seams pass the same suites as the real ones. */
import { ClockSkew } from '../sim/platform/clock.ts';
import { SimClock } from '../sim/platform/clock.ts';
import { simCodec } from '../sim/platform/codec.ts';
import { SimDiskState } from '../sim/platform/disk-state.ts';
import { SimPipeNetwork } from '../sim/platform/pipe.ts';
import { bootSimPlatform, type SimPlatform } from '../sim/platform/platform.ts';
import { SimRandom } from '../sim/platform/random.ts';
import { SimScheduler } from '../sim/platform/scheduler.ts';
import { clockConformance, executorConformance } from './clock.conformance.ts';
import { codecConformance, randomConformance } from './codec.conformance.ts';
import {
  diskSpaceConformance,
  keyValueConformance,
  slotFileConformance,
  type DiskSubject,
} from './disk.conformance.ts';
import type { Drive } from './harness.ts';
import { pipeConformance } from './pipe.conformance.ts';

function open(): { drive: Drive; platform: SimPlatform; scheduler: SimScheduler } {
  const scheduler = new SimScheduler();
  const random = new SimRandom('conformance');
  const machine = { scheduler, disk: new SimDiskState(random.fork('platter')), skew: new ClockSkew() };
  const drive: Drive = (story) => scheduler.complete(story());
  return { drive, platform: bootSimPlatform(machine, random.fork('boot')), scheduler };
}

const openSubject = async (): Promise<DiskSubject> => {
  const { drive, platform } = open();
  return { drive, disk: () => platform.disk };
};

keyValueConformance('simulated', openSubject);
slotFileConformance('simulated', openSubject);
diskSpaceConformance('simulated', openSubject);
clockConformance('simulated', () => {
  const { drive, platform } = open();
  return { drive, clock: new SimClock(platform.process) };
});
executorConformance('simulated', () => {
  const { drive, platform } = open();
  return { drive, executor: platform.executor, clock: platform.clock };
});
codecConformance('simulated', simCodec);
randomConformance('simulated', new SimRandom(1));
pipeConformance('simulated', () => {
  const { drive, platform, scheduler } = open();
  const network = new SimPipeNetwork(scheduler, new SimRandom('pipes'));
  return {
    drive,
    server: network.view('n1', platform.process),
    client: network.view('n2', platform.process),
    host: 'n1',
  };
});
