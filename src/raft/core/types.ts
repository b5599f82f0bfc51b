/**
 * The words of the Raft thesis as types. This file imports nothing; the store may import it for these words
 * and for nothing else.
 */

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A leader's term of office. 0 before the first election. */
export type Term = Branded<number, 'Term'>;
/** A position in the log. The first entry has index 1; 0 is the empty log. */
export type LogIndex = Branded<number, 'LogIndex'>;
/** What an operator calls a machine: `n1`. Survives a replaced disk. */
export type NodeId = Branded<string, 'NodeId'>;
/**
 * A voter: node id and incarnation of its data directory, `n1#0f3a...`. A replaced disk is another replica (protocol B2),
 * because Raft's safety rests on a voter never returning with less than it promised.
 */
export type ReplicaId = Branded<string, 'ReplicaId'>;
/** One run of one process; random at every start. */
export type BootId = Branded<string, 'BootId'>;
/** The hash of an entry's header, which covers the payload's hash and the hash of the entry before it: 32 hex digits. */
export type EntryHash = Branded<string, 'EntryHash'>;

export const asTerm = (value: number): Term => safeInteger(value) as Term;
export const asIndex = (value: number): LogIndex => safeInteger(value) as LogIndex;
export const asNodeId = (value: string): NodeId => value as NodeId;
export const asBootId = (value: string): BootId => value as BootId;
export const asHash = (value: string): EntryHash => value as EntryHash;
/** What may name a node. */
export const isNodeId = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(text);
export const asReplicaId = (value: string): ReplicaId => value as ReplicaId;

export const replicaIdOf = (node: NodeId, incarnation: string): ReplicaId => `${node}#${incarnation}` as ReplicaId;
export const nodeIdOf = (replica: ReplicaId): NodeId => replica.replace(/#.*/, '') as NodeId;

/** The hash that stands before the first entry. */
export const zeroHash = asHash('0'.repeat(32));

function safeInteger(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a term or index: ${value}`);
  return value;
}

/**
 * What an entry carries. `noop` opens a term; `block` holds spans; `configuration` says who votes from there on; `trim` names
 * the base from which the log goes on; `format-level` lets entries of newer kinds follow (`format-level.ts`).
 */
export type EntryKind = 'noop' | 'block' | 'configuration' | 'trim' | 'format-level';

/** One entry of the replicated log. Immutable from the moment its leader sealed it. */
export interface Entry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly kind: EntryKind;
  /** The leader's wall clock when it appended, ms since the epoch, never below the entry before (protocol E3). */
  readonly timeMs: number;
  /** Hash of the entry before this one; `zeroHash` before index 1. */
  readonly previousHash: EntryHash;
  /** Hash of `payload` alone, so that a payload can be redacted later without breaking the chain (protocol C5). */
  readonly payloadHash: EntryHash;
  readonly payload: Uint8Array;
  /** Hash of the header: all of the above but `payload`. */
  readonly hash: EntryHash;
}

/** A position that identifies one entry and, through the hash chain, everything before it. */
export interface LogPosition {
  readonly index: LogIndex;
  readonly term: Term;
  readonly hash: EntryHash;
}

export const emptyLog: LogPosition = { index: asIndex(0), term: asTerm(0), hash: zeroHash };

/** What a replica must remember across a crash before any message that depends on it leaves (thesis figure 3.1). */
export interface Ballot {
  readonly term: Term;
  /** Whom this replica voted for in `term`. */
  readonly vote: ReplicaId | null;
}

/** A replica that gets the log and has no vote, until it has caught up (thesis 4.2.1). */
export interface Learner {
  readonly replica: ReplicaId;
  /** The voter that leaves when this one is promoted: a replaced disk or machine (protocol B2). */
  readonly replaces: ReplicaId | null;
}

/** The members of the group (protocol G4). */
export interface Configuration {
  readonly voters: readonly ReplicaId[];
  /** The voters before a change under way, whose majority is needed too; empty when none is (joint consensus, thesis 4.3). */
  readonly outgoing: readonly ReplicaId[];
  readonly learners: readonly Learner[];
  /** Where members that came after the founding listen for the others, `host:port`. */
  readonly addresses: Readonly<Record<NodeId, string>>;
}

/** A configuration and the index of the entry that made it; that of the base, or 0, for the first one. */
export interface ConfigurationAt {
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

/**
 * What stands before the first entry, everything as of `position` and nothing newer (protocol E1). A snapshot is this and no
 * more: the log is the store, and what lies below its base has expired on every node.
 */
export interface LogBase {
  /** The last entry that is no longer in the log; `emptyLog` when none was trimmed. */
  readonly position: LogPosition;
  /** Entry time at `position`; 0 for the empty log. */
  readonly timeMs: number;
  readonly configuration: Configuration;
  /** The entry that made it, at or below `position`; 0 for that of the founding. */
  readonly configurationIndex: LogIndex;
  /** The format level in force (protocol B4). */
  readonly formatLevel: number;
}
