/**
 * LevelDB behind the KeyValue seam. Bytes in, bytes out; no encodings.
 * LevelDB neither syncs by default nor checks what it reads (design, Store): callers do both.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { DiskError } from '../disk-error.ts';
import type { KeyValue, KeyValueOperation, KeyValueRange } from '../key-value.ts';
import { diskErrorOf } from './system-error.ts';

export interface LevelOptions {
  /** snappy inside tables. Off where values are compressed already. */
  readonly compression: boolean;
  /** Bytes of the memtable: memory per store about 2-5 times this (measurements a), file count = data / this. */
  readonly writeBufferBytes: number;
  /** What error sentences name: the data directory. */
  readonly dataDir: string;
}

/** Bytes an iterator fetches per trip to the thread pool. */
const iteratorBytes = 256 * 1024;

/** The types of `level` leave out what its store in browsers does not have. */
type Store = Level<Uint8Array, Uint8Array> & { compactRange(start: Uint8Array, end: Uint8Array): Promise<void> };

export async function openLevel(path: string, options: LevelOptions): Promise<KeyValue> {
  // Before there is a handle: that opens itself in the next turn.
  await refuseHeadless(path, options.dataDir);
  const store = new Level<Uint8Array, Uint8Array>(path, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    compression: options.compression,
    writeBufferSize: options.writeBufferBytes,
  }) as Store;
  try {
    await store.open();
  } catch (error) {
    throw diskErrorOf(error, options.dataDir);
  }
  return new LevelKeyValue(store, options.dataDir);
}

/**
 * Without its file CURRENT LevelDB would begin anew and delete what it finds: all tables, whole as they are. One that names
 * another MANIFEST than is there is the same damage, and easily mended by hand.
 */
async function refuseHeadless(path: string, dataDir: string): Promise<void> {
  const files = await readdir(path).catch((): string[] => []);
  // A crash while a store was being made leaves a MANIFEST alone.
  if (!files.some((file) => /\.(ldb|sst|log)$/.test(file))) return;
  const current = await readFile(join(path, 'CURRENT'), 'latin1').catch(() => '');
  if (files.includes(current.trimEnd()) && current.endsWith('\n')) return;
  const [manifest = 'its MANIFEST'] = files.filter((file) => file.startsWith('MANIFEST-'));
  throw new DiskError(
    'damaged',
    `${dataDir} is damaged: its file CURRENT is lost or altered, and opened like that it would delete the rest; ` +
      `write the line ${manifest} into ${join(path, 'CURRENT')}, or start this node with an empty --data`,
  );
}

class LevelKeyValue implements KeyValue {
  readonly #store: Store;
  readonly #dataDir: string;
  #failure: DiskError | null = null;

  constructor(store: Store, dataDir: string) {
    this.#store = store;
    this.#dataDir = dataDir;
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#guard(async () => plain(await this.#store.get(key)));
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#guard(async () => (await this.#store.getMany([...keys])).map((value) => plain(value)));
  }

  async batch(operations: readonly KeyValueOperation[], options: { readonly sync: boolean }): Promise<void> {
    // A write after a failed one could be acknowledged on top of a hole: the first failure is the last write (A5).
    if (this.#failure !== null) throw this.#failure;
    try {
      await this.#store.batch([...operations], { sync: options.sync });
    } catch (error) {
      this.#failure ??= diskErrorOf(error, this.#dataDir);
      throw this.#failure;
    }
  }

  range(options: KeyValueRange): Promise<[key: Uint8Array, value: Uint8Array][]> {
    return this.#guard(async () => {
      const pairs = await this.#store.iterator(iteratorOptions(options)).all();
      return pairs.map(([key, value]): [Uint8Array, Uint8Array] => [plain(key), plain(value)]);
    });
  }

  keys(options: KeyValueRange): Promise<Uint8Array[]> {
    return this.#guard(async () => (await this.#store.keys(iteratorOptions(options)).all()).map((key) => plain(key)));
  }

  compact(range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): Promise<void> {
    return this.#guard(() => this.#store.compactRange(range.gte, range.lt));
  }

  close(): Promise<void> {
    return this.#guard(() => this.#store.close());
  }

  async #guard<Result>(call: () => Promise<Result>): Promise<Result> {
    try {
      return await call();
    } catch (error) {
      throw diskErrorOf(error, this.#dataDir);
    }
  }
}

function iteratorOptions(range: KeyValueRange) {
  return {
    gte: range.gte,
    lt: range.lt,
    reverse: range.reverse ?? false,
    limit: range.limit ?? -1,
    highWaterMarkBytes: iteratorBytes,
  };
}

/** The same bytes without Buffer's own idea of `slice`. */
function plain(bytes: Uint8Array): Uint8Array;
function plain(bytes: Uint8Array | undefined): Uint8Array | undefined;
function plain(bytes: Uint8Array | undefined): Uint8Array | undefined {
  return bytes && new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
