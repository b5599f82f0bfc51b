/**
 * An ordered map from bytes to bytes on disk, as a seam: LevelDB under the block log and the index (protocol I1).
 *
 * Faults an implementation may show, because LevelDB shows them (protocol I2):
 * - after a power loss any subset of the unsynced batches is gone, each batch whole or not at all;
 * - damage can make a synced batch vanish or flip a value, without an error on open, get or scan;
 * - damage to a table can bring an older value or a deleted key back, garble or misplace a value, and make get and scans
 *   disagree; a scan that ends at its limit leaves out what it could not read. docs/disk-faults.md has all of it.
 * So callers sync what they promise and verify what they read.
 */
export interface KeyValue {
  /** The value under `key`, or undefined. */
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** The values under `keys`, in their order. */
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>;
  /**
   * Applies all operations atomically. With `sync` it resolves only once they are on the platter.
   * A rejection means the handle is unusable: stop the process, never retry (protocol A5).
   */
  batch(operations: readonly KeyValueOperation[], options: { readonly sync: boolean }): Promise<void>;
  /** Pairs in [gte, lt), ascending unless `reverse`, at most `limit` of them. */
  range(options: KeyValueRange): Promise<[key: Uint8Array, value: Uint8Array][]>;
  /** The keys of the same range; reads no values. */
  keys(options: KeyValueRange): Promise<Uint8Array[]>;
  /**
   * Gives the space of what was deleted in the range back (protocol E2). Changes no content. Slow, and slows the writes beside
   * it: in small steps, then. When it fails the handle is as unusable as after a failed batch, though LevelDB may tell that to
   * the next batch only.
   */
  compact(range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): Promise<void>;
  /** Releases the handle and its lock. Nothing may be called afterwards. */
  close(): Promise<void>;
}

export type KeyValueOperation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array };

export interface KeyValueRange {
  readonly gte: Uint8Array;
  readonly lt: Uint8Array;
  readonly reverse?: boolean;
  readonly limit?: number;
}
