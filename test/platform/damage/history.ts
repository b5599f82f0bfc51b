/** What was written into a store, batch by batch, in the bytes-as-text of the simulated disk so that it can be compared. */
import type { KeyValue, KeyValueOperation } from '../../../src/platform/key-value.ts';
import { keyOf, type ByteKey } from '../../sim/platform/ordered-bytes.ts';

export interface Write {
  readonly key: ByteKey;
  /** undefined deletes. Every value is written once in a history, so that a value names its write. */
  readonly value: ByteKey | undefined;
}

/** Batches, oldest first. */
export type History = readonly (readonly Write[])[];

export type Contents = ReadonlyMap<ByteKey, ByteKey>;

/** What the store holds after the batches that `kept` names. */
export function contentsOf(history: History, kept: (batch: number) => boolean = () => true): Map<ByteKey, ByteKey> {
  const contents = new Map<ByteKey, ByteKey>();
  for (const [number, writes] of history.entries()) {
    if (!kept(number)) continue;
    for (const { key, value } of writes) {
      if (value === undefined) contents.delete(key);
      else contents.set(key, value);
    }
  }
  return contents;
}

/** Passes everything on to `keyValue`, and each batch to `history` as well. */
export function recorded(keyValue: KeyValue, history: (readonly Write[])[]): KeyValue {
  return {
    get: (key) => keyValue.get(key),
    getMany: (keys) => keyValue.getMany(keys),
    range: (options) => keyValue.range(options),
    keys: (options) => keyValue.keys(options),
    compact: (range) => keyValue.compact(range),
    close: () => keyValue.close(),
    batch: (operations, options) => {
      history.push(operations.map(writeOf));
      return keyValue.batch(operations, options);
    },
  };
}

function writeOf(operation: KeyValueOperation): Write {
  return { key: keyOf(operation.key), value: operation.type === 'put' ? keyOf(operation.value) : undefined };
}
