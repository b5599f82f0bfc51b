/** Clocks that jump and drift. */
import { anyNode, type FaultContext } from './context.ts';

const dayMs = 86_400_000;

export function jumpClock(f: FaultContext): void {
  const node = anyNode(f);
  f.note('clock jumps', node);
  node.skew.offsetMs += f.random.between(-8 * dayMs, 8 * dayMs);
}

export function driftClock(f: FaultContext): void {
  const node = anyNode(f);
  const rate = f.random.between(0.9, 1.1);
  f.note('clock drifts', node);
  node.skew.drift(rate, f.scheduler.nowMs);
}
