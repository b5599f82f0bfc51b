/**
 * Keeps the index in step with the log (protocol F1). The index is a cache: one that was made from another log, or is
 * damaged, is emptied and made again from the log, and until that is done nobody is answered from it (protocol D6).
 * What lies at or below the log's base is no part of that: an index that ends below it begins anew there, empty and whole.
 *
 *   index.applied <= applied,  index.first - 1 <= log.base
 */
import { errorOf, QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import { DiskError } from '../platform/disk-error.ts';
import type { KeyValue } from '../platform/key-value.ts';
import type { Disk, Platform } from '../platform/platform.ts';
import { asIndex, emptyLog, type Entry, type LogIndex, type LogPosition } from '../raft/core/types.ts';
import { BlockReader } from '../store/block-reader.ts';
import { type BlockLog, NotInLogError } from '../store/block-log.ts';
import { DamagedEntryError, DamagedError } from '../store/damaged.ts';
import type { InTurn } from '../store/disk-reads.ts';
import { weightOf } from '../store/entry.ts';
import type { Fingerprint } from '../store/fingerprint.ts';
import type { IndexDigest } from '../store/index-digest.ts';
import type { EntryWeight } from '../store/index-window.ts';
import { TraceIndex, type TraceIndexOptions, type WindowSeen } from '../store/trace-index.ts';

export interface TraceIndexerOptions {
  readonly platform: Platform;
  readonly log: Pick<BlockLog, 'base' | 'durableBase' | 'positionAt' | 'nameOf'>;
  /** What the index is rebuilt from: waits for what is damaged. */
  readonly entries: Pick<BlockLog, 'readRange'>;
  readonly logger: Logger;
  readonly incarnation: string;
  /** Entries after which the index is flushed. */
  readonly flushEntries?: number;
  /** See `TraceIndexOptions`: what bounds a window so that it expires in time (`windowBounds`). */
  readonly windowMs?: number;
  readonly windowBytes?: number;
  readonly expiredWindows?: number;
}

export class TraceIndexer {
  readonly #options: TraceIndexerOptions;
  readonly #index: TraceIndex;
  /** The last committed entry seen, in the index or waiting for it to be rebuilt. */
  #applied: LogIndex;
  /** A base that was installed past what was applied: the log may not know it yet. */
  #installed: LogPosition = emptyLog;
  #rebuilding: Promise<void> | null = null;
  #resets = 0;
  #stopped = false;
  #endPause: () => void = () => undefined;

  private constructor(options: TraceIndexerOptions, index: TraceIndex, applied: LogIndex) {
    this.#options = options;
    this.#index = index;
    this.#applied = applied;
  }

  /** Opens the index of this log; empty when the one found is another log's or damaged. The caller applies what it lacks. */
  static async open(options: TraceIndexerOptions): Promise<TraceIndexer> {
    const { platform, log, logger, incarnation } = options;
    if (log.base === null) throw new Error('the index opens after the log is founded');
    const { position } = log.base;
    const index = await TraceIndex.open({
      openStore: () => openIndexStore(platform.disk, (sentence) => logger.warn({}, sentence)),
      destroyStore: () => platform.disk.destroyKeyValue('index'),
      clock: platform.clock,
      executor: platform.executor,
      clusterId: log.base.clusterId,
      incarnation,
      ...bounds(options),
    });
    index.trimTo(position.index);
    // A crash after a trim, as a rule: what it held has expired, and what it lacks is replayed as always.
    const endsBelow = index.damaged === null && index.applied < position.index;
    const fault = endsBelow ? null : (index.damaged ?? (await faultOf(log, index)));
    if (fault === null && !endsBelow) return new TraceIndexer(options, index, index.applied);
    try {
      await index.reset({ applied: position.index, hash: position.hash });
      if (fault !== null) logger.warn({}, `the index is rebuilt from the log: ${fault}`);
      return new TraceIndexer(options, index, index.applied);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      const indexer = new TraceIndexer(options, index, position.index);
      indexer.#rebuild(fault ?? 'it ends below the base of the log');
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

  /** See `TraceIndex.windows`; none while the index is being rebuilt. */
  get windows(): readonly WindowSeen[] {
    return this.#rebuilding === null ? this.#index.windows : [];
  }

  /** See `TraceIndex.weigh`. */
  weigh(first: LogIndex, weight: EntryWeight): void {
    if (this.#rebuilding === null) this.#index.weigh(first, weight);
  }

  /** The log is trimmed up to `base`, which was applied. */
  trimTo(base: LogIndex): void {
    this.#index.trimTo(base);
  }

  /**
   * A base was installed, past what was applied or not: nothing at or below it will be applied any more. When it is past, the
   * index begins anew there, and nobody is answered from it until that is done.
   */
  installBase(base: LogPosition): void {
    this.#index.trimTo(base.index);
    if (base.index <= this.#applied) return;
    this.#applied = base.index;
    if (base.index > this.#installed.index) this.#installed = base;
    if (this.#rebuilding !== null || this.#stopped) return;
    this.#options.logger.info({ base: base.index }, 'the index begins anew at the base of the log');
    this.#rebuilding = this.#rebuildInTheEnd();
  }

  /** Takes in the next committed entry. */
  apply(entry: Entry): void {
    this.#applied = entry.index;
    if (this.#rebuilding === null) this.#add(entry);
  }

  #add(entry: Entry): void {
    const { codec } = this.#options.platform;
    const fingerprints = entry.kind === 'block' ? new BlockReader(entry.payload, codec).fingerprints() : [];
    this.#index.apply(entry.index, entry.hash, fingerprints, weightOf(entry));
  }

  /**
   * The entries that may hold a trace, ascending; also some at or below the base, which the caller leaves out: what was trimmed
   * when it is called may be lacking. Rejects with `not-ready` while the index is being rebuilt.
   */
  lookup(fingerprint: Fingerprint, inTurn?: InTurn): Promise<LogIndex[]> {
    return this.#ask(() => this.#index.lookup(fingerprint, inTurn));
  }

  /** See `TraceIndex.digest`. Rejects with `not-ready` while the index is being rebuilt, or when it begins behind `above`. */
  digest(above: LogIndex, to: LogIndex): Promise<IndexDigest> {
    return this.#ask(async () => {
      if (above + 1 < this.#index.first)
        throw new QuorateError('not-ready', `what followed entry ${above} was trimmed meanwhile: ask again`);
      return this.#index.digest(above, to);
    });
  }

  async #ask<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    if (this.#rebuilding !== null) throw this.#notReady();
    const resets = this.#resets;
    try {
      const answer = await ask();
      if (resets === this.#resets) return answer;
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error;
      if (resets === this.#resets) this.#rebuild(error.message);
    }
    // What went on while the index was made again says nothing of either.
    throw this.#notReady();
  }

  /**
   * Whether a block is found through every trace in it; true, too, where nothing can be said now. If not, the index is
   * rebuilt (protocol F2).
   */
  async finds(block: LogIndex, fingerprints: Iterable<Fingerprint>): Promise<boolean> {
    if (this.#rebuilding !== null || block > this.#index.applied) return true;
    const resets = this.#resets;
    let fault: string;
    try {
      const unfound = await this.#index.unfound(block, fingerprints);
      if (unfound === null) return true;
      fault = `entry ${block} is not found through a trace in it`;
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error;
      fault = error.message;
    }
    if (this.#rebuilding !== null || resets !== this.#resets) return true;
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
        // The log was trimmed past the place where it read.
        if (error instanceof NotInLogError && this.#isBelowBase) continue;
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
    const { entries: reader, platform } = this.#options;
    await this.#index.settled();
    await this.#beginAtBase();
    while (this.#index.applied < this.#applied && !this.#stopped) {
      if (this.#isBelowBase) {
        await this.#beginAtBase();
        continue;
      }
      const entries = await reader.readRange(asIndex(this.#index.applied + 1), this.#applied, limits.appendBytesMax);
      for (const entry of entries) this.#add(entry);
      // A flush that fails costs memory, here too.
      if (this.#mayFlush) await this.#index.maybeFlush().catch(() => false);
      await platform.executor.nextTurn();
    }
    // In the same turn as the last look at how far it must go: an entry applied in between would be in neither.
    if (!this.#stopped) this.#rebuilding = null;
  }

  /** Where the log begins now, or will. */
  get #base(): LogPosition {
    const base = this.#options.log.base?.position ?? emptyLog;
    return base.index > this.#installed.index ? base : this.#installed;
  }

  get #isBelowBase(): boolean {
    return this.#index.applied < this.#base.index;
  }

  async #beginAtBase(): Promise<void> {
    const { index, hash } = this.#base;
    this.#resets += 1;
    this.#index.trimTo(index);
    await this.#index.reset({ applied: index, hash });
  }

  /**
   * A base that is not on the disk yet is not to be passed: applied up to there, its trim entry would not be applied again after a
   * crash, and the log would begin where it did.
   */
  get #mayFlush(): boolean {
    const { base, durableBase } = this.#options.log;
    return durableBase === (base?.position.index ?? emptyLog.index);
  }

  /** Flushes when it is time. A failure costs memory, not data: it is told and tried again (protocol A5). */
  async maybeFlush(): Promise<void> {
    if (this.#rebuilding !== null || !this.#mayFlush) return;
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
      await this.#index.close({ flushes: this.#mayFlush });
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

/** Why the index cannot be that of this log, or null. It does not end below the base. */
async function faultOf(log: TraceIndexerOptions['log'], index: TraceIndex): Promise<string | null> {
  const { flushed } = index;
  const begin = log.base?.position.index ?? emptyLog.index;
  // A trim takes windows only after the base stands; a base that is lost again leaves a hole between the two.
  if (index.first > begin + 1) return `it begins with entry ${index.first}, the log with entry ${begin + 1}`;
  if (flushed === null) return null;
  const position = await log.positionAt(flushed.applied).catch((error: unknown) =>
    // A hole in the log is no reason to make the index again: what belongs there is known by its hash.
    error instanceof DamagedEntryError ? log.nameOf(flushed.applied).catch(() => null) : null,
  );
  return position?.hash === flushed.hash ? null : 'it was made from another log';
}

function bounds({
  flushEntries,
  windowMs,
  windowBytes,
  expiredWindows,
}: TraceIndexerOptions): Partial<TraceIndexOptions> {
  const given = Object.entries({ flushEntries, windowMs, windowBytes, expiredWindows });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}
