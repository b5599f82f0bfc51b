/** Everything that goes wrong in a run: a row for each fault, with how often it is drawn and what it does. */
import { asIndex, type NodeId } from '../../src/raft/core/types.ts';
import { hardStateSlots } from '../../src/store/hard-state.ts';
import { entriesEnd, entryKey } from '../../src/store/log-keys.ts';
import type { FaultAtlas } from './fault-atlas.ts';
import type { Cut, SimLinks } from './links.ts';
import type { CrashKind } from './platform/disk-io.ts';
import type { SimRandom } from './platform/random.ts';
import type { SimScheduler } from './platform/scheduler.ts';
import { type SimNode, verifiedTailBytes } from './sim-node.ts';

export interface FaultContext {
  readonly nodes: readonly SimNode[];
  readonly links: SimLinks;
  readonly scheduler: SimScheduler;
  readonly atlas: FaultAtlas;
  /** This fault's own: one left out does not change the others. */
  readonly random: SimRandom;
  /** Says what was done to whom. */
  readonly note: (what: string, ...nodes: readonly SimNode[]) => void;
  /** Undoes something later, unless all faults are over by then. */
  readonly later: (delayMs: number, undo: () => void) => void;
  /** Starts a node that is down, unless it is to stay down. */
  readonly start: (node: SimNode) => void;
  /** The highest index known to be committed. */
  readonly committed: () => number;
  /** The newest hard-state counter of `node` that every other one has heard of in its present life; 0: not all have. */
  readonly counterHeard: (node: SimNode) => number;
  /** For so long no other fault begins, and none that was to come later. */
  readonly quiet: (durationMs: number) => void;
  readonly isQuiet: () => boolean;
  /** A rule is broken. */
  readonly broken: (sentence: string) => void;
}

export interface Fault {
  readonly name: string;
  /** Share of all faults drawn; 0: it only follows from what happens. */
  readonly weight: number;
  readonly bring: (context: FaultContext) => void;
}

const dayMs = 86_400_000;
const entryRange = { gte: entryKey(0), lt: entriesEnd };
/** As long as a node may take to be refused by the others. */
const rollBackMs = 3_000;

export const faults: readonly Fault[] = [
  { name: 'process crash', weight: 8, bring: (f) => crash(f, anyNode(f), 'process') },
  { name: 'power loss', weight: 8, bring: (f) => crash(f, anyNode(f), 'power') },
  { name: 'power loss everywhere', weight: 2, bring: (f) => f.nodes.forEach((node) => crash(f, node, 'power')) },
  { name: 'leader crash', weight: 6, bring: (f) => onLeader(f, (node) => crash(f, node, 'process')) },
  { name: 'crash at an effect', weight: 12, bring: (f) => crashAtEffect(f, anyNode(f)) },
  { name: 'leader crash at an effect', weight: 8, bring: (f) => onLeader(f, (node) => crashAtEffect(f, node)) },
  { name: 'clean stop', weight: 5, bring: cleanStop },
  { name: 'pause', weight: 8, bring: (f) => pause(f, anyNode(f)) },
  { name: 'leader pause', weight: 6, bring: (f) => onLeader(f, (node) => pause(f, node)) },
  { name: 'isolation', weight: 7, bring: (f) => isolate(f, anyNode(f)) },
  { name: 'leader isolation', weight: 6, bring: (f) => onLeader(f, (node) => isolate(f, node)) },
  { name: 'split', weight: 6, bring: split },
  { name: 'one-way cut', weight: 7, bring: cutOneWay },
  { name: 'deaf node', weight: 3, bring: (f) => cutAround(f, 'deaf', 'all', 'in') },
  { name: 'mute node', weight: 3, bring: (f) => cutAround(f, 'mute', 'all', 'out') },
  { name: 'bulk cut', weight: 5, bring: (f) => cutAround(f, 'no bulk from', 'bulk', 'out') },
  { name: 'control cut', weight: 2, bring: (f) => cutAround(f, 'no control from', 'control', 'out') },
  { name: 'large messages cut', weight: 3, bring: (f) => cutAround(f, 'nothing large from', 'large', 'out') },
  { name: 'bad network', weight: 8, bring: badNetwork },
  { name: 'garbled bytes', weight: 5, bring: garble },
  { name: 'disk stall', weight: 5, bring: (f) => stall(f, anyNode(f), f.random.between(100, 2_500)) },
  { name: 'disk hangs', weight: 2, bring: (f) => stall(f, anyNode(f), Infinity) },
  { name: 'write error', weight: 4, bring: failWrites },
  { name: 'full disk', weight: 5, bring: fillDisk },
  { name: 'index not writable', weight: 3, bring: failIndex },
  { name: 'damaged log', weight: 7, bring: damageLog },
  { name: 'old entry damaged', weight: 8, bring: damageOldEntry },
  { name: 'damaged hard state', weight: 3, bring: damageHardState },
  { name: 'damaged index', weight: 6, bring: damageIndex },
  { name: 'clock jump', weight: 3, bring: jumpClock },
  { name: 'clock drift', weight: 2, bring: driftClock },
  { name: 'log lost', weight: 2, bring: loseLog },
  { name: 'hard state lost', weight: 1, bring: loseHardState },
  { name: 'hard state rolled back', weight: 1, bring: rollHardStateBack },
  { name: 'disk replaced', weight: 1, bring: replaceDisk },
];

