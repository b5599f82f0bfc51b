/**
 * Keeps the index in step with the log (protocol F1). The index is a cache: one that was made from another log, or is
 * damaged, is emptied and made again from the log, and until that is done nobody is answered from it (protocol D6).
 *
 *   index.applied <= applied
 */
import { errorOf, QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import { DiskError } from '../platform/disk-error.ts';
import type { KeyValue } from '../platform/key-value.ts';
import type { Disk, Platform } from '../platform/platform.ts';
import { asIndex, type Entry, type LogIndex } from '../raft/core/types.ts';
import { BlockReader } from '../store/block-reader.ts';
import type { BlockLog } from '../store/block-log.ts';
import { DamagedEntryError, DamagedError } from '../store/damaged.ts';
import type { Fingerprint } from '../store/fingerprint.ts';
import type { IndexDigest } from '../store/index-digest.ts';
import { TraceIndex } from '../store/trace-index.ts';

export interface TraceIndexerOptions {
  readonly platform: Platform;
  readonly log: BlockLog;
  /** What the index is rebuilt from: waits for what is damaged. */
  readonly entries: Pick<BlockLog, 'readRange'>;
  readonly logger: Logger;
  readonly incarnation: string;
  /** Entries after which the index is flushed. */
  readonly flushEntries?: number;
}

export class TraceIndexer {
  readonly #options: TraceIndexerOptions;
  readonly #index: TraceIndex;
  /** The last committed entry seen, in the index or waiting for it to be rebuilt. */
  #applied: LogIndex;
  #rebuilding: Promise<void> | null = null;
  #stopped = false;
  #endPause: () => void = () => undefined;

  private constructor(options: TraceIndexerOptions, index: TraceIndex, applied: LogIndex) {
    this.#options = options;
    this.#index = index;
    this.#applied = applied;
  }

  /** Opens the index of this log; empty when the one found is another log's or damaged. The caller applies what it lacks. */
  static async open(options: TraceIndexerOptions): Promise<TraceIndexer> {
    const { platform, log, logger, incarnation, flushEntries } = options;
    if (log.base === null) throw new Error('the index opens after the log is founded');
    const { position } = log.base;
    const index = await TraceIndex.open({
      openStore: () => openIndexStore(platform.disk, (sentence) => logger.warn({}, sentence)),
      destroyStore: () => platform.disk.destroyKeyValue('index'),
      clock: platform.clock,
      executor: platform.executor,
      clusterId: log.base.clusterId,
      incarnation,
      ...(flushEntries === undefined ? {} : { flushEntries }),
    });
    const fault = index.damaged ?? ((await madeFrom(log, index)) ? null : 'it was made from another log');
    if (fault === null) return new TraceIndexer(options, index, index.applied);
    try {
      await index.reset({ applied: position.index, hash: position.hash });
      logger.warn({}, `the index is rebuilt from the log: ${fault}`);
      return new TraceIndexer(options, index, index.applied);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      const indexer = new TraceIndexer(options, index, position.index);
      indexer.#rebuild(fault);
      return indexer;
    }
  }

  /** The last committed entry taken in. */
  get applied(): LogIndex {
    return this.#applied;
  }

  get rebuilding(): boolean {
    return this.#rebuilding !== null;
  }

  /** Takes in the next committed entry. */
  apply(entry: Entry): void {
    this.#applied = entry.index;
    if (this.#rebuilding === null) this.#add(entry);
  }

  #add(entry: Entry): void {
    const { codec } = this.#options.platform;
    const fingerprints = entry.kind === 'block' ? new BlockReader(entry.payload, codec).fingerprints() : [];
    this.#index.apply(entry.index, entry.hash, fingerprints);
  }

  /** The entries that may hold a trace, ascending. Rejects with `not-ready` while the index is being rebuilt. */
  async lookup(fingerprint: Fingerprint): Promise<LogIndex[]> {
    if (this.#rebuilding !== null) throw this.#notReady();
    try {
      return await this.#index.lookup(fingerprint);
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error;
      this.#rebuild(error.message);
      throw this.#notReady();
    }
  }

  /** See `TraceIndex.digest`. Rejects with `not-ready` while the index is being rebuilt. */
  async digest(above: LogIndex, to: LogIndex): Promise<IndexDigest> {
    if (this.#rebuilding !== null) throw this.#notReady();
    try {
      return await this.#index.digest(above, to);
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error;
      this.#rebuild(error.message);
      throw this.#notReady();
    }
  }

  /**
   * Whether a block is found through every trace in it; true, too, where nothing can be said now. If not, the index is
   * rebuilt (protocol F2).
   */
  async finds(block: LogIndex, fingerprints: Iterable<Fingerprint>): Promise<boolean> {
    if (this.#rebuilding !== null || block > this.#index.applied) return true;
    let fault: string;
    try {
      const unfound = await this.#index.unfound(block, fingerprints);
      if (unfound === null) return true;
      fault = `entry ${block} is not found through a trace in it`;
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error;
      fault = error.message;
    }
    if (this.#rebuilding !== null) return true;
    this.#rebuild(fault);
    return false;
  }

  #notReady(): QuorateError {
    return new QuorateError('not-ready', 'this node rebuilds its index: ask another one, or again later');
  }

  #rebuild(fault: string): void {
    if (this.#rebuilding !== null || this.#stopped) return;
    this.#options.logger.warn({}, `the index is rebuilt from the log: ${fault}`);
    this.#rebuilding = this.#rebuildInTheEnd();
  }

  /** Until it is done nothing is answered. A disk without space is no reason to give up: some day it has some (protocol A5). */
  async #rebuildInTheEnd(): Promise<void> {
    let told = false;
    while (!this.#stopped) {
      try {
        await this.#replay();
        return;
      } catch (error) {
        if (this.#stopped) return;
        if (!told)
          this.#options.logger.error(
            { error: errorOf(error).message },
            'the index could not be rebuilt; it is tried again until it can',
          );
        told = true;
      }
      await this.#pause();
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.platform.clock.after(limits.indexRebuildRetryMs, resolve);
      this.#endPause = () => {
        cancel();
        resolve();
      };
    });
  }

  async #replay(): Promise<void> {
    const { log, entries: reader, platform } = this.#options;
    const base = log.base?.position;
    if (base === undefined) return;
    await this.#index.settled();
    await this.#index.reset({ applied: base.index, hash: base.hash });
    while (this.#index.applied < this.#applied && !this.#stopped) {
      const entries = await reader.readRange(asIndex(this.#index.applied + 1), this.#applied, limits.appendBytesMax);
      for (const entry of entries) this.#add(entry);
      // A flush that fails costs memory, here too.
      await this.#index.maybeFlush().catch(() => false);
      await platform.executor.nextTurn();
    }
    // In the same turn as the last look at how far it must go: an entry applied in between would be in neither.
    if (!this.#stopped) this.#rebuilding = null;
  }

  /** Flushes when it is time. A failure costs memory, not data: it is told and tried again (protocol A5). */
  async maybeFlush(): Promise<void> {
    if (this.#rebuilding !== null) return;
    try {
      await this.#index.maybeFlush();
    } catch (error) {
      this.#options.logger.error(
        { error: errorOf(error).message },
        'the index could not be flushed; it stays in memory until it can',
      );
    }
  }

  /** A rebuild that waits for an entry is given up. */
  stop(): void {
    this.#stopped = true;
    this.#endPause();
  }

  async close(): Promise<void> {
    this.stop();
    await this.#rebuilding;
    try {
      await this.#index.close();
    } catch (error) {
      this.#options.logger.error(
        { error: errorOf(error).message },
        'the index could not be flushed; what it lacks is read from the log at the next start',
      );
    }
  }
}

/** The index is a cache: a store that says of itself that it is broken is thrown away, and no reason not to start. */
export async function openIndexStore(disk: Disk, told?: (sentence: string) => void): Promise<KeyValue> {
  try {
    return await disk.openKeyValue('index');
  } catch (error) {
    if (!(error instanceof DiskError) || (error.code !== 'damaged' && error.code !== 'io')) throw error;
    told?.(`the index is rebuilt from the log: its store does not open (${error.message})`);
    await disk.destroyKeyValue('index');
    return disk.openKeyValue('index');
  }
}

async function madeFrom(log: BlockLog, index: TraceIndex): Promise<boolean> {
  const { flushed } = index;
  if (flushed === null) return true;
  const position = await log.positionAt(flushed.applied).catch((error: unknown) =>
    // A hole in the log is no reason to make the index again: what belongs there is known by its hash.
    error instanceof DamagedEntryError ? log.nameOf(flushed.applied).catch(() => null) : null,
  );
  return position?.hash === flushed.hash;
}
