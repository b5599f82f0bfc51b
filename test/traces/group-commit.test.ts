/** Blocks that reach the leader while it writes its log leave together (protocol C7). */
import { expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { exportOf } from '../store/exports.ts';
import { settledStage, type Stage } from './store-cluster.ts';

/** Each node is given an export at the same moment, while the leader's disk answers nothing for so long. How long that took, in ms. */
async function writeEverywhere({ cluster, leader, followers }: Stage, stallMs: number): Promise<number> {
  const startedMs = cluster.scheduler.nowMs;
  leader.disk.stall(startedMs + stallMs);
  const writes = [leader, ...followers].map((node, n) =>
    node.opened.write(exportOf([{ trace: n + 1, resource: 'r', scope: 's', text: 'a span', startNs: 1, endNs: 2 }])),
  );
  await cluster.scheduler.complete(Promise.all(writes));
  return cluster.scheduler.nowMs - startedMs;
}

test('blocks that come while the leader writes share an append', async () => {
  const stage = await settledStage(500);
  const { cluster, leader, followers } = stage;
  cluster.appends.length = 0;
  await writeEverywhere(stage, limits.gatherMsMax / 2);
  // Its own block goes at once, the two that are forwarded to it meanwhile wait for one another.
  for (const { id } of followers)
    expect(cluster.appends.filter(({ to }) => to === id).map(({ entries }) => entries)).toEqual([1, 2]);
  for (const trace of [1, 2, 3]) expect(await cluster.textsOf(leader, trace)).toHaveLength(1);
});

test('a block does not wait for a write that takes long: the others commit it meanwhile', async () => {
  const usualMs = await writeEverywhere(await settledStage(500), 0);
  expect(await writeEverywhere(await settledStage(500), 2_000)).toBeLessThan(usualMs + 2 * limits.gatherMsMax);
});