/** `node` begins to found the cluster, or to join its founding, and dies in the middle. */
export function crashWhileFounding(f: FaultContext, node: SimNode): void {
  if (!f.random.chance(0.3)) return;
  f.later(f.random.between(0, 12), () => crash(f, node, f.random.pick(['process', 'power'])));
}

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

function anyNode(f: FaultContext): SimNode {
  return f.random.pick(f.nodes);
}

function leaderOf(f: FaultContext): SimNode | undefined {
  return f.nodes.find((node) => node.store?.replicaStatus?.role === 'leader');
}

function onLeader(f: FaultContext, action: (node: SimNode) => void): void {
  const leader = leaderOf(f);
  if (leader !== undefined) action(leader);
}

function crash(f: FaultContext, node: SimNode, kind: CrashKind): void {
  f.note(`${kind} crash`, node);
  node.crash(kind);
  f.later(f.random.between(20, f.random.chance(0.3) ? 5_000 : 800), () => f.start(node));
}

/** Right before or right after a write, a message or an applied entry, a few of them from now. */
function crashAtEffect(f: FaultContext, node: SimNode): void {
  const kind = f.random.pick(['process', 'power'] as const);
  const restartMs = f.random.between(20, 800);
  node.boot?.process.dieAtBoundary(1 + f.random.below(60), (where) => {
    f.note(`${kind} crash ${where}`, node);
    node.crash(kind);
    f.later(restartMs, () => f.start(node));
  });
}

/** SIGTERM; and SIGKILL, from an operator without patience. */
function cleanStop(f: FaultContext): void {
  const node = anyNode(f);
  const { boot } = node;
  if (boot?.store == null) return;
  f.note('stop', node);
  const restartMs = f.random.between(20, 800);
  let gone = false;
  void node.stop().then(() => {
    gone = true;
    f.later(restartMs, () => f.start(node));
  });
  f.later(f.random.between(50, 4_000), () => {
    if (gone) return;
    f.note('process crash while stopping', node);
    if (node.boot === boot) node.crash('process');
    f.later(restartMs, () => f.start(node));
  });
}

function pause(f: FaultContext, node: SimNode): void {
  f.note('pause', node);
  node.boot?.process.pauseFor(f.random.between(100, 2_500));
}

function healLater(f: FaultContext): void {
  f.later(f.random.between(200, 4_000), () => {
    f.note('heal');
    f.links.heal();
  });
}

export function cutOff(links: SimLinks, node: SimNode, nodes: readonly SimNode[]): void {
  for (const other of nodes) {
    links.cut(node.id, other.id);
    links.cut(other.id, node.id);
  }
}

function isolate(f: FaultContext, node: SimNode): void {
  f.note('isolate', node);
  cutOff(f.links, node, f.nodes);
  healLater(f);
}

function split(f: FaultContext): void {
  const side = new Set(f.random.shuffle(f.nodes).slice(0, 1 + f.random.below(f.nodes.length - 1)));
  f.note('split', ...side);
  for (const left of f.nodes)
    for (const right of f.nodes) if (side.has(left) !== side.has(right)) f.links.cut(left.id, right.id);
  healLater(f);
}

function cutOneWay(f: FaultContext): void {
  const [from, to] = f.random.shuffle(f.nodes);
  if (from === undefined || to === undefined) return;
  f.note('one-way cut', from, to);
  f.links.cut(from.id, to.id);
  healLater(f);
}

function cutAround(f: FaultContext, what: string, cut: Cut, direction: 'in' | 'out'): void {
  const node = f.random.chance(0.5) ? anyNode(f) : (leaderOf(f) ?? anyNode(f));
  f.note(what, node);
  for (const other of f.nodes) {
    const [from, to]: [NodeId, NodeId] = direction === 'out' ? [node.id, other.id] : [other.id, node.id];
    f.links.cut(from, to, cut);
  }
  healLater(f);
}

function badNetwork(f: FaultContext): void {
  f.note('bad network');
  f.links.disturb({
    lossPpm: f.random.below(300_000),
    duplicatePpm: f.random.below(200_000),
    delayMaxMs: f.random.between(2, 120),
  });
  f.later(f.random.between(500, 4_000), () => f.links.disturb({}));
}

