/**
 * The bytes of a Raft entry, and its hashes. Must always hold:
 * - `hash` covers the header, the header covers `payloadHash` and `previousHash`: equal hashes mean equal logs up to there;
 * - nothing is returned from bytes whose checksum, length, version or index does not fit.
 *
 * Record: CRC-32 of the rest | payload length u32 | header | payload.
 * Header, the bytes that are hashed: version u8, kind u8, six zeros, term u64, index u64, time u64, previous hash, payload hash.
 * The payload's length is outside of it, so a redacted payload leaves the chain whole (protocol C5).
 */
import { limits } from '../limits.ts';
import { digestBytes, sha256 } from '../platform/digest.ts';
import type { Entry, EntryHash, EntryKind, LogIndex, LogPosition } from '../raft/core/types.ts';
import { asHash, asIndex, asTerm } from '../raft/core/types.ts';
import { DamagedError, UnsupportedFormatError } from './damaged.ts';
import type { EntryWeight } from './index-window.ts';
import { checkedBody, checksumBytes, getUint64, hexOf, setUint64, viewOf, writeChecksum } from './record.ts';

const formatVersion = 1;
const kindCodes: Record<EntryKind, number> = { noop: 1, block: 2, configuration: 3, trim: 4, 'format-level': 5 };
const kinds = new Map(Object.entries(kindCodes).map(([kind, code]) => [code, kind as EntryKind]));

const lengthBytes = 4;
const headerBytes = 32 + 2 * digestBytes;
const headerAt = checksumBytes + lengthBytes;
/** What an entry takes beside its payload. */
export const entryOverheadBytes = headerAt + headerBytes;

type Header = Omit<Entry, 'hash' | 'payload'>;

/** The hash of a payload alone. */
export function payloadHashOf(payload: Uint8Array): EntryHash {
  return asHash(hexOf(sha256(payload)));
}

/** The hash of an entry: that of its encoded header. */
export function entryHash(header: Header): EntryHash {
  const bytes = new Uint8Array(headerBytes);
  writeHeader(bytes, header);
  return asHash(hexOf(sha256(bytes)));
}

/** Makes the entry that an appending leader, or a test, has put together. */
export function sealEntry(draft: Omit<Entry, 'hash'>): Entry {
  return { ...draft, hash: entryHash(draft) };
}

/** What retention counts of an entry. */
export function weightOf(entry: Entry): EntryWeight {
  return { bytes: entry.payload.length + entryOverheadBytes, timeMs: entry.timeMs };
}

export function positionOf(entry: Entry): LogPosition {
  return { index: entry.index, term: entry.term, hash: entry.hash };
}

/** Why an entry is not what its hashes say, or null. For entries from the network and for open, where a checksum is not enough. */
export function faultOf(entry: Entry): string | null {
  if (payloadHashOf(entry.payload) !== entry.payloadHash) return 'its payload does not have the hash in its header';
  if (entryHash(entry) !== entry.hash) return 'its header does not have the hash it names';
  return null;
}

/** Throws `DamagedError` unless both hashes of the entry are right. */
export function verifyEntry(entry: Entry): void {
  const fault = faultOf(entry);
  if (fault !== null) throw new DamagedError(`entry ${entry.index}`, fault);
}

/** The record of an entry, payload copied in. */
export function encodeEntry(entry: Entry): Uint8Array {
  const record = Buffer.allocUnsafeSlow(entryOverheadBytes + entry.payload.length);
  viewOf(record).setUint32(checksumBytes, entry.payload.length);
  writeHeader(record.subarray(headerAt, entryOverheadBytes), entry);
  record.set(entry.payload, entryOverheadBytes);
  writeChecksum(record);
  return record;
}

/** Records of entries that were received. Each lives as long as its entry anyway: the payload is a part of it. */
const received = new WeakMap<Entry, Uint8Array>();
/** Records of entries that were encoded here lately, the oldest first. */
const encoded = new Map<Entry, Uint8Array>();
let encodedBytes = 0;

