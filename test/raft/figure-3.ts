/**
 * The five properties of figure 3 of the Raft paper, each as a watcher of its own. They are written from their sentences,
 * without what promises.ts makes of the hash chain: whole logs are compared, entry by entry, by term and content.
 */
import type { Entry, ReplicaId, Term } from '../../src/raft/core/types.ts';
import { entriesText, position } from './print.ts';
import { appendsOf, type Replica, textOf } from './replica.ts';
import { demand, type Effects, type Watcher } from './watcher.ts';

/** `checked` counts the cases in which the property could have been broken: a run without any proves nothing. */
export interface Property extends Watcher {
  readonly checked: number;
}

export const same = (left: Entry | undefined, right: Entry | undefined): boolean =>
  left !== undefined &&
  right !== undefined &&
  (left === right || (left.term === right.term && textOf(left) === textOf(right)));

export const isPrefix = (prefix: readonly Entry[], entries: readonly Entry[]): boolean =>
  prefix.every((entry, at) => same(entry, entries[at]));

export const leads = (replica: Replica): boolean => replica.running && replica.raft.role === 'leader';

/** At most one server is elected in a term. */
export class ElectionSafety implements Property {
  checked = 0;
  readonly #leaderOf = new Map<Term, ReplicaId>();

  check(replica: Replica): void {
    if (!leads(replica)) return;
    const { term } = replica.raft;
    const known = this.#leaderOf.get(term);
    if (known === undefined) this.checked += 1;
    demand(known === undefined || known === replica.id, () => `${known} and ${replica.id} both lead term ${term}`);
    this.#leaderOf.set(term, replica.id);
  }
}

/** While it leads, a server appends to its log; it overwrites and deletes nothing there. */
export class LeaderAppendOnly implements Property {
  checked = 0;
  readonly #logOf = new Map<ReplicaId, { readonly term: Term; readonly entries: readonly Entry[] }>();

  check(replica: Replica, { writes }: Effects): void {
    const before = this.#logOf.get(replica.id);
    this.#logOf.delete(replica.id);
    if (!leads(replica)) return;
    const { term } = replica.raft;
    this.#logOf.set(replica.id, { term, entries: [...replica.entries] });
    if (before?.term !== term) return;
    this.checked += writes.length;
    demand(
      isPrefix(before.entries, replica.entries) && appendsOf(writes).every(({ truncateFrom }) => truncateFrom === null),
      () => `leader ${replica.id} had ${entriesText(before.entries)}, now ${entriesText(replica.entries)}`,
    );
  }

  crashed(replica: Replica): void {
    this.#logOf.delete(replica.id);
  }
}

/** Two logs that hold an entry of one index and term are equal up to it: in memory and on disk. */
export class LogMatching implements Property {
  checked = 0;
  readonly #replicas: readonly Replica[];

  constructor(replicas: readonly Replica[]) {
    this.#replicas = replicas;
  }

  check(replica: Replica): void {
    for (const other of this.#replicas) {
      if (other === replica) continue;
      this.#compare(replica.entries, other.running ? other.entries : other.disk.entries);
      this.#compare(replica.disk.entries, other.disk.entries);
    }
  }

  #compare(left: readonly Entry[], right: readonly Entry[]): void {
    const at = left.findLastIndex((entry) => entry.term === right[entry.index - 1]?.term);
    if (at < 0) return;
    this.checked += 1;
    demand(
      isPrefix(left.slice(0, at + 1), right),
      () => `${entriesText(left)} and ${entriesText(right)} share a term at ${at + 1}, yet not all up to it`,
    );
  }
}

/** What is committed in a term stands in the log of every leader of a later term. */
export class LeaderCompleteness implements Property {
  checked = 0;
  readonly #replicas: readonly Replica[];
  readonly #committed: { readonly entry: Entry; readonly inTerm: Term }[] = [];

  constructor(replicas: readonly Replica[]) {
    this.#replicas = replicas;
  }

  check(replica: Replica): void {
    // A leader decides what is committed; followers are told.
    if (leads(replica)) {
      const { commit, term } = replica.raft;
      for (const entry of replica.entries.slice(this.#committed.length, commit))
        this.#committed.push({ entry, inTerm: term });
    }
    for (const leader of this.#replicas) if (leads(leader)) this.#checkLeader(leader);
  }

  #checkLeader(leader: Replica): void {
    const { term } = leader.raft;
    this.#committed.forEach(({ entry, inTerm }, at) => {
      if (inTerm >= term) return;
      this.checked += 1;
      demand(
        same(entry, leader.entries[at]),
        () => `leader ${leader.id} of term ${term} lacks ${position(entry)}, committed in ${inTerm}`,
      );
    });
  }
}

/** Once a server has applied an entry at an index, no server applies another one there. */
export class StateMachineSafety implements Property {
  checked = 0;
  readonly #appliedAt: Entry[] = [];
  readonly #applied = new Map<ReplicaId, number>();

  check(replica: Replica): void {
    const { commit } = replica.raft;
    for (let at = this.#applied.get(replica.id) ?? 0; at < commit; at += 1) {
      const entry = replica.entries[at];
      const known = this.#appliedAt[at];
      if (known === undefined && entry !== undefined) {
        this.#appliedAt.push(entry);
        continue;
      }
      this.checked += 1;
      demand(same(known, entry), () => `${replica.id} applies another entry ${at + 1}`);
    }
    this.#applied.set(replica.id, commit);
  }

  /** A state machine begins anew with its process, and applies everything again. */
  crashed(replica: Replica): void {
    this.#applied.delete(replica.id);
  }
}
