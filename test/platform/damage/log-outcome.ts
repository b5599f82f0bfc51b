/** What the block log makes of a damaged store, and whether that is right. */
import { DiskError } from '../../../src/platform/disk-error.ts';
import type { KeyValue } from '../../../src/platform/key-value.ts';
import type { Entry, EntryHash } from '../../../src/raft/core/types.ts';
import { asIndex } from '../../../src/raft/core/types.ts';
import { BlockLog } from '../../../src/store/block-log.ts';
import { DamagedError } from '../../../src/store/damaged.ts';
import { decodeEntry, payloadHashOf } from '../../../src/store/entry.ts';
import { baseKey } from '../../../src/store/log-keys.ts';
import { bytesOf, keyOf } from '../../sim/platform/ordered-bytes.ts';
import type { History } from './history.ts';

export type LogOutcome =
  | {
      readonly kind: 'opened';
      readonly founded: boolean;
      readonly reason: string | null;
      /** The hash of the last entry, as opening verified it. */
      readonly end: EntryHash;
      readonly entries: readonly ReadEntry[];
    }
  | { readonly kind: 'refused'; readonly sentence: string }
  | { readonly kind: 'died' };

/** What was read, or why it could not be. */
export type ReadEntry =
  | { readonly hash: EntryHash; readonly payloadDigest: string }
  | { readonly damaged: string }
  | { readonly unreadable: string };

export async function openLog(open: () => Promise<KeyValue>, verifyBytes: number): Promise<LogOutcome> {
  let keyValue: KeyValue | undefined;
  let log: BlockLog;
  try {
    keyValue = await open();
    log = await BlockLog.open({ keyValue, verifyBytes, cacheBytesMax: 0 });
  } catch (error) {
    await keyValue?.close();
    if (!(error instanceof DiskError)) throw error;
    return { kind: 'refused', sentence: error.message };
  }
  const entries: ReadEntry[] = [];
  for (let index = 1; index <= log.last.index; index += 1) entries.push(await readEntry(log, index));
  const outcome: LogOutcome = {
    kind: 'opened',
    founded: log.base !== null,
    reason: log.opened.reason,
    end: log.last.hash,
    entries,
  };
  await log.close();
  return outcome;
}

async function readEntry(log: BlockLog, index: number): Promise<ReadEntry> {
  try {
    const { hash, payload } = await log.read(asIndex(index));
    return { hash, payloadDigest: payloadHashOf(payload) };
  } catch (error) {
    if (error instanceof DamagedError) return { damaged: error.message };
    if (error instanceof DiskError) return { unreadable: error.message };
    throw error;
  }
}

/** Every entry that was ever in the log, by its hash. */
export function entriesOf(history: History): Map<EntryHash, Entry> {
  const values = history
    .flat()
    .flatMap(({ key, value }) => (value === undefined || key === keyOf(baseKey) ? [] : [value]));
  return new Map(values.map((value) => decodeEntry(bytesOf(value))).map((entry) => [entry.hash, entry]));
}

export interface WrongEntry {
  readonly index: number;
  /** It stood there once, until a conflict replaced it; else nobody wrote it there. */
  readonly replaced: boolean;
}

/** The last entry that is not the one that the chain leads to from the end, or null. */
export function wrongEntry(
  written: ReadonlyMap<EntryHash, Entry>,
  { end, entries }: { readonly end: EntryHash; readonly entries: readonly ReadEntry[] },
): WrongEntry | null {
  let expected = end;
  for (let index = entries.length; index > 0; index -= 1) {
    const entry = written.get(expected);
    const read = entries[index - 1];
    if (read === undefined || entry?.index !== index) return { index, replaced: false };
    if ('hash' in read && (read.hash !== entry.hash || read.payloadDigest !== entry.payloadHash)) {
      const once = written.get(read.hash);
      return { index, replaced: once?.index === index && once.payloadHash === read.payloadDigest };
    }
    expected = entry.previousHash;
  }
  return null;
}
