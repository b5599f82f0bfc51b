/** A paused process is not a dead one: it comes back believing what it believed, a leader included. */
import { expect, onTestFinished, test } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { eventually } from '../support/quorate-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { Traffic } from '../support/traffic.ts';

test('SIGSTOP of the leader for longer than an election, then SIGCONT: it hides nothing, five times over', async () => {
  const cluster = await TestCluster.start();
  onTestFinished(async () => cluster.stop());
  const traffic = new Traffic(cluster, 5);
  traffic.start();
  for (let round = 0; round < 5; round += 1) {
    const leader = await cluster.leader();
    await traffic.moreAcks(30);
    await cluster.node(leader.id).kill('SIGSTOP');
    const others = cluster.others(leader.id);
    const successor = await eventually('a successor of the paused leader', async () => {
      const now = await cluster.leader(others);
      return now.id !== leader.id && now;
    });
    expect(successor.term).toBeGreaterThan(leader.term);
    await traffic.moreAcks(
      60,
      others.map(({ id }) => id),
    );
    await cluster.node(leader.id).kill('SIGCONT');
    // Readers of the paused node have requests in its socket: it answers them as soon as it wakes.
    await traffic.moreAcks(20, [leader.id]);
  }
  const counts = await traffic.settle();
  expect(counts.linearizableReads).toBeGreaterThan(100);
});

test('a read asked of the deposed leader while it sleeps is answered with what was acked meanwhile, or not at all', async () => {
  const cluster = await TestCluster.start();
  onTestFinished(async () => cluster.stop());
  const random = new SeededRandom(6);
  const before = smallExport(random, { spans: 1 });
  const { id: paused } = await cluster.leader();
  expect(await cluster.client(paused).export(before.body)).toMatchObject({ outcome: 'ok' });
  await cluster.node(paused).kill('SIGSTOP');
  const others = cluster.others(paused);
  await eventually('a successor', async () => (await cluster.leader(others)).id !== paused);
  const meanwhile = smallExport(random, { spans: 1, traceId: before.traceId });
  expect(await random.pick(others).export(meanwhile.body)).toMatchObject({ outcome: 'ok' });
  const asked = cluster
    .client(paused)
    .spanIds(before.traceId, 'linearizable', 20_000)
    .catch((error: unknown) => String(error));
  await cluster.node(paused).kill('SIGCONT');
  const answer = await asked;
  if (typeof answer === 'string') expect(answer).toContain('503');
  else expect(new Set(answer)).toEqual(new Set([...before.spanIds, ...meanwhile.spanIds]));
});
