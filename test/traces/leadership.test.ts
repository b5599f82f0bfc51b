/** Handing the lead over through real stores: asked of any node, and by a node that stops (thesis 3.10, protocol G2). */
import { describe, expect, test } from 'vitest';
import { QuorateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { asNodeId, type NodeId } from '../../src/raft/core/types.ts';
import { type ClusterNode, settledStage, smallExport, type Stage } from './store-cluster.ts';

/** They have told one another that they are ready. */
const settledCluster = (): Promise<Stage> => settledStage(500);

/** What becomes of asking `node` for another leader: `n2 leads term 3`, or the code and the sentence of the error. */
async function asking(node: ClusterNode, to: NodeId | null): Promise<string> {
  try {
    const { leader, term } = await node.opened.transferLeadership(to);
    return `${leader} leads term ${term}`;
  } catch (error) {
    if (!(error instanceof QuorateError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

const ask = ({ cluster }: Stage, node: ClusterNode, to: NodeId | null): Promise<string> =>
  cluster.scheduler.complete(asking(node, to));

const termOf = (node: ClusterNode): number => node.store?.replicaStatus?.term ?? 0;

function cutOff({ cluster }: Stage, node: ClusterNode): void {
  for (const other of cluster.nodes) {
    cluster.network.cut(node.id, other.id);
    cluster.network.cut(other.id, node.id);
  }
}

describe('asked of any node', () => {
  test.each(['the leader', 'the one that is to lead', 'the third'])(
    '%s: the named one leads the next term',
    async (who) => {
      const stage = await settledCluster();
      const { cluster, leader, followers } = stage;
      const term = termOf(leader);
      const asked = who === 'the leader' ? leader : followers[who === 'the third' ? 1 : 0];
      expect(await ask(stage, asked, followers[0].id)).toBe(`${followers[0].id} leads term ${term + 1}`);
      await cluster.settled();
      expect(cluster.leader).toBe(followers[0]);
      await cluster.write(leader, [1]);
      expect(await cluster.textsOf(followers[1], 1)).toHaveLength(1);
    },
  );

  test('it is a matter of milliseconds: nobody waits for an election timeout', async () => {
    const stage = await settledCluster();
    const before = stage.cluster.scheduler.nowMs;
    await ask(stage, stage.leader, stage.followers[0].id);
    expect(stage.cluster.scheduler.nowMs - before).toBeLessThan(limits.electionTicksMin * limits.tickMs);
  });

  test('writes that wait meanwhile reach the new leader by themselves', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    const before = cluster.scheduler.nowMs;
    const asked = asking(leader, followers[0].id);
    const writes = cluster.nodes.map(async (node, at) => node.opened.write(smallExport(at + 1)));
    await cluster.scheduler.complete(Promise.all([asked, ...writes]));
    expect(cluster.scheduler.nowMs - before).toBeLessThan(limits.forwardRetryMs);
    for (const trace of [1, 2, 3]) expect(await cluster.textsOf(followers[1], trace)).toHaveLength(1);
  });

  test('unnamed: the one that serves, not the one that is behind, stops or is not connected', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    const [behind, whole] = followers;
    cluster.network.cut(leader.id, behind.id, 'bulk');
    await cluster.write(leader, [1]);
    expect(await ask(stage, leader, null)).toBe(`${whole.id} leads term ${termOf(whole)}`);

    const again = await settledCluster();
    await again.cluster.scheduler.complete(again.followers[0].opened.leave());
    await again.cluster.runFor(100);
    expect(await ask(again, again.followers[1], null)).toContain(`${again.followers[1].id} leads`);

    const third = await settledCluster();
    cutOff(third, third.followers[0]);
    await third.cluster.runFor(2_000);
    expect(await ask(third, third.leader, null)).toContain(`${third.followers[1].id} leads`);
  });

  test('a question that arrives twice is asked once', async () => {
    const stage = await settledCluster();
    const { cluster, followers } = stage;
    cluster.network.disturb({ duplicatePpm: 1_000_000 });
    expect(await ask(stage, followers[1], followers[0].id)).toContain(`${followers[0].id} leads term`);
  });

  test('what cannot be is refused with the reason, whoever was asked, and the leader goes on', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    for (const node of cluster.nodes) {
      expect(await ask(stage, node, asNodeId('n9'))).toBe(
        'bad-request: there is no node n9: the members are n1, n2, n3',
      );
      expect(await ask(stage, node, leader.id)).toBe(`conflict: ${leader.id} leads already`);
    }
    cutOff(stage, followers[0]);
    await cluster.runFor(2_000);
    for (const node of [leader, followers[1]]) {
      expect(await ask(stage, node, followers[0].id)).toBe(
        `conflict: ${followers[0].id} is not connected to the leader ${leader.id}: start it first`,
      );
    }
    await cluster.write(leader, [1]);
  });

  test('two at a time: the second is told', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    const outcomes = await cluster.scheduler.complete(
      Promise.all([asking(leader, followers[0].id), asking(leader, followers[1].id)]),
    );
    expect(outcomes).toEqual([
      `${followers[0].id} leads term ${termOf(followers[0])}`,
      `conflict: the lead does not go to ${followers[1].id}: another hand-over is under way; ask again in a second`,
    ]);
  });

  test.each(['leader', 'follower'] as const)(
    'a target that does not answer: the %s that was asked says so, and writes go on',
    async (who) => {
      const stage = await settledCluster();
      const { cluster, leader, followers } = stage;
      const [target, other] = followers;
      // So short a time that its connections still count as open.
      cutOff(stage, target);
      const said = await ask(stage, who === 'leader' ? leader : other, target.id);
      expect(said).toBe(
        `unavailable: ${target.id} did not take over in time: it does not answer, or is too far behind`,
      );
      expect(cluster.leader).toBe(leader);
      await cluster.write(other, [1]);
    },
  );

  test('a leader that does not answer: told at the deadline', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    cluster.network.cut(followers[0].id, leader.id);
    const before = cluster.scheduler.nowMs;
    expect(await ask(stage, followers[0], followers[1].id)).toMatch(
      /^unavailable: no other leader was heard of within/,
    );
    expect(cluster.scheduler.nowMs - before).toBeLessThan(limits.transferDeadlineMs + 10);
  });

  test('one that leads no more says so, and does not move the lead again', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    const [next, unaware] = followers;
    cluster.network.cut(next.id, unaware.id);
    await ask(stage, leader, next.id);
    expect(await ask(stage, unaware, unaware.id)).toBe(`unavailable: ${leader.id} leads no more: ask again`);
    expect(cluster.leader).toBe(next);
  });

  test('nobody leads: told at once', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    cutOff(stage, followers[0]);
    await cluster.runFor(2_000);
    expect(await ask(stage, followers[0], leader.id)).toMatch(/^unavailable: no leader is known/);
  });

  test('a node that stops: whoever waits there is told', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    cluster.network.cut(followers[0].id, leader.id);
    const asked = asking(followers[0], followers[1].id);
    await cluster.runFor(10);
    await cluster.scheduler.complete(followers[0].opened.close());
    expect(await asked).toMatch(/^not-ready: this node is stopping/);
  });
});

