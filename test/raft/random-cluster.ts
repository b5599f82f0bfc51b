/**
 * A cluster driven by a list of numbers: each one picks an action (deliver, lose, repeat or reorder a message, complete a
 * write, tick, propose, read, crash, restart with or without amnesia, cut a link) among those possible now. After each
 * action everything Raft promises is checked (Raft paper, figure 3), against records that no replica can see.
 */
import type { Message } from '../../src/raft/core/message.ts';
import { asReplicaId, type Entry, type LogIndex, type ReplicaId, type Term } from '../../src/raft/core/types.ts';
import { messageText } from './print.ts';
import { defaultOptions, diskOf, Replica, type ReplicaOptions, type Sent } from './replica.ts';

export interface Coverage {
  steps: number;
  leaders: number;
  committed: number;
  truncations: number;
  crashes: number;
  amnesia: number;
  recovered: number;
  readsConfirmed: number;
  readsRefused: number;
}

export const noCoverage = (): Coverage => ({
  steps: 0,
  leaders: 0,
  committed: 0,
  truncations: 0,
  crashes: 0,
  amnesia: 0,
  recovered: 0,
  readsConfirmed: 0,
  readsRefused: 0,
});

/** More messages than this on the way: the oldest is lost. */
const transitMax = 40;

export class Violation extends Error {}

function demand(holds: boolean, sentence: () => string): void {
  if (!holds) throw new Violation(sentence());
}

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
}

export class RandomCluster {
  readonly coverage: Coverage;
  readonly #replicas: readonly Replica[];
  readonly #seen = new Map<ReplicaId, Seen>();
  readonly #amnesia: boolean;
  #transit: Sent[] = [];
  readonly #cut = new Set<string>();
  readonly #leaderOf = new Map<Term, string>();
  /** The hash chain makes log matching one rule: an index and a term name one hash, which covers all before it. */
  readonly #hashOf = new Map<string, string>();
  /** Who ever held an entry durably, by its hash: as bits. */
  readonly #heldBy = new Map<string, number>();
  readonly #committed: Committed[] = [];
  /** Open reads: the commit index that their answer must cover. */
  readonly #reads = new Map<string, number>();
  #payloads = 0;

