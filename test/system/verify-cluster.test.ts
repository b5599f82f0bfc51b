/** `quorate verify --url` on real nodes: equal whatever their windows are, and a node that is down is a fault. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { Traffic } from '../support/traffic.ts';

const quorate = join(import.meta.dirname, '../../bin/quorate');

function verify(url: string): Promise<{ code: number; stdout: string }> {
  return new Promise((resolve) => {
    execFile(quorate, ['verify', '--url', url], (error, stdout) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout }),
    );
  });
}

test('nodes under load, restarted at different times, hold the same; a stopped one cannot be compared', async () => {
  const cluster = await TestCluster.start();
  onTestFinished(async () => cluster.stop());
  const traffic = new Traffic(cluster, 1);
  traffic.start();
  for (const id of ['n2', 'n3']) {
    await traffic.moreAcks(30);
    await cluster.node(id).stop();
    await traffic.moreAcks(10, ['n1']);
    await cluster.node(id).start();
  }
  const under = await verify(cluster.node('n1').http);
  expect(under.stdout).toMatch(/^3 nodes at entry \d+: equal\./);
  expect(under.code).toBe(0);
  await traffic.settle();
  await cluster.node('n3').stop();
  const without = await verify(cluster.node('n1').http);
  expect(without.stdout).toMatch(/n3 .*could not be compared/);
  expect(without.code).toBe(1);
});
