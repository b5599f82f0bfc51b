/** One machine of a simulated cluster: a disk and a clock that outlive the processes run on it. */
import { limits } from '../../src/limits.ts';
import { silentLogger, type Logger } from '../../src/logger.ts';
import { asNodeId, type Entry, type NodeId } from '../../src/raft/core/types.ts';
import { TraceStore } from '../../src/traces/trace-store.ts';
import { DiskView } from './disk-view.ts';
import type { SimNetwork } from './network.ts';
import { type ClockSkew, SimClock } from './platform/clock.ts';
import { simCodec } from './platform/codec.ts';
import { SimDiskState } from './platform/disk-state.ts';
import type { CrashKind } from './platform/disk-io.ts';
import { SimDisk } from './platform/disk.ts';
import { SimExecutor } from './platform/executor.ts';
import { SimProcess } from './platform/process.ts';
import type { SimRandom } from './platform/random.ts';
import type { SimScheduler } from './platform/scheduler.ts';

export interface SimNodeOptions {
  readonly id: NodeId;
  readonly members: readonly NodeId[];
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  readonly network: SimNetwork;
  readonly logger?: Logger;
  readonly committed: (node: NodeId, boot: string, entry: Entry) => void;
  /** The node stopped by itself. */
  readonly failed: (node: SimNode, error: Error) => void;
}

/** One run of the node's process. */
export interface Boot {
  /** Unique per run. */
  readonly name: string;
  readonly process: SimProcess;
  readonly disk: SimDisk;
  /** null until it has opened its data directory. */
  store: TraceStore | null;
}

export class SimNode {
  readonly id: NodeId;
  readonly disk: SimDiskState;
  readonly view: DiskView;
  readonly skew: ClockSkew = { offsetMs: 0 };
  readonly #options: SimNodeOptions;
  #boot: Boot | null = null;
  #boots = 0;

  constructor(options: SimNodeOptions) {
    this.#options = options;
    this.id = asNodeId(options.id);
    this.disk = new SimDiskState(options.random.fork('disk'));
    this.view = new DiskView(this.disk);
  }

  get boot(): Boot | null {
    return this.#boot;
  }

  /** The store, when the process runs and has opened it. */
  get store(): TraceStore | null {
    return this.#boot?.store ?? null;
  }

  start(): void {
    if (this.#boot !== null) return;
    this.#boots += 1;
    const { scheduler, random, network, members, logger, committed, failed } = this.#options;
    const process = new SimProcess(scheduler);
    const name = `${this.id}.${this.#boots}`;
    const forked = random.fork(name);
    const disk = new SimDisk(this.disk, process, forked.fork('disk'));
    const boot: Boot = { name, process, disk, store: null };
    this.#boot = boot;
    const fail = (error: Error): void => {
      if (!process.alive) return;
      this.crash('process');
      failed(this, error);
    };
    const opened = TraceStore.open({
      platform: {
        clock: new SimClock(process, this.skew),
        random: forked.fork('random'),
        codec: simCodec,
        executor: new SimExecutor(process, forked.fork('executor')),
        disk,
      },
      transport: network.transport(process),
      node: this.id,
      http: `http://${this.id}`,
      members: new Map(members.map((id) => [id, `${id}:4319`])),
      logger: logger ?? silentLogger,
      indexFlushEntries: 24,
      // Small, so that most traces come in pages.
      limits: { ...limits, lookupBlocksMax: 24 },
      committed: (entry) => committed(this.id, name, entry),
      fatal: fail,
    });
    opened.then((store) => {
      boot.store = store;
    }, fail);
  }

  /** kill -9, or the power of this machine fails. What was in flight is decided by the seed. */
  crash(kind: CrashKind): void {
    this.#boot?.disk.crash(kind);
    this.#boot = null;
  }
}
