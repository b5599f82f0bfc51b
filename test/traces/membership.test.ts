/** Members that come, go and lose their disks, through real stores (protocol B2, G4). */
import { describe, expect, test } from 'vitest';
import { QuorateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { asIndex, asNodeId, nodeIdOf } from '../../src/raft/core/types.ts';
import type { MemberChange } from '../../src/transport/transport.ts';
import { type ClusterNode, smallExport, StoreCluster } from './store-cluster.ts';

class Stage {
  readonly cluster = new StoreCluster({ logVerifyBytes: 1e6 });

  get leader(): ClusterNode {
    const { leader } = this.cluster;
    if (leader === null) throw new Error('nobody leads');
    return leader;
  }

  /** Of the founding, the leader not among them. */
  get followers(): [ClusterNode, ClusterNode] {
    return this.cluster.nodes.filter((node) => node !== this.leader) as [ClusterNode, ClusterNode];
  }

  /** A node that waits to be added, once everybody knows that it does. */
  async waiting(id: string): Promise<ClusterNode> {
    const node = this.cluster.newcomer(id);
    await this.cluster.start(node);
    await this.cluster.until(() => this.leader.opened.status.applicants.some((applicant) => applicant.id === id));
    return node;
  }

  /** What becomes of asking `node`: the voters, or the code and the sentence of the error. */
  ask(node: ClusterNode, kind: MemberChange['kind'], id: string, others: Partial<MemberChange> = {}): Promise<string> {
    const change: MemberChange = { kind, node: asNodeId(id), replaces: null, expected: null, ...others };
    const told = async (): Promise<string> => {
      try {
        const { configuration } = await node.opened.changeMembers(change);
        return configuration.voters.map(nodeIdOf).join(' ');
      } catch (error) {
        if (!(error instanceof QuorateError)) throw error;
        return `${error.code}: ${error.message}`;
      }
    };
    return this.cluster.scheduler.complete(told());
  }
}

/** Three nodes that are ready and hold traces 1 and 2. */
async function founded(): Promise<Stage> {
  const stage = new Stage();
  const { cluster } = stage;
  await cluster.start(...cluster.nodes);
  await cluster.settled();
  await cluster.write(stage.leader, [1, 2]);
  await cluster.runFor(500);
  return stage;
}

describe('a node that is new', () => {
  test('waits and says how to be added; asked for at any node, it becomes a voter by itself and has everything', async () => {
    const stage = await founded();
    const { cluster, followers } = stage;
    const newcomer = await stage.waiting('n4');
    expect(newcomer.opened.status).toMatchObject({
      ready: false,
      waiting: expect.stringContaining('run `quorate cluster add n4` against any member'),
    });
    expect(await stage.ask(followers[1], 'add', 'n4')).toMatch(/^n1 n2 n3( n4)?$/);
    await cluster.until(() => newcomer.opened.ready);
    expect(newcomer.opened.status.members.map(({ id, voter }) => [id, voter])).toEqual(
      expect.arrayContaining([
        ['n1', true],
        ['n2', true],
        ['n3', true],
        ['n4', true],
      ]),
    );
    for (const trace of [1, 2]) expect(await cluster.textsOf(newcomer, trace)).toEqual([`span of ${trace}`]);
    // It counts: with one of the founders gone, the other two and it are a majority of four.
    followers[0].crash();
    await cluster.write(newcomer, [3]);
    expect(await cluster.textsOf(followers[1], 3)).toEqual(['span of 3']);
  });

  test('comes back as the member that it is, without being told of the others again', async () => {
    const stage = await founded();
    const newcomer = await stage.waiting('n4');
    await stage.ask(stage.leader, 'add', 'n4');
    await stage.cluster.until(() => newcomer.opened.ready);
    // Far enough behind the change that opening the log no longer looks at it.
    await stage.cluster.write(stage.leader, [3, 4, 5]);
    await stage.cluster.runFor(500);
    for (const node of [newcomer, ...stage.cluster.nodes]) node.crash();
    await stage.cluster.start(newcomer);
    expect(newcomer.opened.replicaStatus?.configuration.configuration.voters.map(nodeIdOf)).toEqual([
      'n1',
      'n2',
      'n3',
      'n4',
    ]);
    expect(newcomer.opened.status.members.map(({ id, peer }) => `${id} ${peer}`).toSorted()).toEqual([
      'n1 n1:4319',
      'n2 n2:4319',
      'n3 n3:4319',
      'n4 n4:4319',
    ]);
    await stage.cluster.start(...stage.cluster.nodes);
    await stage.cluster.until(() => newcomer.opened.ready);
  });

  test('is not started by another name on the same directory', async () => {
    const stage = await founded();
    const newcomer = await stage.waiting('n4');
    await stage.ask(stage.leader, 'add', 'n4');
    await stage.cluster.until(() => newcomer.opened.ready);
    await stage.cluster.write(stage.leader, [3]);
    await stage.cluster.runFor(500);
    newcomer.crash();
    const other = stage.cluster.newcomer('n5', newcomer.disk);
    await expect(stage.cluster.start(other)).rejects.toThrow('--data is the directory of n4, not of n5');
  });

  test('takes the place of a member, which is one no longer', async () => {
    const stage = await founded();
    const { cluster, leader, followers } = stage;
    const newcomer = await stage.waiting('n4');
    const [leaving, staying] = followers;
    await stage.ask(staying, 'add', 'n4', { replaces: leaving.id });
    await cluster.until(() => newcomer.opened.ready && !leaving.opened.ready);
    const voters = [leader.id, staying.id, newcomer.id].toSorted();
    expect(
      leader.opened.status.members
        .filter(({ voter }) => voter)
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(voters);
    expect(leaving.opened.status.waiting).toContain('no longer, a member');
  });

  test('is a learner for as long as it cannot be reached, and nobody waits for it', async () => {
    const stage = await founded();
    const { cluster } = stage;
    const newcomer = await stage.waiting('n4');
    for (const node of cluster.nodes) cluster.network.cut(node.id, newcomer.id, 'bulk');
    expect(await stage.ask(stage.leader, 'add', 'n4')).toBe('n1 n2 n3');
    await cluster.write(stage.leader, [3]);
    await cluster.runFor(2_000);
    expect(stage.leader.opened.status.members.find(({ id }) => id === 'n4')).toMatchObject({
      voter: false,
      learner: true,
    });
    expect(await stage.ask(stage.leader, 'remove', 'n4')).toBe('n1 n2 n3');
  });
});

describe('a member that is removed', () => {
  test('follower: the others go on, and it knows', async () => {
    const stage = await founded();
    const { cluster, leader, followers } = stage;
    const [leaving, staying] = followers;
    expect(await stage.ask(leaving, 'remove', leaving.id)).not.toContain(leaving.id);
    await cluster.until(() => !leaving.opened.ready);
    await cluster.write(staying, [3]);
    expect(await cluster.textsOf(leader, 3)).toEqual(['span of 3']);
    // It waits as any other node would, and may come back.
    await cluster.until(() => stage.leader.opened.status.applicants.some(({ id }) => id === leaving.id));
    await stage.ask(staying, 'add', leaving.id);
    await cluster.until(() => leaving.opened.ready);
    expect(await cluster.textsOf(leaving, 3)).toEqual(['span of 3']);
  });

  test('one that hangs: nobody waits for it, neither the change nor those who write meanwhile (bug L6)', async () => {
    const stage = await founded();
    const { cluster, leader, followers } = stage;
    const [hanging, other] = followers;
    hanging.pauseFor(60_000);
    await cluster.runFor(100);
    const before = cluster.scheduler.nowMs;
    const written = leader.opened.write(smallExport(3));
    expect(await stage.ask(other, 'remove', hanging.id)).not.toContain(hanging.id);
    await cluster.scheduler.complete(written);
    expect(cluster.scheduler.nowMs - before).toBeLessThan(1_000);
    await cluster.write(other, [4]);
    expect(await cluster.textsOf(leader, 4)).toEqual(['span of 4']);
  });

  test('is none after all were started again with it in their --cluster: the log alone says who is one (bug M9)', async () => {
    const stage = await founded();
    const { cluster, followers } = stage;
    const [leaving] = followers;
    const voters = await stage.ask(leaving, 'remove', leaving.id);
    await cluster.until(() => !leaving.opened.ready);
    for (const node of cluster.nodes) node.crash();
    await cluster.start(...cluster.nodes);
    const staying = cluster.nodes.filter((node) => node !== leaving);
    await cluster.until(() => staying.every(({ opened }) => opened.ready));
    await cluster.runFor(2_000);
    for (const { opened } of cluster.nodes) {
      const said = opened.status.members.filter(({ voter }) => voter).map(({ id }) => id);
      expect(said.join(' ')).toBe(voters);
    }
    expect(leaving.opened.ready).toBe(false);
    // It is not needed, and does not count: with one of the two gone nothing is committed.
    staying[0]?.crash();
    await cluster.runFor(2_000);
    expect(staying[1]?.opened.replicaStatus?.leader).toBeNull();
  });

  test('leader: one of the others takes over at once', async () => {
    const stage = await founded();
    const { cluster, leader, followers } = stage;
    const before = cluster.scheduler.nowMs;
    await stage.ask(followers[0], 'remove', leader.id);
    await cluster.until(() => cluster.leader !== null && cluster.leader !== leader);
    expect(cluster.scheduler.nowMs - before).toBeLessThan(limits.electionTicksMin * limits.tickMs);
    await cluster.write(followers[1], [3]);
    expect(await cluster.textsOf(followers[0], 3)).toEqual(['span of 3']);
    expect(leader.opened.ready).toBe(false);
  });
});

describe('a disk that was replaced', () => {
  test('takes the place of the lost one by itself, and has everything', async () => {
    const stage = await founded();
    const { cluster, followers } = stage;
    const [hurt, other] = followers;
    hurt.crash();
    hurt.disk.wipe();
    await cluster.start(hurt);
    await cluster.until(() => hurt.opened.ready);
    expect(hurt.log.filter((line) => line.includes('admitted'))).toEqual(['info: was admitted to the cluster']);
    for (const trace of [1, 2]) expect(await cluster.textsOf(hurt, trace)).toEqual([`span of ${trace}`]);
    // It votes again: the other one may go.
    other.crash();
    await cluster.write(hurt, [3]);
    expect(await cluster.textsOf(hurt, 3)).toEqual(['span of 3']);
  });

  test('also where the founding record is lost on its way, and the connection stands', async () => {
    const { cluster, leader, followers } = await founded();
    const [hurt, other] = followers;
    hurt.crash();
    hurt.disk.wipe();
    await cluster.start(hurt);
    await cluster.until(() => leader.opened.status.applicants.some(({ id }) => id === hurt.id));
    for (const from of [leader, other]) cluster.network.cut(from.id, hurt.id);
    await cluster.until(() => leader.log.some((line) => line.includes('the node is brought in again')));
    await cluster.runFor(300);
    cluster.network.heal();
    await cluster.until(() => hurt.opened.ready);
  });

  test('of a node that only knows the founders, when others lead', async () => {
    const stage = await founded();
    const { cluster } = stage;
    const newcomer = await stage.waiting('n4');
    await stage.ask(stage.leader, 'add', 'n4');
    await cluster.until(() => newcomer.opened.ready);
    await cluster.scheduler.complete(stage.leader.opened.transferLeadership(newcomer.id));
    const [hurt] = cluster.nodes;
    hurt.crash();
    hurt.disk.wipe();
    await cluster.start(hurt);
    await cluster.until(() => hurt.opened.ready);
    expect(hurt.opened.status.members.find(({ id }) => id === 'n4')).toMatchObject({ voter: true, peer: 'n4:4319' });
  });

  test('twice in a row, too', async () => {
    const stage = await founded();
    const { cluster, followers } = stage;
    const [hurt] = followers;
    for (let time = 0; time < 2; time += 1) {
      hurt.crash();
      hurt.disk.wipe();
      await cluster.start(hurt);
      await cluster.runFor(time === 0 ? 300 : 0);
    }
    await cluster.until(() => hurt.opened.ready);
    expect(stage.leader.opened.status.members.filter(({ voter }) => voter)).toHaveLength(3);
  });

  test('two of three: nobody brings them in, and nobody forgets what the third has', async () => {
    const stage = await founded();
    const { cluster, followers } = stage;
    for (const node of followers) {
      node.crash();
      node.disk.wipe();
    }
    await cluster.start(...followers);
    await cluster.runFor(5_000);
    expect(followers.map(({ store }) => store?.ready)).toEqual([false, false]);
    expect(followers[0].opened.status.waiting).toContain('this data directory is empty');
  });
});

describe('refused', () => {
  test.each([
    ['add', 'n9', {}, 'conflict: n9 has not come to the leader: start it with --join'],
    ['add', 'n1', {}, 'conflict: n1 is a member already'],
    ['add', 'n4', { replaces: asNodeId('n9') }, 'conflict: n9 is no voter'],
    ['add', 'n4', { expected: asIndex(77) }, 'conflict: the members were changed meanwhile, by entry 0'],
    ['remove', 'n4', {}, 'conflict: n4 is no member'],
  ] as const)('%s %s %o', async (kind, id, others, sentence) => {
    const stage = await founded();
    await stage.waiting('n4');
    for (const node of [stage.leader, stage.followers[0]]) {
      expect(await stage.ask(node, kind, id, others)).toContain(sentence);
    }
    expect(stage.leader.opened.replicaStatus?.configuration.index).toBe(0);
  });

  test('without a majority, in time; and by a node that waits itself', async () => {
    const stage = await founded();
    const { cluster, leader, followers } = stage;
    const newcomer = await stage.waiting('n4');
    expect(await stage.ask(newcomer, 'add', 'n4')).toContain('not-ready: waiting to be admitted');
    for (const node of followers) node.crash();
    const before = cluster.scheduler.nowMs;
    expect(await stage.ask(leader, 'add', 'n4')).toContain('unavailable: ');
    expect(cluster.scheduler.nowMs - before).toBeLessThan(limits.writeDeadlineMs + 100);
    await cluster.runFor(5_000);
    expect(await stage.ask(leader, 'add', 'n4')).toContain('unavailable: there is no leader');
  });

  test('a second change while one is under way', async () => {
    const stage = await founded();
    const { cluster, leader, followers } = stage;
    await stage.waiting('n4');
    for (const node of followers) cluster.network.cut(node.id, leader.id, 'control');
    const [first, second] = [stage.ask(leader, 'add', 'n4'), stage.ask(leader, 'remove', followers[0].id)];
    expect(await second).toContain('conflict: another change of the members is under way');
    cluster.network.heal();
    await first;
  });
});
