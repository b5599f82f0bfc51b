/** A node is ready only when it has applied what was committed while it could not know of it (bug D8). */
import { describe, expect, test } from 'vitest';
import { type ClusterNode, settledStage, smallExport, type Stage } from './store-cluster.ts';

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

test('a follower that was away for long catches up while the others go on writing (bug L15)', async () => {
  const { cluster, leader, followers } = await settledStage(500);
  const [behind] = followers;
  behind.crash();
  await cluster.write(
    leader,
    Array.from({ length: 100 }, (_, at) => 100 + at),
  );
  let isOver = false;
  /** As fast as they are acknowledged. */
  const writing = async (): Promise<void> => {
    for (let trace = 1_000; !isOver; trace += 1) await leader.opened.write(smallExport(trace));
  };
  const writes = [writing(), writing(), writing()];
  await cluster.start(behind);
  await cluster.until(() => behind.opened.ready);
  const before = leader.opened.replicaStatus?.commit ?? 0;
  await cluster.runFor(1_000);
  expect(leader.opened.replicaStatus?.commit).toBeGreaterThan(before + 100);
  // It is not merely following: it stays as close as a message takes.
  expect(behind.opened.replicaStatus?.applied).toBeGreaterThan((leader.opened.replicaStatus?.applied ?? 0) - 20);
  isOver = true;
  await cluster.scheduler.complete(Promise.all(writes));
});

test('a leader whose index has to be made again takes writes, and answers reads when it has it (bug D9)', async () => {
  const { cluster, followers } = await settledStage(500);
  const [behind, other] = followers;
  await cluster.write(other, traces);
  await cluster.scheduler.complete(behind.stop());
  for (let bit = 0; bit < 40; bit += 1) behind.disk.flipBit('index', { gte: Uint8Array.of(0), lt: Uint8Array.of(255) });
  // Nor can it be written for now.
  behind.disk.fail('index', 'full');
  await cluster.start(behind);
  await cluster.until(() => behind.opened.status.waiting === 'rebuilding the index');
  await cluster.scheduler.complete(other.opened.transferLeadership(behind.id));
  expect(behind.opened).toMatchObject({ ready: false, replicaStatus: { role: 'leader' } });
  await cluster.write(other, [4]);
  expect((await cluster.read(other, 4)).trace).not.toBeNull();
  behind.disk.heal();
  await cluster.until(() => behind.opened.ready);
  for (const trace of [...traces, 4]) expect((await cluster.read(behind, trace)).trace).not.toBeNull();
});

test('a node that stood still does not take its own pause for the silence of its leader (bug L13)', async () => {
  const { cluster, followers } = await settledStage(500);
  const [paused] = followers;
  paused.log.length = 0;
  for (let time = 0; time < 20; time += 1) {
    paused.pauseFor(2_000);
    await cluster.runFor(2_500);
  }
  expect(paused.log.filter((line) => line.endsWith(': no leader'))).toEqual([]);
  expect(paused.opened.ready).toBe(true);
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
