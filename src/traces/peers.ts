/**
 * What this node knows of the others: who is connected, what each said of itself, and who must not be talked to
 * (protocol A3, B3).
 */
import type { Logger } from '../logger.ts';
import type { Clock } from '../platform/clock.ts';
import { otherCluster } from '../raft/core/cluster-epoch.ts';
import { majority } from '../raft/core/quorum.ts';
import { asTerm, type BootId, type NodeId, nodeIdOf, type ReplicaId, type Term } from '../raft/core/types.ts';
import type { ClockReading } from './clock-guard.ts';
import type { HandOverReason, Hello, PeerMessage, Refusal } from '../transport/transport.ts';

export type Report = PeerMessage & { readonly kind: 'report' };

export interface Peer {
  readonly hello: Hello;
  connected: boolean;
  report: Report | null;
}

/** A leader of `term` had another node take over. */
export interface HandOver {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly why: HandOverReason;
  readonly term: Term;
  /** By the monotonic clock of this node. */
  readonly atMs: number;
}

export interface PeersOptions {
  readonly node: NodeId;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The members as far as this node knows, itself included. */
  readonly members: () => ReadonlyMap<NodeId, string>;
}

const handOversMax = 16;
/** A refusal counts for this long: a peer that still refuses says so again well before. */
const refusalMs = 10_000;
/** Nodes that are no members and may be connected all the same, to be added. */
const applicantsMax = 8;

export class Peers {
  readonly #options: PeersOptions;
  readonly #peers = new Map<NodeId, Peer>();
  /**
   * Highest hard-state counter seen per replica, and in which run: one that comes back with less was rolled back (protocol
   * A3). Reports tell of the writes of a run, a hello only of those before it.
   */
  readonly #counters = new Map<ReplicaId, { readonly boot: BootId; readonly counter: number }>();
  /** Hand-overs that peers told of, by term: a term ends with one at most. The newest few. */
  readonly #handOvers = new Map<Term, HandOver>();
  /** The last that each node told of its wall clock, also where it is gone since. */
  readonly #clocks = new Map<NodeId, ClockReading & { readonly replica: ReplicaId }>();
  /** Peers that will not talk to this node. */
  readonly #refusals = new Map<NodeId, { readonly sentence: string; readonly atMs: number }>();

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  get(node: NodeId): Peer | undefined {
    return this.#peers.get(node);
  }

