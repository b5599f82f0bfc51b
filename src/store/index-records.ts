/**
 * Keys and records of the `index` store. Every key begins with the number of its window, so keys only grow and a flush never
 * overlaps an earlier one (protocol F2): there is no fixed key, the newest flush record is the last key of all.
 * Every record's checksum starts from that of its key: a record in the wrong place is damage.
 */
import { crc32 } from '../platform/digest.ts';
import type { EntryHash, LogIndex } from '../raft/core/types.ts';
import { asHash, asIndex } from '../raft/core/types.ts';
import { BloomFilter } from './bloom-filter.ts';
import { DamagedError, UnsupportedFormatError } from './damaged.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { EncodedWindow, EntryWeight } from './index-window.ts';
import { bucketCount, bucketOf } from './postings.ts';
import {
  checkedBody,
  checksumBytes,
  decodeJsonRecord,
  encodeJsonRecord,
  getUint64,
  setUint64,
  viewOf,
  writeChecksum,
} from './record.ts';

const formatVersion = 1;
/**
 * What follows the window's number in a key; a bucket's number follows its kind. The weight of a window has a record of its own
 * behind the window's: 0.1.0 reads an index that has them, and its own has none.
 */
const kinds = { window: 0, bucket: 1, flush: 2 } as const;

export const firstKey: Uint8Array = Uint8Array.of(0);
export const keysEnd: Uint8Array = Uint8Array.of(255, 255, 255, 255, 255);

function keyOf(window: number, kind: number, ...rest: number[]): Uint8Array {
  const key = Uint8Array.of(0, 0, 0, 0, kind, ...rest);
  viewOf(key).setUint32(0, window);
  return key;
}
export const windowKey = (window: number): Uint8Array => keyOf(window, kinds.window);
export const weightKey = (window: number): Uint8Array => keyOf(window, kinds.window, 1);
export const bucketKey = (window: number, bucket: number): Uint8Array => keyOf(window, kinds.bucket, bucket);
export const flushKey = (window: number): Uint8Array => keyOf(window, kinds.flush);
/** The window that a key belongs to. */
export const windowOfKey = (key: Uint8Array): number => viewOf(key).getUint32(0);
/** The window of a flush record's key; null for any other key. */
export function windowOfFlushKey(key: Uint8Array): number | null {
  return key.length === 5 && key[4] === kinds.flush ? viewOf(key).getUint32(0) : null;
}

/** How far the index on disk goes (protocol F1). */
export interface FlushRecord {
  readonly clusterId: string;
  readonly incarnation: string;
  readonly applied: LogIndex;
  /** Of the entry at `applied`; must be the log's. */
  readonly hash: EntryHash;
  readonly firstWindow: number;
}

export function encodeFlushRecord(key: Uint8Array, flush: FlushRecord): Uint8Array {
  return encodeJsonRecord({ format: formatVersion, ...flush }, crc32(key));
}

export function decodeFlushRecord(key: Uint8Array, record: Uint8Array): FlushRecord {
  const where = 'the flush record of the index';
  const { format, clusterId, incarnation, applied, hash, firstWindow } = decodeJsonRecord(record, where, crc32(key));
  if (typeof format === 'number' && format > formatVersion)
    throw new UnsupportedFormatError(where, `index format ${format}`);
  if (
    typeof clusterId !== 'string' ||
    typeof incarnation !== 'string' ||
    typeof applied !== 'number' ||
    typeof hash !== 'string' ||
    typeof firstWindow !== 'number'
  ) {
    throw new DamagedError(where, 'a field is missing');
  }
  return { clusterId, incarnation, applied: asIndex(applied), hash: asHash(hash), firstWindow };
}

/** What stays in memory of a window on disk. */
export class StoredWindow {
  readonly number: number;
  readonly first: LogIndex;
  readonly last: LogIndex;
  /** Of all its entries; null for a window whose entries nobody has weighed. */
  weight: EntryWeight | null = null;
  readonly #filter: BloomFilter;
  /** One bit per bucket that holds anything: such a key is never missing without being damage. */
  readonly #buckets: Uint8Array;

  constructor(number: number, fields: { first: LogIndex; last: LogIndex; filter: BloomFilter; buckets: Uint8Array }) {
    this.number = number;
    this.first = fields.first;
    this.last = fields.last;
    this.#filter = fields.filter;
    this.#buckets = fields.buckets;
  }

