/**
 * The format level that a node must read to take a message (protocol B4): an older one would cut the connection off at it.
 * Transports drop what the peer cannot read, as they drop what has no room; whoever waits for an answer asks somebody else.
 */
import { levelOfKind } from '../raft/core/format-level.ts';
import type { Message } from '../raft/core/message.ts';
import { clocksFrom, type PeerMessage } from './transport.ts';

const levels: Readonly<Record<Exclude<PeerMessage['kind'], 'raft' | 'fetched' | 'report'>, number>> = {
  forward: 1,
  found: 1,
  fetch: 2,
  lacking: 2,
  trimmed: levelOfKind.trim,
  'change-members': 2,
  'members-changed': 2,
  'hand-over': 2,
  'not-handed-over': 2,
};

const raftLevels: Readonly<Record<Message['type'], number>> = {
  'pre-vote': 1,
  'pre-vote-reply': 1,
  vote: 1,
  'vote-reply': 1,
  append: 1,
  // It follows trims alone, which no log below that level has.
  snapshot: levelOfKind.trim,
  'append-reply': 1,
  heartbeat: 1,
  'heartbeat-reply': 1,
  'timeout-now': 2,
  'read-index': 1,
  'read-index-reply': 1,
};

export function levelOfMessage(message: PeerMessage): number {
  switch (message.kind) {
    case 'raft': {
      const raft = message.message;
      const entries = raft.type === 'append' ? raft.entries : [];
      return entries.reduce((level, { kind }) => Math.max(level, levelOfKind[kind]), raftLevels[raft.type]);
    }
    case 'fetched':
      return Math.max(2, levelOfKind[message.entry.kind]);
    case 'report':
      return message.clockMs === null ? 1 : clocksFrom;
    default:
      return levels[message.kind];
  }
}
