/** A damaged entry inside the log is repaired from a peer by hash, and costs neither vote nor lead (protocol A4). */
import { baseKey, entryKey } from '../../src/store/log-keys.ts';
import { describe, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { type ClusterNode, StoreCluster } from './store-cluster.ts';

const traces = Array.from({ length: 12 }, (_, at) => at + 1);

interface Stage {
  readonly cluster: StoreCluster;
  readonly leader: ClusterNode;
  readonly followers: readonly [ClusterNode, ClusterNode];
  /** The entry that holds trace 4: old, and between two of its term. */
  readonly old: number;
}

/** Bytes of the log that are verified at open. With few, an old entry is met damaged when it is read; else it is a hole from the start. */
const fewEntries = 600;
const allEntries = 1e6;

/** A cluster that holds twelve traces, each in an entry of its own, and in the flushed index of every node that runs. */
async function twelveTraces({ lateFollower = false, logVerifyBytes = fewEntries } = {}): Promise<Stage> {
  const cluster = new StoreCluster({ logVerifyBytes });
  await cluster.start(...cluster.nodes);
  await cluster.settled();
  const { leader } = cluster;
  if (leader === null) throw new Error('somebody leads');
  const [one, two] = cluster.nodes.filter((node) => node !== leader) as [ClusterNode, ClusterNode];
  if (lateFollower) two.crash();
  const entryOf = await cluster.write(leader, traces);
  await cluster.settled();
  // So long that indexes are flushed and commit indexes stand in the hard states.
  await cluster.runFor(1_000);
  return { cluster, leader, followers: [one, two], old: entryOf.get(4) ?? 0 };
}

const flip = (node: ClusterNode, index: number): void => node.flipEntry(index);
const lose = (node: ClusterNode, index: number): void => node.loseEntry(index);
const damages = [
  ['below the verified tail, flipped', fewEntries, flip],
  ['below the verified tail, lost', fewEntries, lose],
  ['in the verified tail, flipped', allEntries, flip],
  ['in the verified tail, lost', allEntries, lose],
] as const;

function expectRepaired(node: ClusterNode, like: ClusterNode, index: number): void {
  expect(node.entryOnDisk(index)).toBe(like.entryOnDisk(index));
  expect(node.store?.logRepairs).toMatchObject({ damaged: 0 });
  expect(node.log).toContain('info: a damaged entry of the log was repaired');
  expect(node.failure).toBeNull();
}

describe.each(damages)('an old entry %s', (_, logVerifyBytes, damage) => {
  test.each(['follower', 'leader'] as const)('on the %s: a read there is answered whole', async (who) => {
    const { cluster, leader, followers, old } = await twelveTraces({ logVerifyBytes });
    const victim = who === 'leader' ? leader : followers[0];
    victim.crash();
    damage(victim, old);
    await cluster.start(victim);
    expect(victim.store?.replicaStatus?.lostPromise).toBeNull();
    await cluster.settled();
    expect(await cluster.textsOf(victim, 4)).toEqual(['span of 4']);
    expectRepaired(victim, followers[1], old);
    expect(victim.store?.logRepairs.repaired).toBe(1);
    expect(victim.store?.replicaStatus?.lostPromise).toBeNull();
  });

  test('on the one node that can lead: it does, and brings the others up once somebody has the entry', async () => {
    const { cluster, leader, followers, old } = await twelveTraces({ lateFollower: true, logVerifyBytes });
    const [third, late] = followers;
    leader.crash();
    third.crash();
    damage(leader, old);
    await cluster.start(leader, late);
    await cluster.until(() => leader.store?.replicaStatus?.role === 'leader');
    await cluster.runFor(4_000);
    expect(leader.store?.replicaStatus?.role).toBe('leader');
    expect(late.store?.replicaStatus?.last).toBe(old - 1);
    expect(leader.store?.logRepairs).toEqual({ damaged: 1, repaired: 0 });
    expect(leader.log.filter((line) => line.startsWith('error'))).toEqual([
      'error: a damaged entry of the log was not found on any other node; they are asked again',
    ]);
    await cluster.start(third);
    await cluster.settled();
    expectRepaired(leader, third, old);
    expect(await cluster.textsOf(late, 4)).toEqual(['span of 4']);
  });

  test('with nobody else there: a read ends with a clear sentence at its deadline, and heals when one returns', async () => {
    const { cluster, leader, followers, old } = await twelveTraces({ logVerifyBytes });
    for (const node of cluster.nodes) node.crash();
    damage(leader, old);
    await cluster.start(leader);
    const startMs = cluster.scheduler.nowMs;
    await expect(cluster.read(leader, 4, 'stale')).rejects.toMatchObject({
      code: 'unavailable',
      message: `entry ${old} of the log is damaged on this node and is being fetched from the others: ask another node, or this one later`,
    });
    expect(cluster.scheduler.nowMs - startMs).toBeGreaterThanOrEqual(limits.readDeadlineMs);
    expect(cluster.scheduler.nowMs - startMs).toBeLessThan(limits.readDeadlineMs + 50);
    await cluster.start(followers[0]);
    await cluster.settled();
    expect(await cluster.textsOf(leader, 4)).toEqual(['span of 4']);
    expectRepaired(leader, followers[0], old);
  });
});

describe('damage in many places', () => {
  test('neighbours: the highest is named first, the others one by one below it', async () => {
    const { cluster, followers, old } = await twelveTraces();
    const [victim, whole] = followers;
    victim.crash();
    const hurt = [0, 1, 2, 3, 4].map((offset) => old + offset);
    for (const index of hurt) victim.flipEntry(index);
    await cluster.start(victim);
    await cluster.settled();
    expect(await cluster.textsOf(victim, 4)).toEqual(['span of 4']);
    for (const index of hurt) expectRepaired(victim, whole, index);
    expect(victim.store?.logRepairs.repaired).toBe(5);
  });

  test('on every node another one: each gets its own back', async () => {
    const { cluster, old } = await twelveTraces();
    for (const node of cluster.nodes) node.crash();
    for (const [at, node] of cluster.nodes.entries()) node.flipEntry(old + at);
    await cluster.start(...cluster.nodes);
    await cluster.settled();
    for (const node of cluster.nodes)
      for (const trace of traces) expect(await cluster.textsOf(node, trace)).toEqual([`span of ${trace}`]);
    // Repaired, or, where a hard state did not know yet that it was committed, cut off and replicated once more.
    expect(cluster.nodes.map(({ store }) => store?.logRepairs.damaged)).toEqual([0, 0, 0]);
    for (const [at, node] of cluster.nodes.entries()) {
      const other = cluster.nodes[(at + 1) % 3];
      expect(node.entryOnDisk(old + at)).toBe(other?.entryOnDisk(old + at));
    }
  });

  test('on every node the same one: who must apply it waits and says so, everything else goes on', async () => {
    const { cluster, leader, followers, old } = await twelveTraces();
    const [victim] = followers;
    for (const node of cluster.nodes) {
      node.crash();
      node.flipEntry(old);
    }
    victim.disk.keyValues.delete('index');
    await cluster.start(...cluster.nodes);
    await cluster.until(() => leader.store?.ready === true);
    expect(await cluster.textsOf(leader, 5)).toEqual(['span of 5']);
    await expect(cluster.read(leader, 4)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(cluster.read(victim, 5)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining(`entry ${old} of the log is damaged on this node`),
    });
    expect(victim.store?.replicaStatus).toMatchObject({ applied: old - 1, lostPromise: null });
    await cluster.write(leader, [13]);
    expect(await cluster.textsOf(leader, 13)).toEqual(['span of 13']);
    expect(cluster.nodes.map(({ failure }) => failure)).toEqual([null, null, null]);
    await cluster.scheduler.complete(victim.opened.close());
    expect(victim.log).not.toContain(expect.stringContaining('could not be rebuilt'));
  });

  test('and a bad network: questions and answers are lost, doubled and late, until the entry is here', async () => {
    const { cluster, followers, old } = await twelveTraces();
    const [victim, whole] = followers;
    victim.crash();
    const hurt = [0, 2, 3, 4].map((offset) => old + offset);
    for (const index of hurt) victim.loseEntry(index);
    cluster.network.disturb({ lossPpm: 300_000, duplicatePpm: 300_000, delayMaxMs: 50 });
    await cluster.start(victim);
    await cluster.until(() => victim.store?.ready === true);
    for (const trace of [4, 6, 7, 8]) await cluster.read(victim, trace, 'stale');
    await cluster.until(() => victim.store?.logRepairs.damaged === 0);
    for (const index of hurt) expectRepaired(victim, whole, index);
  });

  test('and an index found damaged by a read: the rebuild waits for what it needs, and answers for all', async () => {
    const { cluster, followers, old } = await twelveTraces();
    const [victim, whole] = followers;
    victim.crash();
    victim.loseEntry(old);
    await cluster.start(victim);
    await cluster.settled();
    expect(victim.store?.logRepairs.damaged).toBe(0);
    for (let flips = 0; flips < 200; flips += 1) victim.disk.flipBit('index');
    await expect(cluster.read(victim, 5)).rejects.toMatchObject({ code: 'not-ready' });
    await cluster.settled();
    for (const trace of traces) expect(await cluster.textsOf(victim, trace)).toEqual([`span of ${trace}`]);
    expectRepaired(victim, whole, old);
  });

  test('and an index to be made again: the replay waits for what it needs, and answers for all', async () => {
    const { cluster, followers, old } = await twelveTraces();
    const [victim, whole] = followers;
    victim.crash();
    victim.disk.keyValues.delete('index');
    victim.loseEntry(old);
    await cluster.start(victim);
    await cluster.settled();
    for (const trace of traces) expect(await cluster.textsOf(victim, trace)).toEqual([`span of ${trace}`]);
    expectRepaired(victim, whole, old);
  });
});

describe('damage where a term begins, below the verified tail', () => {
  test('the node takes part once it has the entry back, and keeps its vote', async () => {
    const { cluster, leader, followers, old } = await twelveTraces();
    const [victim, whole] = followers;
    victim.crash();
    victim.flipEntry(1);
    victim.loseEntry(2);
    await cluster.start(victim);
    expect(victim.store?.status).toMatchObject({ ready: false, replica: null });
    await cluster.settled();
    for (const index of [1, 2]) expectRepaired(victim, whole, index);
    expect(victim.store?.replicaStatus).toMatchObject({ lostPromise: null, applied: old + 8 });
    leader.crash();
    await cluster.until(() => cluster.leader !== null);
    await cluster.write(victim, [13]);
    expect(await cluster.textsOf(victim, 13)).toEqual(['span of 13']);
  });

  test('and the base record is lost with it: a member brings that, the others the entry', async () => {
    const { cluster, followers } = await twelveTraces();
    const [victim, whole] = followers;
    victim.crash();
    victim.disk.flipBit('log', { gte: baseKey, lt: entryKey(0) });
    victim.flipEntry(1);
    await cluster.start(victim);
    await cluster.settled();
    expect(victim.failure).toBeNull();
    expectRepaired(victim, whole, 1);
  });

  test('on all nodes, each at another one: they give each other theirs before any of them takes part', async () => {
    const { cluster, leader, followers, old } = await twelveTraces();
    leader.crash();
    await cluster.until(() => cluster.leader !== null);
    await cluster.start(leader);
    await cluster.settled();
    const more = [13, 14, 15, 16, 17, 18];
    await cluster.write(followers[0], more);
    await cluster.settled();
    await cluster.runFor(1_000);
    const lastOfTerm = old + 8;
    const edges = [1, lastOfTerm, lastOfTerm + 1];
    for (const [at, node] of cluster.nodes.entries()) {
      node.crash();
      node.flipEntry(edges[at] ?? 0);
    }
    await cluster.start(...cluster.nodes);
    expect(cluster.nodes.map(({ store }) => store?.replicaStatus)).toEqual([null, null, null]);
    await cluster.settled();
    for (const [at, node] of cluster.nodes.entries()) {
      expectRepaired(node, cluster.nodes[(at + 1) % 3] as ClusterNode, edges[at] ?? 0);
      for (const trace of [...traces, ...more])
        expect(await cluster.textsOf(node, trace)).toEqual([`span of ${trace}`]);
    }
  });

  test('waits for the others, says so, and can be stopped', async () => {
    const { cluster, leader } = await twelveTraces();
    for (const node of cluster.nodes) node.crash();
    leader.flipEntry(1);
    await cluster.start(leader);
    await cluster.runFor(1_000);
    expect(leader.store?.status.waiting).toBe('fetching a damaged entry of the log from another node');
    await expect(cluster.read(leader, 1, 'stale')).rejects.toMatchObject({ code: 'not-ready' });
    await cluster.scheduler.complete(leader.opened.close());
    expect(leader.failure).toBeNull();
  });
});

describe('damage in the verified tail', () => {
  test('in the midst of it, and at its end: cut at the end alone, and all of it comes back', async () => {
    const { cluster, followers, old } = await twelveTraces({ logVerifyBytes: allEntries });
    const [victim, whole] = followers;
    victim.crash();
    const end = old + 8;
    // The batch that held the newest entry is gone, and with it the promise: the hole is none, and the log ends below it.
    for (const index of [old, end]) victim.loseEntry(index);
    await cluster.start(victim);
    expect(victim.store?.replicaStatus).toMatchObject({ last: old - 1, lostPromise: { index: end } });
    await cluster.settled();
    // What the others hold is applied before this disk has it.
    await cluster.until(() => victim.store?.replicaStatus?.lostPromise === null);
    expect(victim.entryOnDisk(old)).toBe(whole.entryOnDisk(old));
    expect(victim.store?.logRepairs).toEqual({ damaged: 0, repaired: 0 });
    expect(victim.store?.replicaStatus?.lostPromise).toBeNull();
  });

  test('where the index was flushed: it is not made again for that', async () => {
    const { cluster, leader, followers, old } = await twelveTraces({ logVerifyBytes: allEntries });
    const [victim, whole] = followers;
    victim.crash();
    // The flushed index of the victim ends at trace 12; entry 13 makes that the inside of its log.
    const flushedAt = old + 8;
    await cluster.write(leader, [13]);
    await cluster.start(victim);
    await cluster.until(() => victim.store?.replicaStatus?.last === flushedAt + 1);
    await cluster.runFor(100);
    victim.crash();
    for (const index of [old, flushedAt]) victim.loseEntry(index);
    await cluster.start(victim);
    await cluster.until(() => victim.store?.logRepairs.repaired === 2);
    for (const index of [old, flushedAt]) expectRepaired(victim, whole, index);
    expect(victim.log.filter((line) => line.includes('the index is rebuilt'))).toEqual([]);
  });
});
