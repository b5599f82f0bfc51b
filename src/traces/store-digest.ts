/** What a node holds, in few bytes: how replicas are compared without a copy of their data (`quorate verify --url`). */
import { QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Clock } from '../platform/clock.ts';
import { emptyLog, type EntryHash, type LogIndex } from '../raft/core/types.ts';
import type { EntryRepair } from '../raft/entry-repair.ts';
import type { BlockLog } from '../store/block-log.ts';
import type { TraceIndexer } from './trace-indexer.ts';

export interface StoreDigest {
  readonly index: LogIndex;
  /** The log begins after this entry. */
  readonly begins: LogIndex;
  readonly logHash: EntryHash;
  readonly indexDigest: string;
  /** (trace, block) pairs in the index. */
  readonly references: number;
}

export interface StoreDigestsOptions {
  readonly clock: Clock;
  readonly log: Pick<BlockLog, 'base'>;
  readonly entries: Pick<EntryRepair, 'read'>;
}

export class StoreDigests {
  readonly #options: StoreDigestsOptions;
  #digesting = false;

  constructor(options: StoreDigestsOptions) {
    this.#options = options;
  }

  /** See `TraceStore.digest`. */
  async digest(index: LogIndex, applied: LogIndex, indexer: Pick<TraceIndexer, 'digest'>): Promise<StoreDigest> {
    if (index > applied)
      throw new QuorateError('not-ready', `this node has applied entry ${applied}, not yet ${index}`);
    if (this.#digesting) throw new QuorateError('overloaded', 'this node computes another digest: ask again later');
    this.#digesting = true;
    try {
      const { clock, log, entries } = this.#options;
      const base = log.base?.position ?? emptyLog;
      const untilMs = clock.monotonicMs() + limits.readDeadlineMs;
      const logHash = index <= base.index ? base.hash : (await entries.read(index, untilMs)).hash;
      const digest = await indexer.digest(base.index, index);
      return { index, begins: base.index, logHash, indexDigest: digest.toString(), references: digest.count };
    } finally {
      this.#digesting = false;
    }
  }
}