  get hellos(): readonly Hello[] {
    return [...this.#peers.values()].map((peer) => peer.hello);
  }

  /** The hellos of those that are there. */
  get connected(): readonly Hello[] {
    return [...this.#peers.values()].filter((peer) => peer.connected).map((peer) => peer.hello);
  }

  /** Those that are there and lost what they had promised. */
  get recovering(): readonly NodeId[] {
    const peers = [...this.#peers.values()].filter(({ connected, report }) => connected && report?.recovering === true);
    return peers.map(({ hello }) => hello.node);
  }

  /** null admits a peer that introduces itself. `clusterId` is this node's own. */
  admit(hello: Hello, clusterId: string | null): Refusal | null {
    const elsewhere = otherCluster({ node: this.#options.node, clusterId }, hello);
    if (elsewhere !== null) return elsewhere;
    const stranger = this.#strangers(hello, clusterId);
    if (stranger !== null) return stranger;
    const seen = this.#counters.get(hello.replica);
    if (seen !== undefined && seen.boot !== hello.boot && hello.hardStateCounter < seen.counter) {
      const sentence = `the disk of ${hello.node} went back in time (hard state ${hello.hardStateCounter}, seen ${seen.counter}): empty its --data so that it returns as a new member`;
      return { code: 'disk-went-back', sentence };
    }
    return null;
  }

  /** Someone unknown may be a member of tomorrow, or one that this node has yet to hear of. */
  #strangers(hello: Hello, clusterId: string | null): Refusal | null {
    const members = this.#options.members();
    // A node at the door takes whoever answers there.
    if (members.has(hello.node) || members.size <= 1) return null;
    // A member of later than this node knows of: it may have been away, or have lost its disk.
    if (hello.clusterId !== null) return null;
    if (clusterId === null) return { code: 'stranger', sentence: `${hello.node} is not in this node's --cluster` };
    const waiting = [...this.#peers.values()].filter((peer) => peer.connected && !members.has(peer.hello.node));
    const others = waiting.filter((peer) => peer.hello.node !== hello.node);
    if (others.length < applicantsMax) return null;
    return { code: 'busy', sentence: `${applicantsMax} nodes wait to be admitted already` };
  }

  up(hello: Hello): void {
    this.#refusals.delete(hello.node);
    this.#noteCounter(hello, hello.hardStateCounter);
    this.#peers.set(hello.node, { hello, connected: true, report: null });
  }

  down(node: NodeId): void {
    const peer = this.#peers.get(node);
    if (peer !== undefined) peer.connected = false;
  }

  reported(hello: Hello, report: Report): void {
    const peer = this.#peers.get(hello.node);
    if (peer !== undefined) peer.report = report;
    this.#noteCounter(hello, report.hardStateCounter);
    this.#noteHandOver(hello.node, report);
    this.#noteClock(hello, report);
  }

  #noteClock({ node, replica }: Hello, { clockMs }: Report): void {
    if (clockMs === null) return;
    this.#clocks.set(node, { replica, wallMs: clockMs, monotonicMs: this.#options.clock.monotonicMs() });
  }

  /** The last that a replica told of its wall clock, with the monotonic time here at which that came. */
  clockOf(replica: ReplicaId): ClockReading | null {
    const told = this.#clocks.get(nodeIdOf(replica));
    return told?.replica === replica ? told : null;
  }

  #noteHandOver(from: NodeId, { handOver }: Report): void {
    if (handOver === null) return;
    const { term, to, why, agoMs } = handOver;
    const atMs = this.#options.clock.monotonicMs() - agoMs;
    const known = this.#handOvers.get(term);
    // A report that was long on its way makes it look newer.
    if (known === undefined || atMs < known.atMs) this.#handOvers.set(term, { from, to, why, term, atMs });
    if (this.#handOvers.size > handOversMax) this.#handOvers.delete(asTerm(Math.min(...this.#handOvers.keys())));
  }

  /** The newest one that a peer told of, of those that are `wanted`. */
  lastHandOver(wanted: (handOver: HandOver) => boolean): HandOver | null {
    const newest = [...this.#handOvers.values()].filter(wanted).toSorted((left, right) => right.term - left.term);
    return newest[0] ?? null;
  }

  /**
   * A peer refused this node. One may be wrong about it; when a majority of the members will not have it, the answer is a
   * sentence to stop with. So it is when the operator has recovered the cluster without this node.
   */
  refused(node: NodeId, { code, sentence }: Refusal): string | null {
    const { clock, logger, members } = this.#options;
    const nowMs = clock.monotonicMs();
    if (!members().has(node)) return null;
    if (this.#refusals.get(node)?.sentence !== sentence) logger.warn({ peer: node }, `refused by ${node}: ${sentence}`);
    this.#refusals.set(node, { sentence, atMs: nowMs });
    if (code === 'recovered-without-you') return `refused by ${node}: ${sentence}`;
    const refusing = [...this.#refusals].filter(([, { atMs }]) => nowMs - atMs < refusalMs).map(([refuser]) => refuser);
    return refusing.length >= majority(members().size) ? `refused by ${refusing.join(' and ')}: ${sentence}` : null;
  }

  #noteCounter({ replica, boot }: Hello, counter: number): void {
    const seen = this.#counters.get(replica)?.counter ?? 0;
    this.#counters.set(replica, { boot, counter: Math.max(counter, seen) });
  }
}
