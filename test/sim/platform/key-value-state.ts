/**
 * What is on the platter of one simulated key-value store; outlives every boot. It keeps the newest batches one by one,
 * so that any subset of the unsynced ones can vanish at a power loss, and a synced one by damage (protocol I2).
 *
 * Must always hold: undoing the history from its end gives the contents before it; redoing it gives the contents again.
 */
import { keyOf, OrderedBytes, type ByteKey } from './ordered-bytes.ts';
import type { DiskErrorCode } from '../../../src/platform/disk-error.ts';
import type { KeyValueOperation } from '../../../src/platform/key-value.ts';
import type { SimRandom } from './random.ts';

/** Batches that can still be taken back, one by one. */
const historyBatchesMax = 64;
/** Bytes of values the history may hold on to; old values count too. */
const historyBytesMax = 16 * 1024 * 1024;

export interface BatchWrite {
  readonly key: ByteKey;
  /** undefined deletes. */
  readonly value: Uint8Array | undefined;
}

export interface Batch {
  readonly number: number;
  readonly writes: readonly BatchWrite[];
  /** A power loss cannot take it; damage can. */
  durable: boolean;
  /** The values before, one for each write. */
  undo: (Uint8Array | undefined)[];
  readonly bytes: number;
}

/** The ways to look into a store. Damage to a table's filter or index blinds one of them and leaves the others. */
export const views = ['get', 'forward', 'reverse'] as const;
export type View = (typeof views)[number];

/** Damage that shows when somebody looks: in one view the keys in [gte, lt) cannot be read, miss their newest writes or show other bytes. */
export interface ReadFault {
  readonly view: View;
  readonly gte: ByteKey;
  readonly lt: ByteKey;
  /** How many of its newest writes each key misses; or the bytes that it shows instead. */
  readonly misses: number | 'all' | 'unreadable' | Uint8Array;
}

/** A copy of the operations, as they are when the call is made. */
export function writesOf(operations: readonly KeyValueOperation[]): BatchWrite[] {
  return operations.map((operation) => ({
    key: keyOf(operation.key),
    value: operation.type === 'put' ? Uint8Array.prototype.slice.call(operation.value) : undefined,
  }));
}

export class KeyValueState {
  readonly contents = new OrderedBytes();
  readonly readFaults: ReadFault[] = [];
  /** Keys that a scan meets out of order, in the place of another key. */
  readonly misplaced = new Map<ByteKey, ByteKey>();
  /** What opening rejects with; null when it opens. */
  refusal: Extract<DiskErrorCode, 'damaged' | 'io'> | null = null;
  #history: Batch[] = [];
  #historyBytes = 0;
  #nextNumber = 1;
  /** Sees every batch as it comes in; null: what is on the platter changed in some other way. */
  onChange: (batch: Readonly<Batch> | null) => void = () => undefined;

  /** The newest batches, oldest first. */
  get history(): readonly Readonly<Batch>[] {
    return this.#history;
  }

  apply(writes: readonly BatchWrite[], durable: boolean): void {
    const bytes = writes.reduce((sum, write) => sum + (write.value?.length ?? 0) + write.key.length, 0);
    const batch: Batch = { number: this.#nextNumber++, writes, durable, undo: [], bytes };
    this.#redo(batch);
    this.#history.push(batch);
    this.#historyBytes += bytes;
    this.onChange(batch);
    while (
      this.#history.length > historyBatchesMax ||
      (this.#historyBytes > historyBytesMax && this.#history.length > 1)
    ) {
      this.#historyBytes -= this.#history.shift()?.bytes ?? 0;
    }
  }

  /** Everything so far is on the platter. */
  markDurable(): void {
    if (this.#history.every((batch) => batch.durable)) return;
    for (const batch of this.#history) batch.durable = true;
    this.onChange(null);
  }

  /** Each batch that is not durable survives or not, by the seed; some losses take all of them, some few. */
  losePower(random: SimRandom): void {
    const survival = random.pick([0, 0.1, 0.5, 0.9, 1]);
    this.keepOnly((batch) => batch.durable || random.chance(survival));
    this.markDurable();
  }

  /** As if the other batches of the history had never been written. Gives the keys whose contents changed. */
  keepOnly(kept: (batch: Readonly<Batch>) => boolean): ByteKey[] {
    return this.#rewrite((batch) => (kept(batch) ? batch.writes : null));
  }

  /**
   * The newest writes of these keys are gone, so many of each: what they had replaced or deleted is back. More than the
   * history knows of takes the key away. Gives the keys whose contents changed.
   */
  forget(losses: ReadonlyMap<ByteKey, number>): ByteKey[] {
    const left = new Map(losses);
    const lost = new Set<BatchWrite>();
    for (const { writes } of this.#history.toReversed()) {
      for (const write of writes.toReversed()) {
        const count = left.get(write.key) ?? 0;
        if (count === 0) continue;
        lost.add(write);
        left.set(write.key, count - 1);
      }
    }
    const gone = [...left].filter(([, count]) => count > 0).map(([key]) => key);
    return this.#rewrite(({ writes }) => writes.filter((write) => !lost.has(write)), gone);
  }

  /** The newest value of `key` is not what was written, for good: no later loss heals it. */
  damage(key: ByteKey, value: Uint8Array): void {
    for (const batch of this.#history.toReversed()) {
      const at = batch.writes.findLastIndex((write) => write.key === key);
      if (at < 0) continue;
      this.#rewrite((each) => (each === batch ? each.writes.with(at, { key, value }) : each.writes));
      return;
    }
    this.contents.set(key, value);
    this.onChange(null);
  }

  /** What `key` held before its `count` newest writes; undefined when the history does not reach that far. */
  valueBefore(key: ByteKey, count: number): Uint8Array | undefined {
    if (count === 0) return this.contents.get(key);
    let left = count;
    for (const { writes, undo } of this.#history.toReversed()) {
      for (let at = writes.length - 1; at >= 0; at--) {
        if (writes[at]?.key !== key) continue;
        left -= 1;
        if (left === 0) return undo[at];
      }
    }
    return undefined;
  }

  /**
   * Takes the history back and redoes what `survives` leaves of each batch; null leaves nothing. The keys `gone` are lost
   * from before the history.
   */
  #rewrite(
    survives: (batch: Readonly<Batch>) => readonly BatchWrite[] | null,
    gone: readonly ByteKey[] = [],
  ): ByteKey[] {
    const touched = [...gone, ...this.#history.flatMap(({ writes }) => writes.map(({ key }) => key))];
    const before = new Map(touched.map((key) => [key, this.contents.get(key)]));
    const survivors = this.#history.flatMap((batch) => {
      const writes = survives(batch);
      return writes === null ? [] : [{ ...batch, writes }];
    });
    for (const batch of this.#history.toReversed()) {
      for (let at = batch.writes.length - 1; at >= 0; at--) {
        const write = batch.writes[at];
        if (write !== undefined) this.contents.set(write.key, batch.undo[at]);
      }
    }
    for (const key of gone) this.contents.set(key, undefined);
    for (const batch of survivors) this.#redo(batch);
    this.#history = survivors;
    this.onChange(null);
    this.#historyBytes = survivors.reduce((sum, batch) => sum + batch.bytes, 0);
    return [...before].filter(([key, value]) => this.contents.get(key) !== value).map(([key]) => key);
  }

  #redo(batch: Batch): void {
    batch.undo = batch.writes.map((write) => this.contents.set(write.key, write.value));
  }
}
