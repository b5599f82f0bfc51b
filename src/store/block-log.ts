/**
 * The Raft log on the key-value store `log`; the only home of the data (design 2). Must always hold:
 *
 *   base.index <= last.index,  written <= last.index,  deleted <= durable base <= base,  deleted <= every pin
 *
 * - `last` is what the core has accepted, `durable` is what the disk holds; staged changes reach the disk in the order
 *   of their staging, none lost and none overtaken, also when an end is cut off, grown and cut again while a write
 *   is under way (bug E9). `written` is how far both agree.
 * - A base, of a trim or installed in the place of the whole log, goes the same way. What is at or below it counts as gone from
 *   the moment it is staged, and is deleted once it is durable and nobody reads there (protocol E1, D3).
 * - A write error is final: every later call fails, nothing is tried again (protocol A5).
 * - A missing or damaged entry inside the log is a `DamagedEntryError`, never an empty answer; `repair` puts it back.
 */
import { limits } from '../limits.ts';
import { DiskError } from '../platform/disk-error.ts';
import type { KeyValue, KeyValueOperation } from '../platform/key-value.ts';
import type { Configuration, Entry, EntryHash, LogBase, LogIndex, LogPosition, Term } from '../raft/core/types.ts';
import { asIndex, emptyLog } from '../raft/core/types.ts';
import type { BaseRecord } from './base-record.ts';
import { decodeBaseRecord, encodeBaseRecord } from './base-record.ts';
import { DamagedEntryError, DamagedError } from './damaged.ts';
import { decodeEntry, encodeEntry, entryOverheadBytes, faultOf, positionOf, recordOf, verifyEntry } from './entry.ts';
import { EntryCache } from './entry-cache.ts';
import { invariant, InvariantError } from './invariant.ts';
import { baseKey, entriesEnd, entryKey } from './log-keys.ts';
import { deleteStep, nextStep } from './log-trimmer.ts';
import type { OpenedLog } from './log-opening.ts';
import { deleteEntriesAbove, openEntries } from './log-opening.ts';
import type { LogPromise } from './verified-tail.ts';
import type { TermRun } from './term-runs.ts';
import { findTermRuns } from './term-runs.ts';
import { writeFailure } from './write-failure.ts';

/** One change of the log, as the core hands it out (`LogWrite`). */
export type StagedWrite = StagedEntries | StagedBase;

interface StagedEntries {
  readonly sequence: number;
  /** Entries from here on are removed first; the write then has at least one entry, and it stands here. */
  readonly truncateFrom: LogIndex | null;
  readonly entries: readonly Entry[];
}

interface StagedBase {
  readonly sequence: number;
  readonly base: LogBase;
  /** Nothing of before is left; else the log is only trimmed. */
  readonly replacesLog: boolean;
}

const isBase = (write: StagedWrite): write is StagedBase => 'base' in write;

/** Somebody reads entries above `base`: they stay readable, also when the log is trimmed meanwhile (protocol D3). */
export interface Pin {
  readonly base: LogIndex;
  /** Nothing happens when it was called before. */
  release(): void;
}

export interface Flushed {
  /** The end of what the disk holds now. */
  readonly position: LogPosition;
  /** The last write of which anything, and its truncation, has reached the disk. */
  readonly sequence: number;
}

/** The index is not, or no longer, in the log: at or below the base, or behind the last entry. */
export class NotInLogError extends Error {
  override readonly name = 'NotInLogError';
}

interface Options {
  readonly keyValue: KeyValue;
  /** What the hard state beside the log says of it: committed entries inside are then kept as holes (docs/io-ordering.md). */
  readonly promise?: LogPromise | null;
  readonly verifyBytes?: number;
  readonly cacheBytesMax?: number;
  readonly batchBytesMax?: number;
}

const nothingOpened: OpenedLog = {
  verifiedEnd: emptyLog,
  timeMs: 0,
  dropped: 0,
  reason: null,
  holes: [],
  configurations: [],
  raises: [],
};

