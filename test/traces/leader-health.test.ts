/** A leader with a slow disk makes room, once, and only for one that is better off (protocol G3). */
import { describe, expect, test } from 'vitest';
import { exportOf } from '../store/exports.ts';
import { type ClusterNode, StoreCluster } from './store-cluster.ts';

interface Stage {
  readonly cluster: StoreCluster;
  readonly leader: ClusterNode;
}

async function settledCluster(): Promise<Stage> {
  const cluster = new StoreCluster({ logVerifyBytes: 1e6 });
  await cluster.start(...cluster.nodes);
  await cluster.settled();
  const { leader } = cluster;
  if (leader === null) throw new Error('somebody leads');
  return { cluster, leader };
}

/** A disk whose synced writes take so long. */
function slowDown(node: ClusterNode, syncMs: readonly [number, number]): void {
  node.disk.latency = { ...node.disk.latency, syncMs, slowChance: 0 };
}

let traces = 0;

/** Somebody writes all the time, through any node; what becomes of a write at a change of leader is not the point here. */
async function writeFor({ cluster }: Stage, durationMs: number): Promise<void> {
  const untilMs = cluster.scheduler.nowMs + durationMs;
  while (cluster.scheduler.nowMs < untilMs) {
    traces += 1;
    const span = { trace: traces, resource: 'r', scope: 's', text: 'span', startNs: 1, endNs: 2 };
    const node = cluster.nodes[traces % 3];
    await cluster.scheduler.complete(Promise.resolve(node?.opened.write(exportOf([span])).catch(() => undefined)));
    await cluster.runFor(20);
  }
}

const handOvers = ({ cluster }: Stage): string[] =>
  cluster.nodes.flatMap(({ id, log }) =>
    log.filter((line) => line.startsWith('warn: handing the lead over')).map((line) => `${id} ${line}`),
  );

const termOf = (node: ClusterNode): number => node.opened.replicaStatus?.term ?? 0;

describe('a leader with a slow disk', () => {
  test('hands over after some seconds to one that is not slow, and every node tells of it', async () => {
    const stage = await settledCluster();
    const { cluster, leader } = stage;
    const [slow, quick] = cluster.nodes.filter((node) => node !== leader) as [ClusterNode, ClusterNode];
    slowDown(leader, [100, 150]);
    slowDown(slow, [90, 140]);
    await writeFor(stage, 4_000);
    expect(cluster.leader?.id).toBe(leader.id);
    await writeFor(stage, 15_000);
    expect(cluster.leader?.id).toBe(quick.id);
    expect(handOvers(stage)).toEqual([`${leader.id} warn: handing the lead over: slow disk`]);
    for (const node of cluster.nodes)
      expect(node.opened.status.lastHandOver).toMatchObject({ from: leader.id, to: quick.id, why: 'slow disk' });
  });

  test('whose disk only stalled for a moment stays', async () => {
    const stage = await settledCluster();
    const { cluster, leader } = stage;
    slowDown(leader, [100, 150]);
    await writeFor(stage, 3_000);
    slowDown(leader, [0.2, 3]);
    await writeFor(stage, 20_000);
    expect([cluster.leader?.id, handOvers(stage)]).toEqual([leader.id, []]);
  });

  test('whose disk hangs while the others commit makes room, too', async () => {
    const stage = await settledCluster();
    const { cluster, leader } = stage;
    await writeFor(stage, 2_000);
    leader.disk.stall(Infinity);
    await writeFor(stage, 25_000);
    expect(cluster.leader?.id).not.toBe(leader.id);
  });

  test('and if the slowness follows the lead, it is handed on once a minute at most', async () => {
    const stage = await settledCluster();
    const { cluster } = stage;
    const startMs = cluster.scheduler.nowMs;
    while (cluster.scheduler.nowMs - startMs < 150_000) {
      for (const node of cluster.nodes) slowDown(node, node === cluster.leader ? [100, 150] : [0.2, 3]);
      await writeFor(stage, 500);
    }
    // The first after some seconds, the others a minute later each.
    expect(handOvers(stage)).toHaveLength(3);
  });
});

describe('on one disk that all share', () => {
  test.each<[string, readonly [number, number]]>([
    ['steadily slow', [100, 120]],
    ['slow and uneven', [5, 400]],
  ])('%s: nobody hands over, and nobody else is elected', async (_, syncMs) => {
    const stage = await settledCluster();
    const { cluster, leader } = stage;
    const term = termOf(leader);
    for (const node of cluster.nodes) slowDown(node, syncMs);
    await writeFor(stage, 180_000);
    expect([cluster.leader?.id, termOf(leader), handOvers(stage)]).toEqual([leader.id, term, []]);
  });
});
