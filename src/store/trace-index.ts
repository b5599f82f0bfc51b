/**
 * Trace id -> log entries (protocol F1, F2): a cache of the log, which can always rebuild it. Must always hold:
 *
 *   flushed.applied <= applied;  windows on disk, full ones and the open one follow each other without a gap
 *
 * - A lookup answers with every applied entry that holds the trace, or throws; a missing or damaged record is never "no such trace".
 * - A flush is one synced batch with whole windows and how far they reach, or nothing. What follows is replayed from the log.
 * - A write that failed costs nothing but memory: all stays there, and a later flush opens the store again (protocol A5).
 * - Windows of which all is trimmed go, oldest first: from memory, then by a synced flush record, and only then from the store.
 *   A lookup knows every window of the moment it is called, and is let finish before their keys go (protocol D3).
 */
import { limits } from '../limits.ts';
import type { Clock } from '../platform/clock.ts';
import { DiskError } from '../platform/disk-error.ts';
import type { Executor } from '../platform/executor.ts';
import type { KeyValue, KeyValueOperation } from '../platform/key-value.ts';
import type { EntryHash, LogIndex } from '../raft/core/types.ts';
import { emptyLog } from '../raft/core/types.ts';
import { DamagedError } from './damaged.ts';
import { type InTurn, now } from './disk-reads.ts';
import type { Fingerprint } from './fingerprint.ts';
import {
  bucketKey,
  decodeBucket,
  decodeFlushRecord,
  decodeWeight,
  encodeBucket,
  encodeFlushRecord,
  encodeWeight,
  firstKey,
  flushKey,
  keysEnd,
  StoredWindow,
  weightKey,
  windowKey,
  windowOfFlushKey,
} from './index-records.ts';
import { IndexCleaner } from './index-cleaner.ts';
import { IndexDigest } from './index-digest.ts';
import { type EntryWeight, IndexWindow } from './index-window.ts';
import { invariant } from './invariant.ts';
import { bucketCount, bucketOf, decodePostings, findPosting, type Posting } from './postings.ts';

export interface TraceIndexOptions {
  /** Opens the store `index`; called again after a failed write. */
  readonly openStore: () => Promise<KeyValue>;
  /** Removes it with all it holds, while it is closed. */
  readonly destroyStore: () => Promise<void>;
  readonly executor: Executor;
  readonly clock: Clock;
  readonly clusterId: string;
  readonly incarnation: string;
  readonly windowTraces?: number;
  /** A window is also closed before it would span more entry time, and once it holds so many bytes of entries. */
  readonly windowMs?: number;
  readonly windowBytes?: number;
  readonly flushEntries?: number;
  readonly flushMs?: number;
  readonly flushWindows?: number;
  /** Windows of which all is trimmed that stay all the same. */
  readonly expiredWindows?: number;
}

/** How far an index goes: an entry, and its hash. */
export interface AppliedPosition {
  readonly applied: LogIndex;
  readonly hash: EntryHash;
}

/** A window, and what its entries weigh where that is known. */
export interface WindowSeen {
  readonly first: LogIndex;
  readonly last: LogIndex;
  readonly bytes: number | null;
  /** The entry time of the last one. */
  readonly timeMs: number | null;
}

const start: AppliedPosition = { applied: emptyLog.index, hash: emptyLog.hash };
const recordsPerRead = 64;
const referencesPerStep = 1_024;

export class TraceIndex {
  readonly #options: Required<TraceIndexOptions>;
  #store: Promise<KeyValue>;
  #windows: StoredWindow[] = [];
  #firstWindow = 0;
  /** What the newest flush record names as that. */
  #recordedFirst = 0;
  /** Everything up to here is trimmed. */
  #trimmedTo: LogIndex = start.applied;
  /** Windows on disk that were weighed since; the next flush writes it down. */
  #weighed: StoredWindow[] = [];
  readonly #cleaner: IndexCleaner;
  /** What reads from the windows on disk now. */
  readonly #reads = new Set<Promise<unknown>>();
  /** Full windows that are not on disk, oldest first. */
  #full: IndexWindow[] = [];
  #open = new IndexWindow(start.applied, start.hash);
  #flushed: AppliedPosition | null = null;
  #damaged: string | null = null;
  #flushing: Promise<void> | null = null;
  #triedAtMs: number;
  #writeFailed = false;

