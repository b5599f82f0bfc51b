/** Clocks that jump and drift. */
import type { SimNode } from '../sim-node.ts';
import { anyNode, type FaultContext, leaderOf } from './context.ts';

const dayMs = 86_400_000;

/** Mostly that of a leader, by which age would be judged. */
export function jumpClock(f: FaultContext): void {
  const node = f.random.chance(0.6) ? (leaderOf(f) ?? anyNode(f)) : anyNode(f);
  if (!f.atlas.maySkew(node)) return;
  f.note('clock jumps', node);
  f.atlas.skewed.add(node.id);
  node.skew.offsetMs += f.random.between(-8 * dayMs, 8 * dayMs);
  setRightLater(f, node);
}

export function driftClock(f: FaultContext): void {
  const node = anyNode(f);
  if (!f.atlas.maySkew(node)) return;
  const rate = f.random.between(0.9, 1.1);
  f.note('clock drifts', node);
  f.atlas.skewed.add(node.id);
  node.skew.drift(rate, f.scheduler.nowMs);
  setRightLater(f, node);
}

/** NTP gets hold of it. */
function setRightLater(f: FaultContext, node: SimNode): void {
  f.later(f.random.between(3_000, 30_000), () => {
    f.note('clock set right', node);
    node.skew.setRight(f.scheduler.nowMs);
    f.atlas.skewed.delete(node.id);
  });
}
