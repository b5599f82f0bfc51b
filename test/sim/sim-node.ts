/** One machine of a simulation: its disk and clock outlive its processes; each boot is a TraceStore of its own. */
import { errorOf } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { silentLogger, type Logger } from '../../src/logger.ts';
import { type FormatRange, formatRange } from '../../src/raft/core/format-level.ts';
import { asNodeId, type Entry, type NodeId } from '../../src/raft/core/types.ts';
import { TraceStore } from '../../src/traces/trace-store.ts';
import { DiskView, type EntryOnDisk } from './disk-view.ts';
import { type SimLinks, type Watch, WatchedTransport } from './links.ts';
import { ClockSkew, SimClock } from './platform/clock.ts';
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
  readonly links: SimLinks;
  readonly retention: Retained;
  readonly logger?: Logger;
  readonly watch: NodeWatch;
}

/** How much of the log is kept. */
export interface Retained {
  readonly ageMs: number | null;
  readonly bytes: number | null;
}

export interface NodeWatch extends Watch {
  /** An entry became durable on a node's disk. */
  written(entry: EntryOnDisk): void;
  committed(node: NodeId, boot: string, entry: Entry): void;
  /** The node stopped by itself. */
  failed(node: SimNode, error: Error): void;
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

/** Small, so that most traces come in pages, exports are split, and much of a log lies below what an open verifies. */
export const verifiedTailBytes = 4_096;
/** Clocks further apart than this are wrong: far less than by default, for a run is over in a minute. */
export const clockToleranceMs = 1_000;
const smallLimits = {
  lookupBlocksMax: 24,
  blockRawBytesTarget: 2_048,
  indexFlushEntries: 24,
  logVerifyBytes: verifiedTailBytes,
  scrubRestMs: 5_000,
  clockToleranceMs,
  trimEveryMs: 1_500,
  retentionWindowBytesMin: 500,
};

export class SimNode {
  readonly id: NodeId;
  readonly disk: SimDiskState;
  readonly view: DiskView;
  readonly skew = new ClockSkew();
  /** What the binary on this machine reads; another one counts from the next start on. */
  formats: FormatRange = formatRange;
  readonly #options: SimNodeOptions;
  #boot: Boot | null = null;
  #boots = 0;
  #stopping: Boot | null = null;

  constructor(options: SimNodeOptions) {
    this.#options = options;
    this.id = asNodeId(options.id);
    this.disk = new SimDiskState(options.random.fork('disk'));
    this.view = new DiskView(this.disk, options.watch.written);
  }

  get boot(): Boot | null {
    return this.#boot;
  }

  /** The store, when the process runs and has opened it. */
  get store(): TraceStore | null {
    return this.#boot?.store ?? null;
  }

  /** It was told to stop and has not ended yet. */
  get stopping(): boolean {
    return this.#stopping !== null && this.#stopping === this.#boot;
  }

  start(): void {
    if (this.#boot !== null) return;
    this.#boots += 1;
    const { scheduler, random, links, members, retention, logger, watch } = this.#options;
    const process = new SimProcess(scheduler);
    const name = `${this.id}.${this.#boots}`;
    const forked = random.fork(name);
    const disk = new SimDisk(this.disk, process, forked.fork('disk'));
    const boot: Boot = { name, process, disk, store: null };
    this.#boot = boot;
    const fail = (error: Error): void => {
      if (!process.alive) return;
      this.crash('process');
      watch.failed(this, error);
    };
    const { lookupBlocksMax, ...small } = smallLimits;
    const opened = TraceStore.open({
      platform: {
        clock: new SimClock(process, this.skew),
        random: forked.fork('random'),
        codec: simCodec,
        executor: new SimExecutor(process, forked.fork('executor')),
        disk,
      },
      transport: new WatchedTransport(
        links.transport(this.id, process, forked.fork('transport'), members.length > 0 ? null : asNodeId('n1')),
        process,
        watch,
      ),
      node: this.id,
      http: `http://${this.id}`,
      address: `${this.id}:4319`,
      members: new Map(members.map((id) => [id, `${id}:4319`])),
      logger: logger ?? silentLogger,
      ...small,
      retention,
      formats: this.formats,
      limits: { ...limits, lookupBlocksMax },
      committed: (entry) => {
        if (!process.alive) return;
        watch.committed(this.id, name, entry);
        process.boundary('after an entry was applied');
      },
      fatal: fail,
    });
    opened.then((store) => {
      boot.store = store;
    }, fail);
  }

  /** kill -9, or the power of this machine fails. What was in flight is decided by the seed. */
  crash(kind: CrashKind): void {
    const boot = this.#boot;
    if (boot === null) return;
    this.#boot = null;
    boot.disk.crash(kind);
    this.#options.links.crashed(this.id, boot.process, kind);
  }

  /** SIGTERM: it closes what it has open, then its process ends. Resolves when it is gone, however that came. */
  async stop(): Promise<void> {
    const boot = this.#boot;
    if (boot?.store == null) {
      this.crash('process');
      return;
    }
    this.#stopping = boot;
    try {
      await boot.store.close();
    } catch (error) {
      if (boot.process.alive) this.#options.watch.failed(this, errorOf(error));
    }
    if (this.#boot === boot) this.crash('process');
  }
}
