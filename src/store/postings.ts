/**
 * One bucket of an index window: which log entries hold spans of which trace (protocol F2). Immutable once written.
 *
 * Per trace, ascending: the 40 bits of its fingerprint that the bucket does not say, the number of entries, then their
 * indices as distances, the first one from the window's first entry.
 */
import type { LogIndex } from '../raft/core/types.ts';
import { asIndex } from '../raft/core/types.ts';
import type { Fingerprint } from './fingerprint.ts';
import { VarintReader, writeVarint } from './varint.ts';

export const bucketCount = 256;
const restBytes = 5;
const varintBytesMax = 5;

/** The bucket of a trace: the low 8 bits of its fingerprint, which hashes all 16 bytes of the id. */
export const bucketOf = (fingerprint: Fingerprint): number => fingerprint & (bucketCount - 1);

export interface Posting {
  readonly fingerprint: Fingerprint;
  /** Ascending, without repeats, all at or above the window's first index. */
  readonly indices: readonly LogIndex[];
}

/** Postings of one bucket, ascending by fingerprint. */
export function encodePostings(postings: readonly Posting[], firstIndex: LogIndex): Uint8Array {
  const references = postings.reduce((sum, { indices }) => sum + indices.length, 0);
  const target = new Uint8Array(postings.length * (restBytes + varintBytesMax) + references * varintBytesMax);
  const view = new DataView(target.buffer);
  let at = 0;
  for (const { fingerprint, indices } of postings) {
    const rest = Math.floor(fingerprint / bucketCount);
    view.setUint8(at, rest / 0x1_0000_0000);
    view.setUint32(at + 1, rest >>> 0);
    at = writeVarint(target, at + restBytes, indices.length);
    let before: number = firstIndex;
    for (const index of indices) {
      at = writeVarint(target, at, index - before);
      before = index;
    }
  }
  return target.subarray(0, at);
}

/** All postings of bucket number `bucket`, ascending; null when the bytes make no sense. */
export function decodePostings(bytes: Uint8Array, bucket: number, firstIndex: LogIndex): Posting[] | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const reader = new VarintReader(bytes);
  const postings: Posting[] = [];
  while (!reader.atEnd) {
    if (reader.at + restBytes > bytes.length) return null;
    const rest = view.getUint8(reader.at) * 0x1_0000_0000 + view.getUint32(reader.at + 1);
    reader.at += restBytes;
    const count = reader.next();
    const indices: LogIndex[] = [];
    let index: number = firstIndex;
    for (let reference = 0; reference < count && reader.ok; reference += 1) {
      index += reader.next();
      indices.push(asIndex(index));
    }
    postings.push({ fingerprint: (rest * bucketCount + bucket) as Fingerprint, indices });
  }
  return reader.ok ? postings : null;
}

/** The entries of one trace in its bucket, ascending; none when it is not there, null when the bucket makes no sense. */
export function findPosting(bucket: Uint8Array, fingerprint: Fingerprint, firstIndex: LogIndex): LogIndex[] | null {
  const wanted = Math.floor(fingerprint / bucketCount);
  const view = new DataView(bucket.buffer, bucket.byteOffset, bucket.byteLength);
  const reader = new VarintReader(bucket);
  let found: LogIndex[] = [];
  while (!reader.atEnd) {
    if (reader.at + restBytes > bucket.length) return null;
    const rest = view.getUint8(reader.at) * 0x1_0000_0000 + view.getUint32(reader.at + 1);
    reader.at += restBytes;
    const count = reader.next();
    const indices: LogIndex[] = [];
    let index: number = firstIndex;
    for (let reference = 0; reference < count && reader.ok; reference += 1) {
      index += reader.next();
      if (rest === wanted) indices.push(asIndex(index));
    }
    if (rest === wanted) found = indices;
  }
  return reader.ok ? found : null;
}