  private constructor(options: TraceIndexOptions, store: KeyValue) {
    this.#options = {
      windowTraces: limits.indexWindowTraces,
      windowMs: Infinity,
      windowBytes: Infinity,
      flushEntries: limits.indexFlushEntries,
      flushMs: limits.indexFlushMs,
      flushWindows: limits.indexFlushWindows,
      expiredWindows: limits.indexExpiredWindows,
      ...options,
    };
    this.#cleaner = new IndexCleaner(options.executor, () => {
      this.#writeFailed = true;
    });
    this.#store = Promise.resolve(store);
    this.#triedAtMs = options.clock.monotonicMs();
  }

  /**
   * Opens the index as of its last flush. The caller then compares `flushed` with the log, calls `reset` when the hash is not the
   * log's or `damaged` is not null, and applies the entries after `applied`. Rejects with `UnsupportedFormatError`.
   */
  static async open(options: TraceIndexOptions): Promise<TraceIndex> {
    const index = new TraceIndex(options, await options.openStore());
    try {
      await index.#load();
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error;
      index.#damaged = error.message;
    }
    await index.#startCleaning();
    return index;
  }

  async #load(): Promise<void> {
    const range = { gte: firstKey, lt: keysEnd, reverse: true, limit: 1 };
    const [newest] = await this.#read((store) => store.range(range));
    if (newest === undefined) return;
    const [key, record] = newest;
    const lastWindow = windowOfFlushKey(key);
    if (lastWindow === null) throw new DamagedError('the index', 'it does not end with a flush record');
    const flush = decodeFlushRecord(key, record);
    const { clusterId, incarnation } = this.#options;
    if (flush.clusterId !== clusterId || flush.incarnation !== incarnation) {
      throw new DamagedError('the index', 'it belongs to another cluster or another disk');
    }
    this.#windows = await this.#loadWindows(flush.firstWindow, lastWindow);
    this.#firstWindow = flush.firstWindow;
    this.#recordedFirst = flush.firstWindow;
    if (this.#windows.at(-1)?.last !== flush.applied)
      throw new DamagedError('the index', 'its windows do not reach its end');
    this.#flushed = { applied: flush.applied, hash: flush.hash };
    this.#open = new IndexWindow(flush.applied, flush.hash);
  }

  async #loadWindows(first: number, last: number): Promise<StoredWindow[]> {
    const windows: StoredWindow[] = [];
    while (first + windows.length <= last) {
      const from = first + windows.length;
      const count = Math.min(recordsPerRead, last - from + 1);
      const numbers = Array.from({ length: count }, (_, offset) => from + offset);
      const keys = [...numbers.map(windowKey), ...numbers.map(weightKey)];
      const records = await this.#read((store) => store.getMany(keys));
      for (const [offset, number] of numbers.entries()) {
        const record = records[offset];
        const weight = records[count + offset];
        if (record === undefined) throw new DamagedError(`window ${number} of the index`, 'it is missing');
        const window = StoredWindow.decode(number, record);
        if (weight !== undefined) window.weight = decodeWeight(number, weight);
        const before = windows.at(-1);
        if (before !== undefined && window.first !== before.last + 1) {
          throw new DamagedError(`window ${window.number} of the index`, 'it does not follow the one before');
        }
        windows.push(window);
      }
    }
    return windows;
  }

  /** What the store cannot read is damage like any other: the log has it all. */
  async #read<Result>(look: (store: KeyValue) => Promise<Result>): Promise<Result> {
    try {
      return await look(await this.#store);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      throw new DamagedError('the index', `its store cannot be read: ${error.message}`, { cause: error });
    }
  }

  /** As of the last flush; null when there is none. */
  get flushed(): AppliedPosition | null {
    return this.#flushed;
  }
  /** Why the index must be reset and rebuilt from the log, or null. */
  get damaged(): string | null {
    return this.#damaged;
  }
  /** The last entry taken in. */
  get applied(): LogIndex {
    return this.#open.last;
  }
  /** The first entry that it covers, or will. */
  get first(): LogIndex {
    return (this.#windows[0] ?? this.#full[0] ?? this.#open).first;
  }
  /** Those on disk and in memory, oldest first, without gaps. */
  get windows(): readonly WindowSeen[] {
    const unknown = { bytes: null, timeMs: null };
    const onDisk = this.#windows.map(({ first, last, weight }) => ({ first, last, ...(weight ?? unknown) }));
    const inMemory = [...this.#full, this.#open].filter(({ entryCount }) => entryCount > 0);
    return [...onDisk, ...inMemory.map(({ first, last, weight }) => ({ first, last, ...weight }))];
  }

  /**
   * Empties the index, to be rebuilt from the entry after `position` on. The store goes as a whole: one that cannot be read
   * cannot be emptied key by key either. Rejects with a `DiskError`; a later call tries again.
   */
  async reset(position: AppliedPosition = start): Promise<void> {
    invariant(this.#flushing === null, 'no reset during a flush');
    this.#damaged = 'it is being reset';
    this.#windows = [];
    this.#weighed = [];
    this.#firstWindow = 0;
    this.#recordedFirst = 0;
    this.#full = [];
    this.#open = new IndexWindow(position.applied, position.hash);
    this.#flushed = null;
    const { openStore, destroyStore } = this.#options;
    this.#store = this.#closed().then(destroyStore).then(openStore);
    await this.#store;
    this.#writeFailed = false;
    this.#damaged = null;
  }

  /** Takes in the entry after `applied` with the traces of its block, if it is one. */
  apply(index: LogIndex, hash: EntryHash, fingerprints: Iterable<Fingerprint>, weight: EntryWeight): void {
    this.#assertSound();
    const { windowTraces, windowMs, windowBytes } = this.#options;
    if (this.#open.entryCount > 0 && weight.timeMs - this.#open.firstTimeMs > windowMs) this.#closeOpen();
    this.#open.add(index, hash, fingerprints, weight);
    if (this.#open.traceCount >= windowTraces || this.#open.weight.bytes >= windowBytes) this.#closeOpen();
  }

  /** What the entries of a window on disk weigh, of which that was not known. */
  weigh(first: LogIndex, weight: EntryWeight): void {
    const window = this.#windows.find((each) => each.first === first);
    if (window === undefined || window.weight !== null) return;
    window.weight = weight;
    this.#weighed.push(window);
  }

  /**
   * Everything up to `base` is trimmed: windows that hold nothing else go with the next `maybeFlush`, all but the newest
   * `expiredWindows` of them, from which a lookup can tell that a part of a trace has expired. Never in the way of what is
   * under way: may be called at any time.
   */
  trimTo(base: LogIndex): void {
    if (base > this.#trimmedTo) this.#trimmedTo = base;
  }

  /** How many of the windows on disk are to go. */
  get #expired(): number {
    const { expiredWindows } = this.#options;
    const isLeft = ({ last }: { last: LogIndex }): boolean => last > this.#trimmedTo;
    const onDisk = this.#windows.findIndex(isLeft);
    if (onDisk >= 0) return Math.max(0, onDisk - expiredWindows);
    const inMemory = this.#full.findIndex(isLeft);
    const count = this.#windows.length + (inMemory < 0 ? this.#full.length : inMemory);
    return Math.min(this.#windows.length, Math.max(0, count - expiredWindows));
  }

  #dropExpired(): void {
    const count = this.#expired;
    this.#windows = this.#windows.slice(count);
    this.#firstWindow += count;
  }

  async #startCleaning(): Promise<void> {
    if (this.#recordedFirst === 0 || this.#damaged !== null) return;
    const unread = Promise.allSettled(this.#reads);
    this.#cleaner.start({ store: await this.#store, firstWindow: this.#recordedFirst, unread });
  }

  /** Lets `look` finish before the keys of windows go that are there now. */
  async #reading<Result>(look: () => Promise<Result>): Promise<Result> {
    this.#assertSound();
    const reads = look();
    this.#reads.add(reads);
    try {
      return await reads;
    } finally {
      this.#reads.delete(reads);
    }
  }

  #closeOpen(): void {
    const { last, lastHash } = this.#open;
    this.#full.push(this.#open);
    this.#open = new IndexWindow(last, lastHash);
  }

  /**
   * The entries that may hold the trace, ascending, each once. What is on disk is read `inTurn`. Rejects with
   * `DamagedError`: then rebuild.
   */
  lookup(fingerprint: Fingerprint, inTurn: InTurn = now): Promise<LogIndex[]> {
    return this.#reading(() => this.#lookup(fingerprint, inTurn));
  }

  async #lookup(fingerprint: Fingerprint, inTurn: InTurn): Promise<LogIndex[]> {
    const inMemory = [...this.#full, this.#open].flatMap((window) => window.find(fingerprint));
    const windows = this.#windows.filter((window) => window.mayHave(fingerprint));
    if (windows.length === 0) return inMemory;
    const keys = windows.map((window) => bucketKey(window.number, bucketOf(fingerprint)));
    const records = await inTurn(() => this.#read((store) => store.getMany(keys)));
    const onDisk = windows.flatMap((window, at) => {
      const where = `bucket ${bucketOf(fingerprint)} of window ${window.number} of the index`;
      const record = records[at];
      if (record === undefined) throw new DamagedError(where, 'it is missing');
      const postings = decodeBucket(keys[at] as Uint8Array, record, where);
      const found = findPosting(postings, fingerprint, window.first);
      if (found === null) throw new DamagedError(where, 'it does not hold whole postings');
      return found;
    });
    return [...onDisk, ...inMemory];
  }

  /**
   * The first of the traces that does not lead to this block, one that was taken in; null when all do (protocol F2), or its
   * window is gone. Rejects with `DamagedError`: then rebuild.
   */
  unfound(block: LogIndex, fingerprints: Iterable<Fingerprint>): Promise<Fingerprint | null> {
    return this.#reading(() => this.#unfound(block, fingerprints));
  }

  async #unfound(block: LogIndex, fingerprints: Iterable<Fingerprint>): Promise<Fingerprint | null> {
    const covers = ({ first, last }: { first: LogIndex; last: LogIndex }): boolean => first <= block && block <= last;
    const inMemory = [...this.#full, this.#open].find(covers);
    if (inMemory !== undefined) {
      for (const each of fingerprints) if (!inMemory.find(each).includes(block)) return each;
      return null;
    }
    const window = this.#windows.find(covers);
    if (window === undefined) return null;
    const byBucket = new Map<number, Fingerprint[]>();
    for (const each of fingerprints) {
      if (!window.mayHave(each)) return each;
      const bucket = byBucket.get(bucketOf(each));
      if (bucket === undefined) byBucket.set(bucketOf(each), [each]);
      else bucket.push(each);
    }
    const buckets = [...byBucket.keys()];
    const keys = buckets.map((bucket) => bucketKey(window.number, bucket));
    const records = await this.#read((store) => store.getMany(keys));
    for (const [at, bucket] of buckets.entries()) {
      const leading = postingsOf(window, bucket, records[at]).filter(({ indices }) => indices.includes(block));
      const held = new Set(leading.map(({ fingerprint }) => fingerprint));
      const missing = byBucket.get(bucket)?.find((each) => !held.has(each));
      if (missing !== undefined) return missing;
    }
    return null;
  }

  /**
   * What the index says of the blocks in (above, to]; `to` was taken in, and `above` is not below `first - 1`. Rejects with
   * `DamagedError`: then rebuild.
   */
  digest(above: LogIndex, to: LogIndex): Promise<IndexDigest> {
    return this.#reading(() => this.#digest(above, to));
  }

  async #digest(above: LogIndex, to: LogIndex): Promise<IndexDigest> {
    invariant(
      above + 1 >= this.first,
      `the index begins at entry ${this.first}, and is asked for what follows ${above}`,
    );
    const digest = new IndexDigest();
    const add = function* (postings: Iterable<Posting>): Generator<void, void> {
      let counted = 0;
      for (const { fingerprint, indices } of postings) {
        for (const block of indices) if (block > above && block <= to) digest.add(fingerprint, block);
        counted += indices.length;
        if (counted < referencesPerStep) continue;
        counted = 0;
        yield;
      }
    };
    const inMemory = [...this.#full, this.#open];
    const onDisk = this.#windows.filter(({ first, last }) => first <= to && last > above);
    for (const window of inMemory) await this.#options.executor.run(add(window.postings()));
    for (const window of onDisk) {
      const buckets = Array.from({ length: bucketCount }, (_, bucket) => bucket).filter((each) =>
        window.hasBucket(each),
      );
      while (buckets.length > 0) {
        const some = buckets.splice(0, recordsPerRead);
        const records = await this.#read((store) =>
          store.getMany(some.map((bucket) => bucketKey(window.number, bucket))),
        );
        for (const [at, bucket] of some.entries())
          await this.#options.executor.run(add(postingsOf(window, bucket, records[at])));
      }
    }
    return digest;
  }

  /**
   * Flushes when it is time: after `flushEntries` entries or `flushWindows` full windows, when a full window has waited
   * `flushMs`, or when windows are to go. Resolves with whether it did. Rejects when the write failed; nothing is lost and a later call tries again.
   */
  async maybeFlush(): Promise<boolean> {
    if (this.#flushing !== null || this.#damaged !== null) return false;
    const { clock, flushEntries, flushMs, flushWindows } = this.#options;
    const waited = clock.monotonicMs() - this.#triedAtMs >= flushMs;
    if (this.#writeFailed && !waited) return false;
    const entries = this.applied - (this.#full[0] ?? this.#open).first + 1;
    if (entries >= flushEntries) await this.flush();
    else if (this.#full.length >= flushWindows || (waited && this.#full.length > 0) || this.#mustTrim)
      await this.#flushFull();
    else return false;
    return true;
  }

  /** Windows are to go, or have gone from memory alone. */
  get #mustTrim(): boolean {
    return this.#expired > 0 || this.#recordedFirst < this.#firstWindow;
  }

  /** Writes all that is in memory. Rejects when the write failed; nothing is lost. */
  async flush(): Promise<void> {
    this.#assertSound();
    await this.#flushing?.catch(() => undefined);
    if (this.#open.entryCount > 0) this.#closeOpen();
    await this.#flushFull();
  }

  /** Resolves when no flush is under way, however the last one ended. */
  async settled(): Promise<void> {
    await this.#flushing?.catch(() => undefined);
  }

  #flushFull(): Promise<void> {
    this.#flushing ??= this.#writeFull().finally(() => {
      this.#flushing = null;
    });
    return this.#flushing;
  }

  async #writeFull(): Promise<void> {
    this.#triedAtMs = this.#options.clock.monotonicMs();
    if (this.#writeFailed) await this.#reopenStore();
    // After a replay, or a time without space, there are more than one batch should hold.
    this.#dropExpired();
    for (let left = this.#full.length; left > 0; left -= this.#options.flushWindows) {
      await this.#writeWindows(this.#full.slice(0, Math.min(left, this.#options.flushWindows)));
    }
    if (this.#recordedFirst < this.#firstWindow) await this.#writeWindows([]);
    await this.#startCleaning();
  }

  /** One synced batch with these windows, the oldest in memory, how far they reach, and where the first one is. */
  async #writeWindows(windows: readonly IndexWindow[]): Promise<void> {
    const last = windows.at(-1);
    const flushed = last === undefined ? this.#flushed : { applied: last.last, hash: last.lastHash };
    invariant(flushed !== null, 'a flush has windows, or follows one that had');
    const firstWindow = this.#firstWindow;
    const stored: StoredWindow[] = [];
    const operations: KeyValueOperation[] = [];
    const put = (key: Uint8Array, value: Uint8Array): number => operations.push({ type: 'put', key, value });
    for (const window of windows) {
      const number = firstWindow + this.#windows.length + stored.length;
      const encoded = await this.#options.executor.run(window.encoding());
      const kept = StoredWindow.from(number, window, encoded);
      kept.weight = window.weight;
      stored.push(kept);
      put(windowKey(number), kept.encode());
      put(weightKey(number), encodeWeight(number, kept.weight));
      for (const { bucket, postings } of encoded.buckets) {
        const key = bucketKey(number, bucket);
        put(key, encodeBucket(key, postings));
      }
    }
    const weighed = [...this.#weighed];
    for (const { number, weight } of weighed)
      if (weight !== null && number >= firstWindow) put(weightKey(number), encodeWeight(number, weight));
    const key = flushKey(firstWindow + this.#windows.length + stored.length - 1);
    const { clusterId, incarnation } = this.#options;
    put(key, encodeFlushRecord(key, { clusterId, incarnation, ...flushed, firstWindow }));
    try {
      await (await this.#store).batch(operations, { sync: true });
    } catch (error) {
      this.#writeFailed = true;
      throw error;
    }
    this.#windows.push(...stored);
    this.#weighed = this.#weighed.slice(weighed.length);
    this.#full = this.#full.slice(windows.length);
    this.#flushed = flushed;
    this.#recordedFirst = firstWindow;
  }

  /** A handle whose write failed writes no more; lookups wait for the new one. */
  async #reopenStore(): Promise<void> {
    this.#store = this.#closed().then(() => this.#options.openStore());
    await this.#store;
    this.#writeFailed = false;
  }

  /** The store as it is, closed, however far it had come. */
  async #closed(): Promise<void> {
    const store = this.#store;
    await this.#cleaner.stop();
    await store.then((opened) => opened.close()).catch(() => undefined);
  }

  /** Flushes what is in memory and releases the store, also when the flush fails: then it rejects. */
  async close({ flushes = true }: { readonly flushes?: boolean } = {}): Promise<void> {
    try {
      if (flushes && this.#damaged === null) await this.flush();
    } finally {
      await this.#closed();
    }
  }

  #assertSound(): void {
    if (this.#damaged !== null) throw new DamagedError('the index', this.#damaged);
  }
}

/** All that stands in a bucket that holds anything. Throws `DamagedError`. */
function postingsOf(window: StoredWindow, bucket: number, record: Uint8Array | undefined): readonly Posting[] {
  const where = `bucket ${bucket} of window ${window.number} of the index`;
  if (record === undefined) throw new DamagedError(where, 'it is missing');
  const bytes = decodeBucket(bucketKey(window.number, bucket), record, where);
  const postings = decodePostings(bytes, bucket, window.first);
  if (postings === null) throw new DamagedError(where, 'it does not hold whole postings');
  return postings;
}
