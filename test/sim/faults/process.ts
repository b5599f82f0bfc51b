/** Processes that die, at any effect or in between, that are stopped, or that pause. */
import type { CrashKind } from '../platform/disk-io.ts';
import type { SimNode } from '../sim-node.ts';
import { anyNode, type FaultContext } from './context.ts';

/** `node` begins to found the cluster, or to join its founding, and dies in the middle. */
export function crashWhileFounding(f: FaultContext, node: SimNode): void {
  if (!f.random.chance(0.3)) return;
  f.later(f.random.between(0, 12), () => crash(f, node, f.random.pick(['process', 'power'])));
}

export function crash(f: FaultContext, node: SimNode, kind: CrashKind): void {
  f.note(`${kind} crash`, node);
  node.crash(kind);
  f.later(f.random.between(20, f.random.chance(0.3) ? 5_000 : 800), () => f.start(node));
}

/** Right before or right after a write, a message or an applied entry, a few of them from now. */
export function crashAtEffect(f: FaultContext, node: SimNode): void {
  const kind = f.random.pick(['process', 'power'] as const);
  const restartMs = f.random.between(20, 800);
  node.boot?.process.dieAtBoundary(1 + f.random.below(60), (where) => {
    f.note(`${kind} crash ${where}`, node);
    node.crash(kind);
    f.later(restartMs, () => f.start(node));
  });
}

/** SIGTERM; and SIGKILL, from an operator without patience. */
export function cleanStop(f: FaultContext): void {
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

export function pause(f: FaultContext, node: SimNode): void {
  f.note('pause', node);
  node.boot?.process.pauseFor(f.random.between(100, 2_500));
}