/**
 * The record of `entry`, made once: a leader sends it to every follower and writes it to its own log, and a follower writes down
 * the bytes that came. It must not be changed.
 */
export function recordOf(entry: Entry): Uint8Array {
  const known = received.get(entry) ?? encoded.get(entry);
  if (known !== undefined) return known;
  const record = encodeEntry(entry);
  encoded.set(entry, record);
  encodedBytes += record.length;
  for (const [oldest, { length }] of encoded) {
    if (encodedBytes <= limits.recordsBytesMax) break;
    encoded.delete(oldest);
    encodedBytes -= length;
  }
  return record;
}

/** `entry` was decoded from `record`, which belongs to nobody else. */
export function rememberRecord(entry: Entry, record: Uint8Array): void {
  received.set(entry, record);
}

/**
 * The entry of a record; its payload is a view of `record`. Throws `DamagedError` when a byte is wrong or the entry is not
 * the one at `expectedIndex`, and `UnsupportedFormatError` for an intact record of a version or kind unknown here.
 */
export function decodeEntry(record: Uint8Array, expectedIndex?: LogIndex): Entry {
  const where = expectedIndex === undefined ? 'an entry' : `entry ${expectedIndex} of the log`;
  checkedBody(record, where);
  if (record.length < entryOverheadBytes) throw new DamagedError(where, `it has only ${record.length} bytes`);
  const view = viewOf(record);
  const version = view.getUint8(headerAt);
  if (version > formatVersion) throw new UnsupportedFormatError(where, `entry format ${version}`);
  const kind = kinds.get(view.getUint8(headerAt + 1));
  if (kind === undefined) throw new UnsupportedFormatError(where, `entry kind ${view.getUint8(headerAt + 1)}`);
  if (version !== formatVersion || view.getUint16(headerAt + 2) !== 0 || view.getUint32(headerAt + 4) !== 0) {
    throw new DamagedError(where, 'its header is not one that any version writes');
  }
  const payload = record.subarray(entryOverheadBytes);
  if (payload.length !== view.getUint32(checksumBytes)) {
    throw new DamagedError(
      where,
      `its payload has ${payload.length} bytes instead of ${view.getUint32(checksumBytes)}`,
    );
  }
  const header = record.subarray(headerAt, entryOverheadBytes);
  const [term, index, timeMs] = [8, 16, 24].map((offset) => getUint64(view, headerAt + offset)) as [
    number,
    number,
    number,
  ];
  if (!Number.isSafeInteger(term) || !Number.isSafeInteger(index) || !Number.isSafeInteger(timeMs)) {
    throw new DamagedError(where, 'its header holds a number out of range');
  }
  if (expectedIndex !== undefined && index !== expectedIndex)
    throw new DamagedError(where, `it says it is entry ${index}`);
  return {
    index: asIndex(index),
    term: asTerm(term),
    kind,
    timeMs,
    previousHash: asHash(hexOf(header.subarray(32, 32 + digestBytes))),
    payloadHash: asHash(hexOf(header.subarray(32 + digestBytes))),
    payload,
    hash: asHash(hexOf(sha256(header))),
  };
}

function writeHeader(target: Uint8Array, header: Header): void {
  if (!Number.isSafeInteger(header.timeMs) || header.timeMs < 0)
    throw new RangeError(`not an entry time: ${header.timeMs}`);
  const view = viewOf(target);
  target.fill(0, 0, 8);
  view.setUint8(0, formatVersion);
  view.setUint8(1, kindCodes[header.kind]);
  setUint64(view, 8, header.term);
  setUint64(view, 16, header.index);
  setUint64(view, 24, header.timeMs);
  writeHash(target, 32, header.previousHash);
  writeHash(target, 32 + digestBytes, header.payloadHash);
}

function writeHash(target: Uint8Array, offset: number, hash: EntryHash): void {
  const written = Buffer.from(target.buffer, target.byteOffset).write(hash, offset, digestBytes, 'hex');
  if (written !== digestBytes || hash.length !== 2 * digestBytes) throw new RangeError(`not a hash: ${hash}`);
}
