/** Networks that lose, delay, alter, and let through one way or one kind only. */
import type { NodeId } from '../../../src/raft/core/types.ts';
import type { Cut } from '../links.ts';
import type { SimLinks } from '../links.ts';
import type { SimNode } from '../sim-node.ts';
import { anyNode, leaderOf, type FaultContext } from './context.ts';

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

export function isolate(f: FaultContext, node: SimNode): void {
  f.note('isolate', node);
  cutOff(f.links, node, f.nodes);
  healLater(f);
}

export function split(f: FaultContext): void {
  const side = new Set(f.random.shuffle(f.nodes).slice(0, 1 + f.random.below(f.nodes.length - 1)));
  f.note('split', ...side);
  for (const left of f.nodes)
    for (const right of f.nodes) if (side.has(left) !== side.has(right)) f.links.cut(left.id, right.id);
  healLater(f);
}

export function cutOneWay(f: FaultContext): void {
  const [from, to] = f.random.shuffle(f.nodes);
  if (from === undefined || to === undefined) return;
  f.note('one-way cut', from, to);
  f.links.cut(from.id, to.id);
  healLater(f);
}

export function cutAround(f: FaultContext, what: string, cut: Cut, direction: 'in' | 'out'): void {
  const node = f.random.chance(0.5) ? anyNode(f) : (leaderOf(f) ?? anyNode(f));
  f.note(what, node);
  for (const other of f.nodes) {
    const [from, to]: [NodeId, NodeId] = direction === 'out' ? [node.id, other.id] : [other.id, node.id];
    f.links.cut(from, to, cut);
  }
  healLater(f);
}

export function badNetwork(f: FaultContext): void {
  f.note('bad network');
  f.links.disturb({
    lossPpm: f.random.below(300_000),
    duplicatePpm: f.random.below(200_000),
    delayMaxMs: f.random.between(2, 120),
  });
  f.later(f.random.between(500, 4_000), () => f.links.disturb({}));
}

export function garble(f: FaultContext): void {
  f.note('garbled bytes');
  f.links.disturb({ garblePpm: 1_000 + f.random.below(60_000) });
  f.later(f.random.between(500, 3_000), () => f.links.disturb({}));
}
