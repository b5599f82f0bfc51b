/**
 * Checks an index on disk against its log, both ways: every block must be found through every trace of its directory, and
 * the index must name no block for a trace that is not in it (protocol F2). A window is a function of the entries it covers,
 * so it is made again from them and compared.
 */
import { DiskError } from '../platform/disk-error.ts';
import type { KeyValue } from '../platform/key-value.ts';
import { asIndex, type Entry, type LogIndex, zeroHash } from '../raft/core/types.ts';
import { DamagedError } from './damaged.ts';
import { weightOf } from './entry.ts';
import type { Finding } from './finding.ts';
import type { Fingerprint } from './fingerprint.ts';
import {
  bucketKey,
  decodeBucket,
  decodeFlushRecord,
  decodeWeight,
  firstKey,
  type FlushRecord,
  keysEnd,
  StoredWindow,
  weightKey,
  windowKey,
  windowOfFlushKey,
} from './index-records.ts';
import { type EntryWeight, IndexWindow } from './index-window.ts';
import { bucketCount, decodePostings, type Posting } from './postings.ts';

export interface IndexCheckOptions {
  readonly keyValue: KeyValue;
  readonly found: (finding: Finding) => void;
}

const noWeight: EntryWeight = { bytes: 0, timeMs: 0 };
/** How many pairs of a bucket that do not fit are told one by one. */
const toldPerWindow = 3;

export class IndexCheck {
  readonly #options: IndexCheckOptions;
  /** What its newest flush says of it. */
  readonly flush: FlushRecord;
  /** Whole ones, oldest first. */
  readonly #windows: StoredWindow[];
  #remade: IndexWindow | null = null;
  #begun = false;
  /** Entries of the window that are not there to compare with. */
  #unknown = new Set<LogIndex>();

  private constructor(options: IndexCheckOptions, flush: FlushRecord, windows: StoredWindow[]) {
    this.#options = options;
    this.flush = flush;
    this.#windows = windows;
  }

  /** Null for an index that holds nothing, or of which nothing can be said but the findings. */
  static async open(options: IndexCheckOptions): Promise<IndexCheck | null> {
    const { keyValue, found } = options;
    const tell = (where: string, what: string): void => found({ part: 'index', where, what });
    try {
      const keys = await keyValue.keys({ gte: firstKey, lt: keysEnd, reverse: true, limit: 1 });
      const [key] = keys;
      if (key === undefined) return null;
      const lastWindow = windowOfFlushKey(key);
      if (lastWindow === null) throw new DamagedError('the flush record', 'it is not the last record of the index');
      const record = await keyValue.get(key);
      if (record === undefined) throw new DamagedError('the flush record', 'it is missing');
      const flush = decodeFlushRecord(key, record);
      return new IndexCheck(options, flush, await readWindows(options, flush, lastWindow));
    } catch (error) {
      if (error instanceof DamagedError) tell(error.where, error.what);
      else if (error instanceof DiskError) tell('its store', error.message);
      else throw error;
      return null;
    }
  }

