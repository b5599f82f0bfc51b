/** What would be left on one simulated disk if its machine lost power now: read from the platter, not from the code under test. */
import { asIndex, type LogIndex } from '../../src/raft/core/types.ts';
import { decodeEntry } from '../../src/store/entry.ts';
import { type HardState, hardStateSlots, readHardState } from '../../src/store/hard-state.ts';
import { entryKey } from '../../src/store/log-keys.ts';
import type { SimDiskState } from './platform/disk-state.ts';
import { keyOf } from './platform/ordered-bytes.ts';

export class DiskView {
  readonly #disk: SimDiskState;
  #lastWrite: object | undefined;
  #hardState: HardState | null = null;

  constructor(disk: SimDiskState) {
    this.#disk = disk;
  }

  /** The newest durable hard state; null when there is none. */
  hardState(): HardState | null {
    const file = this.#disk.slotFiles.get('hard-state');
    if (file === undefined) return null;
    const lastWrite = file.before.at(-1);
    if (lastWrite === undefined || lastWrite !== this.#lastWrite) {
      const { slotBytes, slotCount } = hardStateSlots;
      const slots = Array.from({ length: slotCount }, (_, slot) =>
        file.bytes.subarray(slot * slotBytes, (slot + 1) * slotBytes),
      );
      this.#hardState = readHardState(slots).newest?.state ?? null;
      this.#lastWrite = lastWrite;
    }
    return this.#hardState;
  }

  /** Hash and term of a durable entry; null when there is none, or it is damaged. */
  entry(index: LogIndex): { readonly hash: string; readonly term: number } | null {
    const key = entryKey(index);
    const record = this.#disk.peek('log', key);
    if (record === undefined) return null;
    const text = keyOf(key);
    const pending = this.#disk
      .keyValue('log')
      .history.some((batch) => !batch.durable && batch.writes.some((write) => write.key === text));
    if (pending) return null;
    try {
      const { hash, term } = decodeEntry(record, asIndex(index));
      return { hash, term };
    } catch {
      return null;
    }
  }
}
