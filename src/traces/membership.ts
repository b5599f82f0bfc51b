/**
 * Who the members are, and how that changes (protocol B2, G4): addresses for the transport, nodes that wait to be admitted, and
 * what operators ask for, which goes to the leader from whichever node they asked. The leader puts a replaced disk in the place
 * of the lost one by itself; whoever is new to the cluster is added by an operator.
 */
import { QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../platform/clock.ts';
import type { Random } from '../platform/random.ts';
import { belongs, type ConfigurationChange, isJoint, replicasOf } from '../raft/core/configuration.ts';
import { membersChangeFrom } from '../raft/core/format-level.ts';
import type { ChangeResult } from '../raft/core/options.ts';
import {
  type Configuration,
  type ConfigurationAt,
  type LogIndex,
  type NodeId,
  nodeIdOf,
  type ReplicaId,
} from '../raft/core/types.ts';
import type { Replica } from '../raft/replica.ts';
import type { Hello, MemberChange, MemberChangeResult, PeerMessage } from '../transport/transport.ts';
import type { Peers } from './peers.ts';

export interface MembershipOptions {
  readonly node: NodeId;
  /** Where this node listens for the others. */
  readonly address: string;
  /** `--cluster`: the members of the founding, or where they are now; empty for a node that joins. */
  readonly configured: ReadonlyMap<NodeId, string>;
  readonly peers: Peers;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** What the disk says of the members, for as long as no replica does; null where it says nothing. */
  readonly stored: () => Configuration | null;
  /** null until this node takes part. */
  readonly replica: () => Replica | null;
  /** Why what needs this format level cannot be done yet; null when it can. */
  readonly formatRefusal: (wanted: number) => string | null;
  readonly send: (to: NodeId, message: PeerMessage) => boolean;
}

const noAddresses: Readonly<Record<NodeId, string>> = {};
/** How often a change under way is looked at. */
const lookEveryMs = 20;

export class Membership {
  readonly #options: MembershipOptions;
  /** Who waits for the leader's word, by request. */
  readonly #asked = new Map<string, (result: MemberChangeResult) => void>();
  /** What other nodes said of the members, while this one does not know better. */
  #heard: Readonly<Record<NodeId, string>> = {};
  /** Nodes of this cluster that came by themselves: this one may have missed that they are members, and must answer them. */
  #met: Readonly<Record<NodeId, string>> = {};
  #known: {
    readonly logged: Readonly<Record<NodeId, string>>;
    readonly heard: Readonly<Record<NodeId, string>>;
    readonly met: Readonly<Record<NodeId, string>>;
    readonly addresses: ReadonlyMap<NodeId, string>;
    readonly members: Readonly<Record<NodeId, string>>;
  } | null = null;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  get #configuration(): Configuration | null {
    return this.#options.replica()?.configuration.configuration ?? this.#options.stored();
  }

  /** Everybody this node should be connected to, with where they listen; itself included. */
  get addresses(): ReadonlyMap<NodeId, string> {
    // The founding itself names no addresses: until the log has come that far, the others' word stands.
    const logged = this.#configuration?.addresses ?? noAddresses;
    const heard = Object.keys(logged).length > 0 ? noAddresses : this.#heard;
    const met = this.#met;
    const known = this.#known;
    if (known?.logged === logged && known.heard === heard && known.met === met) return known.addresses;
    const { node, address, configured } = this.#options;
    const members = Object.entries({ ...heard, ...met, ...logged }) as [NodeId, string][];
    // What the operator says now counts more than what was true when a member was added.
    const addresses: ReadonlyMap<NodeId, string> = new Map([...members, ...configured, [node, address]]);
    this.#known = { logged, heard, met, addresses, members: Object.fromEntries(addresses) };
    return addresses;
  }

  /** The same, for a hello. */
  get members(): Readonly<Record<NodeId, string>> {
    const { addresses } = this;
    return this.#known?.members ?? Object.fromEntries(addresses);
  }

  /** A node of the cluster presented itself: whoever waits at the door, or lost its disk, learns from it who the others are. */
  heard({ node, peer, clusterId, founded, members }: Hello): void {
    if (clusterId === null) return;
    const heard = this.#heard;
    const isNew = Object.entries(members).some(([member, address]) => heard[member as NodeId] !== address);
    if (isNew) this.#heard = { ...heard, ...members };
    if (founded && peer !== '' && this.#met[node] !== peer) this.#met = { ...this.#met, [node]: peer };
  }

  /** The members changed: whoever is none now and not there is no longer looked for. */
  forgetAbsent(): void {
    const configuration = this.#configuration;
    if (configuration === null) return;
    const there = new Set<string>([
      ...replicasOf(configuration).map(nodeIdOf),
      ...this.#options.peers.connected.map(({ node }) => node),
    ]);
    const kept = Object.entries(this.#met).filter(([node]) => there.has(node));
    if (kept.length < Object.keys(this.#met).length) this.#met = Object.fromEntries(kept);
  }

  /** Connected nodes that are no members: they wait to be added. */
  get applicants(): readonly Hello[] {
    const configuration = this.#options.replica()?.configuration.configuration;
    if (configuration === undefined) return [];
    return this.#options.peers.connected.filter(({ replica }) => !belongs(configuration, replica));
  }

  /** As leader: a member whose disk was replaced is brought in as a learner, to take the place of what it was (protocol B2). */
  replaceLostDisks(): void {
    const replica = this.#options.replica();
    if (replica?.status.role !== 'leader') return;
    const { index, configuration } = replica.configuration;
    // Founded or not: the entry that admitted it may have been replaced with its leader.
    for (const { node, replica: returned } of this.applicants) {
      const lost = configuration.voters.find((voter) => nodeIdOf(voter) === node);
      if (lost === undefined) continue;
      const result = replica.changeConfiguration(this.#adding(returned, lost), index);
      if (result.outcome === 'appended') {
        this.#options.logger.info({ node, lost, returned }, 'a disk was replaced: the node is brought in again');
        return;
      }
    }
  }

  #adding(replica: ReplicaId, replaces: ReplicaId | null): ConfigurationChange {
    const { peers } = this.#options;
    const peer = peers.get(nodeIdOf(replica))?.hello.peer;
    const known = [...this.addresses, ...(peer === undefined ? [] : [[nodeIdOf(replica), peer] as const])];
    return { kind: 'add', replica, replaces, addresses: Object.fromEntries(known) };
  }

  /**
   * Makes a change, wherever the leader is. Resolves with the settled configuration that has it: an added node is a learner by then,
   * or more; a removed one is gone. Rejects with `conflict`, `bad-request`, or `unavailable`: then it may still come true.
   */
  async change(change: MemberChange): Promise<ConfigurationAt> {
    const { clock, replica } = this.#options;
    const untilMs = clock.monotonicMs() + limits.writeDeadlineMs;
    const result = await this.#begin(change);
    if (result.outcome === 'refused') throw new QuorateError(result.code, result.sentence);
    while (clock.monotonicMs() < untilMs) {
      const running = replica();
      const at = running?.configuration;
      if (running != null && at !== undefined && at.index >= result.index && isSettled(at, running.status.commit)) {
        if (isMade(change, at.configuration)) return at;
        // Its leader may have gone before it was committed, and another change taken its place.
        throw new QuorateError('unavailable', 'the change was not made, or is undone again: try again');
      }
      await new Promise<void>((resolve) => {
        clock.after(lookEveryMs, resolve);
      });
    }
    throw new QuorateError(
      'unavailable',
      'the change was begun and is not confirmed yet: it may still come true, `quorate cluster status` shows it',
    );
  }

  async #begin(change: MemberChange): Promise<MemberChangeResult> {
    const { replica, node, random, clock, send } = this.#options;
    const leader = replica()?.status.leader ?? null;
    if (leader === null) return noLeader;
    if (nodeIdOf(leader) === node) return this.beginHere(change);
    // The leader may be one of those that cannot be asked.
    const tooEarly = this.#options.formatRefusal(membersChangeFrom);
    if (tooEarly !== null) return refused(tooEarly);
    const requestId = Buffer.from(random.bytes(8)).toString('hex');
    if (!send(nodeIdOf(leader), { kind: 'change-members', requestId, change })) return noLeader;
    return new Promise((resolve) => {
      const cancel = clock.after(limits.writeDeadlineMs, () => this.answered(requestId, noAnswer));
      this.#asked.set(requestId, (result) => {
        cancel();
        resolve(result);
      });
    });
  }

  /** The leader answered what this node asked it for. */
  answered(requestId: string, result: MemberChangeResult): void {
    this.#asked.get(requestId)?.(result);
    this.#asked.delete(requestId);
  }

  /** Begins a change as leader. */
  beginHere(change: MemberChange): MemberChangeResult {
    const replica = this.#options.replica();
    if (replica === null) return noLeader;
    const tooEarly = this.#options.formatRefusal(membersChangeFrom);
    if (tooEarly !== null) return refused(tooEarly);
    const { index, configuration } = replica.configuration;
    const wanted = this.#inReplicas(change, configuration);
    if (typeof wanted === 'string') return { outcome: 'refused', code: 'conflict', sentence: wanted };
    return resultOf(replica.changeConfiguration(wanted, change.expected ?? index), index);
  }

  /** The change in incarnations; a sentence where a node is not there, or no member. */
  #inReplicas({ kind, node, replaces }: MemberChange, configuration: Configuration): ConfigurationChange | string {
    if (kind === 'remove') {
      const leaving = replicasOf(configuration).find((replica) => nodeIdOf(replica) === node);
      return leaving === undefined ? `${node} is no member` : { kind, replica: leaving };
    }
    const applicant = this.applicants.find((hello) => hello.node === node);
    if (applicant === undefined) {
      return replicasOf(configuration).some((replica) => nodeIdOf(replica) === node)
        ? `${node} is a member already`
        : `${node} has not come to the leader: start it with --join and the peer address of any member, then try again`;
    }
    const leaving = replaces === null ? null : configuration.voters.find((voter) => nodeIdOf(voter) === replaces);
    return leaving === undefined
      ? `${replaces} is no voter, so nothing can take its place`
      : this.#adding(applicant.replica, leaving);
  }

  /** Nobody waits any longer. */
  close(): void {
    for (const requestId of [...this.#asked.keys()]) this.answered(requestId, noAnswer);
  }
}

const isSettled = ({ index, configuration }: ConfigurationAt, commit: LogIndex): boolean =>
  index <= commit && !isJoint(configuration);

function isMade({ kind, node }: MemberChange, configuration: Configuration): boolean {
  const isMember = replicasOf(configuration).some((replica) => nodeIdOf(replica) === node);
  return isMember === (kind === 'add');
}

const noLeader: MemberChangeResult = {
  outcome: 'refused',
  code: 'unavailable',
  sentence: 'there is no leader that this node can reach: nothing was changed, try again',
};
const noAnswer: MemberChangeResult = {
  outcome: 'refused',
  code: 'unavailable',
  sentence: 'the leader did not answer: the change may have been begun, `quorate cluster status` shows it',
};

function resultOf(result: ChangeResult, inForce: LogIndex): MemberChangeResult {
  switch (result.outcome) {
    case 'appended':
      return { outcome: 'begun', index: result.index };
    case 'not-leader':
      return noLeader;
    case 'busy':
      return refused('another change of the members is under way: try again when it is through');
    case 'moved':
      return refused(
        `the members were changed meanwhile, by entry ${inForce}: look at \`quorate cluster status\` again`,
      );
    case 'refused':
      return refused(result.why);
    default:
      return result satisfies never;
  }
}

const refused = (sentence: string): MemberChangeResult => ({ outcome: 'refused', code: 'conflict', sentence });
