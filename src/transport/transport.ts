/**
 * Messages between nodes. Loses, delays and reorders as networks do; never alters a message and never delivers it
 * to another cluster. `tcp.ts` is the default; every implementation passes test/transport/contract.ts.
 */
import type { ErrorCode } from '../errors.ts';
import type { SpaceLevel } from '../platform/disk-space.ts';
import type { FormatRange } from '../raft/core/format-level.ts';
import type { Message } from '../raft/core/message.ts';
import type { BootId, Entry, EntryHash, LogBase, LogIndex, NodeId, ReplicaId, Term } from '../raft/core/types.ts';

/** How nodes begin to talk. What they may say beyond that goes by format levels, so this stays as it is. */
export const protocolVersion = 1;

/** Nodes that read this format level are told the clocks of the others, in their reports. */
export const clocksFrom = 2;

/** What a node says of itself when a connection opens (protocol B3). */
export interface Hello {
  /** `protocolVersion` of the sender. Another one is refused by a sentence. */
  readonly protocol: number;
  readonly node: NodeId;
  readonly replica: ReplicaId;
  readonly boot: BootId;
  /** null while the data directory is empty. */
  readonly clusterId: string | null;
  /** It holds the founding record. False with a cluster id: it is a member that lost its log. */
  readonly founded: boolean;
  /**
   * Writes of hard state that this run found when it began, its own not counted: opening writes, too, and would hide what is
   * missing. A replica that returns with fewer than it had was rolled back (protocol A3).
   */
  readonly hardStateCounter: number;
  /** Base URL of its HTTP API, for status pages. */
  readonly http: string;
  /** Where it listens for the others, `host:port`; empty from 0.1.0. */
  readonly peer: string;
  /** The members as it knows them and where they listen: what a node that knocks at one door learns of the others. */
  readonly members: Readonly<Record<NodeId, string>>;
  /** The release that it runs. */
  readonly version: string;
  /** The format levels that it reads (protocol B4). 0.1.0 says nothing of any of these three. */
  readonly formats: FormatRange;
  /** The level of its cluster, as far as it knows; null while the data directory is empty. */
  readonly formatLevel: number | null;
}

/** The founding record: who the cluster is, from its first moment (protocol B1). */
export interface Founding {
  readonly clusterId: string;
  readonly voters: readonly ReplicaId[];
  /** What all of them could read then (protocol B4). */
  readonly formatLevel: number;
}

/** What an operator asks for, in names of nodes; which incarnation of a node that is, the leader knows. */
export interface MemberChange {
  readonly kind: 'add' | 'remove';
  readonly node: NodeId;
  /** The voter whose place the added node takes once it has caught up. */
  readonly replaces: NodeId | null;
  /** The index of the configuration that the operator has seen; null: whichever is in force. */
  readonly expected: LogIndex | null;
}

export type MemberChangeResult =
  | { readonly outcome: 'begun'; readonly index: LogIndex }
  | { readonly outcome: 'refused'; readonly code: ErrorCode; readonly sentence: string };

/** Why a leader handed over: an operator asked, it was told to stop, or for its disk (protocol G3). */
export const handOverReasons = ['asked', 'stopping', 'slow disk', 'low space'] as const;
export type HandOverReason = (typeof handOverReasons)[number];

/** Codes of the reasons for which a leader does not hand over. */
export const handOverErrors = ['unavailable', 'not-ready', 'conflict'] as const;

