/**
 * Which disks may be hurt (protocol I3): for each committed entry an intact copy stays with a voter that can rejoin, so that
 * every violation is a bug and none is bad luck. Disks that lost something, and replaced ones, together stay a minority.
 */
import type { ConfigurationChange } from '../../src/raft/core/configuration.ts';
import { asIndex, type Configuration, type NodeId, nodeIdOf, replicaIdOf } from '../../src/raft/core/types.ts';
import type { Configurations } from './configurations.ts';
import type { SimNode } from './sim-node.ts';

export class FaultAtlas {
  /** Lost something that their hard state may promise, and have not caught up since. */
  readonly damaged = new Set<NodeId>();
  /** Lost something while nobody counted on them: no members any more, or not yet. */
  readonly damagedOutside = new Set<NodeId>();
  /** No longer the voters they were: they wait to be voters again by another name, or were told to stay away. */
  readonly lost = new Set<NodeId>();
  /** Of those, the ones that must not be started again: whoever remembers why may be gone by then. */
  readonly barred = new Set<NodeId>();
  /** Committed entries of long ago that a disk lost while its node promised and held all that matters, as `node index`. */
  readonly holes = new Set<string>();
  /** The incarnations of nodes that must not be seen again. */
  readonly goneReplicas = new Set<string>();
  /** Nodes whose wall clock is wrong. */
  readonly skewed = new Set<NodeId>();
  readonly #nodes: readonly SimNode[];
  readonly #configurations: Configurations;

  constructor(nodes: readonly SimNode[], configurations: Configurations) {
    this.#nodes = nodes;
    this.#configurations = configurations;
  }

  /** May these lose something now, or be gone for good? They stay a minority wherever a majority is or may be needed. */
  mayHurt(nodes: readonly SimNode[]): boolean {
    return this.#isMinority(nodes, this.#configurations.possibleHalves());
  }

  /** May an operator ask for this now, or would too many of the new voters be hurt? */
  mayChange(change: (configuration: Configuration) => ConfigurationChange | null): boolean {
    return this.#isMinority([], this.#configurations.possibleHalves(change));
  }

  #isMinority(nodes: readonly SimNode[], halves: readonly (readonly NodeId[])[]): boolean {
    const hurt = new Set([...this.damaged, ...this.lost, ...nodes.map(({ id }) => id)]);
    return halves.every((half) => isMinority(half, hurt) && isMinority(half, this.skewed));
  }

  /** May the clock of `node` be wrong? A majority of right ones stays, or nobody could say how old anything is (protocol E3). */
  maySkew(node: SimNode): boolean {
    const skewed = new Set([...this.skewed, node.id]);
    return this.#configurations.possibleHalves().every((half) => isMinority(half, skewed));
  }

  /** Does it matter what becomes of this node's disk? */
  counts({ id }: SimNode): boolean {
    return this.#configurations.possibleHalves().some((half) => half.includes(id));
  }

  /** `node` is no longer the voter that it was. */
  lose(node: SimNode): void {
    const incarnation = node.view.hardState()?.incarnation;
    if (incarnation !== undefined) this.goneReplicas.add(replicaIdOf(node.id, incarnation));
    if (this.counts(node)) this.lost.add(node.id);
  }

  /** May `node` lose its copy of a committed entry from long ago? Two others must have theirs. */
  mayLoseEntry(node: SimNode, index: number): boolean {
    const voters = new Set<string>(this.#configurations.newest?.voters.map(nodeIdOf));
    const others = this.#nodes.filter(
      ({ id, view }) =>
        id !== node.id &&
        voters.has(id) &&
        !this.damaged.has(id) &&
        !this.lost.has(id) &&
        view.entry(asIndex(index)) !== null,
    );
    return others.length >= 2;
  }

  /** `node` has caught up: its log is whole again up to the last committed entry, if it really is. */
  caughtUp(node: SimNode, committed: number): void {
    if (!this.damaged.has(node.id) && !this.lost.has(node.id)) return;
    if (this.barred.has(node.id)) return;
    // A replaced disk counts again once it votes by its new name.
    if (this.lost.has(node.id) && !this.#votesAgain(node)) return;
    for (let index = committed; index > node.view.base; index -= 1)
      if (node.view.entry(asIndex(index)) === null) return;
    this.damaged.delete(node.id);
    this.lost.delete(node.id);
  }

  #votesAgain({ id, view }: SimNode): boolean {
    const replica = replicaIdOf(id, view.hardState()?.incarnation ?? '');
    return this.#configurations.newest?.voters.includes(replica) === true;
  }
}

function isMinority(half: readonly NodeId[], some: ReadonlySet<NodeId>): boolean {
  return half.filter((id) => some.has(id)).length <= Math.floor((half.length - 1) / 2);
}
