/**
 * The records of entries, made once: a leader sends the same entry to every follower and writes it to its own log, and a follower
 * writes down the bytes that came. Each record made anew would be a copy, a checksum, and memory for V8 to collect.
 *
 * Records that are handed out must not be changed.
 */
import { limits } from '../limits.ts';
import type { Entry } from '../raft/core/types.ts';
import { encodeEntry } from './entry.ts';

/** Of entries that were received. A record lives as long as its entry anyway: the payload is a part of it. */
const received = new WeakMap<Entry, Uint8Array>();
/** Of entries that were encoded here lately, the oldest first. */
const encoded = new Map<Entry, Uint8Array>();
let encodedBytes = 0;

/** The record of `entry`: what `encodeEntry` would make. */
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
