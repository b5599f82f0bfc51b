/** A node is ready only when it has applied what was committed while it could not know of it (bug D8). */
import { describe, expect, test } from 'vitest';
import { type ClusterNode, settledStage, type Stage } from './store-cluster.ts';

const traces = [1, 2, 3];

/** Heartbeats reach it, entries do not. */
function withholdEntries({ cluster, leader, followers }: Stage, from: ClusterNode): void {
  for (const sender of [leader, ...followers]) if (sender !== from) cluster.network.cut(sender.id, from.id, 'large');
}

/** It hears its leader for seconds, is not ready, and is once it has the entries. */
async function becomesReadyWithTheLog({ cluster, leader }: Stage, behind: ClusterNode): Promise<void> {
  await cluster.runFor(8_000);
  expect(behind.opened.replicaStatus?.leader).toBe(leader.opened.replicaStatus?.leader);
  expect(behind.opened).toMatchObject({
    ready: false,
    status: { waiting: 'catching up with what was committed before this node had a leader' },
  });
  cluster.network.heal();
  await cluster.until(() => behind.opened.ready);
  const { commit } = leader.opened.replicaStatus ?? {};
  expect(behind.opened.replicaStatus?.applied).toBe(commit);
  for (const trace of traces) expect((await cluster.read(behind, trace, 'stale')).trace).not.toBeNull();
}

describe('what was committed meanwhile', () => {
  test('a follower that was restarted', async () => {
    const stage = await settledStage(500);
    const { cluster, leader, followers } = stage;
    const [behind] = followers;
    behind.crash();
    await cluster.write(leader, traces);
    withholdEntries(stage, behind);
    await cluster.start(behind);
    await becomesReadyWithTheLog(stage, behind);
  });

  test('one that was cut off, and never ended', async () => {
    const stage = await settledStage(500);
    const { cluster, leader, followers } = stage;
    const [behind, other] = followers;
    for (const peer of [leader, other]) {
      cluster.network.cut(peer.id, behind.id);
      cluster.network.cut(behind.id, peer.id);
    }
    await cluster.runFor(1_000);
    await cluster.write(leader, traces);
    cluster.network.heal();
    withholdEntries(stage, behind);
    await becomesReadyWithTheLog(stage, behind);
  });
});

test('a leader that has committed nothing yet is not ready, and neither is whoever hears it', async () => {
  const { cluster, leader, followers } = await settledStage(500);
  leader.crash();
  const [one, two] = followers;
  for (const node of followers) cluster.network.cut(node.id, node === one ? two.id : one.id, 'bulk');
  await cluster.until(() => followers.some(({ store }) => store?.replicaStatus?.role === 'leader'));
  await cluster.runFor(500);
  expect(followers.map(({ opened }) => opened.ready)).toEqual([false, false]);
  cluster.network.heal();
  await cluster.until(() => followers.every(({ opened }) => opened.ready));
});