describe('a leader whose entries do not arrive, while its heartbeats do', () => {
  test('makes room: the write is acknowledged by another one, in time (protocol G2, bug L3)', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    for (const { id } of followers) cluster.network.cut(leader.id, id, 'bulk');
    await cluster.write(followers[0], [1]);
    expect(followers).toContain(cluster.leader);
    expect(await cluster.textsOf(followers[1], 1)).toHaveLength(1);
  });
});

describe('a node that stops', () => {
  test('as leader hands over first: another one leads when it has closed', async () => {
    const stage = await settledCluster();
    const { cluster, leader } = stage;
    const term = termOf(leader);
    const before = cluster.scheduler.nowMs;
    await cluster.scheduler.complete(leader.opened.close());
    expect(cluster.scheduler.nowMs - before).toBeLessThan(limits.electionTicksMin * limits.tickMs);
    leader.crash();
    expect(cluster.leader?.store?.replicaStatus).toMatchObject({ role: 'leader', term: term + 1 });
  });

  test('as follower just stops', async () => {
    const { cluster, leader, followers } = await settledCluster();
    const term = termOf(leader);
    await cluster.scheduler.complete(followers[0].opened.close());
    await cluster.runFor(1_000);
    expect([cluster.leader, termOf(leader)]).toEqual([leader, term]);
  });

  test('is not ready any more, and goes on serving until it closes', async () => {
    const { cluster, leader, followers } = await settledCluster();
    await cluster.scheduler.complete(leader.opened.leave());
    expect(leader.opened.status).toMatchObject({ ready: false, waiting: 'stopping' });
    await cluster.write(leader, [1]);
    expect(await cluster.textsOf(leader, 1)).toHaveLength(1);
    expect(followers).toContain(cluster.leader);
  });

  test('tries another one when the first does not take over', async () => {
    const stage = await settledCluster();
    const { cluster, leader, followers } = stage;
    // Of two that are equally far, the one that is asked first; which that is does not matter here.
    cluster.network.cut(leader.id, followers[0].id, 'control');
    await cluster.scheduler.complete(leader.opened.close());
    leader.crash();
    expect(cluster.leader).toBe(followers[1]);
    expect(leader.log.filter((line) => line.includes('hand'))).toEqual([
      'warn: could not hand the lead over',
      'info: handed the lead over',
    ]);
  });

  test('with nobody to take over is closed in a second', async () => {
    const stage = await settledCluster();
    const { cluster, leader } = stage;
    cutOff(stage, leader);
    const before = cluster.scheduler.nowMs;
    await cluster.scheduler.complete(leader.opened.close());
    expect(cluster.scheduler.nowMs - before).toBeLessThan(limits.handOverMs + limits.tickMs);
  });

  test('all at once: each is closed in a second or so', async () => {
    const { cluster } = await settledCluster();
    const before = cluster.scheduler.nowMs;
    await cluster.scheduler.complete(Promise.all(cluster.nodes.map(async (node) => node.opened.close())));
    expect(cluster.scheduler.nowMs - before).toBeLessThan(2 * limits.handOverMs);
    expect(cluster.nodes.map(({ failure }) => failure)).toEqual([null, null, null]);
  });
});
