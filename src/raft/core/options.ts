/** What a `Raft` is made with, what it takes in and what it hands out. */
import type { OpenedFormatLevel } from './format-level.ts';
import type { LogWrite, TermRun } from './log.ts';
import type { OutgoingMessage } from './message.ts';
import type { Window } from './progress.ts';
import type {
  Ballot,
  BootId,
  Configuration,
  ConfigurationAt,
  Entry,
  EntryHash,
  EntryKind,
  LogBase,
  LogIndex,
  LogPosition,
  ReplicaId,
} from './types.ts';

export interface RaftOptions {
  readonly self: ReplicaId;
  readonly boot: BootId;
  readonly ballot: Ballot;
  /** The log as verified on disk. */
  readonly log: {
    readonly base: LogBase;
    readonly last: LogPosition;
    readonly runs: readonly TermRun[];
    readonly commit: LogIndex;
    /** The configurations that may be in force: a committed one, then those found behind it. */
    readonly configurations: readonly ConfigurationAt[];
    readonly formatLevel: OpenedFormatLevel;
  };
  /** Voters and learners together. */
  readonly membersMax: number;
  /** Set when the log lacks the tail this replica once promised: it is recovering (protocol A2). */
  readonly lostPromise: LogPosition | null;
  /** Election timeouts are drawn from [min, max] ticks; a heartbeat goes out every tick. */
  readonly electionTicksMin: number;
  readonly electionTicksMax: number;
  readonly window: Window;
  readonly appendEntriesMax: number;
  readonly appendBytesMax: number;
  /** Payload bytes that a leader takes in before they commit. */
  readonly uncommittedBytesMax: number;
  /** Payload bytes that a leader takes in before its own disk has them, even where others have committed them. */
  readonly unsyncedBytesMax: number;
  /** The leader's wall clock stands in every entry it makes, never below the entry before (protocol E3). */
  readonly nowMs: () => number;
  readonly lastEntryTimeMs: number;
  /** A uniform integer in [0, bound). */
  readonly randomBelow: (bound: number) => number;
  /** The hash of an entry's header. */
  readonly seal: (draft: Omit<Entry, 'hash'>) => EntryHash;
  readonly payloadHashOf: (payload: Uint8Array) => EntryHash;
  /** The payload of a configuration entry; `previous` is the index of the configuration in force before it. */
  readonly encodeConfiguration: (configuration: Configuration, previous: LogIndex) => Uint8Array;
  readonly decodeConfiguration: (payload: Uint8Array) => Configuration;
}

/** What has to be done now. Each item is handed out once. */
export interface Ready {
  /** Term or vote changed: to be durable before any of `messages` leaves. */
  readonly ballot: Ballot | null;
  readonly writes: readonly LogWrite[];
  readonly messages: readonly OutgoingMessage[];
  /** Reads that this replica asked for; null: ask again once there is a leader. */
  readonly reads: readonly { readonly requestId: string; readonly index: LogIndex | null }[];
}

export interface Proposal {
  readonly kind: EntryKind;
  readonly payload: Uint8Array;
  readonly payloadHash: EntryHash;
}

/** What became of raising the format level. `busy`: another change of members or level is under way, or a hand-over. */
export type RaiseResult = 'appended' | 'not-leader' | 'busy';

/** `busy`: no room, or the lead is being handed over; the same may be proposed again soon. */
export type ProposeResult = 'appended' | 'not-leader' | 'busy';

/**
 * What became of a change of the configuration. `moved`: it was meant for another configuration than the one in force;
 * `busy`: a change is under way, or this leader has committed nothing yet; `refused`: it makes no sense, `why` says so.
 */
export type ChangeResult =
  | { readonly outcome: 'appended'; readonly index: LogIndex }
  | { readonly outcome: 'not-leader' | 'moved' | 'busy' }
  | { readonly outcome: 'refused'; readonly why: string };

/** `begun`: the target takes over within the shortest election timeout, or this replica goes on as leader. */
export type TransferResult = 'begun' | 'not-leader' | 'leads-already' | 'not-a-voter' | 'under-way';
