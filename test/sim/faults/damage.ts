/** Disks that lose or alter what they had taken, as far as the fault atlas allows. */
import { asIndex } from '../../../src/raft/core/types.ts';
import { hardStateSlots } from '../../../src/store/hard-state.ts';
import { entriesEnd, entryKey } from '../../../src/store/log-keys.ts';
import type { SimNode } from '../sim-node.ts';
import { verifiedTailBytes } from '../sim-node.ts';
import { anyNode, type FaultContext } from './context.ts';
import { crash } from './process.ts';

const entryRange = { gte: entryKey(0), lt: entriesEnd };

/** As long as a node may take to be refused by the others. */
const rollBackMs = 3_000;

/**
 * `node` has just replaced entries, and its disk forgets it again: the old entries are back, chained and whole, under a hard
 * state that may already call their successors committed.
 */
export function bringReplacedBack(f: FaultContext, node: SimNode): void {
  if (!f.random.chance(0.8)) return;
  f.later(f.random.between(5, 60), () =>
    hurt(f, 'replaced entries back', node, () => node.disk.cutLog('log', 1 + f.random.below(6))),
  );
}

/** Kills a node, hurts its disk while it is down, starts it again. */
function hurt(f: FaultContext, what: string, node: SimNode, damage: () => void): void {
  if (f.isQuiet() || !f.atlas.mayHurt([node])) return;
  f.note(what, node);
  node.crash(f.random.chance(0.5) ? 'power' : 'process');
  (f.atlas.counts(node) ? f.atlas.damaged : f.atlas.damagedOutside).add(node.id);
  damage();
  f.later(f.random.between(20, 1_500), () => f.start(node));
}

export function damageLog(f: FaultContext): void {
  const node = anyNode(f);
  const [what, damage] = f.random.pick<[string, () => void]>([
    ['log cut', () => node.disk.cutLog('log')],
    ['batch of the log vanished', () => node.disk.vanish('log')],
    ['bit of the log flipped', () => node.disk.flipBit('log')],
    ['table of the log lost', () => node.disk.forget('log', entryRange)],
    ['value of the log garbled', () => node.disk.garble('log', entryRange)],
  ]);
  hurt(f, what, node, damage);
}

/** An entry that was committed long ago, below what an open verifies: found when it is read, and fetched from a peer (protocol A4). */
export function damageOldEntry(f: FaultContext): void {
  const node = anyNode(f);
  // Far enough below that no open looks there: a fault of the tail may end the log, and counts as another damage.
  const newest = Math.min(f.committed() - 20, node.view.newestBelow(3 * verifiedTailBytes));
  const { base } = node.view;
  if (newest <= base) return;
  if (f.random.chance(0.3)) return damageExpiring(f, node, newest);
  const index = base + 1 + f.random.below(newest - base);
  if (!f.atlas.mayLoseEntry(node, index)) return;
  f.note(`entry ${index} damaged`, node);
  damageEntry(f, node, index);
  // While it runs, or where its next life finds it.
  if (f.random.chance(0.5)) crash(f, node, 'process');
}

/** Several that are about to expire, on a slow disk: trims overtake their repairs (protocol E1). */
function damageExpiring(f: FaultContext, node: SimNode, newest: number): void {
  const { base } = node.view;
  const count = Math.min(4 + f.random.below(8), newest - base);
  const indices = Array.from({ length: count }, (_, n) => base + 1 + n).filter((index) =>
    f.atlas.mayLoseEntry(node, index),
  );
  if (indices.length === 0) return;
  f.note(`entries ${indices.join(' ')} damaged`, node);
  for (const index of indices) damageEntry(f, node, index);
  const lowestMs = f.random.between(100, 300);
  node.disk.latency = { ...node.disk.latency, syncMs: [lowestMs, 2 * lowestMs], slowChance: 0 };
  f.later(f.random.between(3_000, 8_000), () => node.disk.heal());
}

function damageEntry(f: FaultContext, node: SimNode, index: number): void {
  f.atlas.holes.add(`${node.id} ${index}`);
  node.disk.flipBit('log', { gte: entryKey(asIndex(index)), lt: entryKey(asIndex(index + 1)) });
}

/**
 * One copy; the other one must do. Where it was damaged before and not written since, there is no other one: then the copy stays.
 */
