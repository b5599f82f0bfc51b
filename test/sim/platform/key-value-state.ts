/**
 * What is on the platter of one simulated key-value store; outlives every boot. It keeps the newest batches one by one,
 * so that any subset of the unsynced ones can vanish at a power loss, and a synced one by damage (protocol I2).
 *
 * Must always hold: undoing the history from its end gives the contents before it; redoing it gives the contents again.
 */
import { keyOf, OrderedBytes, type ByteKey } from './ordered-bytes.ts';
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

/** A copy of the operations, as they are when the call is made. */
export function writesOf(operations: readonly KeyValueOperation[]): BatchWrite[] {
  return operations.map((operation) => ({
    key: keyOf(operation.key),
    value: operation.type === 'put' ? Uint8Array.prototype.slice.call(operation.value) : undefined,
  }));
}

export class KeyValueState {
  readonly contents = new OrderedBytes();
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
    const history = this.#history;
    const survivors = history.filter((batch) => kept(batch));
    if (survivors.length === history.length) return [];
    const now = new Map<ByteKey, Uint8Array | undefined>();
    for (const batch of history) for (const { key } of batch.writes) now.set(key, this.contents.get(key));
    for (const batch of history.toReversed()) {
      for (let at = batch.writes.length - 1; at >= 0; at--) {
        const write = batch.writes[at];
        if (write !== undefined) this.contents.set(write.key, batch.undo[at]);
      }
    }
    for (const batch of survivors) this.#redo(batch);
    this.#history = survivors;
    this.onChange(null);
    this.#historyBytes = survivors.reduce((sum, batch) => sum + batch.bytes, 0);
    return [...now].filter(([key, value]) => this.contents.get(key) !== value).map(([key]) => key);
  }

  #redo(batch: Batch): void {
    batch.undo = batch.writes.map((write) => this.contents.set(write.key, write.value));
  }
}