  /** Takes the next entry of the log, and the traces in it; null when it cannot be read. All of them in order. */
  async take(index: LogIndex, entry: Entry | null, fingerprints: readonly Fingerprint[] | null): Promise<void> {
    this.#checkBeginning(index);
    const window = this.#windows.find((each) => each.first <= index && index <= each.last);
    if (window === undefined) return;
    if (this.#remade === null || this.#remade.first !== window.first) this.#begin(window, index);
    if (entry === null || fingerprints === null) this.#unknown.add(index);
    this.#remade?.add(index, entry?.hash ?? zeroHash, fingerprints ?? [], entry === null ? noWeight : weightOf(entry));
    if (index === window.last && this.#remade !== null) await this.#compare(window, this.#remade);
  }

  /** A trim takes windows of which nothing is left in the log, and no others. */
  #checkBeginning(index: LogIndex): void {
    if (this.#begun) return;
    this.#begun = true;
    const [first] = this.#windows;
    if (first === undefined || first.number !== this.flush.firstWindow || first.first <= index) return;
    const what = `it begins with entry ${first.first}, the log with entry ${index}`;
    this.#options.found({ part: 'index', where: `window ${first.number}`, what });
  }

  /** Of a window that begins below the log, which was trimmed, the rest is compared. */
  #begin(window: StoredWindow, index: LogIndex): void {
    this.#remade = new IndexWindow(asIndex(window.first - 1), zeroHash);
    this.#unknown = new Set();
    for (let below = window.first; below < index; below = asIndex(below + 1)) {
      this.#unknown.add(below);
      this.#remade.add(below, zeroHash, [], noWeight);
    }
  }

  async #compare(window: StoredWindow, remade: IndexWindow): Promise<void> {
    const encoding = remade.encoding();
    let step = encoding.next();
    while (step.done !== true) step = encoding.next();
    const expected = new Map(step.value.buckets.map(({ bucket, postings }) => [bucket, postings]));
    const differences: string[] = [];
    for (let bucket = 0; bucket < bucketCount; bucket += 1) {
      const bytes = expected.get(bucket) ?? new Uint8Array(0);
      const due = pairsOf(decodePostings(bytes, bucket, window.first) ?? [], this.#unknown);
      const stored = await this.#storedPairs(window, bucket);
      if (stored === null) continue;
      for (const [pair, { index, fingerprint }] of due) {
        if (!stored.has(pair)) differences.push(`block ${index} is not found through trace fingerprint ${fingerprint}`);
        else if (!window.mayHave(fingerprint))
          differences.push(`its filter hides trace fingerprint ${fingerprint} of block ${index}`);
      }
      for (const [pair, { index, fingerprint }] of stored)
        if (!due.has(pair))
          differences.push(`it names block ${index} for trace fingerprint ${fingerprint}, which is not in it`);
    }
    const weight = await this.#storedWeight(window.number);
    if (weight !== null && this.#unknown.size === 0) {
      const due = remade.weight;
      if (weight.bytes !== due.bytes || weight.timeMs !== due.timeMs)
        differences.push(
          `it weighs ${weight.bytes} bytes up to ${weight.timeMs}, its entries ${due.bytes} up to ${due.timeMs}`,
        );
    }
    const where = `window ${window.number}`;
    for (const what of differences.slice(0, toldPerWindow)) this.#options.found({ part: 'index', where, what });
    const more = differences.length - toldPerWindow;
    if (more > 0) this.#options.found({ part: 'index', where, what: `and ${more} more like these` });
  }

  /** Null where there is none, or with a finding. */
  async #storedWeight(window: number): Promise<EntryWeight | null> {
    try {
      const record = await this.#options.keyValue.get(weightKey(window));
      return record === undefined ? null : decodeWeight(window, record);
    } catch (error) {
      if (!(error instanceof DamagedError || error instanceof DiskError)) throw error;
      const what = error instanceof DamagedError ? error.what : error.message;
      this.#options.found({ part: 'index', where: `the weight of window ${window}`, what });
      return null;
    }
  }

  async #storedPairs(window: StoredWindow, bucket: number): Promise<Map<string, Pair> | null> {
    const where = `bucket ${bucket} of window ${window.number}`;
    try {
      const key = bucketKey(window.number, bucket);
      const record = await this.#options.keyValue.get(key);
      if (record === undefined) {
        if (window.hasBucket(bucket)) throw new DamagedError(where, 'it is missing');
        return new Map();
      }
      const postings = decodePostings(decodeBucket(key, record, where), bucket, window.first);
      if (postings === null) throw new DamagedError(where, 'it does not hold whole postings');
      return pairsOf(postings, this.#unknown);
    } catch (error) {
      if (!(error instanceof DamagedError || error instanceof DiskError)) throw error;
      this.#options.found({ part: 'index', where, what: error instanceof DamagedError ? error.what : error.message });
      return null;
    }
  }
}

async function readWindows(
  { keyValue, found }: IndexCheckOptions,
  flush: FlushRecord,
  last: number,
): Promise<StoredWindow[]> {
  const windows: StoredWindow[] = [];
  for (let number = flush.firstWindow; number <= last; number += 1) {
    try {
      const record = await keyValue.get(windowKey(number));
      if (record === undefined) throw new DamagedError(`window ${number}`, 'it is missing');
      const window = StoredWindow.decode(number, record);
      const before = windows.at(-1);
      if (before?.number === number - 1 && window.first !== before.last + 1)
        throw new DamagedError(`window ${number}`, 'it does not follow the one before');
      windows.push(window);
    } catch (error) {
      if (!(error instanceof DamagedError || error instanceof DiskError)) throw error;
      const what = error instanceof DamagedError ? error.what : error.message;
      found({ part: 'index', where: `window ${number}`, what });
    }
  }
  const end = windows.at(-1);
  if (end?.number === last && end.last !== flush.applied)
    found({
      part: 'index',
      where: 'the flush record',
      what: `it says entry ${flush.applied}, its windows end at ${end.last}`,
    });
  return windows;
}

interface Pair {
  readonly fingerprint: Fingerprint;
  readonly index: LogIndex;
}

/** What a bucket says, one trace and one block at a time, without entries that are not known. */
function pairsOf(postings: readonly Posting[], unknown: ReadonlySet<LogIndex>): Map<string, Pair> {
  const pairs = new Map<string, Pair>();
  for (const { fingerprint, indices } of postings) {
    for (const index of indices) if (!unknown.has(index)) pairs.set(`${fingerprint} ${index}`, { fingerprint, index });
  }
  return pairs;
}
