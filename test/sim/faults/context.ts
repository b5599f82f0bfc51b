/** What a fault is, and whom it can reach. */
import type { Configurations } from '../configurations.ts';
import type { FaultAtlas } from '../fault-atlas.ts';
import type { SimLinks } from '../links.ts';
import type { SimRandom } from '../platform/random.ts';
import type { SimScheduler } from '../platform/scheduler.ts';
import type { SimNode } from '../sim-node.ts';

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
  /** The nodes of the newest committed configuration. */
  readonly voters: () => readonly SimNode[];
  readonly configurations: Configurations;
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

export function anyNode(f: FaultContext): SimNode {
  return f.random.pick(f.nodes);
}

export function leaderOf(f: FaultContext): SimNode | undefined {
  return f.nodes.find((node) => node.store?.replicaStatus?.role === 'leader');
}

export function onLeader(f: FaultContext, action: (node: SimNode) => void): void {
  const leader = leaderOf(f);
  if (leader !== undefined) action(leader);
}
