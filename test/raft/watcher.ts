/** Who looks on while a cluster of a test acts. */
import type { LogWrite } from '../../src/raft/core/log.ts';
import type { Message } from '../../src/raft/core/message.ts';
import type { LogIndex } from '../../src/raft/core/types.ts';
import type { Replica } from './replica.ts';

/** What one action on a replica led to. */
export interface Effects {
  readonly writes: readonly LogWrite[];
  readonly messages: readonly Message[];
  readonly reads: readonly { readonly requestId: string; readonly index: LogIndex | null }[];
}

export interface Watcher {
  /** Called after each action on `replica`; throws a Violation if a promise is broken. */
  check: (replica: Replica, effects: Effects) => void;
  /** The process of `replica` died. */
  crashed?: (replica: Replica) => void;
  /** A read begins. */
  readBegins?: (name: string) => void;
}

export class Violation extends Error {}

export function demand(holds: boolean, sentence: () => string): void {
  if (!holds) throw new Violation(sentence());
}
