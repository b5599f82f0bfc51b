/** When a raised format level counts, and what goes back with a truncation (protocol B4). */
import { expect, test } from 'vitest';
import { asReplicaId } from '../../src/raft/core/types.ts';
import { diskOf } from './replica.ts';
import { SmallCluster } from './small-cluster.ts';

/** Three replicas of a cluster that was founded at level 1. */
function founded(): SmallCluster {
  const cluster = new SmallCluster([1, 2, 3].map(() => ({ ...diskOf({}), formatLevel: 1 })));
  expect(cluster.campaign(1)).toBe(true);
  cluster.tick();
  cluster.settle();
  return cluster;
}

const levels = (cluster: SmallCluster): number[] => cluster.replicas.map(({ raft }) => raft.formatLevel);
const adding = { kind: 'add', replica: asReplicaId('4'), replaces: null, addresses: {} } as const;

test('it counts on each replica once it is committed there, and entries of newer kinds wait for it', () => {
  const cluster = founded();
  const leader = cluster.at(1);
  expect(leader.change(adding, null)).toEqual({ outcome: 'refused', why: 'the cluster is at format level 1' });
  expect(cluster.at(2).raise(2)).toBe('not-leader');
  expect(leader.raise(2)).toBe('appended');
  expect(levels(cluster)).toEqual([1, 1, 1]);
  expect(leader.raft.formatLevelWritten).toBe(2);
  // One change at a time: a member that comes meanwhile was not asked what it reads.
  expect([leader.raise(2), leader.change(adding, null).outcome]).toEqual(['busy', 'busy']);
  cluster.settle();
  expect(levels(cluster)).toEqual([2, 2, 2]);
  expect(leader.change(adding, null).outcome).toBe('appended');
});

test('a raise that its leader could not commit is gone with the next leader; the disk remembers that it was there', () => {
  const cluster = founded();
  cluster.away(2, 3);
  cluster.at(1).raise(2);
  cluster.exchange();
  expect(levels(cluster)).toEqual([1, 1, 1]);
  cluster.away(1);
  cluster.tick(3);
  expect(cluster.campaign(2)).toBe(true);
  cluster.away();
  cluster.at(2).propose('a');
  cluster.tick();
  cluster.settle();
  expect(levels(cluster)).toEqual([1, 1, 1]);
  expect(cluster.replicas.map(({ raft }) => raft.formatLevelWritten)).toEqual([2, 1, 1]);
  // And it can be raised again.
  expect(cluster.at(2).raise(2)).toBe('appended');
  cluster.settle();
  expect(levels(cluster)).toEqual([2, 2, 2]);
});

test('a raise that a majority holds is committed by the next leader, which takes the level for lower until then', () => {
  const cluster = founded();
  const [one, two] = [cluster.at(1), cluster.at(2)];
  one.raise(2);
  one.persistLog();
  // Replica 2 gets it, and its answer is lost with the leader.
  const sent = one.takeOutcome().sent.map(({ message }) => message);
  for (const message of sent) if (message.to === two.id) two.step(message);
  two.persistLog();
  two.takeOutcome();
  cluster.away(1);
  cluster.tick(3);
  two.campaign();
  expect(two.raft.formatLevel).toBe(1);
  expect(two.raise(2)).toBe('not-leader');
  cluster.settle();
  expect([two.raft.role, two.raft.formatLevel, cluster.at(3).raft.formatLevel]).toEqual(['leader', 2, 2]);
});

test('what a restart finds above the commit index does not count until it is committed', () => {
  const cluster = founded();
  cluster.away(2, 3);
  cluster.at(1).raise(2);
  cluster.exchange();
  cluster.at(1).crash();
  cluster.at(1).restart();
  expect([cluster.at(1).raft.formatLevel, cluster.at(1).raft.formatLevelWritten]).toEqual([1, 2]);
  cluster.away();
  cluster.tick(3);
  expect(cluster.campaign(1)).toBe(true);
  expect(levels(cluster).slice(0, 1)).toEqual([2]);
});
