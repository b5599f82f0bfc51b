/**
 * What Raft promises (Raft paper, figure 3), checked from outside against records that no replica can see: election
 * safety, log matching, leader completeness, state machine safety, acknowledgements of durable entries only, commits
 * that a majority holds, reads that cover everything committed before they began, and the lead given only to who holds
 * all that its leader has (thesis 3.10).
 */
import type { Message } from '../../src/raft/core/message.ts';
import type { Entry, LogIndex, ReplicaId, Term } from '../../src/raft/core/types.ts';
import { messageText } from './print.ts';
import { appendsOf, type Replica } from './replica.ts';
import { demand, type Effects, type Watcher } from './watcher.ts';

/** How often what happened: schedules in which nothing happens prove nothing. */
export interface Coverage {
  steps: number;
  leaders: number;
  /** Leaders whose campaign the one before had asked for. */
  transfers: number;
  committed: number;
  truncations: number;
  /** Bases that replicas took from a trim, and from a leader in the place of their whole log. */
  trims: number;
  installs: number;
  crashes: number;
  amnesia: number;
  recovered: number;
  readsConfirmed: number;
  readsRefused: number;
}

export const noCoverage = (): Coverage => ({
  steps: 0,
  leaders: 0,
  transfers: 0,
  committed: 0,
  truncations: 0,
  trims: 0,
  installs: 0,
  crashes: 0,
  amnesia: 0,
  recovered: 0,
  readsConfirmed: 0,
  readsRefused: 0,
});

interface Committed {
  readonly hash: string;
  /** The term of the leader that committed it. */
  readonly by: Term;
}

/** What was true of a replica at the last look. */
interface Seen {
  role: string;
  term: Term;
  commit: LogIndex;
  recovering: boolean;
  transferTarget: ReplicaId | null;
  last: LogIndex;
}

export class Promises implements Watcher {
  readonly #replicas: readonly Replica[];
  readonly #coverage: Coverage;
  readonly #seen = new Map<ReplicaId, Seen>();
  readonly #leaderOf = new Map<Term, string>();
  /** The hash chain makes log matching one rule: an index and a term name one hash, which covers all before it. */
  readonly #hashOf = new Map<string, string>();
  /** Who ever held an entry durably, by its hash: as bits. */
  readonly #heldBy = new Map<string, number>();
  readonly #committed: Committed[] = [];
  /** Whom a leader told to campaign in its term, and for which last index. */
  readonly #told = new Set<string>();
  /** Terms that somebody campaigned for because he was told. */
  readonly #toldTerms = new Set<Term>();
  /** Open reads: the commit index that their answer must cover. */
  readonly #reads = new Map<string, number>();

  constructor(replicas: readonly Replica[], coverage: Coverage) {
    this.#replicas = replicas;
    this.#coverage = coverage;
  }

  /** A read begins: whatever is committed by now must be visible to it. */
  readBegins(name: string): void {
    this.#reads.set(name, this.#committed.length);
  }

  /** The process died; what it had in memory is no longer compared with what comes. */
  crashed(replica: Replica): void {
    this.#noteDurable(replica);
    this.#seen.delete(replica.id);
  }

  /** Throws a Violation if a promise is broken after an action on `replica`. */
  check(replica: Replica, { writes, messages, reads }: Effects): void {
    for (const write of writes) if ('base' in write) this.#coverage[write.replacesLog ? 'installs' : 'trims'] += 1;
    for (const write of appendsOf(writes)) {
      if (write.truncateFrom !== null) this.#coverage.truncations += 1;
      // What a lone voter appended in a term that never became durable did not happen.
      if (this.#replicas.length > 1) for (const entry of write.entries) this.#checkMatching(entry);
    }
    this.#noteDurable(replica);
    for (const message of messages) this.#checkSent(replica, message);
    for (const read of reads) this.#checkRead(read.requestId, read.index);
    this.#checkReplica(replica);
  }

  /** Log matching. */
  #checkMatching({ index, term, hash }: Entry): void {
    const at = `${index}@${term}`;
    const known = this.#hashOf.get(at);
    demand(known === undefined || known === hash, () => `log matching: ${at} is two entries`);
    this.#hashOf.set(at, hash);
  }

