/** Keys of the `log` store. Entry keys only grow, so LevelDB moves its files and never merges them (measurements a). */
import type { LogIndex } from '../raft/core/types.ts';
import { getUint64, setUint64, viewOf } from './record.ts';

const entryPrefix = 0x65;

/** Sorts before every entry. */
export const baseKey: Uint8Array = Uint8Array.of(0x62);
/** Sorts behind every entry. */
export const entriesEnd: Uint8Array = Uint8Array.of(entryPrefix + 1);

export function entryKey(index: LogIndex | number): Uint8Array {
  const key = new Uint8Array(9);
  key[0] = entryPrefix;
  setUint64(viewOf(key), 1, index);
  return key;
}

/** The index in an entry's key; null for a key that no version writes. */
export function indexOfKey(key: Uint8Array): number | null {
  if (key.length !== 9) return null;
  const index = getUint64(viewOf(key), 1);
  return Number.isSafeInteger(index) ? index : null;
}
