/** Disks that are slow, hang, fail or are full, and lose nothing that they had taken. */
import type { SimNode } from '../sim-node.ts';
import { anyNode, leaderOf, type FaultContext } from './context.ts';

export function stall(f: FaultContext, node: SimNode, durationMs: number): void {
  f.note(durationMs === Infinity ? 'disk hangs' : 'disk stalls', node);
  node.disk.stall(f.scheduler.nowMs + durationMs);
  if (durationMs === Infinity) f.later(f.random.between(5_000, 20_000), () => node.disk.heal());
}

/** A write fails; the node must stop, never retry, and come back (protocol A5). */
export function failWrites(f: FaultContext): void {
  const node = anyNode(f);
  const store = f.random.pick(['log', 'hard-state', '*']);
  f.note(`writes of ${store} fail`, node);
  node.disk.fail(store, 'io');
  f.later(f.random.between(100, 1_500), () => {
    node.disk.heal();
    f.start(node);
  });
}

/** No write succeeds until there is space; restarts before that come to nothing. */
export function fillDisk(f: FaultContext): void {
  const node = f.random.chance(0.5) ? anyNode(f) : (leaderOf(f) ?? anyNode(f));
  f.note('disk full', node);
  node.disk.fail('*', 'full');
  f.later(f.random.between(50, 1_000), () => f.start(node));
  f.later(f.random.between(1_000, 5_000), () => {
    node.disk.heal();
    f.start(node);
  });
}

/** It costs memory, not data: the node goes on (protocol A5). */
export function failIndex(f: FaultContext): void {
  const node = anyNode(f);
  f.note('index not writable', node);
  node.disk.fail('index', f.random.pick(['io', 'full']));
  f.later(f.random.between(500, 8_000), () => node.disk.heal());
}
