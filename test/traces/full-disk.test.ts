/** A disk that fills up under a running node, slowly or to the last byte (protocol A5, G3). */
import { describe, expect, test } from 'vitest';
import { QuorateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { exportOf } from '../store/exports.ts';
import { type ClusterNode, settledStage, type Stage } from './store-cluster.ts';

const MiB = 2 ** 20;
/** Between the marks of the simulated disk, and below both. */
const lowBytes = 50 * MiB;
const reserveBytes = 20 * MiB;

/** Each has its ballast. */
const settledCluster = (): Promise<Stage> => settledStage(limits.ballastDelayMs + 15_000);

async function writing({ cluster }: Stage, node: ClusterNode, trace: number): Promise<string> {
  const span = { trace, resource: 'r', scope: 's', text: `span of ${trace}`, startNs: 1, endNs: 2 };
  return cluster.scheduler.complete(
    node.opened.write(exportOf([span])).then(
      () => 'ok',
      (error: unknown) => {
        if (!(error instanceof QuorateError)) throw error;
        return error.code;
      },
    ),
  );
}

const fill = (node: ClusterNode, freeBytes: number): void => node.disk.space.fillTo(freeBytes);
const lastOf = (node: ClusterNode): number => node.opened.replicaStatus?.last ?? 0;

describe('the ballast', () => {
  test('is whole some time after the start, made anew after it was deleted, and never at the expense of data', async () => {
    const { cluster, leader } = await settledCluster();
    const { space } = leader.disk;
    expect(space.ballastBytes).toBe(limits.ballastBytes);
    space.ballastBytes = 0;
    fill(leader, 100 * MiB);
    await cluster.runFor(30_000);
    expect(space.ballastBytes).toBe(0);
    leader.disk.heal();
    await cluster.runFor(30_000);
    expect(space.ballastBytes).toBe(limits.ballastBytes);
  });
});

describe('a follower', () => {
  test('with little space refuses clients, nothing else: it appends, votes and reads on', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    const [low, other] = followers;
    fill(low, lowBytes);
    await cluster.runFor(1_000);
    expect(low.opened.refusal).toMatchObject({
      code: 'no-space',
      message:
        'the disk has 50 MiB free (4.9 %), and data is taken from 64 MiB on: free some space, or send it to another node',
    });
    expect(await writing(stage, low, 1)).toBe('no-space');
    expect(await writing(stage, other, 2)).toBe('ok');
    expect(await cluster.textsOf(low, 1)).toEqual([]);
    expect(await cluster.textsOf(low, 2)).toEqual(['span of 2']);
    expect(lastOf(low)).toBe(lastOf(leader));
    expect(cluster.leader).toBe(leader);

    low.disk.heal();
    await cluster.runFor(1_000);
    expect(low.opened.refusal).toBeNull();
    expect(await writing(stage, low, 3)).toBe('ok');
    expect(low.log.filter((line) => line.includes('data is taken'))).toHaveLength(2);
  });

  test('with next to none appends no more blocks, and goes on from there once there is space', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    const [full, other] = followers;
    fill(full, reserveBytes);
    await cluster.runFor(1_000);
    const before = lastOf(full);
    for (const trace of [1, 2, 3]) expect(await writing(stage, other, trace)).toBe('ok');
    expect(lastOf(full)).toBe(before);
    expect(full.failure).toBeNull();
    expect(cluster.leader).toBe(leader);
    const stale = await cluster.read(full, 1, 'stale');
    expect(stale.trace).toBeNull();

    full.disk.heal();
    await cluster.until(() => lastOf(full) === lastOf(leader));
    expect(await cluster.textsOf(full, 3)).toEqual(['span of 3']);
  });

  test('on its reserve it takes a change of the members', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    const [full, other] = followers;
    fill(full, reserveBytes);
    await cluster.runFor(1_000);
    const flushes = full.disk.keyValue('index').history.length;
    await cluster.scheduler.complete(
      leader.opened.changeMembers({ kind: 'remove', node: other.id, replaces: null, expected: null }),
    );
    await cluster.until(() => full.opened.replicaStatus?.configuration.configuration.voters.length === 2);
    await cluster.runFor(2_000);
    // The index waits in memory: the reserve is not for it.
    expect(full.disk.keyValue('index').history).toHaveLength(flushes);
    full.disk.heal();
    await cluster.runFor(2_000);
    expect(full.disk.keyValue('index').history.length).toBeGreaterThan(flushes);
  });
});

