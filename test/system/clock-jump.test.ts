/**
 * The wall clock of the leader jumps eight days ahead, with seven days of retention (protocol E3): nothing expires by it, and
 * who operates the cluster is told. With the guard taken out the same test shows the loss.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { TestCluster, type TestClusterOptions } from '../support/cluster.ts';
import { giveBackExpired } from '../support/expiry.ts';
import { checkHistory } from '../support/history.ts';
import { metric } from '../support/metrics.ts';
import { eventually, type QuorateClient } from '../support/quorate-client.ts';
import { Traffic } from '../support/traffic.ts';
import { WrongClocks } from './wrong-clock.ts';

const guardTakenOut = {
  file: 'src/traces/clock-guard.ts',
  find: 'const judgedMs = isSure ? Math.min(now.wallMs, bounds.lower) : null;',
  replace: 'const judgedMs = now.wallMs;',
};

async function start(options: TestClusterOptions): Promise<{ cluster: TestCluster; clocks: WrongClocks }> {
  const clocks = new WrongClocks();
  onTestFinished(() => clocks.remove());
  const cluster = await TestCluster.start({ ...options, wrapper: clocks.wrapper });
  onTestFinished(async () => cluster.stop());
  return { cluster, clocks };
}

function status({ url }: QuorateClient): Promise<string> {
  return new Promise((resolve) => {
    execFile(join(import.meta.dirname, '../../bin/quorate'), ['cluster', 'status', '--url', url], (_, out) =>
      resolve(out),
    );
  });
}

const trimmedTo = async (client: QuorateClient): Promise<number> => (await client.cluster())?.retention.trimmedTo ?? 0;

/** The leader's clock jumps under traffic; resolves once it says so. */
async function jump(cluster: TestCluster, clocks: WrongClocks): Promise<{ id: string; alarm: string }> {
  const { id } = await cluster.leader();
  clocks.set(id, '+8d');
  const alarm = await eventually(
    'the alarm',
    async () => (await cluster.client(id).cluster())?.clockAlarm ?? undefined,
  );
  return { id, alarm };
}

/** Reads every trace once more through every node. How many acknowledged spans nobody has any more, and the verdict on all that was seen. */
async function readAll(traffic: Traffic): Promise<{ lost: number; ok: boolean }> {
  await traffic.readAll();
  const history = traffic.recorder.history();
  const shown = new Set(
    history.flatMap((operation) =>
      operation.kind === 'read' && operation.client.startsWith('last reader') ? operation.elements : [],
    ),
  );
  const acked = history.filter((operation) => operation.kind === 'add' && operation.outcome === 'ok');
  const lost = acked.filter((operation) => operation.kind === 'add' && !shown.has(operation.element)).length;
  return { lost, ok: checkHistory(history).ok };
}

test('eight days ahead with --retention 7d: nothing is lost, and the alarm says what to do', async () => {
  const { cluster, clocks } = await start({ settings: { QUORATE_RETENTION: '7d' } });
  const traffic = new Traffic(cluster, 31);
  traffic.start();
  await traffic.moreAcks(100);
  const { id, alarm } = await jump(cluster, clocks);
  expect(alarm).toMatch(
    /^the clock of this node is 691\d\d\d s ahead of the median of the voters: set it right \(NTP\)/,
  );
  expect(await metric(cluster.client(id).url, 'quorate_clock_alarm')).toBe(1);
  for (const client of cluster.clients)
    expect(await status(client)).toContain(`clock alarm on ${id}: ${alarm.slice(0, 24)}`);
  await traffic.moreAcks(300);
  expect((await cluster.leader()).id).toBe(id);

  // A restart under the wrong clock changes nothing.
  await cluster.node(id).kill('SIGKILL');
  await traffic.moreAcks(
    50,
    cluster.others(id).map((other) => other.id),
  );
  await cluster.node(id).start();
  await eventually(`${id} leads again`, async () => {
    const asked = await cluster
      .client(id)
      .admin('POST', '/api/v1/cluster/leader', { to: id })
      .catch(() => undefined);
    return asked?.status === 200 && (await cluster.leader()).id === id;
  });
  await traffic.moreAcks(600);
  await eventually('the alarm', async () => (await cluster.client(id).cluster())?.clockAlarm);
  expect(await readAll(traffic)).toEqual({ lost: 0, ok: true });
  for (const client of cluster.clients) expect(await trimmedTo(client)).toBe(0);

  clocks.set(id, '+0');
  await eventually('the end of the alarm', async () => (await cluster.client(id).cluster())?.clockAlarm === null);
});

test('with the guard taken out the same jump loses what was acknowledged', async () => {
  const { cluster, clocks } = await start({ settings: { QUORATE_RETENTION: '7d' }, plant: guardTakenOut });
  const traffic = new Traffic(cluster, 31);
  traffic.start();
  await traffic.moreAcks(100);
  const { id } = await jump(cluster, clocks);
  await eventually('a trim', async () => (await trimmedTo(cluster.client(id))) > 0, { timeoutMs: 120_000 });
  const { lost, ok } = await readAll(traffic);
  expect(lost).toBeGreaterThan(0);
  expect(ok).toBe(false);
});

test('where another node leads, spans expire by its time, and none before', async () => {
  const retentionMs = 10_000;
  const { cluster, clocks } = await start({ settings: { QUORATE_RETENTION: `${retentionMs / 1_000}s` } });
  const traffic = new Traffic(cluster, 33, { retentionMs });
  traffic.start();
  await eventually('a trim', async () => (await trimmedTo(cluster.client('n1'))) > 0, { timeoutMs: 120_000 });
  const { id } = await jump(cluster, clocks);
  const next = cluster.others(id)[0] as QuorateClient;
  await traffic.moreAcks(50);
  const before = await trimmedTo(next);
  await eventually(`${next.id} leads`, async () => {
    const asked = await next.admin('POST', '/api/v1/cluster/leader', { to: next.id }).catch(() => undefined);
    return asked?.status === 200 && (await cluster.leader()).id === next.id;
  });
  for (const client of cluster.clients)
    await eventually('a trim', async () => (await trimmedTo(client)) > before, { timeoutMs: 120_000 });
  expect(await status(next)).toContain(`clock alarm on ${id}: `);
  await traffic.stop();
  expect(checkHistory(giveBackExpired(traffic.recorder.history(), retentionMs))).toMatchObject({ ok: true });
});