  constructor(size: number, amnesia: boolean, coverage: Coverage) {
    this.coverage = coverage;
    this.#amnesia = amnesia;
    const voters = Array.from({ length: size }, (_, at) => asReplicaId(`${at + 1}`));
    // Timeouts differ by replica and attempt, as random ones would, and are the same in every run.
    let draws = 0;
    const options: ReplicaOptions = {
      ...defaultOptions,
      window: { messagesMax: 3, bytesMax: 2 ** 24 },
      appendEntriesMax: 3,
      randomBelow: (bound) => (draws = (draws * 7 + 3) % 101) % bound,
    };
    this.#replicas = voters.map((id) => new Replica(id, voters, diskOf({}), options));
    for (const replica of this.#replicas) this.#look(replica);
  }

  /** Carries out the action that `choice` stands for. */
  step(choice: number): void {
    this.coverage.steps += 1;
    const kind = choice % 1000;
    const pick = Math.floor(choice / 1000);
    const replica = this.#at(pick);
    // Most messages come in order; some overtake, come twice, or never.
    if (kind < 330) this.#deliver(0, false);
    else if (kind < 440) this.#deliver(pick, false);
    else if (kind < 455) this.#deliver(pick, true);
    else if (kind < 465) this.#transit.splice(pick % Math.max(1, this.#transit.length), 1);
    else if (kind < 700) this.#persistSome(pick);
    else if (kind < 840) this.#act(replica, () => replica.tick());
    else if (kind < 900) this.#propose(pick);
    else if (kind < 930) this.#read(replica);
    else if (kind < 932) this.#cutOneWay(replica.id, this.#at(Math.floor(pick / 8)).id);
    else if (kind < 934) this.#isolate(replica);
    else if (kind < 938) this.#isolate(this.#newestLeader() ?? replica);
    else if (kind < 954) this.#cut.clear();
    else if (kind < 994) this.#restartSome(pick);
    else this.#crash(replica, pick);
  }

  /** Faults end, everybody runs: somebody has to be elected, commit, and bring all logs together. Not with amnesia. */
  settle(): void {
    this.#cut.clear();
    for (const replica of this.#replicas) if (!replica.running) this.#restart(replica, undefined);
    for (let tick = 0; tick < 400; tick += 1) {
      for (let round = 0; round < 3; round += 1) {
        for (const replica of this.#replicas) this.#persist(replica, 0);
        for (let left = this.#transit.length; left > 0; left -= 1) this.#deliver(0, false);
      }
      if (this.#converged()) return;
      for (const replica of this.#replicas) this.#act(replica, () => replica.tick());
    }
    throw new Violation(`no convergence: ${this.#replicas.map((replica) => `${replica.id} ${replica.raft.role} t${replica.raft.term}`).join(', ')}`);
  }

  #converged(): boolean {
    const leader = this.#replicas.find((replica) => replica.raft.role === 'leader');
    if (leader === undefined) return false;
    const { commit, last, term } = leader.raft;
    return (
      commit === last.index &&
      leader.raft.termAt(commit) === term &&
      this.#replicas.every((replica) => replica.raft.last.hash === last.hash && replica.raft.commit === commit)
    );
  }

  #at(pick: number): Replica {
    const replica = this.#replicas[pick % this.#replicas.length];
    if (replica === undefined) throw new Error('no replicas');
    return replica;
  }

  /** One action on one replica, then what it sent, then the checks. */
  #act(replica: Replica, action: () => void): void {
    if (!replica.running) return;
    action();
    this.#look(replica);
  }

  /** Delivers the first message from place `pick` on that may leave its sender; `keep`: it will come again. */
  #deliver(pick: number, keep: boolean): void {
    const from = pick % Math.max(1, this.#transit.length);
    const at = this.#transit.findIndex((one, place) => place >= from && !this.#held(one));
    const sent = this.#transit[at];
    if (sent === undefined) return;
    if (!keep) this.#transit.splice(at, 1);
    if (this.#cut.has(`${sent.message.from} ${sent.message.to}`)) return;
    const receiver = this.#byId(sent.message.to);
    this.#act(receiver, () => receiver.step(sent.message));
  }

  #held(sent: Sent): boolean {
    const sender = this.#byId(sent.message.from);
    return sender.running && sender.holds(sent.ballot);
  }

  #byId(id: ReplicaId): Replica {
    return this.#at(Number(id) - 1);
  }

  #persistSome(pick: number): void {
    const busy = this.#replicas.filter(({ unwritten, unwrittenBallot }) => unwritten.length > 0 || unwrittenBallot !== null);
    const replica = busy[pick % Math.max(1, busy.length)];
    if (replica !== undefined) this.#persist(replica, Math.floor(pick / 8));
  }

  #persist(replica: Replica, pick: number): void {
    this.#act(replica, () => {
      const part = pick % 3;
      if (part !== 1) replica.persistBallot();
      if (part !== 2) replica.persistLog(part === 1 ? 1 : undefined);
    });
  }

  #propose(pick: number): void {
    // An old leader that was cut off takes proposals, too: they will be overwritten.
    const newest = pick % 4 === 0 ? this.#at(pick) : this.#newestLeader();
    if (newest === undefined) return;
    this.#payloads += 1;
    this.#act(newest, () => newest.propose(`p${this.#payloads}`));
  }

  #read(replica: Replica): void {
    if (!replica.running) return;
    const name = `r${this.coverage.steps}`;
    this.#reads.set(name, this.#committed.length);
    this.#act(replica, () => replica.read(name));
  }

  #cutOneWay(from: ReplicaId, to: ReplicaId): void {
    this.#cut.add(`${from} ${to}`);
  }

  #newestLeader(): Replica | undefined {
    const leaders = this.#replicas.filter((replica) => replica.running && replica.raft.role === 'leader');
    return leaders.toSorted((left, right) => right.raft.term - left.raft.term)[0];
  }

  #isolate({ id }: Replica): void {
    for (const other of this.#replicas) {
      this.#cutOneWay(id, other.id);
      this.#cutOneWay(other.id, id);
    }
  }

  #restartSome(pick: number): void {
    const replica = this.#replicas.find((one) => !one.running);
    if (replica === undefined) return;
    const last = replica.disk.entries.length;
    const loses = this.#amnesia && last > 0 && pick % 6 === 0;
    if (loses) this.coverage.amnesia += 1;
    this.#restart(replica, loses ? Math.max(1, last - (Math.floor(pick / 16) % 4)) : undefined);
  }

  /** With `pick` some log writes reach the disk, but not the hard state after them. */
  #crash(replica: Replica, pick: number): void {
    if (!replica.running) return;
    this.coverage.crashes += 1;
    this.#transit = this.#transit.filter((sent) => sent.message.from !== replica.id || !this.#held(sent));
    replica.crash(Math.floor(pick / 8) % 3);
    this.#noteDurable(replica);
    this.#seen.delete(replica.id);
  }

  #restart(replica: Replica, loseFrom: number | undefined): void {
    replica.restart(loseFrom);
    this.#look(replica);
  }

  #look(replica: Replica): void {
    const { sent, writes, reads } = replica.takeOutcome();
    for (const write of writes) {
      if (write.truncateFrom !== null) this.coverage.truncations += 1;
      // What a lone voter appended in a term that never became durable did not happen.
      if (this.#replicas.length > 1) for (const entry of write.entries) this.#checkMatching(entry);
    }
    this.#noteDurable(replica);
    for (const one of sent) {
      this.#checkSent(replica, one.message);
      this.#transit.push(one);
    }
    while (this.#transit.length > transitMax) this.#transit.shift();
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
    if (message.type !== 'append-reply' || !message.result.accepted) return;
    const { match } = message.result;
    demand(match <= replica.disk.entries.length, () => `${messageText(message)} acknowledges what is not durable`);
    demand(
      match === 0 || replica.disk.entries[match - 1]?.hash === replica.entries[match - 1]?.hash,
      () => `${messageText(message)} acknowledges an entry while the disk holds another`,
    );
  }

  #checkRead(name: string, index: LogIndex | null): void {
    const floor = this.#reads.get(name);
    if (floor === undefined) return;
    if (index === null) {
      this.coverage.readsRefused += 1;
      return;
    }
    this.coverage.readsConfirmed += 1;
    demand(index >= floor, () => `read ${name} was confirmed at ${index}, but ${floor} was committed before it began`);
  }

  #checkReplica(replica: Replica): void {
    const { raft } = replica;
    const before = this.#seen.get(replica.id);
    const now: Seen = { role: raft.role, term: raft.term, commit: raft.commit, recovering: raft.lostPromise !== null };
    this.#seen.set(replica.id, now);
    demand(raft.commit <= raft.last.index, () => `${replica.id}: commit ${raft.commit} is beyond ${raft.last.index}`);
    demand(raft.last.index === replica.entries.length, () => `${replica.id}: the core and its log disagree about the end`);
    if (before !== undefined) {
      demand(now.term >= before.term, () => `${replica.id}: term went back from ${before.term} to ${now.term}`);
      demand(now.commit >= before.commit, () => `${replica.id}: commit went back from ${before.commit} to ${now.commit}`);
      if (before.recovering && !now.recovering) this.coverage.recovered += 1;
    }
    if (raft.role === 'leader') this.#checkLeader(replica, before?.role !== 'leader' || before.term !== now.term);
    this.#checkCommit(replica, before?.commit ?? 0);
  }

  #checkLeader(replica: Replica, isNew: boolean): void {
    const { term } = replica.raft;
    // A lone voter leads before its ballot is durable; nobody can see that.
    if (replica.unwrittenBallot !== null) return;
    const name = `${replica.id}.${replica.boots}`;
    const known = this.#leaderOf.get(term);
    demand(known === undefined || known === name, () => `election safety: ${known} and ${name} lead term ${term}`);
    this.#leaderOf.set(term, name);
    if (!isNew) return;
    this.coverage.leaders += 1;
    this.#committed.forEach((committed, at) => this.#checkComplete(replica, at, committed));
  }

  /** Leader completeness: what was committed in an earlier term stands in the log of every leader. */
  #checkComplete(leader: Replica, at: number, committed: Committed): void {
    if (committed.by >= leader.raft.term) return;
    demand(
      leader.entries[at]?.hash === committed.hash,
      () => `leader completeness: ${leader.id} leads term ${leader.raft.term} without ${at + 1}, committed in ${committed.by}`,
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
      demand(held * 2 > this.#replicas.length, () => `${replica.id} commits ${at + 1}, which ${held} replicas ever held durably`);
      const committed: Committed = { hash, by: term };
      this.#committed.push(committed);
      this.coverage.committed += 1;
      for (const other of this.#replicas) {
        if (other.running && other.raft.role === 'leader') this.#checkComplete(other, at, committed);
      }
    }
  }
}
