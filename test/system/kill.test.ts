/** kill -9 under load: an ack means the span survives any one process, and all of them at once. */
import { expect, onTestFinished, test } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { eventually } from '../support/quorate-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { Traffic } from '../support/traffic.ts';

const rounds = 20;

test(
  `kill -9 of the leader and of followers under load, ${rounds} rounds: every history is linearizable`,
  { timeout: 600_000 },
  async () => {
    const cluster = await TestCluster.start();
    onTestFinished(async () => cluster.stop());
    const traffic = new Traffic(cluster, 1);
    const random = new SeededRandom(2);
    traffic.start();
    for (let round = 0; round < rounds; round += 1) {
      const leader = await cluster.leader();
      await traffic.moreAcks(random.between(5, 150));
      const victim = round % 3 === 2 ? random.pick(cluster.others(leader.id)).id : leader.id;
      await cluster.node(victim).kill('SIGKILL');
      const survivors = cluster.others(victim);
      await traffic.moreAcks(
        random.between(5, 60),
        survivors.map(({ id }) => id),
      );
      if (victim === leader.id) expect((await cluster.leader(survivors)).term).toBeGreaterThan(leader.term);
      await cluster.node(victim).start();
    }
    await traffic.moreAcks(50);
    const counts = await traffic.settle();
    expect(counts.acked).toBeGreaterThan(rounds * 10);
    expect(counts.linearizableReads).toBeGreaterThan(rounds * 10);
    expect(counts.staleReads).toBeGreaterThan(rounds);
    expect(counts.unknown + counts.failed).toBeGreaterThan(0);
  },
);

test('all nodes killed at once, twice, and started again: nothing acked is missing', async () => {
  const cluster = await TestCluster.start();
  onTestFinished(async () => cluster.stop());
  const traffic = new Traffic(cluster, 3);
  traffic.start();
  for (let round = 0; round < 2; round += 1) {
    await traffic.moreAcks(200);
    await Promise.all(cluster.nodes.map(async (node) => node.kill('SIGKILL')));
    await cluster.startAll();
    // Through every node by itself: each has to be a full member again.
    await Promise.all(cluster.ids.map(async (id) => traffic.moreAcks(20, [id])));
  }
  const counts = await traffic.settle();
  expect(counts.acked).toBeGreaterThan(400);
});

test('a clean stop of all under load exits 0 and loses nothing that was acked', async () => {
  const cluster = await TestCluster.start();
  onTestFinished(async () => cluster.stop());
  const traffic = new Traffic(cluster, 4);
  traffic.start();
  await traffic.moreAcks(200);
  const ends = await Promise.all(cluster.nodes.map(async (node) => node.stop()));
  expect(ends).toEqual(['exit code 0', 'exit code 0', 'exit code 0']);
  await cluster.startAll();
  await eventually('acks after the restart', async () => traffic.acks() > 250, { timeoutMs: 40_000 });
  await traffic.settle();
});
