/**
 * From 0.1.0, the real one, to this version, node by node and with writers on all of them (protocol B4): nothing acked is missing,
 * there is a way back until the last node is upgraded, and afterwards an old binary refuses to start instead of dying at an entry.
 */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type Program, thisVersion } from '../../cluster/local-node.ts';
import { TestCluster } from '../support/cluster.ts';
import { eventually, type QuorateClient } from '../support/quorate-client.ts';
import { unpackRelease010 } from '../support/release.ts';
import { Traffic } from '../support/traffic.ts';

interface Upgrading {
  readonly old: Program;
  readonly cluster: TestCluster;
  readonly traffic: Traffic;
}

/** Three nodes of 0.1.0 under load. */
async function startOld(seed: number): Promise<Upgrading> {
  const release = unpackRelease010();
  const cluster = await TestCluster.start({ program: release.program });
  onTestFinished(async () => {
    await cluster.stop();
    release.remove();
  });
  const traffic = new Traffic(cluster, seed);
  traffic.start();
  await traffic.moreAcks(100);
  return { old: release.program, cluster, traffic };
}

/** Stops a node as operators do, and starts another version on what it left. */
async function restartAs({ cluster, traffic }: Upgrading, id: string, program: Program): Promise<void> {
  const node = cluster.node(id);
  expect(await node.stop()).toBe('exit code 0');
  await traffic.moreAcks(
    20,
    cluster.others(id).map(({ id: other }) => other),
  );
  node.program = program;
  await node.start();
  await traffic.moreAcks(20, [id]);
}

/** The leader last: the others are asked for votes by it, and have to follow it, as long as possible. */
async function leaderLast(cluster: TestCluster): Promise<readonly string[]> {
  const leader = await cluster.leader();
  return [...cluster.others(leader.id).map(({ id }) => id), leader.id];
}

async function levelOf(client: QuorateClient): Promise<number | null | undefined> {
  return ((await client.cluster()) as { formatLevel?: number | null } | undefined)?.formatLevel;
}

async function levelsBecome(cluster: TestCluster, level: number): Promise<void> {
  await eventually(`format level ${level} on every node`, async () => {
    const levels = await Promise.all(cluster.clients.map(levelOf));
    return levels.every((one) => one === level);
  });
}

const hashOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

test(
  'a rolling upgrade from 0.1.0 under load: level 2 once the last node is upgraded, and then no way back to an old binary',
  { timeout: 600_000 },
  async () => {
    const upgrading = await startOld(21);
    const { cluster, traffic, old } = upgrading;
    const [first = '', second = '', last = ''] = await leaderLast(cluster);
    await restartAs(upgrading, first, thisVersion);
    await restartAs(upgrading, second, thisVersion);
    for (const id of [first, second]) {
      expect(await levelOf(cluster.client(id))).toBe(1);
      const { status, answer } = await cluster.client(id).admin('DELETE', `/api/v1/cluster/members/${last}`);
      expect(status).toBe(409);
      expect(JSON.stringify(answer)).toContain(
        `the cluster is at format level 1: ${last} still runs Quorate 0.1.0; upgrade it first`,
      );
    }
    await restartAs(upgrading, last, thisVersion);
    await levelsBecome(cluster, 2);
    await traffic.moreAcks(100);

    // The members can be changed now.
    const n4 = await cluster.newcomer('n4');
    await eventually('n4 is added', async () => {
      const { status } = await cluster.client(first).admin('POST', '/api/v1/cluster/members', { id: 'n4' });
      return status === 200;
    });
    await cluster.node('n4').waitUntilReady();
    traffic.through(n4);
    await traffic.moreAcks(50, ['n4']);
    await traffic.settle();

    // 0.1.0 on what this version left: it says which version it takes, and changes nothing of what was promised.
    expect(await cluster.node(second).stop()).toBe('exit code 0');
    const hardState = join(cluster.node(second).data, 'hard-state');
    const before = hashOf(hardState);
    cluster.node(second).program = old;
    expect(await cluster.startInVain(second)).toMatch(
      /hard state was written by a newer version \(hard-state format 2\)/,
    );
    expect(hashOf(hardState)).toBe(before);
    cluster.node(second).program = thisVersion;
    await cluster.node(second).start();

    // 0.1.0 on an empty disk, which says nothing of levels: the others refuse it, in a sentence that it ends with.
    await cluster.node(last).kill('SIGKILL');
    rmSync(cluster.node(last).data, { recursive: true });
    cluster.node(last).program = old;
    expect(await cluster.startInVain(last)).toMatch(
      new RegExp(
        `${last} runs Quorate 0\\.1\\.0, and the cluster of \\S+ is at format level 2: start ${last} with Quorate 0\\.2\\.0`,
      ),
    );
    cluster.node(last).program = thisVersion;
    rmSync(cluster.node(last).data, { recursive: true });
    await cluster.node(last).start();

    traffic.start();
    await traffic.moreAcks(100);
    const counts = await traffic.settle();
    expect(counts.acked).toBeGreaterThan(400);
    expect(counts.linearizableReads).toBeGreaterThan(100);
  },
);

test(
  'a rolling upgrade is rolled back before the last node: 0.1.0 goes on with what this version wrote, and it can be done again',
  { timeout: 600_000 },
  async () => {
    const upgrading = await startOld(22);
    const { cluster, traffic, old } = upgrading;
    const [first = '', second = '', last = ''] = await leaderLast(cluster);
    for (const id of [first, second]) await restartAs(upgrading, id, thisVersion);
    // Once with an old leader, and once with a new one.
    await eventually('a leader that runs this version', async () => {
      const leader = await cluster.leader();
      if (leader.id !== last) return true;
      await restartAs(upgrading, last, old);
      return false;
    });
    await traffic.moreAcks(100);
    for (const id of [second, first]) await restartAs(upgrading, id, old);
    await traffic.moreAcks(100);
    for (const id of await leaderLast(cluster)) await restartAs(upgrading, id, thisVersion);
    await levelsBecome(cluster, 2);
    const counts = await traffic.settle();
    expect(counts.acked).toBeGreaterThan(400);
  },
);
