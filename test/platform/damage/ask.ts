/** Asks a store for all it has, in every way there is. */
import { DiskError } from '../../../src/platform/disk-error.ts';
import type { KeyValue } from '../../../src/platform/key-value.ts';
import { bytesOf, keyOf, type ByteKey } from '../../sim/platform/ordered-bytes.ts';
import type { Answers, Failure, Outcome, Pair } from './outcome.ts';

const everything = { gte: new Uint8Array(0), lt: Uint8Array.of(0xff, 0xff) };

export async function ask(open: () => Promise<KeyValue>, keys: readonly ByteKey[]): Promise<Outcome> {
  let store: KeyValue;
  try {
    store = await open();
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    return { kind: 'refused', code: error.code, sentence: error.message };
  }
  const answers = await answersOf(store, keys);
  await store.close();
  return { kind: 'opened', answers };
}

async function answersOf(store: KeyValue, keys: readonly ByteKey[]): Promise<Answers> {
  const scan = (reverse: boolean): Promise<Pair[] | Failure> =>
    orFailure(
      store
        .range({ ...everything, reverse })
        .then((pairs) => pairs.map(([key, value]): Pair => [keyOf(key), keyOf(value)])),
    );
  const get = new Map<ByteKey, ByteKey | undefined | Failure>();
  for (const key of keys) {
    const value = store.get(bytesOf(key)).then((found) => (found === undefined ? undefined : keyOf(found)));
    get.set(key, await orFailure(value));
  }
  return { get, forward: await scan(false), reverse: await scan(true) };
}

/** A rejection with anything but a DiskError is a bug, and stays one. */
async function orFailure<Result>(answer: Promise<Result>): Promise<Result | Failure> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    return { failed: error.code };
  }
}