describe('a leader', () => {
  test('with little space makes room for one that has some; writes go on', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    fill(leader, lowBytes);
    fill(followers[0], lowBytes);
    await cluster.runFor(500);
    expect(await writing(stage, followers[1], 1)).toBe('ok');
    expect(cluster.leader).toBe(followers[1]);
    expect(await cluster.textsOf(leader, 1)).toEqual(['span of 1']);
    expect(leader.opened.status.lastHandOver).toMatchObject({
      from: leader.id,
      to: followers[1].id,
      why: 'low space',
    });
  });

  test('that is not better off than any other takes nothing in, of nobody', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    for (const node of cluster.nodes) fill(node, lowBytes);
    await cluster.runFor(5_000);
    const before = lastOf(leader);
    const { term } = leader.opened.replicaStatus ?? {};
    for (const node of cluster.nodes) expect(await writing(stage, node, 1)).toBe('no-space');
    // One whose look at its disk is of a moment ago lets an export in: the leader does not.
    followers[0].disk.heal();
    await cluster.runFor(550);
    fill(followers[0], lowBytes);
    await writing(stage, followers[0], 2);
    await cluster.runFor(5_000);
    expect([leader.opened.replicaStatus?.term, lastOf(leader)]).toEqual([term, before]);
  });

  test('whose followers append no more takes nothing in, and stays', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    for (const node of followers) fill(node, reserveBytes);
    await cluster.runFor(1_500);
    const before = lastOf(leader);
    expect(await writing(stage, leader, 1)).toBe('unavailable');
    expect([cluster.leader, lastOf(leader)]).toEqual([leader, before]);
    for (const node of followers) node.disk.heal();
    await cluster.runFor(1_500);
    expect(await writing(stage, leader, 2)).toBe('ok');
  });
});

describe('filled to the last byte', () => {
  test('a write that meets it stops the node in a sentence; its ballast opens it again; then it waits, and comes back', async () => {
    const stage = await settledCluster();
    const { cluster, followers } = stage;
    const [full, other] = followers;
    fill(full, 0);
    expect(await writing(stage, other, 1)).toBe('ok');
    await cluster.until(() => full.failure !== null);
    expect(full.failure?.message).toBe(
      'the log could not be written; the disk is full: start the node again, it opens with its ballast and takes data once space is free',
    );

    full.crash();
    full.failure = null;
    await cluster.start(full);
    expect(full.disk.space.ballastBytes).toBe(0);
    await cluster.runFor(2_000);
    const before = lastOf(full);
    for (const trace of [2, 3]) expect(await writing(stage, other, trace)).toBe('ok');
    expect([full.failure, lastOf(full)]).toEqual([null, before]);

    // Somebody takes that, too: now it cannot even be opened.
    full.crash();
    fill(full, 0);
    const starting = full.start();
    await cluster.runFor(30_000);
    expect([full.store, full.failure]).toEqual([null, null]);
    expect(full.log.filter((line) => line.includes('by itself; free some space'))).toHaveLength(1);

    full.disk.heal();
    await cluster.scheduler.complete(starting);
    await cluster.until(() => full.opened.ready && full.opened.refusal === null);
    expect(await writing(stage, full, 4)).toBe('ok');
    for (const trace of [1, 2, 3]) expect(await cluster.textsOf(full, trace)).toEqual([`span of ${trace}`]);
  });
});
