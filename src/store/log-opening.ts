/**
 * Finding the end of a log on disk (protocol F3). LevelDB forgets and flips without an error, so the tail is read and checked:
 * checksum, index, both hashes, the chain and the absence of gaps. The log ends before the first entry of the tail that fails;
 * what lies behind it is deleted, synced, and reported. The rest of the log is checked when it is read.
 */
import type { KeyValue } from '../platform/key-value.ts';
import type { Entry, EntryHash, LogPosition } from '../raft/core/types.ts';
import { asIndex } from '../raft/core/types.ts';
import type { BaseRecord } from './base-record.ts';
import { DamagedError } from './damaged.ts';
import { decodeEntry, faultOf, positionOf } from './entry.ts';
import { entriesEnd, entryKey, indexOfKey } from './log-keys.ts';

export interface OpenedLog {
  /** The last entry of the verified log; the base when it holds none. */
  readonly verifiedEnd: LogPosition;
  /** Entry time at `verifiedEnd`. */
  readonly timeMs: number;
  /** Entries deleted behind it. */
  readonly dropped: number;
  /** What was wrong with the first of them, or null. */
  readonly reason: string | null;
}

const readBytesTarget = 4 * 1024 * 1024;
const readEntriesMax = 1_024;
const deletesMax = 10_000;

/**
 * Verifies the last `verifyBytes` of the entries above the base, and as much again below every fault found there.
 * Throws `UnsupportedFormatError` at an entry of a newer version; then nothing is deleted.
 */
export async function openEntries(keyValue: KeyValue, base: BaseRecord, verifyBytes: number): Promise<OpenedLog> {
  let end: Entry | null = null;
  let reason: string | null = null;
  /** The entry verified last, the one above the next to be read; null at the end and above a fault. */
  let above: Entry | null = null;
  let verified = 0;
  let reachedBase = true;

  const fail = (sentence: string): void => {
    reason = sentence;
    end = null;
    above = null;
    verified = 0;
  };
  for await (const [key, value] of entriesBackwards(keyValue, base)) {
    if (verified >= verifyBytes) {
      reachedBase = false;
      break;
    }
    const entry = tryDecode(key, value);
    if (typeof entry === 'string') {
      fail(entry);
      continue;
    }
    if (above !== null) checkFollows(entry, above, fail);
    end ??= entry;
    above = entry;
    verified += value.length;
  }
  if (above !== null && reachedBase) checkFollows(base.position, above, fail);

  const verifiedEnd = end === null ? base.position : positionOf(end);
  const timeMs = end === null ? base.timeMs : end.timeMs;
  const dropped = await deleteEntriesAbove(keyValue, verifiedEnd.index);
  return { verifiedEnd, timeMs, dropped, reason };
}

/** Reports through `fail` when `above` is not the entry that follows `below`. */
function checkFollows(below: { index: number; hash: EntryHash }, above: Entry, fail: (sentence: string) => void): void {
  if (above.index !== below.index + 1) {
    fail(`entry ${below.index + 1} of the log is missing`);
  } else if (above.previousHash !== below.hash) {
    fail(`entry ${above.index} of the log does not follow entry ${below.index}: the hash chain is broken`);
  }
}

/** The verified entry, or what is wrong with it. */
function tryDecode(key: Uint8Array, value: Uint8Array): Entry | string {
  const index = indexOfKey(key);
  if (index === null) return 'a key of the log is damaged';
  try {
    const entry = decodeEntry(value, asIndex(index));
    const fault = faultOf(entry);
    return fault === null ? entry : `entry ${index} of the log is damaged: ${fault}`;
  } catch (error) {
    if (error instanceof DamagedError) return error.message;
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
async function deleteEntriesAbove(keyValue: KeyValue, end: number): Promise<number> {
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