  /** Remembers what the disk of `replica` holds, and held before it forgot. */
  #noteDurable(replica: Replica): void {
    const bit = 1 << this.#replicas.indexOf(replica);
    const { entries } = replica.disk;
    for (let at = entries.length - 1; at >= 0; at -= 1) {
      const entry = entries[at];
      const holders = this.#heldBy.get(entry?.hash ?? '') ?? 0;
      // The chain: who noted this entry before noted all before it.
      if (entry === undefined || (holders & bit) !== 0) return;
      this.#checkMatching(entry);
      this.#heldBy.set(entry.hash, holders | bit);
    }
  }

  #checkSent(replica: Replica, message: Message): void {
    if (message.type === 'timeout-now' || (message.type === 'vote' && message.transfer))
      this.#checkTransfer(replica, message);
    if (message.type !== 'append-reply' || !message.result.accepted) return;
    const { match } = message.result;
    demand(match <= replica.disk.entries.length, () => `${messageText(message)} acknowledges what is not durable`);
    demand(
      match === 0 || replica.disk.entries[match - 1]?.hash === replica.entries[match - 1]?.hash,
      () => `${messageText(message)} acknowledges an entry while the disk holds another`,
    );
  }

  #checkTransfer(replica: Replica, message: Extract<Message, { type: 'timeout-now' | 'vote' }>): void {
    const { lastIndex } = message;
    if (message.type === 'timeout-now') {
      this.#told.add(`${message.to} ${message.term} ${lastIndex}`);
      const holders = this.#heldBy.get(replica.entries[lastIndex - 1]?.hash ?? '') ?? 0;
      const target = this.#replicas.findIndex(({ id }) => id === message.to);
      demand(
        lastIndex === replica.entries.length && (holders & (1 << target)) !== 0,
        () => `${messageText(message)}: the leader has ${replica.entries.length}, and ${message.to} may not hold it`,
      );
      return;
    }
    this.#toldTerms.add(message.term);
    demand(
      this.#told.has(`${replica.id} ${message.term - 1} ${lastIndex}`),
      () => `${messageText(message)}: no leader of the term before asked for it`,
    );
  }

  #checkRead(name: string, index: LogIndex | null): void {
    const floor = this.#reads.get(name);
    if (floor === undefined) return;
    if (index === null) {
      this.#coverage.readsRefused += 1;
      return;
    }
    this.#coverage.readsConfirmed += 1;
    demand(index >= floor, () => `read ${name} was confirmed at ${index}, but ${floor} was committed before it began`);
  }

  #checkReplica(replica: Replica): void {
    const { raft } = replica;
    const before = this.#seen.get(replica.id);
    const now: Seen = {
      role: raft.role,
      term: raft.term,
      commit: raft.commit,
      recovering: raft.lostPromise !== null,
      transferTarget: raft.transferTarget,
      last: raft.last.index,
    };
    this.#seen.set(replica.id, now);
    demand(raft.commit <= raft.last.index, () => `${replica.id}: commit ${raft.commit} is beyond ${raft.last.index}`);
    demand(
      raft.last.index === replica.entries.length,
      () => `${replica.id}: the core and its log disagree about the end`,
    );
    if (before !== undefined) {
      demand(now.term >= before.term, () => `${replica.id}: term went back from ${before.term} to ${now.term}`);
      demand(
        now.commit >= before.commit,
        () => `${replica.id}: commit went back from ${before.commit} to ${now.commit}`,
      );
      demand(
        now.transferTarget === null || before.transferTarget !== now.transferTarget || before.last === now.last,
        () => `${replica.id} hands over to ${now.transferTarget} and appends entry ${now.last}`,
      );
      if (before.recovering && !now.recovering) this.#coverage.recovered += 1;
    }
    if (raft.role === 'leader') this.#checkLeader(replica, before?.role !== 'leader' || before.term !== now.term);
    this.#checkCommit(replica, before?.commit ?? 0);
  }

  #checkLeader(replica: Replica, isNew: boolean): void {
    const { term } = replica.raft;
    if (isNew) {
      this.#coverage.leaders += 1;
      if (this.#toldTerms.has(term)) this.#coverage.transfers += 1;
      this.#committed.forEach((committed, at) => this.#checkComplete(replica, at, committed));
    }
    // A lone voter leads before its ballot is durable; nobody can see that.
    if (replica.unwrittenBallot !== null) return;
    const name = `${replica.id}.${replica.boots}`;
    const known = this.#leaderOf.get(term);
    demand(known === undefined || known === name, () => `election safety: ${known} and ${name} lead term ${term}`);
    this.#leaderOf.set(term, name);
  }

  /** Leader completeness: what was committed in an earlier term stands in the log of every leader. */
  #checkComplete(leader: Replica, at: number, committed: Committed): void {
    if (committed.by >= leader.raft.term) return;
    demand(
      leader.entries[at]?.hash === committed.hash,
      () =>
        `leader completeness: ${leader.id} leads term ${leader.raft.term} without ${at + 1}, committed in ${committed.by}`,
    );
  }

  /** State machine safety: at every index all replicas commit the same entry, and a majority holds it. */
  #checkCommit(replica: Replica, from: number): void {
    const { commit, term } = replica.raft;
    for (let at = from; at < commit; at += 1) {
      const hash = replica.entries[at]?.hash ?? 'none';
      const known = this.#committed[at];
      if (known !== undefined) {
        demand(known.hash === hash, () => `state machine safety: ${replica.id} commits another entry ${at + 1}`);
        continue;
      }
      const holders = this.#heldBy.get(hash) ?? 0;
      const held = this.#replicas.filter((_, bit) => (holders & (1 << bit)) !== 0).length;
      demand(
        held * 2 > this.#replicas.length,
        () => `${replica.id} commits ${at + 1}, which ${held} replicas ever held durably`,
      );
      const committed: Committed = { hash, by: term };
      this.#committed.push(committed);
      this.#coverage.committed += 1;
      for (const other of this.#replicas) {
        if (other.running && other.raft.role === 'leader') this.#checkComplete(other, at, committed);
      }
    }
  }
}