export function damageHardState(f: FaultContext): void {
  const node = anyNode(f);
  hurt(f, 'copy of the hard state damaged', node, () => {
    const counter = node.view.hardStateCounter;
    const wasHurt = node.disk.isHurt('hard-state');
    const slot = f.random.below(hardStateSlots.slotCount);
    const before = node.disk.slotBytes('hard-state', slot, hardStateSlots.slotBytes);
    loseSlot(f, node, slot);
    if (before !== null && wasHurt && node.view.hardStateCounter !== counter)
      node.disk.overwriteSlot('hard-state', slot, before);
  });
}

/** Not one bit: most of a slot is padding. */
function loseSlot({ random }: FaultContext, node: SimNode, slot: number): void {
  const { slotBytes } = hardStateSlots;
  node.disk.overwriteSlot('hard-state', slot, random.pick([new Uint8Array(slotBytes), random.bytes(slotBytes)]));
}

export function damageIndex(f: FaultContext): void {
  const node = anyNode(f);
  const [what, damage] = f.random.pick<[string, () => void]>([
    ['index cut', () => node.disk.cutLog('index')],
    ['batch of the index vanished', () => node.disk.vanish('index')],
    ['bit of the index flipped', () => node.disk.flipBit('index')],
    ['table of the index lost', () => node.disk.forget('index')],
    ['value of the index garbled', () => node.disk.garble('index')],
    ['value of the index misplaced', () => node.disk.misplace('index')],
    ['part of the index hidden', () => node.disk.hide('index')],
    ['part of the index unreadable', () => node.disk.failReads('index')],
    ['index refuses to open', () => node.disk.refuse('index')],
    ['index lost', () => node.disk.lose('index')],
  ]);
  f.note(what, node);
  // The index promises nothing: any number of nodes may lose theirs.
  node.crash(f.random.chance(0.5) ? 'power' : 'process');
  damage();
  f.later(f.random.between(20, 1_500), () => f.start(node));
}

export function loseLog(f: FaultContext): void {
  const node = anyNode(f);
  hurt(f, 'log lost', node, () => node.disk.lose('log'));
}

/** The disk is a new incarnation, no voter: it takes the place of the old one as a learner first (protocol A3, B2). */
export function loseHardState(f: FaultContext): void {
  const node = anyNode(f);
  hurt(f, 'hard state lost', node, () => {
    f.atlas.lose(node);
    if (f.random.chance(0.5)) node.disk.slotFiles.delete('hard-state');
    else for (let slot = 0; slot < hardStateSlots.slotCount; slot += 1) loseSlot(f, node, slot);
  });
}

/**
 * All copies are older than what peers heard of, and those remember it: nobody talks to it, and it stops (protocol A3). What
 * they remember does not outlive their process, so nothing else happens until it was told.
 */
export function rollHardStateBack(f: FaultContext): void {
  const node = anyNode(f);
  const others = f.voters().filter((other) => other !== node);
  if (
    !f.voters().includes(node) ||
    !others.every(({ store, disk }) => store?.ready === true && disk.failWrites.size === 0)
  )
    return;
  const heard = f.counterHeard(node);
  // A disk that was replaced meanwhile has nothing of what they heard of.
  if (heard < 2 || node.view.hardStateCounter < heard || !f.atlas.mayHurt([node])) return;
  node.crash('process');
  node.disk.revertSlotWrites('hard-state', Math.max(1, node.view.hardStateCounter - heard + 1));
  if (node.view.hardStateCounter >= heard) {
    // A write that was in flight stands in the other generation: what the peers know of is still there.
    f.start(node);
    return;
  }
  f.note('hard state rolled back', node);
  f.quiet(rollBackMs);
  for (const { boot } of others) boot?.process.dieAtBoundary(Infinity, () => undefined);
  f.atlas.damaged.add(node.id);
  f.atlas.lost.add(node.id);
  node.start();
  f.atlas.barred.add(node.id);
  f.later(rollBackMs, () => {
    if (node.store?.replicaStatus?.leader != null)
      f.broken(`I4: ${node.id} came back with less than it had promised, and is not refused`);
    node.crash('process');
  });
}

export function replaceDisk(f: FaultContext): void {
  const node = anyNode(f);
  hurt(f, 'disk replaced', node, () => {
    f.atlas.lose(node);
    node.disk.wipe();
  });
}
