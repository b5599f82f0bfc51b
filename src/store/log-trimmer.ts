/**
 * Gives back the space of a log that was trimmed, a step at a time (protocol E2). Deleted keys take as much room as before until
 * LevelDB compacts them away; done at once for much of a log that holds up synced writes for over a second, in steps of
 * tens of MiB for some 50 ms (docs/decisions/0002-trim.md).
 *
 * Keys go from the lowest on, and what a crash brings back is found again by the next step: nobody reads there.
 *
 * A compaction that meets a block which cannot be read leaves a store that writes no more, and the same after every start. So
 * what a step deletes is read before, and as much again behind it, for a table reaches beyond: where that fails nothing is
 * deleted, and the log goes on with what it has.
 */
import { limits } from '../limits.ts';
import type { KeyValue } from '../platform/key-value.ts';
import type { LogIndex } from '../raft/core/types.ts';
import { entriesEnd, entryKey } from './log-keys.ts';

const keysPerRead = 32;

/**
 * The lowest entries, none above `end`, about `limits.trimStepBytes` of them: what a step deletes. None: nothing is left. Rejects with a
 * `DiskError` where they, or what stands next to them, cannot be read; nothing has happened then.
 */
export async function nextStep(keyValue: KeyValue, end: LogIndex): Promise<readonly Uint8Array[]> {
  const limit = limits.trimStepEntriesMax;
  const found = await keyValue.keys({ gte: entryKey(0), lt: entryKey(end + 1), limit });
  const keys = found.slice(0, await entriesOfStep(keyValue, found));
  const last = keys.at(-1);
  if (last === undefined) return [];
  const behind = await keyValue.keys({ gte: after(last), lt: entriesEnd, limit: keys.length });
  const looked = [...keys, ...behind];
  for (let at = 0; at < looked.length; at += keysPerRead) await keyValue.getMany(looked.slice(at, at + keysPerRead));
  return keys;
}

/** Deletes a step. A rejection means that the store is of no more use (protocol A5). */
export async function deleteStep(keyValue: KeyValue, keys: readonly Uint8Array[]): Promise<void> {
  const last = keys.at(-1);
  if (last === undefined) return;
  await keyValue.batch(
    keys.map((key) => ({ type: 'del', key })),
    { sync: false },
  );
  await keyValue.compact({ gte: entryKey(0), lt: after(last) });
}

/** The least key above this one. */
const after = (key: Uint8Array): Uint8Array => Uint8Array.of(...key, 0);

/** How many of these entries make a step, by the size of three of them. */
async function entriesOfStep(keyValue: KeyValue, keys: readonly Uint8Array[]): Promise<number> {
  const samples = [keys[0], keys[keys.length >> 1], keys.at(-1)].filter((key) => key !== undefined);
  const records = await keyValue.getMany(samples);
  const largest = Math.max(1, ...records.map((record) => record?.length ?? 0));
  return Math.max(1, Math.floor(limits.trimStepBytes / largest));
}
