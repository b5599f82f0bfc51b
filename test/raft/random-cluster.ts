/**
 * A cluster driven by a list of numbers: each one picks an action (deliver, lose, repeat or reorder a message, complete a
 * write, tick, propose, trim, read, hand over, crash, restart with or without amnesia, cut a link) among those possible now. A watcher looks
 * at what each action led to.
 */
import fc from 'fast-check';
import { trimFrom } from '../../src/raft/core/format-level.ts';
import { asReplicaId, type ReplicaId } from '../../src/raft/core/types.ts';
import { type Coverage, Promises } from './promises.ts';
import { defaultOptions, diskOf, Replica, type ReplicaOptions, type Sent } from './replica.ts';
import { Violation, type Watcher } from './watcher.ts';

/** Of any length up to twice `mean`, so that a failure shrinks to few actions. Unbiased: small numbers are not special. */
export const schedule = (mean: number): fc.Arbitrary<readonly number[]> =>
  fc.noBias(fc.array(fc.nat({ max: 2 ** 31 - 1 }), { maxLength: 2 * mean, size: 'max' }));

/** More messages than this on the way: the oldest is lost. */
const transitMax = 40;

export class RandomCluster {
  readonly coverage: Coverage;
  readonly #replicas: readonly Replica[];
  readonly #amnesia: boolean;
  #transit: Sent[] = [];
  readonly #cut = new Set<string>();
  readonly #watcher: Watcher;
  #payloads = 0;

  /** By default everything Raft promises is checked; `watch` puts another watcher in its place. */
  constructor(
    size: number,
    amnesia: boolean,
    coverage: Coverage,
    watch = (replicas: readonly Replica[]): Watcher => new Promises(replicas, coverage),
  ) {
    this.coverage = coverage;
    this.#amnesia = amnesia;
    const voters = Array.from({ length: size }, (_, at) => asReplicaId(`${at + 1}`));
    // Timeouts differ by replica and attempt, as random ones would, and are the same in every run.
    let draws = 0;
    const options: ReplicaOptions = {
      ...defaultOptions,
      window: { messagesMax: 3, bytesMax: 2 ** 24 },
      appendEntriesMax: 3,
      history: new Map(),
      randomBelow: (bound) => (draws = (draws * 7 + 3) % 101) % bound,
    };
    this.#replicas = voters.map((id) => new Replica(id, voters, diskOf({}), options));
    this.#watcher = watch(this.#replicas);
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
    else if (kind < 674) this.#persistSome(pick);
    else if (kind < 693) this.#trim(pick);
    else if (kind < 700) this.#transfer(pick);
    else if (kind < 840) this.#act(replica, () => replica.tick());
    else if (kind < 900) this.#propose(pick);
    else if (kind < 925) this.#read(replica);
    else if (kind < 930) this.#transfer(pick);
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
    throw new Violation(
      `no convergence: ${this.#replicas.map((replica) => `${replica.id} ${replica.raft.role} t${replica.raft.term}`).join(', ')}`,
    );
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
    const busy = this.#replicas.filter(
      ({ unwritten, unwrittenBallot }) => unwritten.length > 0 || unwrittenBallot !== null,
    );
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

  #trim(pick: number): void {
    const leader = this.#newestLeader();
    if (leader === undefined) return;
    const { base, commit, formatLevel } = leader.raft;
    const above = commit - base.position.index;
    if (above > 0 && formatLevel >= trimFrom)
      this.#act(leader, () => leader.trim(base.position.index + 1 + (pick % above)));
  }

  #read(replica: Replica): void {
    if (!replica.running) return;
    const name = `r${this.coverage.steps}`;
    this.#watcher.readBegins?.(name);
    this.#act(replica, () => replica.read(name));
  }

  #transfer(pick: number): void {
    const leader = pick % 8 === 0 ? this.#at(Math.floor(pick / 8)) : this.#newestLeader();
    if (leader !== undefined) this.#act(leader, () => leader.transfer(this.#at(Math.floor(pick / 64)).id));
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
    this.#watcher.crashed?.(replica);
  }

  #restart(replica: Replica, loseFrom: number | undefined): void {
    replica.restart(loseFrom);
    this.#look(replica);
  }

  #look(replica: Replica): void {
    const { sent, writes, reads } = replica.takeOutcome();
    this.#watcher.check(replica, { writes, reads, messages: sent.map(({ message }) => message) });
    this.#transit.push(...sent);
    if (this.#transit.length > transitMax) this.#transit.splice(0, this.#transit.length - transitMax);
  }
}
