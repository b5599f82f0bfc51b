/** The format level of a cluster whose nodes are upgraded one by one, through real stores (protocol B4). */
import { expect, test } from 'vitest';
import { QuorateError } from '../../src/errors.ts';
import { levelOfKind } from '../../src/raft/core/format-level.ts';
import { asNodeId, asReplicaId } from '../../src/raft/core/types.ts';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { type Announced, announcements, levelToRaise, whyNotAt } from '../../src/traces/format-upgrade.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { version } from '../../src/version.ts';
import { DiskView } from '../sim/disk-view.ts';
import { type ClusterNode, StoreCluster } from './store-cluster.ts';

/** A node of before: it announces, and reads, level 1 alone. */
const old = { oldest: 1, newest: 1 };
const current = { oldest: 1, newest: 2 };

test('what this version calls itself is what its package says', () => {
  expect(packageJson.version).toBe(version);
});

const said = (name: string, formats: Announced['formats'], runs = '9'): Announced => ({
  replica: asReplicaId(name),
  version: runs,
  formats,
});

test('the level is the least that all members announced, learners among them; who is absent keeps it where it is', () => {
  const three = votersOnly(['n1#a', 'n2#b', 'n3#c'].map(asReplicaId));
  const members = { ...three, learners: [{ replica: asReplicaId('n4#d'), replaces: null }] };
  const [n1, n2, n3] = [said('n1#a', current), said('n2#b', { oldest: 1, newest: 3 }), said('n3#c', current)];
  const raised = (...present: readonly Announced[]): number | null => levelToRaise(1, announcements(members, present));
  expect(raised(n1, n2, n3, said('n4#d', current))).toBe(2);
  expect(raised(n1, n2, n3, said('n4#d', old))).toBeNull();
  expect(raised(n1, n2, n3)).toBeNull();
  // A node whose disk was lost waits for the level itself, and speaks for the disk that will not return.
  expect(raised(n1, n2, said('n3#z', current), said('n4#d', current))).toBe(2);
  expect(raised(n1, n2, said('n3#z', old), said('n4#d', current))).toBeNull();
  expect(levelToRaise(2, announcements(three, [n1, n2, n3]))).toBeNull();
  const why = (...present: readonly Announced[]): string => whyNotAt(2, 1, announcements(three, present));
  expect(why(n1, n2)).toBe(
    'the cluster is at format level 1: n3 is not connected, so nobody knows what it runs; start it first',
  );
  expect(why(n1, said('n2#b', old, '0.1.0'), n3)).toBe(
    'the cluster is at format level 1: n2 still runs Quorate 0.1.0; upgrade it first',
  );
  expect(why(n1, n2, n3)).toBe('the cluster is at format level 1 and about to be raised: try again');
});

const levels = (cluster: StoreCluster): unknown[] =>
  cluster.nodes.map(({ store }) => store?.replicaStatus?.formatLevel);

/** Each disk, with a check that nothing of a newer level gets onto it before its hard state says so. */
function watched(nodes: readonly ClusterNode[]): { views: readonly DiskView[]; early: string[] } {
  const early: string[] = [];
  const views = nodes.map(({ id, disk }) => {
    const view: DiskView = new DiskView(disk, ({ kind, index }) => {
      if (levelOfKind[kind] > (view.hardState()?.formatLevelWritten ?? 0)) early.push(`${id}: entry ${index}, ${kind}`);
    });
    view.newestBelow(0);
    return view;
  });
  return { views, early };
}

test('an old node keeps all at level 1, on disk and on the wire; once it is upgraded the level is raised, and it refuses to go back', async () => {
  const cluster = new StoreCluster({ logVerifyBytes: 1e6 });
  const [n1, n2, n3] = cluster.nodes;
  n3.formats = old;
  await cluster.start(n1, n2, n3);
  await cluster.settled();
  const { views, early } = watched(cluster.nodes);
  const change = (): Promise<string> =>
    cluster.scheduler.complete(
      n1.opened.changeMembers({ kind: 'remove', node: asNodeId('n3'), replaces: null, expected: null }).then(
        () => 'changed',
        (error: unknown) => (error instanceof QuorateError ? `${error.code}: ${error.message}` : String(error)),
      ),
    );
  await cluster.write(n1, [1, 2]);
  await cluster.runFor(2_000);
  expect(levels(cluster)).toEqual([1, 1, 1]);
  expect(await change()).toMatch(/^conflict: the cluster is at format level 1: n3 still runs/);
  // Nor is the lead given to it, or asked of it.
  for (const node of [n1, n2]) await cluster.scheduler.complete(node.opened.transferLeadership(null).catch(() => null));
  await cluster.runFor(2_000);
  await cluster.scheduler.complete(n3.stop());
  await cluster.runFor(2_000);
  expect(await change()).toMatch(/^conflict: the cluster is at format level 1: n3 is not connected/);
  expect(views.map((view) => view.hardState()?.formatLevelWritten)).toEqual([1, 1, 1]);
  expect(cluster.unreadable).toEqual([]);

  n3.formats = current;
  await cluster.start(n3);
  await cluster.until(() => levels(cluster).every((level) => level === 2));
  await cluster.settled();
  await cluster.write(n3, [3]);
  expect(views.map((view) => view.hardState()?.formatLevelWritten)).toEqual([2, 2, 2]);
  expect(early).toEqual([]);
  for (const trace of [1, 2, 3]) expect(await cluster.textsOf(n2, trace)).toEqual([`span of ${trace}`]);

  await cluster.scheduler.complete(n3.stop());
  n3.formats = old;
  const counter = views[2]?.hardStateCounter;
  await expect(cluster.scheduler.complete(n3.start())).rejects.toThrow(
    /was written by a newer version \(format level 2\); start Quorate 0\.2\.0 or newer/,
  );
  expect(views[2]?.hardStateCounter).toBe(counter);
  n3.formats = current;
  n3.crash();
  await cluster.start(n3);
  await cluster.settled();
  expect(await change()).toBe('changed');
});

test('a disk that was lost at level 1 does not keep the cluster there: its node comes back with a new version, and is brought in', async () => {
  const cluster = new StoreCluster({ logVerifyBytes: 1e6 });
  const [n1, n2, n3] = cluster.nodes;
  n3.formats = old;
  await cluster.start(n1, n2, n3);
  await cluster.settled();
  await cluster.write(n1, [1]);
  n3.crash();
  n3.disk.wipe();
  n3.formats = current;
  await cluster.start(n3);
  await cluster.until(() => levels(cluster).every((level) => level === 2));
  await cluster.settled();
  expect(await cluster.textsOf(n3, 1)).toEqual(['span of 1']);
});
