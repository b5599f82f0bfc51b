/**
 * Recent entries in memory: always a gapless end of the log, so whatever is not in it is on disk.
 *
 *   first <= written + 1,  entries [first, last] are held
 *
 * Entries above `written` are the only copy this process can read, so they are never evicted.
 */
import type { Entry, LogIndex } from '../raft/core/types.ts';
import { entryOverheadBytes } from './entry.ts';
import { invariant } from './invariant.ts';

export class EntryCache {
  readonly #bytesMax: number;
  readonly #entries = new Map<number, Entry>();
  #first: number;
  #bytes = 0;

  /** An empty cache of a log that ends at `last`. */
  constructor(last: LogIndex, bytesMax: number) {
    this.#first = last + 1;
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(index: LogIndex): Entry | undefined {
    return this.#entries.get(index);
  }

  /** Adds the entry after the last one. */
  push(entry: Entry): void {
    invariant(entry.index === this.#first + this.#entries.size, `entry ${entry.index} would leave a gap in the cache`);
    this.#entries.set(entry.index, entry);
    this.#bytes += weightOf(entry);
  }

  /** Drops the entries from `from` on. */
  truncate(from: LogIndex): void {
    for (let index = this.#first + this.#entries.size - 1; index >= from && index >= this.#first; index -= 1)
      this.#drop(index);
    this.#first = Math.min(this.#first, from);
  }

  /** Makes room by dropping the oldest entries up to `written`. */
  evict(written: LogIndex): void {
    while (this.#bytes > this.#bytesMax && this.#first <= written && this.#entries.size > 0) {
      this.#drop(this.#first);
      this.#first += 1;
    }
  }

  #drop(index: number): void {
    const entry = this.#entries.get(index);
    invariant(entry !== undefined, `entry ${index} is missing from the cache`);
    this.#entries.delete(index);
    this.#bytes -= weightOf(entry);
  }
}

function weightOf(entry: Entry): number {
  return entry.payload.length + entryOverheadBytes;
}