  static from(number: number, range: { first: LogIndex; last: LogIndex }, encoded: EncodedWindow): StoredWindow {
    const buckets = new Uint8Array(bucketCount / 8);
    for (const { bucket } of encoded.buckets)
      buckets[bucket >>> 3] = (buckets[bucket >>> 3] as number) | (1 << (bucket & 7));
    return new StoredWindow(number, { first: range.first, last: range.last, filter: encoded.filter, buckets });
  }

  mayHave(fingerprint: Fingerprint): boolean {
    return this.hasBucket(bucketOf(fingerprint)) && this.#filter.mayHave(fingerprint);
  }

  /** Whether that bucket holds anything. */
  hasBucket(bucket: number): boolean {
    return ((this.#buckets[bucket >>> 3] as number) & (1 << (bucket & 7))) !== 0;
  }

  /** Record: checksum | format u8, three zeros | first u64 | last u64 | bucket bits | filter. */
  encode(): Uint8Array {
    const record = new Uint8Array(windowHeadBytes + this.#buckets.length + this.#filter.bytes.length);
    const view = viewOf(record);
    view.setUint8(checksumBytes, formatVersion);
    setUint64(view, 8, this.first);
    setUint64(view, 16, this.last);
    record.set(this.#buckets, windowHeadBytes);
    record.set(this.#filter.bytes, windowHeadBytes + this.#buckets.length);
    writeChecksum(record, crc32(windowKey(this.number)));
    return record;
  }

  /** Throws `DamagedError` or `UnsupportedFormatError`. */
  static decode(number: number, record: Uint8Array): StoredWindow {
    const where = `window ${number} of the index`;
    checkedBody(record, where, crc32(windowKey(number)));
    const view = viewOf(record);
    if (view.getUint8(checksumBytes) > formatVersion) {
      throw new UnsupportedFormatError(where, `index format ${view.getUint8(checksumBytes)}`);
    }
    const filterAt = windowHeadBytes + bucketCount / 8;
    if (record.length <= filterAt) throw new DamagedError(where, 'it is cut');
    return new StoredWindow(number, {
      first: asIndex(getUint64(view, 8)),
      last: asIndex(getUint64(view, 16)),
      filter: new BloomFilter(record.slice(filterAt)),
      buckets: record.slice(windowHeadBytes, filterAt),
    });
  }
}

const windowHeadBytes = 24;
const weightBytes = 24;

/** Record: checksum | format u8, three zeros | bytes u64 | time u64. */
export function encodeWeight(window: number, { bytes, timeMs }: EntryWeight): Uint8Array {
  const record = new Uint8Array(weightBytes);
  const view = viewOf(record);
  view.setUint8(checksumBytes, formatVersion);
  setUint64(view, 8, bytes);
  setUint64(view, 16, timeMs);
  writeChecksum(record, crc32(weightKey(window)));
  return record;
}

/** Throws `DamagedError` or `UnsupportedFormatError`. */
export function decodeWeight(window: number, record: Uint8Array): EntryWeight {
  const where = `the weight of window ${window} of the index`;
  checkedBody(record, where, crc32(weightKey(window)));
  if (record.length !== weightBytes) throw new DamagedError(where, `it has ${record.length} bytes`);
  const view = viewOf(record);
  if (view.getUint8(checksumBytes) > formatVersion)
    throw new UnsupportedFormatError(where, `index format ${view.getUint8(checksumBytes)}`);
  const weight = { bytes: getUint64(view, 8), timeMs: getUint64(view, 16) };
  if (!Number.isSafeInteger(weight.bytes) || !Number.isSafeInteger(weight.timeMs))
    throw new DamagedError(where, 'it is not one that any version writes');
  return weight;
}

export function encodeBucket(key: Uint8Array, postings: Uint8Array): Uint8Array {
  const record = new Uint8Array(checksumBytes + postings.length);
  record.set(postings, checksumBytes);
  writeChecksum(record, crc32(key));
  return record;
}

/** The postings of a bucket. Throws `DamagedError`. */
export function decodeBucket(key: Uint8Array, record: Uint8Array, where: string): Uint8Array {
  return checkedBody(record, where, crc32(key));
}
