/**
 * Checks a whole log on disk and changes nothing: base record, every entry by checksum, both hashes, chain, term, time and
 * place, and the block inside. `BlockLog` does as much for what it opens and serves, and repairs or cuts; here all is told.
 *
 * Entries are fetched one by one: a scan that meets a table it cannot read leaves out what else it would have found.
 */
import type { Codec } from '../platform/codec.ts';
import { DiskError } from '../platform/disk-error.ts';
import type { KeyValue } from '../platform/key-value.ts';
import { asIndex, type Entry, type LogIndex, type LogPosition } from '../raft/core/types.ts';
import { type BaseRecord, decodeBaseRecord } from './base-record.ts';
import { BlockReader } from './block-reader.ts';
import { DamagedError } from './damaged.ts';
import { decodeEntry, faultOf, positionOf } from './entry.ts';
import type { Finding } from './finding.ts';
import type { Fingerprint } from './fingerprint.ts';
import { baseKey, entriesEnd, entryKey, indexOfKey } from './log-keys.ts';

/** An entry that is what it says it is, and the traces in it. */
export interface CheckedEntry {
  readonly entry: Entry;
  readonly fingerprints: readonly Fingerprint[];
}

export interface LogCheckOptions {
  readonly keyValue: KeyValue;
  readonly codec: Codec;
  readonly found: (finding: Finding) => void;
}

const entriesPerRead = 16;

export class LogCheck {
  readonly #options: LogCheckOptions;
  readonly base: BaseRecord;
  /** The last key that is an entry's; the base when there is none. */
  readonly last: LogIndex;
  #before: LogPosition | null;
  #timeMs: number;
  /** First of the entries that are missing up to here. */
  #missingFrom: LogIndex | null = null;

  private constructor(options: LogCheckOptions, base: BaseRecord, last: LogIndex) {
    this.#options = options;
    this.base = base;
    this.last = last;
    this.#before = base.position;
    this.#timeMs = base.timeMs;
  }

  /** Finds the two ends of the log; null when it has no beginning: never founded, or with a finding. */
  static async open(options: LogCheckOptions): Promise<LogCheck | null> {
    const { keyValue, found } = options;
    const tell = (where: string, what: string): void => found({ part: 'log', where, what });
    const record = await keyValue.get(baseKey).catch(readFault);
    const keys = await keyValue.keys({ gte: entryKey(0), lt: entriesEnd, reverse: true, limit: 1 }).catch(readFault);
    const newest = Array.isArray(keys) ? keys[0] : undefined;
    if (keys instanceof DiskError) tell('its keys', keys.message);
    if (record === undefined) {
      if (newest !== undefined) tell('the base record', 'it is missing');
      return null;
    }
    let base: BaseRecord;
    try {
      if (record instanceof DiskError) throw new DamagedError('the base record', record.message);
      base = decodeBaseRecord(record);
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error;
      tell('the base record', error.what);
      return null;
    }
    const last = newest === undefined ? null : indexOfKey(newest);
    if (newest !== undefined && last === null) tell('the last key', 'it is none that any version writes');
    return new LogCheck(options, base, asIndex(Math.max(last ?? 0, base.position.index)));
  }

  /** Every entry above the base, in order, up to `to`; null in the place of one that is missing or damaged. */
  async *entries(to: LogIndex = this.last): AsyncGenerator<{ index: LogIndex; checked: CheckedEntry | null }> {
    for (let first = this.base.position.index + 1; first <= to; first += entriesPerRead) {
      const indices = Array.from({ length: Math.min(entriesPerRead, to - first + 1) }, (_, n) => asIndex(first + n));
      const records = await Promise.all(
        indices.map((index) => this.#options.keyValue.get(entryKey(index)).catch(readFault)),
      );
      for (const [at, index] of indices.entries()) yield { index, checked: this.#check(index, records[at]) };
    }
    this.#tellMissing(asIndex(to + 1));
  }

  #check(index: LogIndex, record: Uint8Array | DiskError | undefined): CheckedEntry | null {
    if (record === undefined) {
      this.#missingFrom ??= index;
      this.#before = null;
      return null;
    }
    this.#tellMissing(index);
    const entry = this.#decode(index, record);
    if (entry === null) {
      this.#before = null;
      return null;
    }
    const before = this.#before;
    if (before !== null) {
      if (entry.previousHash !== before.hash)
        this.#tell(index, `it does not follow entry ${before.index}: the hash chain is broken`);
      if (entry.term < before.term)
        this.#tell(index, `its term ${entry.term} is below term ${before.term} of entry ${before.index}`);
    }
    if (entry.timeMs < this.#timeMs) this.#tell(index, 'its time is before that of an entry below it');
    this.#before = positionOf(entry);
    this.#timeMs = Math.max(this.#timeMs, entry.timeMs);
    const fingerprints = this.#fingerprintsOf(entry);
    return fingerprints === null ? null : { entry, fingerprints };
  }

  #decode(index: LogIndex, record: Uint8Array | DiskError): Entry | null {
    try {
      if (record instanceof DiskError) throw new DamagedError(`entry ${index}`, record.message);
      const entry = decodeEntry(record, index);
      const fault = faultOf(entry);
      if (fault === null) return entry;
      this.#tell(index, fault);
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error;
      this.#tell(index, error.what);
    }
    return null;
  }

  #fingerprintsOf(entry: Entry): readonly Fingerprint[] | null {
    if (entry.kind !== 'block') return [];
    try {
      const reader = new BlockReader(entry.payload, this.#options.codec);
      reader.verifyFrames();
      return [...reader.fingerprints()];
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error;
      this.#tell(entry.index, `the block in it is damaged: ${error.what}`);
      return null;
    }
  }

  #tell(index: LogIndex, what: string): void {
    this.#options.found({ part: 'log', where: `entry ${index}`, what });
  }

  #tellMissing(next: LogIndex): void {
    const from = this.#missingFrom;
    if (from === null) return;
    this.#missingFrom = null;
    const many = next - from > 1;
    this.#options.found({
      part: 'log',
      where: many ? `entries ${from} to ${next - 1}` : `entry ${from}`,
      what: many ? 'they are missing' : 'it is missing',
    });
  }
}

/** What a store answers instead of what stands in it. */
function readFault(error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  throw error;
}