function garble(f: FaultContext): void {
  f.note('garbled bytes');
  f.links.disturb({ garblePpm: 1_000 + f.random.below(60_000) });
  f.later(f.random.between(500, 3_000), () => f.links.disturb({}));
}

function stall(f: FaultContext, node: SimNode, durationMs: number): void {
  f.note(durationMs === Infinity ? 'disk hangs' : 'disk stalls', node);
  node.disk.stall(f.scheduler.nowMs + durationMs);
  if (durationMs === Infinity) f.later(f.random.between(5_000, 20_000), () => node.disk.heal());
}

/** A write fails; the node must stop, never retry, and come back (protocol A5). */
function failWrites(f: FaultContext): void {
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
function fillDisk(f: FaultContext): void {
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
function failIndex(f: FaultContext): void {
  const node = anyNode(f);
  f.note('index not writable', node);
  node.disk.fail('index', f.random.pick(['io', 'full']));
  f.later(f.random.between(500, 8_000), () => node.disk.heal());
}

/** Kills a node, hurts its disk while it is down, starts it again. */
function hurt(f: FaultContext, what: string, node: SimNode, damage: () => void): void {
  if (f.isQuiet() || !f.atlas.mayHurt([node])) return;
  f.note(what, node);
  node.crash(f.random.chance(0.5) ? 'power' : 'process');
  f.atlas.damaged.add(node.id);
  damage();
  f.later(f.random.between(20, 1_500), () => f.start(node));
}

function damageLog(f: FaultContext): void {
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
function damageOldEntry(f: FaultContext): void {
  const node = anyNode(f);
  // Far enough below that no open looks there: a fault of the tail may end the log, and counts as another damage.
  const newest = Math.min(f.committed() - 20, node.view.newestBelow(3 * verifiedTailBytes));
  if (newest < 1) return;
  const index = 1 + f.random.below(newest);
  if (!f.atlas.mayLoseEntry(node, index)) return;
  const key = entryKey(asIndex(index));
  const end = entryKey(asIndex(index + 1));
  f.note(`entry ${index} damaged`, node);
  f.atlas.holes.add(`${node.id} ${index}`);
  node.disk.flipBit('log', { gte: key, lt: end });
  // While it runs, or where its next life finds it.
  if (f.random.chance(0.5)) crash(f, node, 'process');
}

/** One copy; the other one must do. */
function damageHardState(f: FaultContext): void {
  const node = anyNode(f);
  hurt(f, 'copy of the hard state damaged', node, () => {
    loseSlot(f, node, f.random.below(hardStateSlots.slotCount));
  });
}

/** Not one bit: most of a slot is padding. */
function loseSlot({ random }: FaultContext, node: SimNode, slot: number): void {
  const { slotBytes } = hardStateSlots;
  node.disk.overwriteSlot('hard-state', slot, random.pick([new Uint8Array(slotBytes), random.bytes(slotBytes)]));
}

function damageIndex(f: FaultContext): void {
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

function jumpClock(f: FaultContext): void {
  const node = anyNode(f);
  f.note('clock jumps', node);
  node.skew.offsetMs += f.random.between(-8 * dayMs, 8 * dayMs);
}

function driftClock(f: FaultContext): void {
  const node = anyNode(f);
  const rate = f.random.between(0.9, 1.1);
  f.note('clock drifts', node);
  node.skew.drift(rate, f.scheduler.nowMs);
}

function loseLog(f: FaultContext): void {
  const node = anyNode(f);
  hurt(f, 'log lost', node, () => node.disk.lose('log'));
}

/** The disk is a new incarnation, no voter: it waits to be admitted (protocol A3). */
function loseHardState(f: FaultContext): void {
  const node = anyNode(f);
  hurt(f, 'hard state lost', node, () => {
    f.atlas.lost.add(node.id);
    if (f.random.chance(0.5)) node.disk.slotFiles.delete('hard-state');
    else for (let slot = 0; slot < hardStateSlots.slotCount; slot += 1) loseSlot(f, node, slot);
  });
}

/**
 * All copies are older than what peers heard of, and those remember it: nobody talks to it, and it stops (protocol A3). What
 * they remember does not outlive their process, so nothing else happens until it was told.
 */
function rollHardStateBack(f: FaultContext): void {
  const node = anyNode(f);
  const others = f.nodes.filter((other) => other !== node);
  if (!others.every(({ store, disk }) => store?.ready === true && disk.failWrites.size === 0)) return;
  const heard = f.counterHeard(node);
  if (heard < 2 || !f.atlas.mayHurt([node])) return;
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

function replaceDisk(f: FaultContext): void {
  const node = anyNode(f);
  hurt(f, 'disk replaced', node, () => {
    node.disk.wipe();
    f.atlas.lost.add(node.id);
  });
}
