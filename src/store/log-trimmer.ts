/**
 * Gives back the space of a log that was trimmed, a step at a time (protocol E2). Deleted keys take as much room as before until
 * LevelDB compacts them away; done at once for much of a log that holds up synced writes for over a second, in steps of
 * tens of MiB for some 50 ms (docs/decisions/0002-trim.md).
 *
 * Keys go from the lowest on, and what a crash brings back is found again by the next step: nobody reads there.
 */
import { limits } from '../limits.ts';
import type { KeyValue } from '../platform/key-value.ts';
import type { LogIndex } from '../raft/core/types.ts';
import { entryKey } from './log-keys.ts';

/** Deletes the lowest entries, none above `end`, about `limits.trimStepBytes` of them. Resolves with how many. */
export async function deleteUpTo(keyValue: KeyValue, end: LogIndex): Promise<number> {
  const gte = entryKey(0);
  const found = await keyValue.keys({ gte, lt: entryKey(end + 1), limit: limits.trimStepEntriesMax });
  const keys = found.slice(0, await entriesOfStep(keyValue, found));
  const last = keys.at(-1);
  if (last === undefined) return 0;
  await keyValue.batch(
    keys.map((key) => ({ type: 'del', key })),
    { sync: false },
  );
  await keyValue.compact({ gte, lt: Uint8Array.of(...last, 0) });
  return keys.length;
}

/** How many of these entries make a step, by the size of three of them. */
async function entriesOfStep(keyValue: KeyValue, keys: readonly Uint8Array[]): Promise<number> {
  const samples = [keys[0], keys[keys.length >> 1], keys.at(-1)].filter((key) => key !== undefined);
  const records = await keyValue.getMany(samples);
  const largest = Math.max(1, ...records.map((record) => record?.length ?? 0));
  return Math.max(1, Math.floor(limits.trimStepBytes / largest));
}