export class BlockLog {
  readonly #keyValue: KeyValue;
  readonly #options: Required<Options>;
  #base: BaseRecord | null = null;
  #opened = nothingOpened;
  #cache = new EntryCache(emptyLog.index, 0);
  #last: LogPosition = emptyLog;
  #lastTimeMs = 0;
  #durable: LogPosition = emptyLog;
  /** Entries up to here are on disk and are also the ones `last` stands on. */
  #written: LogIndex = emptyLog.index;
  #staged: StagedWrite[] = [];
  #stagedBytes = 0;
  #flushing = false;
  /** What the base record on the disk says. */
  #durableBase: LogPosition = emptyLog;
  /** Nothing stands on the disk up to here. */
  #deletedTo: LogIndex = emptyLog.index;
  readonly #pins = new Set<Pin>();
  /** The entry that `repair` is putting back. */
  #repairing: LogIndex | null = null;
  /** Resolves when nothing of a repair is on its way to the disk. */
  #repairWritten: Promise<void> = Promise.resolve();
  /** Grows with every truncation: a disk read that saw it change is done again. */
  #truncations = 0;
  #failure: Error | null = null;

  private constructor(options: Options) {
    this.#keyValue = options.keyValue;
    this.#options = {
      promise: null,
      verifyBytes: limits.logVerifyBytes,
      cacheBytesMax: limits.entryCacheBytesMax,
      batchBytesMax: limits.logBatchBytesMax,
      ...options,
    };
  }

  /**
   * Opens the log and cuts off what lies behind its verified end; `opened` reports it. What is read here is durable:
   * LevelDB syncs what it replays. `base` is null when the log was never founded, or its base record is damaged or missing
   * (then `opened.reason` says so and no entry is touched). Throws `UnsupportedFormatError` for a log of a newer version.
   */
  static async open(options: Options): Promise<BlockLog> {
    const log = new BlockLog(options);
    await log.#open();
    return log;
  }

  async #open(): Promise<void> {
    const record = await this.#keyValue.get(baseKey);
    if (record === undefined) {
      const [stray] = await this.#keyValue.keys({ gte: entryKey(0), lt: entriesEnd, limit: 1 });
      this.#opened = { ...nothingOpened, reason: stray === undefined ? null : 'the base record of the log is missing' };
      return;
    }
    try {
      this.#base = decodeBaseRecord(record);
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error;
      this.#opened = { ...nothingOpened, reason: error.message };
      return;
    }
    this.#opened = await openEntries(this.#keyValue, { ...this.#options, base: this.#base });
    this.#last = this.#opened.verifiedEnd;
    this.#durable = this.#last;
    this.#written = this.#last.index;
    this.#durableBase = this.#base.position;
    this.#lastTimeMs = this.#opened.timeMs;
    this.#cache = new EntryCache(this.#last.index, this.#options.cacheBytesMax);
  }

  /**
   * Writes the base record of a new cluster, synced (protocol B1). Entries left by a lost base record are verified and kept,
   * so the caller has made sure, from hard state, that the directory belongs to this cluster or to none.
   */
  async found(founding: Pick<BaseRecord, 'clusterId' | 'configuration' | 'formatLevel'>): Promise<void> {
    this.#assertUsable();
    invariant(this.#base === null, 'a log is founded once');
    const base: BaseRecord = { ...founding, position: emptyLog, timeMs: 0, configurationIndex: emptyLog.index };
    await this.#write([{ type: 'put', key: baseKey, value: encodeBaseRecord(base) }]);
    await this.#open();
  }

  /**
   * Takes a base from another node before the log is used, synced, because what must be known of the log below it is damaged here
   * and has expired there. Of a log that has another entry there, or ends before, nothing is left. An older base changes nothing.
   */
  async adoptBase(base: LogBase): Promise<void> {
    this.#assertUsable();
    const { index, hash } = base.position;
    if (index <= this.#assertFounded().position.index) return;
    invariant(!this.#flushing && this.#staged.length === 0, 'a base is adopted before the log is used');
    const here = index > this.#last.index ? 'none' : await this.#entryHashOnDisk(index);
    this.stage({ sequence: 1, base, replacesLog: here !== null && here !== hash });
    await this.flush();
    await this.#open();
  }

  /** Ends the log below `index`, synced, and opens it anew. Only before anything is staged. */
  async cutFrom(index: LogIndex): Promise<void> {
    this.#assertUsable();
    this.#assertInLog(index);
    invariant(!this.#flushing && this.#durable.index === this.#last.index, 'a log is cut before it is used');
    await deleteEntriesAbove(this.#keyValue, index - 1);
    await this.#open();
  }

  /** What `open`, or `found`, came upon. */
  get opened(): OpenedLog {
    return this.#opened;
  }
  get base(): BaseRecord | null {
    return this.#base;
  }
  get clusterId(): string | null {
    return this.#base?.clusterId ?? null;
  }
  get configuration(): Configuration | null {
    return this.#base?.configuration ?? null;
  }
  /** The end of the log with everything staged. */
  get last(): LogPosition {
    return this.#last;
  }
  /** The leader's time in the last entry. */
  get lastTimeMs(): number {
    return this.#lastTimeMs;
  }
  /** Where the log begins by what the disk says: `base`, or one before. */
  get durableBase(): LogIndex {
    return this.#durableBase.index;
  }
  /** The end of what the disk holds. */
  get durable(): LogPosition {
    return this.#durable;
  }
  get hasStaged(): boolean {
    return this.#staged.length > 0;
  }
  /** Bytes of the entries that wait for `flush`. */
  get stagedBytes(): number {
    return this.#stagedBytes;
  }

  /** Takes a change from the core. Its entries can be read at once; `flush` makes it durable. */
  stage(write: StagedWrite): void {
    this.#assertUsable();
    invariant(
      write.sequence > (this.#staged.at(-1)?.sequence ?? 0),
      'writes are staged in the order of their sequence',
    );
    if (isBase(write)) this.#stageBase(write);
    else this.#stageEntries(write);
    this.#staged.push(write);
    this.#cache.evict(this.#written);
  }

  #stageBase({ base, replacesLog }: StagedBase): void {
    const before = this.#assertFounded();
    const { position, timeMs } = base;
    invariant(position.index > before.position.index, 'a base never goes back');
    this.#base = { clusterId: before.clusterId, ...base };
    if (!replacesLog) {
      invariant(position.index <= this.#last.index, `the log ends before the base at ${position.index}`);
      return;
    }
    this.#truncations += 1;
    this.#cache = new EntryCache(position.index, this.#options.cacheBytesMax);
    this.#written = position.index;
    this.#last = position;
    this.#lastTimeMs = timeMs;
  }

  #stageEntries({ truncateFrom, entries }: StagedEntries): void {
    const base = this.#assertFounded();
    const [first] = entries;
    invariant(first !== undefined, 'a write has entries');
    if (truncateFrom !== null) {
      invariant(
        truncateFrom > base.position.index && truncateFrom <= this.#last.index,
        `${truncateFrom} is not in the log`,
      );
      invariant(first.index === truncateFrom, 'a truncation comes with the entry that conflicts');
      invariant(truncateFrom > (this.#repairing ?? 0), 'an entry under repair is committed and never truncated');
      this.#truncate(truncateFrom, first);
    }
    for (const entry of entries) {
      this.#push(entry);
      this.#stagedBytes += entry.payload.length + entryOverheadBytes;
    }
  }

  #truncate(from: LogIndex, conflicting: Entry): void {
    const before = asIndex(from - 1);
    const cached = before === this.#base?.position.index ? this.#base.position : this.#cache.get(before);
    this.#truncations += 1;
    this.#cache.truncate(from);
    this.#written = asIndex(Math.min(this.#written, before));
    // An entry that is only on disk has its hash checked by `flush`, before anything is written.
    this.#last = cached ?? { index: before, term: conflicting.term, hash: conflicting.previousHash };
  }

  #push(entry: Entry): void {
    invariant(entry.index === this.#last.index + 1, `entry ${entry.index} does not follow entry ${this.#last.index}`);
    invariant(
      entry.previousHash === this.#last.hash,
      `entry ${entry.index} does not chain to entry ${this.#last.index}`,
    );
    invariant(entry.term >= this.#last.term, `the term of entry ${entry.index} is below the one before`);
    this.#cache.push(entry);
    this.#last = positionOf(entry);
    this.#lastTimeMs = entry.timeMs;
  }

  /**
   * Writes staged changes, as many as fit into one batch, with one sync, and resolves with what the disk then holds.
   * One call at a time. More may be staged meanwhile; call again while `hasStaged`.
   */
  async flush(): Promise<Flushed> {
    this.#assertUsable();
    invariant(!this.#flushing, 'one log write is in flight at a time (protocol C7)');
    invariant(this.#staged.length > 0, 'there is nothing to flush');
    this.#flushing = true;
    try {
      const batch = this.#takeBatch();
      await this.#assertChained(batch);
      // Or it might land at or below the base, where nothing is written any more.
      if (batch.base !== null) await this.#repairWritten;
      await this.#write(this.#operationsOf(batch));
      this.#durable = batch.position;
      if (batch.base !== null) this.#durableBase = batch.base.position;
      this.#written = this.#writtenBehind(batch.position.index);
      this.#cache.evict(this.#written);
      return { position: batch.position, sequence: batch.sequence };
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
      throw error;
    } finally {
      this.#flushing = false;
    }
  }

  /** What was staged meanwhile may have cut below the end of the batch that is on the disk now, or replaced it all. */
  #writtenBehind(end: LogIndex): LogIndex {
    const installed = this.#staged.findLast((write) => isBase(write) && write.replacesLog);
    if (installed !== undefined && isBase(installed)) return installed.base.position.index;
    const cuts = this.#staged.flatMap((write) =>
      isBase(write) || write.truncateFrom === null ? [] : [write.truncateFrom - 1],
    );
    return asIndex(Math.min(end, ...cuts));
  }

  /** Takes staged writes up to `batchBytesMax`; a write too large for the rest of the batch is split between entries. */
  #takeBatch(): Batch {
    const puts = new Map<number, Entry>();
    let below = this.#durable;
    let { index: end } = below;
    let position = below;
    let base: LogBase | null = null;
    let bytes = 0;
    let sequence = 0;
    while (this.#staged[0] !== undefined) {
      const write = this.#staged[0];
      if (isBase(write)) {
        // What it replaces is written first: a batch has no gap.
        if (write.replacesLog && puts.size > 0) break;
        base = write.base;
        if (write.replacesLog) {
          below = base.position;
          ({ index: end } = below);
          position = below;
        }
        sequence = write.sequence;
        this.#staged.shift();
        continue;
      }
      const room = this.#options.batchBytesMax - bytes;
      let taken = 0;
      let takenBytes = 0;
      for (const entry of write.entries) {
        const entryBytes = entry.payload.length + entryOverheadBytes;
        if (takenBytes + entryBytes > room && puts.size + taken > 0) break;
        taken += 1;
        takenBytes += entryBytes;
      }
      if (taken === 0) break;
      for (let index: number = end; index >= (write.truncateFrom ?? Infinity); index -= 1) puts.delete(index);
      for (const entry of write.entries.slice(0, taken)) {
        puts.set(entry.index, entry);
        end = entry.index;
        position = positionOf(entry);
      }
      bytes += takenBytes;
      this.#stagedBytes -= takenBytes;
      sequence = write.sequence;
      if (taken < write.entries.length) {
        this.#staged[0] = { sequence, truncateFrom: null, entries: write.entries.slice(taken) };
        break;
      }
      this.#staged.shift();
    }
    return { puts: [...puts.values()], base, below, position, sequence };
  }

  /** The first entry of a batch must follow the one the disk holds before it: else this log and the leader's diverged. */
  async #assertChained({ puts, base, below, position }: Batch): Promise<void> {
    if (base !== null && below === this.#durable) await this.#assertHeld(base.position, puts);
    const [first] = puts;
    if (first === undefined) return;
    invariant(puts.length === position.index - first.index + 1, 'a batch has no gaps');
    if (first.index === below.index + 1) {
      invariant(first.previousHash === below.hash, `entry ${first.index} does not chain to the disk's last entry`);
      return;
    }
    const before = await this.#hashOnDisk(asIndex(first.index - 1));
    if (before !== null && before !== first.previousHash) {
      throw new InvariantError(
        `entry ${first.index} does not chain to this node's entry ${first.index - 1}: the logs diverged`,
      );
    }
  }

  /** A log is trimmed only up to the entry that the cluster means: what differs there has diverged, and stays (protocol E1). */
  async #assertHeld({ index, hash }: LogPosition, puts: readonly Entry[]): Promise<void> {
    const here = puts.find((entry) => entry.index === index)?.hash ?? (await this.#entryHashOnDisk(index));
    if (here !== null && here !== hash) {
      throw new InvariantError(
        `entry ${index} of this node is not the one that the cluster trims its log up to: the logs diverged`,
      );
    }
  }

  async #hashOnDisk(index: LogIndex): Promise<EntryHash | null> {
    return index === this.#durableBase.index ? this.#durableBase.hash : this.#entryHashOnDisk(index);
  }

  /** The hash of the entry at `index`, also where it is damaged: the one above it names it. null when both are. */
  async #entryHashOnDisk(index: LogIndex): Promise<EntryHash | null> {
    try {
      return (await this.#entryOnDisk(index)).hash;
    } catch (error) {
      if (!(error instanceof DamagedEntryError)) throw error;
    }
    try {
      return (await this.#entryOnDisk(asIndex(index + 1))).previousHash;
    } catch (error) {
      if (!(error instanceof DamagedEntryError)) throw error;
      return null;
    }
  }

  #operationsOf({ puts, base, position }: Batch): KeyValueOperation[] {
    const operations: KeyValueOperation[] = [];
    if (base !== null) {
      const record = { clusterId: this.#assertFounded().clusterId, ...base };
      operations.push({ type: 'put', key: baseKey, value: encodeBaseRecord(record) });
    }
    for (let index = position.index + 1; index <= this.#durable.index; index += 1) {
      operations.push({ type: 'del', key: entryKey(index) });
    }
    for (const entry of puts) operations.push({ type: 'put', key: entryKey(entry.index), value: recordOf(entry) });
    return operations;
  }

  async #write(operations: readonly KeyValueOperation[]): Promise<void> {
    try {
      await this.#keyValue.batch(operations, { sync: true });
    } catch (error) {
      this.#failure = writeFailure('the log', error);
      throw this.#failure;
    }
  }

  /** The entries [first, last], when all of them are in memory; else null. */
  cached(first: LogIndex, last: LogIndex): Entry[] | null {
    const entries: Entry[] = [];
    for (let index = first; index <= last; index = asIndex(index + 1)) {
      const entry = this.#cache.get(index);
      if (entry === undefined) return null;
      entries.push(entry);
    }
    return entries;
  }

  /** The entry at `index`. Rejects with `NotInLogError` or `DamagedEntryError`. */
  async read(index: LogIndex): Promise<Entry> {
    const [entry] = await this.readRange(index, index, 0);
    invariant(entry !== undefined, 'a range has at least one entry');
    return entry;
  }

  /**
   * Consecutive entries from `first` up to `last`, as many as `bytesMax` of payload allow and as are before a damaged one, but
   * at least one. Rejects with `NotInLogError` when `first` is outside the log, and with `DamagedEntryError`.
   */
  async readRange(first: LogIndex, last: LogIndex, bytesMax: number): Promise<Entry[]> {
    for (;;) {
      this.#assertUsable();
      this.#assertInLog(first);
      const truncations = this.#truncations;
      const entries = await this.#tryReadRange(first, Math.min(last, this.#last.index), bytesMax);
      if (truncations === this.#truncations) return entries;
    }
  }

  async #tryReadRange(first: number, last: number, bytesMax: number): Promise<Entry[]> {
    const truncations = this.#truncations;
    const entries: Entry[] = [];
    let bytes = 0;
    const damage = (error: unknown): 'damaged' => {
      if (entries.length === 0 || !(error instanceof DamagedEntryError)) throw error;
      return 'damaged';
    };
    for (let index = first; index <= last; index += 1) {
      const entry = this.#cache.get(asIndex(index)) ?? (await this.#readDisk(asIndex(index)).catch(damage));
      if (entry === 'damaged') break;
      if (truncations !== this.#truncations || entry === null) return entries;
      const before = entries.at(-1);
      if (before !== undefined) {
        if (bytes + entry.payload.length > bytesMax) break;
        if (entry.previousHash !== before.hash) {
          throw new DamagedEntryError(before.index, `entry ${index} does not follow it`);
        }
      }
      entries.push(entry);
      bytes += entry.payload.length;
    }
    return entries;
  }

  /** The entry on disk; null when it was truncated while it was read. */
  async #readDisk(index: LogIndex): Promise<Entry | null> {
    const truncations = this.#truncations;
    const record = await this.#recordOf(index);
    return truncations === this.#truncations ? entryIn(index, record) : null;
  }

  /**
   * The entry as the disk has it, past what memory keeps, its hashes compared; null where it is still on its way there.
   * Rejects with `NotInLogError`, or `DamagedEntryError`.
   */
  async readStored(index: LogIndex): Promise<Entry | null> {
    this.#assertUsable();
    this.#assertInLog(index);
    if (index > this.#written) return null;
    const entry = await this.#readDisk(index);
    const fault = entry === null ? null : faultOf(entry);
    if (fault !== null) throw new DamagedEntryError(index, fault);
    return entry;
  }

  /**
   * What the entry at `index` must be, by the one above it: its hash, and the term of the one that says so. At the end of
   * the log, what was verified or written there. Rejects with `NotInLogError`, or `DamagedEntryError` of the one above.
   */
  async nameOf(index: LogIndex): Promise<{ readonly hash: EntryHash; readonly by: Term }> {
    this.#assertInLog(index);
    if (index === this.#last.index) return { hash: this.#last.hash, by: this.#last.term };
    const above = await this.read(asIndex(index + 1));
    return { hash: above.previousHash, by: above.term };
  }

  /**
   * Puts back an entry that the disk lost or altered, synced (protocol A4). Only for a committed one, one at a time: then no
   * truncation can reach it, and `flush` goes on beside it with other keys. Nothing is written at or below the base, where
   * nobody needs it any more (protocol E1). Rejects with an `InvariantError`, before anything is written, unless it is durable
   * here and the very entry that the one above it names. Resolves with whether it was written.
   */
  async repair(entry: Entry): Promise<boolean> {
    this.#assertUsable();
    const { index } = entry;
    invariant(this.#repairing === null, 'one entry is repaired at a time');
    const isTrimmed = (): boolean => index <= this.#assertFounded().position.index;
    if (isTrimmed()) return false;
    invariant(index <= this.#written, `entry ${index} is not in the durable log`);
    this.#repairing = index;
    try {
      verifyEntry(entry);
      const name = await this.nameOf(index).catch((error: unknown) => {
        if (isTrimmed()) return null;
        throw error;
      });
      if (name === null || isTrimmed()) return false;
      invariant(entry.hash === name.hash, `entry ${index} is not the one that the log names`);
      this.#assertUsable();
      const written = this.#write([{ type: 'put', key: entryKey(index), value: encodeEntry(entry) }]);
      this.#repairWritten = written.catch(() => undefined);
      await written;
      return true;
    } finally {
      this.#repairing = null;
    }
  }

  async #entryOnDisk(index: LogIndex): Promise<Entry> {
    return entryIn(index, await this.#recordOf(index));
  }

  async #recordOf(index: LogIndex): Promise<Uint8Array | undefined> {
    try {
      return await this.#keyValue.get(entryKey(index));
    } catch (error) {
      if (!(error instanceof DiskError) || error.code !== 'damaged') throw error;
      throw new DamagedEntryError(index, error.message, { cause: error });
    }
  }

  /** Whether this very entry, or base, is in the log and whole. */
  async holds({ index, term, hash }: LogPosition): Promise<boolean> {
    const here = await this.positionAt(index).catch(() => null);
    return here?.term === term && here.hash === hash;
  }

  /** Term and hash at `index`, the base included; null outside the log. Rejects with `DamagedError`. */
  async positionAt(index: LogIndex): Promise<LogPosition | null> {
    const base = this.#base;
    if (base === null || index < base.position.index || index > this.#last.index) return null;
    if (index === base.position.index) return base.position;
    try {
      return positionOf(await this.read(index));
    } catch (error) {
      if (error instanceof NotInLogError) return null;
      throw error;
    }
  }

  /**
   * Where each term of the log begins, found by bisection: terms never fall. Rejects with `DamagedEntryError`; that of an
   * entry that was replaced, and that damage brought back, is then gone from the disk.
   */
  async termRuns(): Promise<TermRun[]> {
    const base = this.#assertFounded();
    const termAt = async (index: number): Promise<Term> => (await this.read(asIndex(index))).term;
    const runs = await findTermRuns(base.position.index + 1, this.#last.index, termAt);
    // From the end, which was verified: where a run does not follow the one below it, that one ends with a stranger.
    for (const { first } of runs.slice(1).toReversed()) {
      const below = await this.read(asIndex(first - 1));
      if ((await this.read(first)).previousHash === below.hash) continue;
      await this.removeStranger(below.index);
      throw new DamagedEntryError(below.index, `entry ${first} does not follow it`);
    }
    return runs;
  }

  /**
   * Removes an entry that is whole but not of this log, synced: it was replaced once, and damage brought it back. What belongs
   * there is missing then, and can be repaired. Only where no truncation can reach: for committed entries, or before the start.
   */
  async removeStranger(index: LogIndex): Promise<void> {
    this.#assertUsable();
    this.#assertInLog(index);
    await this.#write([{ type: 'del', key: entryKey(index) }]);
  }

  /** Closes the store. No call may be under way. */
  async close(): Promise<void> {
    this.#failure ??= new Error('the log is closed');
    await this.#keyValue.close();
  }

  #assertUsable(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  #assertFounded(): BaseRecord {
    invariant(this.#base !== null, 'the log must be founded first');
    return this.#base;
  }

  /**
   * Keeps what is above the base of now readable until it is released. A log that is replaced as a whole keeps only what is on
   * the disk: a read of the rest is a `DamagedEntryError` then.
   */
  pin(): Pin {
    const pin: Pin = { base: this.#assertFounded().position.index, release: () => void this.#pins.delete(pin) };
    this.#pins.add(pin);
    return pin;
  }

  /** There may be entries below the base on the disk, of which some reader may still have use. */
  get hasTrimmed(): boolean {
    return this.#deletedTo < this.#durableBase.index;
  }

  /** Entries up to here are of no use to anybody: the base on the disk is at or above them, and no pin is below. */
  get #garbageEnd(): LogIndex {
    return asIndex(Math.min(this.#durableBase.index, ...[...this.#pins].map((pin) => pin.base)));
  }

  /**
   * Deletes some of what the log was trimmed by, about `limits.trimStepBytes`, and gives its space back (protocol E2). Resolves with
   * the entries deleted; 0: nothing is left to be. Rejects with a `DiskError` where they cannot be read, and the log is used on. Beside `flush`, for it touches other keys. Not synced: what a crash brings back is below
   * the base all the same.
   */
  async deleteTrimmed(): Promise<number> {
    this.#assertUsable();
    const end = this.#garbageEnd;
    const step = await nextStep(this.#keyValue, end);
    if (step.length === 0) this.#deletedTo = end;
    this.#assertUsable();
    try {
      await deleteStep(this.#keyValue, step);
    } catch (error) {
      this.#failure ??= writeFailure('the log', error);
      throw this.#failure;
    }
    return step.length;
  }

  #assertInLog(index: LogIndex): void {
    const base = this.#assertFounded().position.index;
    if (index > base && index <= this.#last.index) return;
    if (index <= base && [...this.#pins].some((pin) => index > pin.base)) return;
    throw new NotInLogError(`entry ${index} is not in the log, which holds ${base + 1} to ${this.#last.index}`);
  }
}

/** The entry of a record that was read for `index`. Throws `DamagedEntryError`. */
function entryIn(index: LogIndex, record: Uint8Array | undefined): Entry {
  if (record === undefined) throw new DamagedEntryError(index, 'it is missing');
  try {
    return decodeEntry(record, index);
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    throw new DamagedEntryError(index, error.what, { cause: error });
  }
}

/** The net effect of some staged writes, applied at once. */
interface Batch {
  /** Gapless, ascending. */
  readonly puts: readonly Entry[];
  /** The new base record; null: as it is. */
  readonly base: LogBase | null;
  /** The end of the log on disk that the batch goes on from: an installed base, or what is durable. */
  readonly below: LogPosition;
  /** Its end, and that of the log on disk afterwards: what lies behind is removed. */
  readonly position: LogPosition;
  readonly sequence: number;
}
