/** `quorate recover` on the disks of simulated machines: what is kept, what comes back, and a run that is cut short anywhere. */
import { describe, expect, test } from 'vitest';
import { asNodeId } from '../../src/raft/core/types.ts';
import { BlockLog } from '../../src/store/block-log.ts';
import { recoverDirectory } from '../../src/traces/recover-directory.ts';
import { planRecovery } from '../../src/traces/recovery-plan.ts';
import { readRecoverySource, type RecoverySource } from '../../src/traces/recovery-source.ts';
import { ClockSkew } from '../sim/platform/clock.ts';
import { bootSimPlatform, type SimPlatform } from '../sim/platform/platform.ts';
import { entriesAfter } from '../store/support.ts';
import { ClusterNode, StoreCluster } from './store-cluster.ts';

const traces = [1, 2, 3, 4, 5];

/** Three nodes that held `traces`, and do not run any more. */
async function lost(): Promise<StoreCluster> {
  const cluster = new StoreCluster({ logVerifyBytes: 1e6 });
  await cluster.start(...cluster.nodes);
  await cluster.settled();
  await cluster.write(cluster.nodes[0], traces);
  await cluster.settled();
  await cluster.runFor(500);
  for (const node of cluster.nodes) node.crash();
  return cluster;
}

/** The machine of a node, on which a command runs; `run` decides what chance does. */
function machineOf({ scheduler, random }: StoreCluster, node: ClusterNode, run = ''): SimPlatform {
  return bootSimPlatform({ scheduler, disk: node.disk, skew: new ClockSkew() }, random.fork(`command ${run}`));
}

async function look(cluster: StoreCluster, node: ClusterNode): Promise<RecoverySource> {
  const platform = machineOf(cluster, node);
  return cluster.scheduler.complete(readRecoverySource(platform.disk, node.id));
}

/** Reads, plans, carries out: what the command does with --yes. */
async function recover(cluster: StoreCluster, node: ClusterNode): ReturnType<typeof recoverDirectory> {
  const { chosen, refusal } = planRecovery([await look(cluster, node)], { keep: null, acceptLoss: false });
  if (refusal !== null) throw new Error(refusal);
  return cluster.scheduler.complete(recoverDirectory(machineOf(cluster, node), chosen));
}

/** The node whose directory was recovered, started again as the only one that it is told of. */
async function alone(cluster: StoreCluster, { id, disk }: ClusterNode): Promise<ClusterNode> {
  const node = new ClusterNode(id, cluster, [id], disk);
  cluster.newcomers.push(node);
  await cluster.start(node);
  return node;
}

async function tracesOf(cluster: StoreCluster, node: ClusterNode): Promise<string[]> {
  const texts: string[] = [];
  for (const trace of traces) texts.push(...(await cluster.textsOf(node, trace)));
  return texts;
}
const all = traces.map((trace) => `span of ${trace}`);

