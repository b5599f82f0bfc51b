/** What replicas say to each other. Every message goes through `Raft.step`; there is no second path (bug E6). */
import type { BootId, Entry, LogBase, LogIndex, ReplicaId, Term } from './types.ts';

interface Envelope {
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  /** The sender's term. A message leaves only when this term and the vote in it are durable. */
  readonly term: Term;
  /** The sender's boot: a restarted peer starts a new replication session (protocol B3). */
  readonly boot: BootId;
}

/** Would you vote for me in `term + 1`? Changes nothing anywhere (thesis 9.6). */
export interface PreVote extends Envelope {
  readonly type: 'pre-vote';
  readonly lastTerm: Term;
  readonly lastIndex: LogIndex;
}
export interface PreVoteReply extends Envelope {
  readonly type: 'pre-vote-reply';
  readonly granted: boolean;
  /** The term asked for, so that a late reply cannot count for another campaign (bug L2). */
  readonly campaignTerm: Term;
}
export interface Vote extends Envelope {
  readonly type: 'vote';
  readonly lastTerm: Term;
  readonly lastIndex: LogIndex;
  /** The leader itself asked for this campaign: voters that hear it answer all the same (thesis 4.2.3). */
  readonly transfer: boolean;
}
export interface VoteReply extends Envelope {
  readonly type: 'vote-reply';
  readonly granted: boolean;
}
/**
 * Replication (thesis 3.5). Leaving the core it names a range, the driver fills in `entries` from the log;
 * `entries` is empty for a probe or to tell a commit index.
 */
export interface Append extends Envelope {
  readonly type: 'append';
  /** The replication session, echoed in replies: acks of an earlier one are void (bug E12, protocol B3). */
  readonly session: number;
  readonly previousIndex: LogIndex;
  readonly previousTerm: Term;
  /** previousIndex < entries[0].index, consecutive. */
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
}
/** An append as the core emits it: entries in (previousIndex, lastIndex], still in the log. */
export type AppendRange = Omit<Append, 'entries'> & { readonly lastIndex: LogIndex };

/**
 * The follower lacks entries that the leader no longer has: its log goes on from this base (thesis 5, protocol E1). There are no
 * spans in it, so it is one small message; what follows is replication as ever. Answered like an append that ends at the base.
 */
export interface Snapshot extends Envelope {
  readonly type: 'snapshot';
  readonly session: number;
  readonly base: LogBase;
}

export interface AppendReply extends Envelope {
  readonly type: 'append-reply';
  readonly session: number;
  readonly result:
    | { readonly accepted: true; readonly match: LogIndex }
    /** `rejected` is the previousIndex asked for; (hintIndex, hintTerm) is where the follower's log may match. */
    | { readonly accepted: false; readonly rejected: LogIndex; readonly hintIndex: LogIndex; readonly hintTerm: Term };
}
export interface Heartbeat extends Envelope {
  readonly type: 'heartbeat';
  readonly session: number;
  /** The read round, chosen by the leader and echoed unchanged (protocol D1, bug R2). */
  readonly round: number;
  /** min(match of the receiver, commit index). */
  readonly commit: LogIndex;
}
export interface HeartbeatReply extends Envelope {
  readonly type: 'heartbeat-reply';
  readonly session: number;
  readonly round: number;
}
/** The leader hands over: the receiver campaigns at once, if it holds this log to its end (thesis 3.10, protocol G2). */
export interface TimeoutNow extends Envelope {
  readonly type: 'timeout-now';
  /** The last index of the leader, which takes no proposals meanwhile. */
  readonly lastIndex: LogIndex;
}
/** A follower asks the leader for a read index on behalf of its clients. */
export interface ReadIndex extends Envelope {
  readonly type: 'read-index';
  readonly requestId: string;
}
export interface ReadIndexReply extends Envelope {
  readonly type: 'read-index-reply';
  readonly requestId: string;
  /** null: not the leader, or not able to confirm that it still is. */
  readonly index: LogIndex | null;
}

export type Message =
  | PreVote
  | PreVoteReply
  | Vote
  | VoteReply
  | Append
  | Snapshot
  | AppendReply
  | Heartbeat
  | HeartbeatReply
  | TimeoutNow
  | ReadIndex
  | ReadIndexReply;

/** What the core asks to be sent. */
export type OutgoingMessage = Exclude<Message, Append> | AppendRange;
