/** Real stores such as the block log and the index make, with the history of what went in. */
import { join } from 'node:path';
import type { KeyValue, KeyValueOperation } from '../../../src/platform/key-value.ts';
import { openLevel, type LevelOptions } from '../../../src/platform/real/key-value.ts';
import { votersOnly } from '../../../src/raft/core/configuration.ts';
import { asIndex, asReplicaId, emptyLog, type Entry } from '../../../src/raft/core/types.ts';
import { BlockLog } from '../../../src/store/block-log.ts';
import { positionOf } from '../../../src/store/entry.ts';
import { entryKey } from '../../../src/store/log-keys.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import { entryAfter } from '../../store/support.ts';
import { recorded, type Write } from './history.ts';

export interface RealStore {
  readonly name: string;
  readonly path: string;
  readonly options: LevelOptions;
  readonly history: (readonly Write[])[];
  readonly holds: 'log' | 'index';
}

/** More batches than this the simulated disk would not remember one by one. */
const batchesMax = 60;

/** Small, so that some values are larger than a block of the write-ahead log, and few batches make many tables. */
const writeBufferBytes = 64 * 1024;
/** Never full: everything stays in the write-ahead log. */
const largeWriteBufferBytes = 4 * 1024 * 1024;
const walOnly = { writeBufferBytes: largeWriteBufferBytes };
const logOptions: LevelOptions = { compression: false, writeBufferBytes, dataDir: 'the data directory' };
const indexOptions: LevelOptions = { ...logOptions, compression: true };

/** One of each kind. A session is a boot: its write-ahead log becomes a table when the next one opens. */
export async function buildStores(root: string, random: SeededRandom): Promise<RealStore[]> {
  return [
    await buildLog(root, 'log-wal', { sessions: 1, batches: 24, largeChance: 0, ...walOnly }, random),
    await buildLog(root, 'log-wal-large', { sessions: 1, batches: 24, largeChance: 0.15, ...walOnly }, random),
    await buildLog(root, 'log-sessions', { sessions: 4, batches: 8, largeChance: 0 }, random),
    await buildLog(root, 'log-tables', { sessions: 1, batches: 24, largeChance: 0.3 }, random),
    await buildLog(root, 'log-compacted', { sessions: 3, batches: 16, largeChance: 0.15 }, random),
    await buildIndex(root, 'index-wal', { sessions: 1, batches: 10 }, random),
    await buildIndex(root, 'index-sessions', { sessions: 3, batches: 4 }, random),
    await buildIndex(root, 'index-compacted', { sessions: 6, batches: 5 }, random),
  ];
}

/** Blocks of mixed sizes, one or a few a batch, synced; now and then a conflict cuts the end off. */
async function buildLog(
  root: string,
  name: string,
  shape: {
    readonly sessions: number;
    readonly batches: number;
    readonly largeChance: number;
    readonly writeBufferBytes?: number;
  },
  random: SeededRandom,
): Promise<RealStore> {
  const path = join(root, name);
  const store: RealStore = {
    name,
    path,
    options: { ...logOptions, writeBufferBytes: shape.writeBufferBytes ?? writeBufferBytes },
    history: [],
    holds: 'log',
  };
  let term = 1;
  for (let session = 0; session < shape.sessions; session += 1) {
    const log = await BlockLog.open({ keyValue: recorded(await openLevel(path, store.options), store.history) });
    if (log.base === null)
      await log.found({ clusterId: 'c1', configuration: votersOnly([asReplicaId('n1#a')]), formatLevel: 2 });
    for (let sequence = 1; sequence <= shape.batches && store.history.length < batchesMax; sequence += 1) {
      // The first batch of a session is the likeliest to: then what it replaces lies in another table.
      const cut = random.below(sequence === 1 ? 2 : 6) === 0 ? Math.min(log.last.index, random.between(1, 3)) : 0;
      if (cut > 0) term += 1;
      let before = emptyLog;
      if (log.last.index > cut) before = positionOf(await log.read(asIndex(log.last.index - cut)));
      const entries: Entry[] = [];
      for (let count = random.between(1, 3); count > 0; count -= 1) {
        const large = random.fraction() < shape.largeChance;
        const payload = random.bytes(large ? random.between(25_000, 45_000) : random.between(20, 900));
        const entry = entryAfter(before, { term, payload });
        entries.push(entry);
        before = positionOf(entry);
      }
      log.stage({ sequence, truncateFrom: cut > 0 ? (entries[0]?.index ?? null) : null, entries });
      await log.flush();
    }
    await log.close();
  }
  return store;
}

/** Several keys a batch, some overwritten or deleted, most batches unsynced. Half of each value compresses. */
async function buildIndex(
  root: string,
  name: string,
  shape: { readonly sessions: number; readonly batches: number },
  random: SeededRandom,
): Promise<RealStore> {
  const path = join(root, name);
  const store: RealStore = { name, path, options: indexOptions, history: [], holds: 'index' };
  for (let session = 0; session < shape.sessions; session += 1) {
    const keyValue: KeyValue = recorded(await openLevel(path, store.options), store.history);
    for (let batch = 0; batch < shape.batches; batch += 1) {
      const operations = Array.from({ length: random.between(2, 6) }, (): KeyValueOperation => {
        const key = entryKey(1 + random.below(40));
        const value = Buffer.concat([random.bytes(random.between(12, 300)), Buffer.alloc(random.below(300), 7)]);
        return random.below(6) === 0 ? { type: 'del', key } : { type: 'put', key, value: new Uint8Array(value) };
      });
      await keyValue.batch(operations, { sync: random.below(4) === 0 });
    }
    await keyValue.close();
  }
  return store;
}
