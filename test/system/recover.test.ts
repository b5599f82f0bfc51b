/** Two of three disks are lost under load: `quorate recover` makes the third a cluster that serves all it held (docs/recover.md). */
import { execFile } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { LocalNode } from '../../cluster/local-node.ts';
import { TestCluster } from '../support/cluster.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { eventually } from '../support/quorate-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { Traffic } from '../support/traffic.ts';

const quorate = join(import.meta.dirname, '../../bin/quorate');

function run(...words: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(quorate, [...words], (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err }),
    );
  });
}

test(
  'the third serves every acked span, two new nodes join, a voter of before is refused',
  { timeout: 300_000 },
  async () => {
    const cluster = await TestCluster.start();
    onTestFinished(async () => cluster.stop());
    const traffic = new Traffic(cluster, 12);
    traffic.start();
    await traffic.moreAcks(200);
    await traffic.stop();

    // On every disk by the time that all have answered a linearizable read.
    const random = new SeededRandom(3);
    const sent = Array.from({ length: 20 }, () => smallExport(random, { spans: 2 }));
    for (const { body } of sent) expect(await cluster.client('n2').export(body)).toMatchObject({ outcome: 'ok' });
    for (const client of cluster.clients) expect(await client.spanIds(sent.at(-1)?.traceId ?? '')).toHaveLength(2);

    const members = cluster.nodes.map(({ id, peer }) => `${id}=${peer}`).join(',');
    const [n1, n2, n3] = ['n1', 'n2', 'n3'].map((id) => cluster.node(id)) as [LocalNode, LocalNode, LocalNode];
    const preserved = `${n2.data}-preserved`;

    expect(await run('recover', '--data', n1.data, '--cluster', members)).toMatchObject({
      code: 1,
      err: expect.stringContaining('in use'),
    });
    await n1.kill('SIGKILL');
    const answered = await run('recover', '--data', n1.data, '--cluster', members, '--yes');
    expect(answered).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^Nothing was changed: n[23] answers at 127\.0\.0\.1:\d+: stop it/),
    });
    // A node that is paused may come back.
    await n2.kill('SIGKILL');
    await n3.kill('SIGSTOP');
    expect(await run('recover', '--data', n1.data, '--cluster', members, '--yes')).toMatchObject({
      code: 1,
      err: expect.stringContaining('Nothing was changed: n3 answers at'),
    });
    await n3.kill('SIGKILL');

    cpSync(n2.data, preserved, { recursive: true });
    for (const { data } of [n2, n3]) rmSync(data, { recursive: true });

    expect(await run('recover', '--data', n1.data)).toMatchObject({
      code: 1,
      err: expect.stringContaining('the log does not say where n1 listens: give --cluster'),
    });
    const dry = await run('recover', '--data', n1.data, '--cluster', members);
    expect(dry.err).toBe('');
    expect(dry.out).toMatch(/^n1 .*\n\nvoters: n1, n2 \(not given\), n3 \(not given\)\nlongest log: n1, /m);
    expect(dry.out).toContain('may be lost: n2 and n3 could acknowledge without the given disks');
    expect(dry.out).toContain('Nothing was changed. To go on:');
    const done = await run('recover', '--data', n1.data, '--cluster', members, '--yes');
    expect(done.out).toMatch(/^n1 is the only voter of cluster [0-9a-f]{32}\.1\.[0-9a-f]{16} now/m);
    expect(await run('recover', '--data', n1.data, '--cluster', members, '--yes')).toMatchObject({
      code: 1,
      err: 'Nothing was changed: n1 is the only voter of its cluster and lacks nothing: start it.\n',
    });

    await n1.start();
    const first = cluster.client('n1');
    for (const { traceId, spanIds } of sent) expect(new Set(await first.spanIds(traceId))).toEqual(new Set(spanIds));
    await cluster.retire('n2');
    await cluster.retire('n3');
    for (const id of ['n4', 'n5']) {
      await cluster.newcomer(id);
      await eventually(`${id} is added`, async () => {
        const { status, answer } = await first.admin('POST', '/api/v1/cluster/members', { id });
        return status === 200 || JSON.stringify(answer).includes('is a member already');
      });
      await cluster.node(id).waitUntilReady();
    }
    traffic.start();
    await traffic.moreAcks(50, ['n4', 'n5']);
    const counts = await traffic.settle();
    expect(counts.acked).toBeGreaterThan(200);

    const old = new LocalNode({ ...n2.options, data: preserved, onDeath: () => undefined });
    old.spawn();
    onTestFinished(async () => old.kill('SIGKILL'));
    expect(await old.ended).toBe('exit code 1');
    expect(old.lastLines.join('\n')).toContain(
      'refused by n1: n2 belongs to the cluster as it was before `quorate recover` made n1 one of its own',
    );
    expect(await first.isReady()).toBe(true);
  },
);
