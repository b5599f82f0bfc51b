/** A node that waits because what was promised is on no disk names the entry (protocol A2). */
import { expect, test } from 'vitest';
import { asHash, asIndex, asNodeId, asTerm } from '../../src/raft/core/types.ts';
import type { ReplicaStatus } from '../../src/raft/replica.ts';
import { whyNoLeader } from '../../src/traces/no-leader.ts';
import { chain } from '../store/support.ts';
import { freshState, LoneNode, voters } from './lone-node.ts';

test('the status of a node whose disk lost its promise', async () => {
  const node = new LoneNode();
  const promised = { index: asIndex(5), term: asTerm(1), hash: asHash('5'.repeat(32)) };
  await node.disk({ ...freshState, term: asTerm(1), promised }, { voters, entries: chain(2) });
  const store = await node.open(['n1', 'n2', 'n3']);
  expect(store.status.waiting).toBe(
    'no leader: this node promised entries up to 5 of term 1, which its disk lost. ' +
      'Start every other node; if no disk holds them, only `quorate recover` decides',
  );
});

test('a node that lost nothing points at those that did', () => {
  const whole = { lostPromise: null } as ReplicaStatus;
  expect(whyNoLeader(whole, ['n2', 'n3'].map(asNodeId))).toBe(
    'no leader: the disk of n2 and n3 lost what it had promised, its status names the entry',
  );
  expect(whyNoLeader(whole, [])).toBe('no leader');
});
