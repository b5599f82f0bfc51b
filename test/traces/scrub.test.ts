/** The scrub finds damage that nobody reads, while others can mend it, and delays nobody (protocol F2, F3). */
import { expect, test } from 'vitest';
import { bucketKey, decodeBucket, encodeBucket } from '../../src/store/index-records.ts';
import { decodePostings, encodePostings } from '../../src/store/postings.ts';
import { asIndex, emptyLog, type Entry, type LogPosition } from '../../src/raft/core/types.ts';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { silentLogger } from '../../src/logger.ts';
import type { BaseRecord } from '../../src/store/base-record.ts';
import { DamagedEntryError } from '../../src/store/damaged.ts';
import { positionOf } from '../../src/store/entry.ts';
import { Scrub } from '../../src/traces/scrub.ts';
import { Machine } from '../store/machine.ts';
import { entryAfter } from '../store/support.ts';
import { keyOf } from '../sim/platform/ordered-bytes.ts';
import { type ClusterNode, scrubRestMs, StoreCluster } from './store-cluster.ts';

const traces = Array.from({ length: 12 }, (_, at) => at + 1);
/** Long enough for a pass over so little, and for the repair. */
const passMs = 10_000;

async function twelveTraces(): Promise<{
  cluster: StoreCluster;
  nodes: readonly [ClusterNode, ClusterNode];
  old: number;
}> {
  const cluster = new StoreCluster({ logVerifyBytes: 600 });
  await cluster.start(...cluster.nodes);
  await cluster.settled();
  const { leader } = cluster;
  if (leader === null) throw new Error('somebody leads');
  const other = cluster.nodes.find((node) => node !== leader);
  if (other === undefined) throw new Error('nobody follows');
  const entryOf = await cluster.write(leader, traces);
  await cluster.settled();
  await cluster.runFor(1_000);
  return { cluster, nodes: [other, leader], old: entryOf.get(4) ?? 0 };
}

test('an old entry is damaged and nobody reads it: the scrub meets it, and it is fetched from a peer', async () => {
  const { cluster, nodes, old } = await twelveTraces();
  const [victim, whole] = nodes;
  victim.crash();
  victim.flipEntry(old);
  await cluster.start(victim);
  await cluster.settled();
  await cluster.runFor(passMs);
  expect(victim.entryOnDisk(old)).toBe(whole.entryOnDisk(old));
  expect(victim.log).toContain('warn: the scrub met damage');
  expect(victim.store?.scrubStatus).toMatchObject({ findings: 1 });
  expect(victim.store?.logRepairs).toEqual({ damaged: 0, repaired: 1 });
});

test('damage below what memory still keeps is mended from there, also with nobody else', async () => {
  const { cluster, nodes, old } = await twelveTraces();
  const [victim, other] = nodes;
  const before = victim.entryOnDisk(old);
  for (const node of cluster.nodes) if (node !== victim) node.crash();
  victim.flipEntry(old);
  await cluster.runFor(passMs + scrubRestMs);
  expect(victim.entryOnDisk(old)).toBe(before);
  expect(victim.store?.logRepairs).toEqual({ damaged: 0, repaired: 1 });
  expect(other.store).toBeNull();
});

test('a sound log: every entry is read, nothing is found, and the next pass comes after a rest', async () => {
  const { cluster, nodes } = await twelveTraces();
  const [node] = nodes;
  await cluster.runFor(passMs);
  const status = node.store?.scrubStatus;
  expect(status).toMatchObject({ findings: 0 });
  expect(status?.lastPassMs).not.toBeNull();
  expect(status?.entries).toBeLessThanOrEqual(node.store?.replicaStatus?.applied ?? 0);
  await cluster.runFor(scrubRestMs + passMs);
  expect(node.store?.scrubStatus?.entries).toBeGreaterThan(status?.entries ?? Infinity);
});

test('a block that the index does not find through a trace in it: the index is rebuilt', async () => {
  const { cluster, nodes } = await twelveTraces();
  const [victim] = nodes;
  await cluster.scheduler.complete(victim.stop());
  forgetOneBlock(victim);
  await cluster.start(victim);
  await cluster.settled();
  await cluster.runFor(passMs);
  expect(victim.log).toContainEqual(
    expect.stringMatching(/^warn: the index is rebuilt from the log: entry \d+ is not found through a trace in it/),
  );
  for (const trace of traces) expect(await cluster.textsOf(victim, trace)).toEqual([`span of ${trace}`]);
});

test('what a trim took while it was read is no damage, and the scrub goes on behind it', async () => {
  const machine = new Machine(1);
  const entries: Entry[] = [];
  const end = (): LogPosition => entries.map(positionOf).at(-1) ?? emptyLog;
  while (entries.length < 12) entries.push(entryAfter(end(), { payload: new Uint8Array(0) }));
  let base = 0;
  const read: number[] = [];
  const baseAt = (index: number): BaseRecord => ({
    clusterId: 'c1',
    position: entries.slice(0, index).map(positionOf).at(-1) ?? emptyLog,
    timeMs: 0,
    configuration: votersOnly([]),
    configurationIndex: emptyLog.index,
    formatLevel: 2,
  });
  const scrub = Scrub.start({
    platform: machine.platform,
    log: {
      get base() {
        return baseAt(base);
      },
    },
    entries: {
      readStored: async (index) => {
        read.push(index);
        if (index === 3) base = 8;
        if (index <= base) throw new DamagedEntryError(index, 'it is missing');
        return entries[index - 1] ?? null;
      },
    },
    index: { finds: async () => true },
    logger: silentLogger,
    applied: () => asIndex(12),
    isBusy: () => false,
    bytesPerSecond: 1_000_000,
    restMs: 1_000_000,
  });
  await machine.scheduler.run({ settled: () => scrub.status.lastPassMs !== null });
  expect(read).toEqual([1, 2, 3, 9, 10, 11, 12]);
  expect(scrub.status.findings).toBe(0);
  scrub.stop();
});

/** The first trace in the index leads nowhere any more; every checksum fits. */
function forgetOneBlock(node: ClusterNode): void {
  const index = node.disk.keyValue('index');
  for (let window = 0; window < traces.length; window += 1) {
    for (let bucket = 0; bucket < 256; bucket += 1) {
      const key = bucketKey(window, bucket);
      const record = index.contents.get(keyOf(key));
      if (record === undefined) continue;
      const postings = decodePostings(decodeBucket(key, record, 'a bucket'), bucket, asIndex(1));
      const changed = (postings ?? []).map((posting) => ({ ...posting, indices: [] }));
      index.apply([{ key: keyOf(key), value: encodeBucket(key, encodePostings(changed, asIndex(1))) }], true);
      return;
    }
  }
  throw new Error('there is nothing in the index');
}