/** Everything that travels between nodes. `raft` messages go through the core; the others serve the layers around it. */
export type PeerMessage =
  | { readonly kind: 'raft'; readonly message: Message }
  /** A block on its way to the leader of `term` (protocol C1). */
  | { readonly kind: 'forward'; readonly term: Term; readonly payload: Uint8Array }
  /** Bootstrap: a founded member gives the founding record to an empty one that it lists (protocol B1). */
  | {
      readonly kind: 'found';
      readonly founding: Founding;
      /** A replica that came later and is a member now, by this very incarnation; null where the founding itself lists it. */
      readonly admits: ReplicaId | null;
    }
  /** A committed entry is damaged at the sender: whoever holds the one with this hash sends it (protocol A4). */
  | { readonly kind: 'fetch'; readonly index: LogIndex; readonly hash: EntryHash }
  /** An entry that was asked for. Whoever asked believes its hashes alone. */
  | { readonly kind: 'fetched'; readonly entry: Entry }
  /** The entry that was asked for cannot be given here now: another node is asked without waiting. */
  | { readonly kind: 'lacking'; readonly index: LogIndex; readonly hash: EntryHash }
  /** It has expired: the log begins after this base, also at the one who asked, who could not come as far as to apply that. */
  | { readonly kind: 'trimmed'; readonly base: LogBase }
  /** An operator wants the members changed, and this is not the leader (protocol G4). */
  | { readonly kind: 'change-members'; readonly requestId: string; readonly change: MemberChange }
  | { readonly kind: 'members-changed'; readonly requestId: string; readonly result: MemberChangeResult }
  /** An operator asked the sender for another leader, null: any. The leader hands over (thesis 3.10). */
  | { readonly kind: 'hand-over'; readonly id: string; readonly to: NodeId | null }
  /** Why it does not; that it did, everybody sees. */
  | {
      readonly kind: 'not-handed-over';
      readonly id: string;
      readonly code: (typeof handOverErrors)[number];
      readonly reason: string;
    }
  /** What a node tells the others about itself for their status pages, a few times a second. */
  | {
      readonly kind: 'report';
      readonly applied: LogIndex;
      readonly ready: boolean;
      readonly recovering: boolean;
      /** Durable writes of hard state so far (protocol A3). */
      readonly hardStateCounter: number;
      /** Median time of a synced write of its log lately; null: nothing was written (protocol G3). */
      readonly writeMicros: number | null;
      readonly space: SpaceLevel;
      /** The newest hand-over that it made, as leader of `term`, since it started. */
      readonly handOver: {
        readonly term: Term;
        readonly to: NodeId;
        readonly why: HandOverReason;
        readonly agoMs: number;
      } | null;
      /** Its wall clock (protocol E3); null to, and from, nodes of format level 1. */
      readonly clockMs: number | null;
    };

/** `control` is never behind bulk: votes, heartbeats, read rounds (design 3, protocol I4). */
export type Channel = 'control' | 'bulk';

/**
 * Why a node is not talked to, as it is told itself: `other` is what a version says that knows no codes (0.1.0), or one that knows
 * more of them. Programs go by the code; the sentence is for operators, and may change.
 */
export const refusalCodes = [
  'protocol',
  'same-name',
  'misdirected',
  'other-cluster',
  'recovered-without-you',
  'format-level',
  'stranger',
  'disk-went-back',
  'busy',
  'other',
] as const;

export interface Refusal {
  readonly code: (typeof refusalCodes)[number];
  readonly sentence: string;
}

export interface TransportHandlers {
  /** null admits the peer; a refusal is sent to it and logged on both sides. */
  admit(hello: Hello): Refusal | null;
  /** A peer's control connection is up (again); or a node that is not to be reached has come by itself. */
  onUp(hello: Hello): void;
  onDown(node: NodeId): void;
  onMessage(from: Hello, message: PeerMessage): void;
  /** The peer refused us, in its words. */
  onRefused(node: NodeId, refusal: Refusal): void;
}

export interface Transport {
  /**
   * Starts listening and connecting. `hello` is asked anew for every connection: what a node says of itself changes.
   * Rejects when the address cannot be had.
   */
  start(hello: () => Hello, handlers: TransportHandlers): Promise<void>;
  /** Queues a message. False when it was dropped: no connection, or a full queue. Delivery is never promised. */
  send(to: NodeId, channel: Channel, message: PeerMessage): boolean;
  /** From now on these are the others, with the `host:port` where they listen. */
  reach(peers: ReadonlyMap<NodeId, string>): void;
  /** Our own hello changed in a way that matters (founded a cluster): open connections are opened again. */
  helloChanged(): void;
  close(): Promise<void>;
}
