/** One real core among voters that exist only as hand-written messages. */
import type {
  Append,
  AppendReply,
  Heartbeat,
  HeartbeatReply,
  Message,
  PreVote,
  TimeoutNow,
  Vote,
} from '../../src/raft/core/message.ts';
import { asBootId, asIndex, asReplicaId, asTerm, type Entry } from '../../src/raft/core/types.ts';
import { defaultOptions, diskOf, type Disk, Replica, type ReplicaOptions } from './replica.ts';

/** Replica 1 of `voters`, as it starts with this on its disk. */
export function replicaWith(disk: Disk = diskOf({}), voters = 3, options: Partial<ReplicaOptions> = {}): Replica {
  const ids = Array.from({ length: voters }, (_, at) => asReplicaId(`${at + 1}`));
  const replica = new Replica(asReplicaId('1'), ids, disk, { ...defaultOptions, ...options });
  replica.takeOutcome();
  return replica;
}

/** What the replica sent since the last call. */
export const sentBy = (replica: Replica): readonly Message[] =>
  replica.takeOutcome().sent.map(({ message }) => message);

export function sentOf<T extends Message['type']>(replica: Replica, type: T): readonly Extract<Message, { type: T }>[] {
  return sentBy(replica).filter((message): message is Extract<Message, { type: T }> => message.type === type);
}

export const persist = (replica: Replica): void => {
  replica.persistBallot();
  replica.persistLog();
};

interface Speaker {
  readonly from?: string;
  readonly term: number;
  /** The boot of the sender; by default its first. */
  readonly boot?: number;
}

const envelope = ({ from = '2', term, boot = 1 }: Speaker) => ({
  from: asReplicaId(from),
  to: asReplicaId('1'),
  term: asTerm(term),
  boot: asBootId(`${from}.${boot}`),
});

/** `after` is [index, term] of the entry before. */
export const append = (
  message: Speaker & {
    after: readonly [number, number];
    entries?: readonly Entry[];
    commit?: number;
    session?: number;
  },
): Append => ({
  ...envelope(message),
  type: 'append',
  session: message.session ?? 1,
  previousIndex: asIndex(message.after[0]),
  previousTerm: asTerm(message.after[1]),
  entries: message.entries ?? [],
  commit: asIndex(message.commit ?? 0),
});

export const accepted = (message: Speaker & { match: number; session?: number }): AppendReply => ({
  ...envelope(message),
  type: 'append-reply',
  session: message.session ?? sessionOf(message.from),
  result: { accepted: true, match: asIndex(message.match) },
});

export const refused = (
  message: Speaker & { at: number; hint: readonly [number, number]; session?: number },
): AppendReply => ({
  ...envelope(message),
  type: 'append-reply',
  session: message.session ?? sessionOf(message.from),
  result: {
    accepted: false,
    rejected: asIndex(message.at),
    hintIndex: asIndex(message.hint[0]),
    hintTerm: asTerm(message.hint[1]),
  },
});

export const heartbeat = (message: Speaker & { commit?: number; round?: number; session?: number }): Heartbeat => ({
  ...envelope(message),
  type: 'heartbeat',
  session: message.session ?? 1,
  round: message.round ?? 0,
  commit: asIndex(message.commit ?? 0),
});

export const echo = (message: Speaker & { round: number; session?: number }): HeartbeatReply => ({
  ...envelope(message),
  type: 'heartbeat-reply',
  session: message.session ?? sessionOf(message.from),
  round: message.round,
});

/** A new leader 1 gives its followers 2, 3, ... the sessions 1, 2, ... */
const sessionOf = (from = '2'): number => Number(from) - 1;

export const vote = (
  message: Speaker & { last: readonly [number, number]; type?: 'vote' | 'pre-vote'; transfer?: boolean },
): Vote | PreVote => {
  const last = { lastIndex: asIndex(message.last[0]), lastTerm: asTerm(message.last[1]) };
  return message.type === 'pre-vote'
    ? { ...envelope(message), ...last, type: 'pre-vote' }
    : { ...envelope(message), ...last, type: 'vote', transfer: message.transfer ?? false };
};

export const timeoutNow = (message: Speaker & { last: number }): TimeoutNow => ({
  ...envelope(message),
  type: 'timeout-now',
  lastIndex: asIndex(message.last),
});

export const granted = (message: Speaker & { granted?: boolean }): Message => ({
  ...envelope(message),
  type: 'vote-reply',
  granted: message.granted ?? true,
});

export const preGranted = (message: Speaker & { granted?: boolean; campaignTerm?: number }): Message => ({
  ...envelope(message),
  type: 'pre-vote-reply',
  granted: message.granted ?? true,
  campaignTerm: asTerm(message.campaignTerm ?? message.term + 1),
});

/** Wins a pre-vote with 2, and with `others` the vote; its ballot is durable. */
export function makeCandidate(replica: Replica, preVoters: readonly string[] = ['2']): number {
  replica.campaign();
  for (const from of preVoters) replica.step(preGranted({ from, term: replica.raft.term }));
  replica.persistBallot();
  return replica.raft.term;
}

export function makeLeader(replica: Replica, voters: readonly string[] = ['2']): number {
  const term = makeCandidate(replica, voters);
  for (const from of voters) replica.step(granted({ from, term }));
  if (replica.raft.role !== 'leader') throw new Error(`not elected: ${replica.raft.role}`);
  return term;
}
