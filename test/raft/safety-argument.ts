/**
 * Steps of the argument of section 5.4.3 of the Raft paper, and sentences of 5.4.1 that hold at every moment of any
 * schedule: each a watcher of its own, like the properties of figure 3.
 */
import { RaftLog } from '../../src/raft/core/log.ts';
import type { Entry, ReplicaId } from '../../src/raft/core/types.ts';
import { isPrefix, leads, type Property, same } from './figure-3.ts';
import { entriesText, position } from './print.ts';
import { appendsOf, type Replica, tailOf } from './replica.ts';
import { demand, type Effects } from './watcher.ts';

/** What leaders have declared committed, in the order of the log. */
class Committed {
  readonly entries: Entry[] = [];

  look(replica: Replica): void {
    if (leads(replica)) this.entries.push(...replica.entries.slice(this.entries.length, replica.raft.commit));
  }
}

/** 5.4.1: entries flow in one direction, from leaders to followers. */
export class EntriesFlowOneWay implements Property {
  checked = 0;

  check(replica: Replica, { messages }: Effects): void {
    for (const message of messages) {
      if (message.type !== 'append') continue;
      this.checked += 1;
      demand(
        leads(replica) && message.term === replica.raft.term,
        () => `${replica.id} sends entries and does not lead`,
      );
    }
  }
}

/**
 * 5.4.1: a log at least as up to date as those of a majority holds every committed entry. Where a disk forgot what its
 * hard state promises, the promise is compared, and the replica is no candidate (differs: protocol A2).
 */
export class UpToDateIsComplete implements Property {
  checked = 0;
  readonly #replicas: readonly Replica[];
  readonly #committed = new Committed();

  constructor(replicas: readonly Replica[]) {
    this.#replicas = replicas;
  }

  check(replica: Replica): void {
    this.#committed.look(replica);
    for (const one of this.#replicas) if (one.running && one.raft.lostPromise === null) this.#checkCandidate(one);
  }

  #checkCandidate(candidate: Replica): void {
    const tail = tailOf(candidate.entries);
    const behind = this.#replicas.filter(({ id, disk }) => {
      return (
        id === candidate.id || [disk.promise, tailOf(disk.entries)].every((other) => RaftLog.upToDate(tail, other))
      );
    });
    if (behind.length * 2 <= this.#replicas.length) return;
    const committed = this.#committed.entries;
    this.checked += committed.length;
    demand(
      isPrefix(committed, candidate.entries),
      () =>
        `${candidate.id} is up to date with ${entriesText(candidate.entries)}, yet ${entriesText(committed)} is committed`,
    );
  }
}

/** 5.4.3, step 4: a follower removes an entry only if it conflicts with the leader's. */
export class FollowersRemoveOnlyConflicts implements Property {
  checked = 0;
  readonly #logOf = new Map<ReplicaId, readonly Entry[]>();

  check(replica: Replica, { writes }: Effects): void {
    let log = this.#logOf.get(replica.id) ?? [];
    for (const { truncateFrom, entries } of appendsOf(writes)) {
      if (truncateFrom !== null) {
        this.checked += 1;
        const removed = log[truncateFrom - 1];
        demand(
          removed !== undefined && removed.index === entries[0]?.index && removed.term !== entries[0].term,
          () => `${replica.id} removes from ${truncateFrom} on without a conflict: ${entriesText(log)}`,
        );
        log = log.slice(0, truncateFrom - 1);
      }
      log = [...log, ...entries];
    }
    this.#logOf.set(replica.id, [...replica.entries]);
  }
}

/** 5.4.3, step 6: of two logs that end in the same term the longer holds all of the shorter. */
export class SameLastTermIsPrefix implements Property {
  checked = 0;
  readonly #replicas: readonly Replica[];

  constructor(replicas: readonly Replica[]) {
    this.#replicas = replicas;
  }

  check(replica: Replica): void {
    for (const other of this.#replicas) {
      if (other === replica || tailOf(other.entries).term !== tailOf(replica.entries).term) continue;
      const [shorter, longer] = [replica.entries, other.entries].toSorted((left, right) => left.length - right.length);
      this.checked += shorter?.length ?? 0;
      demand(
        isPrefix(shorter ?? [], longer ?? []),
        () => `${entriesText(longer ?? [])} does not hold all of ${entriesText(shorter ?? [])}`,
      );
    }
  }
}

/** 5.4.3: what a server applies is committed, and its log up to there is the leader's that committed it. */
export class AppliesWhatIsCommitted implements Property {
  checked = 0;
  readonly #committed = new Committed();

  check(replica: Replica): void {
    this.#committed.look(replica);
    const { commit } = replica.raft;
    this.checked += leads(replica) ? 0 : commit;
    replica.entries.slice(0, commit).forEach((entry, at) => {
      demand(same(entry, this.#committed.entries[at]), () => `${replica.id} applies ${position(entry)}: not committed`);
    });
  }
}
