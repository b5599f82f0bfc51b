/** What peers say of their clocks, and how long it is known. */
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/logger.ts';
import { asIndex, asReplicaId } from '../../src/raft/core/types.ts';
import { Peers, type Report } from '../../src/traces/peers.ts';
import { helloOf, n1 } from '../transport/samples.ts';

test('the clock of a peer is kept with the time at which it came, also while that is away; not for another incarnation', () => {
  let monotonicMs = 100;
  const clock = { nowMs: () => 0, monotonicMs: () => monotonicMs, after: () => () => undefined };
  const peers = new Peers({ node: n1, clock, logger: silentLogger, members: () => new Map() });
  const hello = helloOf('n2');
  const report = (clockMs: number | null): Report => ({
    kind: 'report',
    applied: asIndex(1),
    ready: true,
    recovering: false,
    hardStateCounter: 1,
    writeMicros: null,
    space: 'ample',
    handOver: null,
    clockMs,
  });
  peers.up(hello);
  expect(peers.clockOf(hello.replica)).toBeNull();
  peers.reported(hello, report(5_000));
  monotonicMs = 900;
  peers.reported(hello, report(null));
  const told = { wallMs: 5_000, monotonicMs: 100 };
  expect(peers.clockOf(hello.replica)).toMatchObject(told);
  peers.down(hello.node);
  peers.up(hello);
  expect(peers.clockOf(hello.replica)).toMatchObject(told);
  expect(peers.clockOf(asReplicaId('n2#zz'))).toBeNull();
  const returned = helloOf('n2', { replica: asReplicaId('n2#zz') });
  peers.reported(returned, report(7_000));
  expect(peers.clockOf(hello.replica)).toBeNull();
  expect(peers.clockOf(returned.replica)).toMatchObject({ wallMs: 7_000, monotonicMs: 900 });
});
