/**
 * Reads of one node's traces: the read index first where it is asked for, then the lookup, all inside one deadline. What cannot be
 * read is an error that says what to do, never a smaller answer.
 */
import { errorOf, QuorateError } from '../errors.ts';
import { type ClientLimits, limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import { DiskError } from '../platform/disk-error.ts';
import type { Platform } from '../platform/platform.ts';
import type { LogIndex } from '../raft/core/types.ts';
import type { EntryRepair } from '../raft/entry-repair.ts';
import type { Replica } from '../raft/replica.ts';
import type { BlockLog } from '../store/block-log.ts';
import { DamagedError } from '../store/damaged.ts';
import { DiskReads } from '../store/disk-reads.ts';
import { LargeLookups } from './large-lookups.ts';
import { lookUpTrace, type TracePage } from './lookup.ts';
import type { TraceIndexer } from './trace-indexer.ts';

export type Consistency = 'linearizable' | 'stale';

export interface ReadOptions {
  /** The `next` of the page before this one. */
  readonly after?: LogIndex | null;
}

/** A page of a trace and the applied index it was read at. */
export interface TraceRead extends TracePage {
  readonly applied: LogIndex;
}

export interface TraceReaderOptions {
  readonly platform: Pick<Platform, 'clock' | 'codec' | 'executor'>;
  readonly logger: Logger;
  readonly log: Pick<BlockLog, 'pin'>;
  readonly entries: Pick<EntryRepair, 'read'>;
  readonly limits: Pick<ClientLimits, 'lookupBlocksMax' | 'lookupBytesMax'>;
  /** What whoever reads is told once the node stops; null before. */
  readonly stopping: () => QuorateError | null;
}

const lookupGraceMs = 50;

export class TraceReader {
  readonly #options: TraceReaderOptions;
  readonly #large: LargeLookups;
  readonly #reads: DiskReads;

  constructor(options: TraceReaderOptions) {
    this.#options = options;
    this.#reads = new DiskReads(options.platform.clock, limits.lookupReadsAtOnce);
    this.#large = new LargeLookups({ clock: options.platform.clock, atOnce: limits.largeLookupsAtOnce });
  }

  /** See `TraceStore.read`. */
  async read(
    { replica, index }: { readonly replica: Replica; readonly index: TraceIndexer },
    { traceId, consistency, after }: { traceId: Uint8Array; consistency: Consistency; after: LogIndex | null },
  ): Promise<TraceRead> {
    const { platform, logger, log, entries, stopping } = this.#options;
    const { lookupBlocksMax: blocksMax, lookupBytesMax: bytesMax } = this.#options.limits;
    const { clock } = platform;
    const untilMs = clock.monotonicMs() + limits.readDeadlineMs;
    const applied = consistency === 'linearizable' ? await replica.linearize() : replica.status.applied;
    const inTurn = this.#reads.until(untilMs);
    try {
      const page = lookUpTrace(
        { traceId, after, untilMs },
        {
          ...platform,
          log: { read: (block) => entries.read(block, untilMs, inTurn), pin: () => log.pin() },
          index: { lookup: (fingerprint) => index.lookup(fingerprint, inTurn) },
          large: this.#large,
          budget: { blocksMax, bytesMax },
        },
      );
      return { ...(await this.#inTime(page, untilMs)), applied };
    } catch (error) {
      if (error instanceof QuorateError) throw error;
      const stopped = stopping();
      if (stopped !== null) throw stopped;
      if (!(error instanceof DamagedError || error instanceof DiskError)) throw error;
      logger.error({ error: error.message }, 'stored bytes cannot be read');
      throw new QuorateError('damaged', `${error.message}: ask another node`);
    }
  }

  /** A disk that hangs must not keep a client waiting past its deadline. What waits for something else tells of it before. */
  #inTime(page: Promise<TracePage>, untilMs: number): Promise<TracePage> {
    const { clock } = this.#options.platform;
    return new Promise((resolve, reject) => {
      let over = false;
      const cancel = clock.after(Math.max(0, untilMs - clock.monotonicMs()) + lookupGraceMs, () => {
        over = true;
        reject(new QuorateError('unavailable', 'this node could not read its disk in time: ask another one'));
      });
      page.then(
        (found) => {
          if (over) return found.release();
          cancel();
          resolve(found);
        },
        (error: unknown) => {
          cancel();
          reject(errorOf(error));
        },
      );
    });
  }
}
