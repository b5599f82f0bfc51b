/** Disks that are slow, hang, fail or are full, and lose nothing that they had taken. */
import type { SimNode } from '../sim-node.ts';
import { anyNode, leaderOf, type FaultContext } from './context.ts';

export function stall(f: FaultContext, node: SimNode, durationMs: number): void {
  f.note(durationMs === Infinity ? 'disk hangs' : 'disk stalls', node);
  node.disk.stall(f.scheduler.nowMs + durationMs);
  if (durationMs === Infinity) f.later(f.random.between(5_000, 20_000), () => node.disk.heal());
}

export function stallOrSlowDown(f: FaultContext): void {
  const node = anyNode(f);
  const durationMs = f.random.between(100, 2_500);
  if (f.random.chance(0.4)) slowDisk(f);
  else stall(f, node, durationMs);
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

const KiB = 1024;
const MiB = 1024 * KiB;
/**
 * What a foreign file leaves free: nothing, too little to open, room for a few blocks that a node must not take, or for all
 * that it may take while its clients are refused (protocol A5).
 */
const leftFree = [0, 8 * KiB, 31 * MiB, 33 * MiB, 60 * MiB];

/** No write succeeds until there is space, but by the ballast; or a foreign file takes it, to the last byte or nearly. */
export function fillDisk(f: FaultContext): void {
  const node = f.random.chance(0.5) ? anyNode(f) : (leaderOf(f) ?? anyNode(f));
  const freeBytes = f.random.pick([null, ...leftFree]);
  f.note(freeBytes === null ? 'disk full' : `disk filled but for ${freeBytes} bytes`, node);
  if (freeBytes === null) node.disk.fail('*', 'full');
  else node.disk.space.fillTo(freeBytes);
  f.later(f.random.between(50, 1_000), () => f.start(node));
  f.later(f.random.between(1_000, 10_000), () => {
    node.disk.heal();
    f.start(node);
  });
}

/** It takes tens of times as long for each write, for long enough that its node must be noticed (protocol G3). */
function slowDisk(f: FaultContext): void {
  const node = f.random.chance(0.7) ? (leaderOf(f) ?? anyNode(f)) : anyNode(f);
  f.note('slow disk', node);
  const lowestMs = f.random.between(40, 120);
  // Steadily: a rare long one would take so long that its node is not well when all others are.
  node.disk.latency = { ...node.disk.latency, syncMs: [lowestMs, 2 * lowestMs], slowChance: 0 };
  f.later(f.random.between(10_000, 20_000), () => node.disk.heal());
}

/** It costs memory, not data: the node goes on (protocol A5). */
export function failIndex(f: FaultContext): void {
  const node = anyNode(f);
  f.note('index not writable', node);
  node.disk.fail('index', f.random.pick(['io', 'full']));
  f.later(f.random.between(500, 8_000), () => node.disk.heal());
}
