/** What one node makes of members, without the others. */
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/logger.ts';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { asIndex, asNodeId, asReplicaId, type ConfigurationAt, type NodeId } from '../../src/raft/core/types.ts';
import type { Replica } from '../../src/raft/replica.ts';
import { Membership } from '../../src/traces/membership.ts';
import { Peers } from '../../src/traces/peers.ts';
import { Machine } from '../store/machine.ts';
import { helloOf } from '../transport/samples.ts';

const machine = new Machine(1);
const { clock, random } = machine.platform;

function alone(configured: readonly string[], replica: () => Replica | null = () => null): Membership {
  return new Membership({
    node: asNodeId('n4'),
    address: 'n4:1',
    configured: new Map(configured.map((id) => [asNodeId(id), `${id}:1`])),
    peers: new Peers({ node: asNodeId('n4'), clock, logger: silentLogger, members: () => new Map() }),
    clock,
    random,
    logger: silentLogger,
    stored: () => null,
    replica,
    formatRefusal: () => null,
    send: () => false,
  });
}

test('a disk that was lost, or a node at the door, learns of the members from those that are', () => {
  const membership = alone(['n1', 'n4']);
  membership.heard(helloOf('n1', { members: { n1: 'elsewhere:1', n5: 'n5:1' } as Record<NodeId, string> }));
  membership.heard(helloOf('n9', { clusterId: null, members: { n9: 'n9:1' } as Record<NodeId, string> }));
  // What the operator says of n1 counts more; whoever belongs to no cluster has nothing to say.
  expect(Object.fromEntries(membership.addresses)).toEqual({ n1: 'n1:1', n4: 'n4:1', n5: 'n5:1' });
});

test('whoever of the cluster comes by itself is answered: this log may not have come so far that it lists him', () => {
  const members = votersOnly([asReplicaId('n1#a'), asReplicaId('n4#a')]);
  const addresses = { n1: 'n1:1', n4: 'n4:1' } as Record<NodeId, string>;
  const replica = { configuration: { index: asIndex(3), configuration: { ...members, addresses } } };
  const membership = alone([], () => replica as Replica);
  membership.heard(helloOf('n5', { peer: 'n5:1', members: { n6: 'n6:1' } as Record<NodeId, string> }));
  membership.heard(helloOf('n7', { peer: 'n7:1', founded: false }));
  expect([...membership.addresses.keys()].toSorted()).toEqual(['n1', 'n4', 'n5']);
  // It is gone, and another configuration does not list it either.
  membership.forgetAbsent();
  expect([...membership.addresses.keys()].toSorted()).toEqual(['n1', 'n4']);
});

test('a change whose place another one took was not made', async () => {
  const other: ConfigurationAt = { index: asIndex(9), configuration: votersOnly([asReplicaId('n4#a')]) };
  const began: Pick<Replica, 'status' | 'configuration' | 'changeConfiguration'> = {
    status: { role: 'leader', leader: asReplicaId('n4#a'), commit: asIndex(9) } as Replica['status'],
    configuration: other,
    changeConfiguration: () => ({ outcome: 'appended', index: asIndex(8) }),
  };
  const membership = alone([], () => began as Replica);
  const removal = { kind: 'remove', node: asNodeId('n4'), replaces: null, expected: null } as const;
  await expect(membership.change(removal)).rejects.toMatchObject({
    code: 'unavailable',
    message: 'the change was not made, or is undone again: try again',
  });
});

test('an empty node talks to a member that it was not told of, and to nobody else whom it does not know', () => {
  const peers = new Peers({
    node: asNodeId('n4'),
    clock,
    logger: silentLogger,
    members: () => new Map([asNodeId('n1'), asNodeId('n2')].map((node) => [node, `${node}:1`])),
  });
  expect(peers.admit(helloOf('n5'), null)).toBeNull();
  expect(peers.admit(helloOf('n5', { clusterId: null, founded: false }), null)).toEqual({
    code: 'stranger',
    sentence: "n5 is not in this node's --cluster",
  });
});

test('a member lets so many wait at its door, and no more', () => {
  const peers = new Peers({
    node: asNodeId('n4'),
    clock,
    logger: silentLogger,
    members: () => new Map([asNodeId('n1'), asNodeId('n2')].map((node) => [node, `${node}:1`])),
  });
  const waiting = Array.from({ length: 9 }, (_, at) => helloOf(`new${at}`, { clusterId: null, founded: false }));
  const answers = waiting.map((hello) => {
    const answer = peers.admit(hello, 'cluster-a');
    if (answer === null) peers.up(hello);
    return answer;
  });
  const crowd = { code: 'busy', sentence: '8 nodes wait to be admitted already' };
  expect(answers).toEqual([...Array.from({ length: 8 }, () => null), crowd]);
});
