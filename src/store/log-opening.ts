/**
 * Finding the end of a log on disk (protocol F3). LevelDB forgets and flips without an error, so the tail is read and checked:
 * checksum, index, both hashes, the chain and the absence of gaps. What of it is believed, `VerifiedTail` decides; what lies
 * behind its end is deleted, synced, and reported. The rest of the log is checked when it is read.
 */
import type { KeyValue } from '../platform/key-value.ts';
import type { Entry, LogIndex, LogPosition } from '../raft/core/types.ts';
import { asIndex } from '../raft/core/types.ts';
import type { BaseRecord } from './base-record.ts';
import { DamagedError } from './damaged.ts';
import { decodeEntry, faultOf, positionOf } from './entry.ts';
import { entriesEnd, entryKey, indexOfKey } from './log-keys.ts';
import { type Hole, type LogPromise, VerifiedTail } from './verified-tail.ts';

export interface OpenedLog {
  /** The last entry of the verified log; the base when it holds none. */
  readonly verifiedEnd: LogPosition;
  /** Entry time at `verifiedEnd`. */
  readonly timeMs: number;
  /** Entries deleted behind it. */
  readonly dropped: number;
  /** What was wrong with the first of them, or null. */
  readonly reason: string | null;
  /** Committed entries inside the log that are damaged or missing, highest first. */
  readonly holes: readonly Hole[];
  /** The configuration entries of what was verified, lowest first: all that are not known to be committed are among them. */
  readonly configurations: readonly Entry[];
  /** The same of entries that raise the format level. */
  readonly raises: readonly Entry[];
}

export interface Opening {
  readonly base: BaseRecord;
  /** What the hard state says; without it a fault of the tail always ends the log. */
  readonly promise: LogPromise | null;
  readonly verifyBytes: number;
}

const readBytesTarget = 4 * 1024 * 1024;
const readEntriesMax = 1_024;
const deletesMax = 10_000;

/**
 * Verifies the last `verifyBytes` of the entries above the base, all that is behind the commit index of the promise, and as
 * much again below every fault found there.
 * Throws `UnsupportedFormatError` at an entry of a newer version; then nothing is deleted.
 */
export async function openEntries(keyValue: KeyValue, { base, promise, verifyBytes }: Opening): Promise<OpenedLog> {
  const tail = new VerifiedTail(base.position, promise);
  let verified = 0;
  /** The index that the next key downwards should have. */
  let next = 0;
  let reachedBase = true;
  for await (const [key, value] of entriesBackwards(keyValue, base)) {
    // What is not known to be committed cannot be repaired from others, so nothing of it may be found damaged later.
    if (verified >= verifyBytes && next <= (promise?.commit ?? Infinity)) {
      reachedBase = false;
      break;
    }
    const at = indexOfKey(key);
    const index = at === null ? null : asIndex(at);
    next = (at ?? next) - 1;
    const found = tryDecode(index, value);
    if (!tail.take(index, found)) verified = 0;
    if (!('fault' in found)) verified += value.length;
  }
  if (reachedBase) tail.reachedBase();

  const { end, reason, holes, strangers, configurations, raises } = tail;
  const verifiedEnd = end === null ? base.position : positionOf(end);
  const timeMs = end === null ? base.timeMs : end.timeMs;
  if (strangers.length > 0) {
    await keyValue.batch(
      strangers.map((index) => ({ type: 'del', key: entryKey(index) })),
      { sync: true },
    );
  }
  const dropped = await deleteEntriesAbove(keyValue, verifiedEnd.index);
  return { verifiedEnd, timeMs, dropped, reason, holes, configurations, raises };
}

/** The verified entry, or what is wrong with it. */
function tryDecode(index: LogIndex | null, value: Uint8Array): Entry | { readonly fault: string } {
  if (index === null) return { fault: 'its key is damaged' };
  try {
    const entry = decodeEntry(value, index);
    const fault = faultOf(entry);
    return fault === null ? entry : { fault };
  } catch (error) {
    if (error instanceof DamagedError) return { fault: error.what };
    throw error;
  }
}

/** Entries above the base, newest first, read in pieces of about `readBytesTarget`. */
async function* entriesBackwards(keyValue: KeyValue, base: BaseRecord): AsyncGenerator<[Uint8Array, Uint8Array]> {
  const gte = entryKey(base.position.index + 1);
  let lt = entriesEnd;
  let limit = 1;
  for (;;) {
    const pairs = await keyValue.range({ gte, lt, reverse: true, limit });
    yield* pairs;
    const lowest = pairs.at(-1);
    if (lowest === undefined || pairs.length < limit) return;
    lt = lowest[0];
    const meanBytes = 1 + pairs.reduce((sum, [, value]) => sum + value.length, 0) / pairs.length;
    limit = Math.max(1, Math.min(readEntriesMax, limit * 4, Math.floor(readBytesTarget / meanBytes)));
  }
}

/** From the top down: a crash in between leaves no gap that was not there. */
export async function deleteEntriesAbove(keyValue: KeyValue, end: number): Promise<number> {
  let dropped = 0;
  for (;;) {
    const keys = await keyValue.keys({ gte: entryKey(end + 1), lt: entriesEnd, reverse: true, limit: deletesMax });
    if (keys.length === 0) return dropped;
    await keyValue.batch(
      keys.map((key) => ({ type: 'del', key })),
      { sync: true },
    );
    dropped += keys.length;
  }
}
