/** Without a majority a node says so inside its deadline; with one again it goes on by itself. */
import { expect, onTestFinished, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { TestCluster } from '../support/cluster.ts';
import { HttpClient } from '../support/http.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { eventually } from '../support/quorate-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { Traffic } from '../support/traffic.ts';

test('two of three killed: writes and linearizable reads answer 503 in time, stale reads answer; then back', async () => {
  const cluster = await TestCluster.start();
  onTestFinished(async () => cluster.stop());
  const random = new SeededRandom(7);
  const acked = smallExport(random, { spans: 2 });
  const { id: leader } = await cluster.leader();
  const alone = random.pick(cluster.others(leader));
  expect(await alone.export(acked.body)).toMatchObject({ outcome: 'ok' });
  expect(await alone.spanIds(acked.traceId)).toHaveLength(2);
  const killed = cluster.others(alone.id);
  await Promise.all(killed.map(async ({ id }) => cluster.node(id).kill('SIGKILL')));

  const http = new HttpClient(alone.url);
  onTestFinished(() => http.close());
  const timeoutMs = Math.max(limits.writeDeadlineMs, limits.readDeadlineMs) + 2_000;
  const refused = smallExport(random, { spans: 1, traceId: acked.traceId });
  const headers = { 'content-type': 'application/x-protobuf' };
  const [write, read] = await Promise.all([
    http.send({ method: 'POST', path: '/v1/traces', headers, body: refused.body, timeoutMs }),
    http.send({ path: `/api/v1/traces/${acked.traceId}`, timeoutMs }),
  ]);
  expect(write.status).toBe(503);
  expect(Number(write.headers['retry-after'])).toBeGreaterThan(0);
  expect(write.headers['content-type']).toContain('application/x-protobuf');
  // google.rpc.Status: code 14, UNAVAILABLE, is field 1.
  expect([...write.body.subarray(0, 2)]).toEqual([8, 14]);
  expect(read.status).toBe(503);
  expect(Number(read.headers['retry-after'])).toBeGreaterThan(0);
  expect(JSON.parse(read.body.toString('utf8'))).toMatchObject({
    error: { code: expect.any(String), message: expect.any(String) },
  });
  expect(new Set(await alone.spanIds(acked.traceId, 'stale'))).toEqual(new Set(acked.spanIds));
  expect(await alone.isReady()).toBe(false);

  const back = random.pick(killed);
  await cluster.node(back.id).start();
  const written = await eventually('an ack once there are two', async () => {
    const answer = await alone.export(refused.body);
    return answer.outcome === 'ok' && answer;
  });
  expect(written.outcome).toBe('ok');
  expect(new Set(await back.spanIds(acked.traceId))).toEqual(new Set([...acked.spanIds, ...refused.spanIds]));
});

test('no quorum and back under load: the history is linearizable', async () => {
  const cluster = await TestCluster.start();
  onTestFinished(async () => cluster.stop());
  const traffic = new Traffic(cluster, 8);
  traffic.start();
  for (let round = 0; round < 2; round += 1) {
    await traffic.moreAcks(100);
    const { id: leader } = await cluster.leader();
    const killed =
      round === 0 ? cluster.others(leader) : [cluster.client(leader), ...cluster.others(leader).slice(0, 1)];
    await Promise.all(killed.map(async ({ id }) => cluster.node(id).kill('SIGKILL')));
    const alone = cluster.others(...killed.map(({ id }) => id));
    await eventually('the last node to say it cannot serve', async () =>
      (await Promise.all(alone.map(async (client) => client.isReady()))).every((ready) => !ready),
    );
    await cluster.startAll();
    await Promise.all(cluster.ids.map(async (id) => traffic.moreAcks(10, [id])));
  }
  expect((await traffic.settle()).acked).toBeGreaterThan(200);
});
