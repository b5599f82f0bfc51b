/**
 * What must hold while a cluster is upgraded from a binary that reads format level 1 alone (protocol B4; invariants U1, U3, U4 of
 * docs/spec.md). Looked at from outside: what binaries are on the machines, what is on their disks, what reaches them.
 */
import { formatRange, levelOfKind } from '../../src/raft/core/format-level.ts';
import { levelOfMessage } from '../../src/transport/message-level.ts';
import type { PeerMessage } from '../../src/transport/transport.ts';
import type { EntryOnDisk } from './disk-view.ts';
import type { SimNode } from './sim-node.ts';
import { demand } from './witness.ts';

/** Of a node of before. */
export const oldFormats = { oldest: 1, newest: 1 } as const;

/** `node` made an entry durable; `members` are all members. */
export function checkWritten(node: SimNode, { index, kind }: EntryOnDisk, members: readonly SimNode[]): void {
  const level = kind === 'format-level' ? formatRange.newest : levelOfKind[kind];
  demand(
    node.formats.newest >= level,
    `U4: entry ${index}, ${kind}, is on the disk of ${node.id}, whose binary does not read it`,
  );
  const marked = node.view.hardState()?.formatLevelWritten ?? 0;
  demand(marked >= level, `U3: entry ${index}, ${kind}, is on the disk of ${node.id} before its hard state says so`);
  const old = kind === 'format-level' ? members.filter(({ formats }) => formats.newest < level) : [];
  demand(
    old.length === 0,
    `U1: entry ${index} raises the level, which ${old.map(({ id }) => id).join(', ')} cannot read`,
  );
}

/** A message reached `node`. */
export function checkReceived(node: SimNode, message: PeerMessage): void {
  demand(
    levelOfMessage(message) <= node.formats.newest,
    `U4: a message (${message.kind}) reached ${node.id}, whose binary does not read it`,
  );
}
