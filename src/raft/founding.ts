/**
 * How a cluster begins (protocol B1). An empty node never votes and never campaigns. It asks every member of `--cluster`;
 * only if all of them are there and empty does the lowest id mint the cluster, and every member syncs the founding record
 * before it takes part in an election. If anybody already belongs to a cluster, an empty node waits to be admitted: two
 * emptied disks of three must not elect each other and erase the third.
 */
import type { Logger } from '../logger.ts';
import type { Clock } from '../platform/clock.ts';
import type { Random } from '../platform/random.ts';
import type { Founding, Hello, PeerMessage } from '../transport/transport.ts';
import type { FormatRange } from './core/format-level.ts';
import type { NodeId, ReplicaId } from './core/types.ts';

export interface FounderOptions {
  readonly node: NodeId;
  readonly replica: ReplicaId;
  /** The cluster that hard state names; set without a founding record when the log is lost. */
  readonly clusterId: string | null;
  /** The format levels that this node reads. */
  readonly formats: FormatRange;
  /** All of `--cluster`, this node included. */
  readonly members: readonly NodeId[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Syncs the founding record; afterwards this node belongs to the cluster. */
  readonly found: (founding: Founding) => Promise<void>;
}

/** A member needs a moment to bring the founding record; only a longer wait is worth a warning. */
const patienceMs = 3_000;

export class Founder {
  readonly #options: FounderOptions;
  readonly #connected = new Map<NodeId, Hello>();
  #settled = false;
  #waiting: string | null = null;

  constructor(options: FounderOptions) {
    this.#options = options;
    this.#consider();
  }

  /** Why this node does not belong to a cluster yet, for status and readiness. */
  get waiting(): string {
    return this.#waiting ?? `waiting for all of ${this.#options.members.join(', ')} to found the cluster`;
  }

  peerUp(hello: Hello): void {
    this.#connected.set(hello.node, hello);
    this.#consider();
  }

  peerDown(node: NodeId): void {
    this.#connected.delete(node);
  }

  /** A member offers its founding record. Accepted when it lists exactly this incarnation, or that was made a member later. */
  async receive(message: PeerMessage & { readonly kind: 'found' }): Promise<void> {
    const { founding, admits } = message;
    const { replica, clusterId, logger } = this.#options;
    if (this.#settled || !(founding.voters.includes(replica) || admits === replica)) return;
    if (clusterId !== null && clusterId !== founding.clusterId) return;
    this.#settled = true;
    logger.info(
      { clusterId: founding.clusterId },
      admits === null ? 'joined the founding of the cluster' : 'was admitted to the cluster',
    );
    await this.#options.found(founding);
  }

  #consider(): void {
    if (this.#settled) return;
    const { node, members, clusterId, random } = this.#options;
    const others = members.filter((member) => member !== node);
    const founded = [...this.#connected.values()].find((hello) => hello.clusterId !== null);
    if (clusterId !== null) {
      this.#wait(
        `this node belongs to cluster ${clusterId} but lost its log: waiting for a member to bring the founding record`,
      );
      return;
    }
    if (founded !== undefined) {
      this.#wait(
        members.length > 0
          ? `this data directory is empty, and ${founded.node} belongs to cluster ${founded.clusterId}: waiting for its leader to put ` +
              `this disk in the place of the lost one. After \`quorate recover\` (docs/recover.md): \`quorate cluster add ${node}\``
          : `waiting to be admitted to cluster ${founded.clusterId}: run \`quorate cluster add ${node}\` against any member`,
      );
      return;
    }
    if (members.length === 0) {
      this.#wait('waiting for the node at --join to answer');
      return;
    }
    if (members.toSorted()[0] !== node || !others.every((other) => this.#connected.has(other))) return;
    this.#settled = true;
    const voters = [
      this.#options.replica,
      ...others.flatMap((other) => this.#connected.get(other)?.replica ?? []),
    ].toSorted();
    const formats = [this.#options.formats, ...others.flatMap((other) => this.#connected.get(other)?.formats ?? [])];
    const formatLevel = Math.min(...formats.map(({ newest }) => newest));
    const minted: Founding = { clusterId: Buffer.from(random.bytes(16)).toString('hex'), voters, formatLevel };
    this.#options.logger.info({ clusterId: minted.clusterId, voters, formatLevel }, 'founded the cluster');
    void this.#options.found(minted);
  }

  #wait(sentence: string): void {
    if (this.#waiting === sentence) return;
    this.#waiting = sentence;
    this.#options.clock.after(patienceMs, () => {
      if (!this.#settled && this.#waiting === sentence) this.#options.logger.warn({}, sentence);
    });
  }
}
