/** What would be left on one simulated disk if its machine lost power now: read from the platter, not from the code under test. */
import { asIndex, type Configuration, type EntryKind, type LogIndex } from '../../src/raft/core/types.ts';
import { type BaseRecord, decodeBaseRecord } from '../../src/store/base-record.ts';
import { decodeEntry } from '../../src/store/entry.ts';
import { decodeConfiguration } from '../../src/store/configuration-record.ts';
import { type HardState, hardStateSlots, readHardState } from '../../src/store/hard-state.ts';
import { baseKey, entriesEnd, entryKey, indexOfKey } from '../../src/store/log-keys.ts';
import type { SimDiskState } from './platform/disk-state.ts';
import type { Batch, KeyValueState } from './platform/key-value-state.ts';
import { bytesOf, keyOf, type ByteKey } from './platform/ordered-bytes.ts';

export interface EntryOnDisk {
  readonly index: LogIndex;
  readonly hash: string;
  readonly previousHash: string;
  readonly term: number;
  readonly kind: EntryKind;
  /** Of its record. */
  readonly bytes: number;
  readonly configuration: Configuration | null;
  /** The index of the configuration before it; null for other entries. */
  readonly previousConfiguration: LogIndex | null;
}

type Newest = { readonly state: HardState; readonly counter: number };

export class DiskView {
  readonly #disk: SimDiskState;
  readonly #written: (entry: EntryOnDisk) => void;
  /** The newest durable hard state, of this version of its file. */
  #hardState: { readonly file: object; readonly version: number; readonly newest: Newest | null } | null = null;
  /** The log's durable entries as they were put; null: to be read again. */
  #entries: Map<LogIndex, EntryOnDisk> | null = null;
  #base: BaseRecord | null = null;
  #writtenBelow: LogIndex | null = null;
  #log: KeyValueState | null = null;

  /** @param written sees each entry as it becomes durable */
  constructor(disk: SimDiskState, written: (entry: EntryOnDisk) => void) {
    this.#disk = disk;
    this.#written = written;
  }

  /** The newest durable hard state; null when there is none. */
  hardState(): HardState | null {
    return this.#newest()?.state ?? null;
  }

  /** How often the newest durable hard state says it was written. */
  get hardStateCounter(): number {
    return this.#newest()?.counter ?? 0;
  }

  #newest(): Newest | null {
    const file = this.#disk.slotFiles.get('hard-state');
    if (file === undefined) return null;
    const known = this.#hardState;
    if (known?.file === file && known.version === file.version) return known.newest;
    const { slotBytes, slotCount } = hardStateSlots;
    const slots = Array.from({ length: slotCount }, (_, slot) =>
      file.bytes.subarray(slot * slotBytes, (slot + 1) * slotBytes),
    );
    const { newest } = readHardState(slots);
    this.#hardState = { file, version: file.version, newest };
    return newest;
  }

  /** A durable entry above the base; null when there is none, or it is damaged. */
  entry(index: LogIndex): EntryOnDisk | null {
    const entry = this.#current().get(index) ?? null;
    return index > this.base ? entry : null;
  }

  /** The durable base record; null when there is none, or it is damaged. */
  get baseRecord(): BaseRecord | null {
    this.#current();
    return this.#base;
  }

  /** The log begins after this entry: what is at or below it has expired, and counts as held (protocol E1). */
  get base(): LogIndex {
    return this.baseRecord?.position.index ?? asIndex(0);
  }

  /** An entry that was written at or below the base, where nothing is written any more (protocol E1). */
  get writtenBelow(): LogIndex | null {
    return this.#writtenBelow;
  }

  /** Entries at or below the base that take up space. */
  get trimmedEntries(): number {
    const { base } = this;
    return [...this.#current().keys()].filter((index) => index <= base).length;
  }

  /** The newest entry with at least so many bytes of entries behind it; 0 when there is none. */
  newestBelow(tailBytes: number): number {
    const entries = this.#current();
    let index = Math.max(0, ...entries.keys());
    for (let bytes = 0; index > this.base && bytes < tailBytes; index -= 1)
      bytes += entries.get(asIndex(index))?.bytes ?? 0;
    return index;
  }

  #current(): Map<LogIndex, EntryOnDisk> {
    const log = this.#disk.keyValue('log');
    if (this.#log !== log) {
      this.#log = log;
      this.#entries = null;
      log.onChange = (batch) => this.#changed(batch);
    }
    return (this.#entries ??= this.#readAll(log));
  }

  #changed(batch: Readonly<Batch> | null): void {
    if (batch?.durable !== true || this.#entries === null) {
      this.#entries = null;
      return;
    }
    const base = this.#base?.position.index ?? 0;
    for (const { key, value } of batch.writes) {
      if (key === keyOf(baseKey)) this.#base = baseIn(value);
      const index = indexOf(key);
      if (index === null) continue;
      if (index <= base && value !== undefined) this.#writtenBelow = index;
      this.#entries.delete(index);
      const entry = value === undefined ? null : decoded(index, value);
      if (entry === null) continue;
      this.#entries.set(index, entry);
      this.#written(entry);
    }
  }

  #readAll(log: KeyValueState): Map<LogIndex, EntryOnDisk> {
    const pending = new Set(
      log.history.filter(({ durable }) => !durable).flatMap(({ writes }) => writes.map(({ key }) => key)),
    );
    const entries = new Map<LogIndex, EntryOnDisk>();
    this.#base = baseIn(log.contents.get(keyOf(baseKey)));
    for (const key of log.contents.keys(keyOf(entryKey(0)), keyOf(entriesEnd))) {
      const index = indexOf(key);
      const value = log.contents.get(key);
      if (index === null || value === undefined || pending.has(key)) continue;
      const entry = decoded(index, value);
      if (entry !== null) entries.set(index, entry);
    }
    return entries;
  }
}

function baseIn(record: Uint8Array | undefined): BaseRecord | null {
  try {
    return record === undefined ? null : decodeBaseRecord(record);
  } catch {
    return null;
  }
}

function indexOf(key: ByteKey): LogIndex | null {
  const index = indexOfKey(bytesOf(key));
  return index === null ? null : asIndex(index);
}

function decoded(index: LogIndex, record: Uint8Array): EntryOnDisk | null {
  try {
    const { hash, previousHash, term, kind, payload } = decodeEntry(record, index);
    const logged = kind === 'configuration' ? decodeConfiguration(payload) : null;
    const { configuration = null, previous: previousConfiguration = null } = logged ?? {};
    return { index, hash, previousHash, term, kind, bytes: record.length, configuration, previousConfiguration };
  } catch {
    return null;
  }
}
