/**
 * Which disks may be hurt (protocol I3): for each committed entry an intact copy stays with a voter that can rejoin, so that
 * every violation is a bug and none is bad luck. Disks that lost something, and replaced ones, together stay a minority.
 */
import { asIndex, type NodeId } from '../../src/raft/core/types.ts';
import type { SimNode } from './sim-node.ts';

export class FaultAtlas {
  /** Lost something that their hard state may promise, and have not caught up since. */
  readonly damaged = new Set<NodeId>();
  /** No longer the voters they were: they wait to be admitted, or were told to stay away. */
  readonly lost = new Set<NodeId>();
  /** Of those, the ones that must not be started again: whoever remembers why may be gone by then. */
  readonly barred = new Set<NodeId>();
  /** Committed entries of long ago that a disk lost while its node promised and held all that matters, as `node index`. */
  readonly holes = new Set<string>();
  readonly #nodes: readonly SimNode[];

  constructor(nodes: readonly SimNode[]) {
    this.#nodes = nodes;
  }

  get minority(): number {
    return Math.floor((this.#nodes.length - 1) / 2);
  }

  /** May these lose something now, or be gone for good? */
  mayHurt(nodes: readonly SimNode[]): boolean {
    return new Set([...this.damaged, ...this.lost, ...nodes.map(({ id }) => id)]).size <= this.minority;
  }

  /** May `node` lose its copy of a committed entry from long ago? Two others must have theirs. */
  mayLoseEntry(node: SimNode, index: number): boolean {
    const others = this.#nodes.filter(
      ({ id, view }) =>
        id !== node.id && !this.damaged.has(id) && !this.lost.has(id) && view.entry(asIndex(index)) !== null,
    );
    return others.length >= 2;
  }

  /** `node` has caught up: its log is whole again up to the last committed entry, if it really is. */
  caughtUp(node: SimNode, committed: number): void {
    if (!this.damaged.has(node.id) || this.lost.has(node.id)) return;
    for (let index = committed; index > 0; index -= 1) if (node.view.entry(asIndex(index)) === null) return;
    this.damaged.delete(node.id);
  }
}