describe('a cluster of which one disk is left', () => {
  test('serves everything that was on it, takes new nodes in, and refuses a voter of before', async () => {
    const cluster = await lost();
    const { clusterId, replica } = await recover(cluster, cluster.nodes[0]);
    expect(clusterId).toMatch(/^[0-9a-f]{32}\.1\.[0-9a-f]{16}$/);
    const first = await alone(cluster, cluster.nodes[0]);
    await cluster.until(() => first.opened.ready);
    expect(first.opened.status.clusterId).toBe(clusterId);
    expect(first.opened.replicaStatus?.configuration.configuration.voters).toEqual([replica]);
    expect(await tracesOf(cluster, first)).toEqual(all);

    for (const id of ['n4', 'n5']) {
      const node = cluster.newcomer(id);
      await cluster.start(node);
      await cluster.until(() => first.opened.status.applicants.some((applicant) => applicant.id === id));
      const change = { kind: 'add', node: asNodeId(id), replaces: null, expected: null } as const;
      await cluster.scheduler.complete(first.opened.changeMembers(change));
      await cluster.until(() => node.opened.ready);
      expect(await tracesOf(cluster, node)).toEqual(all);
    }

    const [, second] = cluster.nodes;
    await cluster.start(second);
    await cluster.until(() => second.failure !== null);
    expect(second.failure?.message).toMatch(
      /^refused by n1: n2 belongs to the cluster as it was before `quorate recover` made n1 one of its own; put the --data of n2 aside and start it with an empty one and --join$/,
    );
    expect(first.opened.ready).toBe(true);
    expect(first.opened.status.members.map(({ id, voter }) => [id, voter])).not.toContainEqual(['n2', true]);
  });

  test('keeps what was not known to be committed: it may have been acknowledged', async () => {
    const cluster = await lost();
    const [node] = cluster.nodes;
    const { end, state } = await look(cluster, node);
    await cluster.scheduler.complete(
      (async () => {
        const log = await BlockLog.open({ keyValue: await machineOf(cluster, node).disk.openKeyValue('log') });
        log.stage({ sequence: 1, truncateFrom: null, entries: entriesAfter(end, [end.term]) });
        await log.flush();
        await log.close();
      })(),
    );
    const { kept } = await recover(cluster, node);
    expect(kept.index).toBe(end.index + 1);
    expect(state?.commit).toBeLessThanOrEqual(end.index);
  });

  test('is recovered once: what is whole needs no second time', async () => {
    const cluster = await lost();
    await recover(cluster, cluster.nodes[0]);
    await expect(recover(cluster, cluster.nodes[0])).rejects.toThrow('the only voter of its cluster');
  });

  test('a second loss makes a second epoch', async () => {
    const cluster = await lost();
    const { clusterId: before } = await recover(cluster, cluster.nodes[0]);
    const first = await alone(cluster, cluster.nodes[0]);
    await cluster.until(() => first.opened.ready);
    const node = cluster.newcomer('n4');
    await cluster.start(node);
    await cluster.until(() => first.opened.status.applicants.length > 0);
    const change = { kind: 'add', node: asNodeId('n4'), replaces: null, expected: null } as const;
    await cluster.scheduler.complete(first.opened.changeMembers(change));
    await cluster.until(() => node.opened.ready);
    first.crash();
    node.crash();
    const { clusterId } = await recover(cluster, node);
    expect([before.split('.')[1], clusterId.split('.')[1]]).toEqual(['1', '2']);
    expect(clusterId.split('.')[0]).toBe(before.split('.')[0]);
  });
});

describe('cut short', () => {
  /** Ends the machine after `events` steps of a recovery; false when it was done by then. */
  async function cutAfter(
    cluster: StoreCluster,
    { events, chance, kind }: { events: number; chance: number; kind: 'process' | 'power' },
  ): Promise<boolean> {
    const [node] = cluster.nodes;
    const source = await look(cluster, node);
    const platform = machineOf(cluster, node, `${events} ${chance}`);
    let done = false;
    void recoverDirectory(platform, source).then(() => (done = true));
    for (let event = 0; event < events && !done; event += 1) await cluster.scheduler.step();
    platform.disk.crash(kind);
    return !done;
  }

  test.each(['process', 'power'] as const)(
    'by the end of its %s: of the old cluster, or finished by another run',
    async (kind) => {
      const outcomes = new Set<string>();
      let cut = true;
      for (let events = 0; cut; events += 1) {
        // What a power cut leaves of a write is chance.
        for (let chance = 0; chance < 4; chance += 1) {
          const cluster = await lost();
          const [node] = cluster.nodes;
          const before = await look(cluster, node);
          cut = await cutAfter(cluster, { events, chance, kind });
          const { unfinished, clusterId, state, end } = await look(cluster, node);
          const outcome = unfinished !== null ? 'half' : clusterId === before.clusterId ? 'before' : 'after';
          outcomes.add(outcome);
          if (outcome === 'half')
            await expect(alone(cluster, node)).rejects.toThrow('`quorate recover` was cut short on this --data');
          else expect(state?.clusterId).toBe(clusterId);
          node.crash();
          if (outcome === 'before') expect(end).toEqual(before.end);
          if (outcome !== 'after') await recover(cluster, node);
          const first = await alone(cluster, node);
          await cluster.until(() => first.opened.ready);
          expect(await tracesOf(cluster, first)).toEqual(all);
        }
      }
      expect([...outcomes].toSorted()).toEqual(['after', 'before', 'half']);
    },
  );
});
