/** How scenarios show replicas, messages and entries: one line each. A position is `index@term`. */
import type { Message } from '../../src/raft/core/message.ts';
import type { LogWrite } from '../../src/raft/core/log.ts';
import type { Entry, LogIndex, Term } from '../../src/raft/core/types.ts';
import { membersText, type Replica, tailOf, textOf } from './replica.ts';

export const position = (at: { readonly index: LogIndex; readonly term: Term }): string => `${at.index}@${at.term}`;

/** `3@1 a`, or `3@1` alone for an entry that a scenario began with. */
const entryText = (entry: Entry): string => {
  const text = textOf(entry);
  return text === position(entry) ? text : `${position(entry)} ${text}`;
};

export const entriesText = (entries: readonly Entry[]): string => `[${entries.map(entryText).join(', ')}]`;

export function messageText(message: Message): string {
  return `${message.from}->${message.to} ${message.type} t${message.term} ${bodyText(message)}`.trimEnd();
}

function bodyText(message: Message): string {
  switch (message.type) {
    case 'timeout-now':
      return `last=${message.lastIndex}`;
    case 'pre-vote':
    case 'vote':
      return `last=${position({ index: message.lastIndex, term: message.lastTerm })}${message.type === 'vote' && message.transfer ? ' transfer' : ''}`;
    case 'pre-vote-reply':
      return `${message.granted ? 'granted' : 'refused'} for t${message.campaignTerm}`;
    case 'vote-reply':
      return message.granted ? 'granted' : 'refused';
    case 'append': {
      const previous = position({ index: message.previousIndex, term: message.previousTerm });
      return `s${message.session} after=${previous} ${entriesText(message.entries)} commit=${message.commit}`;
    }
    case 'append-reply': {
      const { result } = message;
      if (result.accepted) return `s${message.session} match=${result.match}`;
      const hint = position({ index: result.hintIndex, term: result.hintTerm });
      return `s${message.session} no-match-at=${result.rejected} hint=${hint}`;
    }
    case 'heartbeat':
      return `s${message.session} round=${message.round} commit=${message.commit}`;
    case 'heartbeat-reply':
      return `s${message.session} round=${message.round}`;
    case 'read-index':
      return message.requestId;
    case 'snapshot':
      return `s${message.session} base=${position(message.base.position)}`;
    case 'read-index-reply':
      break;
  }
  return `${message.requestId} ${message.index === null ? 'not confirmed' : `index=${message.index}`}`;
}

export function writeText(write: LogWrite): string {
  if ('base' in write) return `${write.replacesLog ? 'begin anew' : 'trim'} after ${position(write.base.position)}`;
  const truncation = write.truncateFrom === null ? '' : `truncate from ${write.truncateFrom}, `;
  return `${truncation}${entriesText(write.entries)}`;
}

/** What can change without a message: shown after each command when it did. */
export function summary(replica: Replica): Map<string, string> {
  const { raft } = replica;
  const fields = new Map<string, string>();
  fields.set('role', raft.role);
  fields.set('term', `${raft.term}`);
  fields.set('vote', raft.vote ?? '-');
  if (raft.role === 'follower') fields.set('leader', raft.leader ?? '-');
  fields.set('last', position(raft.last));
  fields.set('durable', `${raft.durable}`);
  fields.set('commit', `${raft.commit}`);
  if (raft.configuration.index > 0) fields.set('members', membersText(raft.configuration.configuration));
  if (raft.transferTarget !== null) fields.set('transfer', raft.transferTarget);
  if (raft.lostPromise !== null) fields.set('recovering', position(raft.lostPromise));
  return fields;
}

export function stateText(replica: Replica): string[] {
  if (!replica.running) return [`${replica.id} down, disk last=${position(tailOf(replica.disk.entries))}`];
  const fields = [...summary(replica)].map(([name, value]) =>
    name === 'role' ? value : `${name}=${value.includes(' ') ? `(${value})` : value}`,
  );
  const lines = [`${replica.id} ${fields.join(' ')}`];
  for (const [peer, progress] of replica.raft.progress ?? []) {
    const { state, match, next, inflightMessages, session, paused } = progress;
    const window = paused ? `${inflightMessages} paused` : `${inflightMessages}`;
    lines.push(`  to ${peer}: ${state} match=${match} next=${next} inflight=${window} s${session}`);
  }
  return lines;
}

/** `1: term 0 -> 1, commit 2 -> 3`; null when nothing changed. */
export function changeText(id: string, before: Map<string, string>, after: Map<string, string>): string | null {
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const changes = names
    .map((name) => ({ name, from: before.get(name) ?? '-', to: after.get(name) ?? '-' }))
    .filter(({ from, to }) => from !== to)
    .map(({ name, from, to }) => `${name} ${from} -> ${to}`);
  return changes.length === 0 ? null : `${id}: ${changes.join(', ')}`;
}
