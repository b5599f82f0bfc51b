/**
 * What a replica does while it leads: replication, commits, heartbeats and read rounds (thesis 3.5, 6.4).
 * Lives exactly as long as one term of leadership, so nothing of an earlier one can leak into it.
 */
import { belongs, halvesOf, isJoint, promoted, replicasOf, settled } from './configuration.ts';
import { invariant } from './invariant.ts';
import type { RaftLog } from './log.ts';
import type { AppendReply, HeartbeatReply, OutgoingMessage } from './message.ts';
import type { TransferResult } from './options.ts';
import { Progress, type Window } from './progress.ts';
import { majority, reachedByHalves } from './quorum.ts';
import { type PendingRead, ReadQueue } from './read-queue.ts';
import { asIndex, type BootId, type Configuration, type LogIndex, type ReplicaId, type Term } from './types.ts';

export interface LeaderContext {
  readonly self: ReplicaId;
  readonly boot: BootId;
  readonly term: Term;
  readonly log: RaftLog;
  readonly window: Window;
  readonly appendEntriesMax: number;
  readonly appendBytesMax: number;
  /** So much waits for the own disk: nothing more is taken in. */
  readonly unsyncedBytesMax: number;
  /** For so long whoever has left is still told so. */
  readonly departingHeartbeats: number;
  /** A hand-over that takes longer is given up. */
  readonly electionTicksMin: number;
  readonly send: (message: OutgoingMessage) => void;
  readonly answer: (read: { readonly requestId: string; readonly from: ReplicaId }, index: LogIndex | null) => void;
}

export class Leader {
  readonly #context: LeaderContext;
  readonly #progress = new Map<ReplicaId, Progress>();
  readonly #reads = new ReadQueue();
  /** Who left, until it was told so, or for so many heartbeats more: else it would never learn that it may go. */
  readonly #departing = new Map<ReplicaId, number>();
  /** The hand-over that is under way. */
  #transfer: { readonly target: ReplicaId; ticksLeft: number } | null = null;
  #nextSession = 1;
  /** The commit index of the heartbeat before: what a learner must hold to be called caught up. */
  #commitBefore: LogIndex;
  /** For how long nothing was committed although something waits, or was written although nothing more is taken in (protocol G2). */
  #stalledTicks = 0;
  /** The commit index, and the end of what the own disk holds, at the tick before. */
  #commitSeen: LogIndex;
  #durableSeen: LogIndex;

  constructor(context: LeaderContext) {
    this.#context = context;
    this.#commitBefore = context.log.last.index;
    this.#commitSeen = context.log.commit;
    this.#durableSeen = context.log.durable;
    this.configurationChanged();
  }

  /** Another configuration is in force: its members get the log, and whoever left it for a moment longer. */
  configurationChanged(): void {
    const { configuration } = this.#context.log.configuration;
    for (const replica of replicasOf(configuration)) {
      this.#departing.delete(replica);
      if (replica !== this.#context.self && !this.#progress.has(replica))
        this.#progress.set(replica, this.#startSession(asIndex(this.#context.log.last.index + 1)));
    }
    for (const replica of this.#progress.keys()) {
      if (!belongs(configuration, replica) && !this.#departing.has(replica))
        this.#departing.set(replica, this.#context.departingHeartbeats);
    }
  }

  /** A replica that has left is forgotten once it has been told that this is committed. */
  #seeOff(): void {
    const { index } = this.#context.log.configuration;
    for (const [replica, heartbeatsLeft] of this.#departing) {
      const told = (this.#progress.get(replica)?.commitTold ?? 0) >= index;
      if (told || heartbeatsLeft === 0) {
        this.#departing.delete(replica);
        this.#progress.delete(replica);
      } else this.#departing.set(replica, heartbeatsLeft - 1);
    }
  }

  /**
   * The configuration that is due now, if any: the end of a joint one once that is committed, or the promotion of learners that
   * hold all that was committed a heartbeat ago (thesis 4.2.1).
   */
  nextConfiguration(): Configuration | null {
    const { log, term } = this.#context;
    const { index, configuration } = log.configuration;
    if (index > log.commit || log.termAt(log.commit) !== term) return null;
    if (isJoint(configuration)) return settled(configuration);
    const caughtUp = configuration.learners.filter(({ replica }) => {
      const progress = this.#progress.get(replica);
      return progress?.state === 'replicate' && progress.match >= Math.max(this.#commitBefore, index);
    });
    return caughtUp.length === 0 ? null : promoted(configuration, caughtUp);
  }

  get progress(): ReadonlyMap<ReplicaId, Progress> {
    return this.#progress;
  }

  #startSession(next: LogIndex): Progress {
    const session = this.#nextSession;
    this.#nextSession += 1;
    return new Progress(next, session, this.#context.window);
  }

  #envelope(to: ReplicaId): { from: ReplicaId; to: ReplicaId; term: Term; boot: BootId } {
    return { from: this.#context.self, to, term: this.#context.term, boot: this.#context.boot };
  }

  /** Sends to every follower what it lacks, as far as its window allows. Called before the own disk has it (protocol C7). */
  replicate(): void {
    for (const peer of this.#progress.keys()) this.#replicateTo(peer);
  }

  #replicateTo(peer: ReplicaId): void {
    const progress = this.#progress.get(peer);
    if (progress === undefined) return;
    const { log } = this.#context;
    if (progress.next <= log.base.position.index) {
      this.#sendBase(peer, progress);
      return;
    }
    while (!progress.paused && (progress.next <= log.last.index || progress.state === 'probe')) {
      let last = progress.next - 1;
      let bytes = 0;
      while (last < log.last.index && last - progress.next + 1 < this.#context.appendEntriesMax) {
        const next = log.bytesAt(asIndex(last + 1));
        if (bytes > 0 && bytes + next > this.#context.appendBytesMax) break;
        bytes += next;
        last += 1;
      }
      this.#sendAppend(peer, progress, asIndex(progress.next - 1), asIndex(last));
      progress.sent(asIndex(last), bytes);
    }
  }

  /** What it lacks is no longer in the log (thesis 5): one message brings it to the base, and the log goes on from there. */
  #sendBase(peer: ReplicaId, progress: Progress): void {
    const { log } = this.#context;
    // Also out of a full window, of which nothing may ever be acknowledged.
    if (progress.state === 'replicate') progress.becomeProbe();
    if (progress.paused) return;
    this.#context.send({ ...this.#envelope(peer), type: 'snapshot', session: progress.session, base: log.base });
    progress.sent(asIndex(progress.next - 1), 0);
  }

  #sendAppend(peer: ReplicaId, progress: Progress, previousIndex: LogIndex, lastIndex: LogIndex): void {
    const { log } = this.#context;
    const previousTerm = log.termAt(previousIndex);
    invariant(previousTerm !== undefined, `no term for entry ${previousIndex}, which precedes an append`);
    progress.commitTold = log.commit;
    this.#context.send({
      ...this.#envelope(peer),
      type: 'append',
      session: progress.session,
      previousIndex,
      previousTerm,
      lastIndex,
      commit: log.commit,
    });
  }

  /** One tick of time. */
  tick(): void {
    this.#commitBefore = this.#context.log.commit;
    this.#seeOff();
    this.#heartbeat();
    this.#tickTransfer();
    const { log, unsyncedBytesMax } = this.#context;
    const { commit, durable, last } = log;
    const isStuck = commit === this.#commitSeen && commit < last.index;
    const isFull = durable === this.#durableSeen && log.weighsAbove(durable, unsyncedBytesMax);
    this.#stalledTicks = isStuck || isFull ? this.#stalledTicks + 1 : 0;
    this.#commitSeen = commit;
    this.#durableSeen = durable;
  }

  /** For how many ticks this leader has been of no use: it does not commit, or takes nothing in for want of a disk. */
  get stalledTicks(): number {
    return this.#stalledTicks;
  }

  /** One heartbeat to every follower, carrying the newest read round. */
  #heartbeat(): void {
    this.#reads.startRound();
    this.#confirmReads();
    for (const peer of this.#progress.keys()) this.#sendHeartbeat(peer);
  }

  #sendHeartbeat(peer: ReplicaId): void {
    const progress = this.#progress.get(peer);
    if (progress === undefined) return;
    const commit = asIndex(Math.min(progress.match, this.#context.log.commit));
    progress.commitTold = commit;
    this.#context.send({
      ...this.#envelope(peer),
      type: 'heartbeat',
      session: progress.session,
      round: this.#reads.round,
      commit,
    });
  }

  /** The end of one turn: starts a read round if somebody waits for one, tells idle followers a new commit index (bug L14). */
  endTurn(): void {
    if (this.#reads.wantsRound) this.#heartbeat();
    for (const [peer, progress] of this.#progress) {
      if (progress.commitTold < Math.min(progress.match, this.#context.log.commit)) this.#sendHeartbeat(peer);
    }
  }

  onAppendReply(message: AppendReply): void {
    const progress = this.#inSession(message);
    if (progress === undefined) return;
    const { log } = this.#context;
    const { result } = message;
    if (result.accepted) {
      invariant(result.match <= log.last.index, `${message.from} acknowledged ${result.match}, which was never sent`);
      progress.acknowledged(result.match);
      this.advanceCommit();
      this.#handOver();
    } else {
      progress.refused(result.rejected, log.lastIndexWithTermAtMost(result.hintIndex, result.hintTerm));
    }
    this.#replicateTo(message.from);
  }

  onHeartbeatReply(message: HeartbeatReply): void {
    const progress = this.#inSession(message);
    if (progress === undefined) return;
    progress.roundEchoed = Math.max(progress.roundEchoed, message.round);
    this.#confirmReads();
    const { log } = this.#context;
    if (progress.heartbeatEchoed() && progress.next > log.base.position.index) {
      this.#sendAppend(message.from, progress, asIndex(progress.next - 1), asIndex(progress.next - 1));
    }
    // A caught-up follower is probed, too: only an acknowledgement takes it back to replicate.
    if (progress.match < log.last.index || progress.state === 'probe') this.#replicateTo(message.from);
  }

  /**
   * The sender's progress if the reply belongs to the running session. Another boot of the peer ends the session:
   * what it acknowledged before may be gone (protocol B3, bug E12).
   */
  #inSession(message: AppendReply | HeartbeatReply): Progress | undefined {
    const progress = this.#progress.get(message.from);
    // A late reply to an earlier session says nothing of this one; it must not end it either.
    if (progress === undefined || message.session !== progress.session) return undefined;
    if (progress.boot !== null && progress.boot !== message.boot) {
      this.#progress.set(message.from, this.#startSession(asIndex(this.#context.log.last.index + 1)));
      this.#replicateTo(message.from);
      return undefined;
    }
    progress.boot = message.boot;
    progress.recentlyActive = true;
    return progress;
  }

  /** The connection to `peer` broke: what was in flight may be lost. */
  unreachable(peer: ReplicaId): void {
    const progress = this.#progress.get(peer);
    if (progress?.state === 'replicate') progress.becomeProbe();
  }

  get #halves(): readonly (readonly ReplicaId[])[] {
    return halvesOf(this.#context.log.configuration.configuration);
  }

  /** Who is to take over; while somebody is, nothing is proposed, or he would never hold it all (bug L10). */
  get transferTarget(): ReplicaId | null {
    return this.#transfer?.target ?? null;
  }

  /** Begins to hand over to `target`: it is brought up to date, then told to campaign (thesis 3.10). */
  transfer(target: ReplicaId): TransferResult {
    const { self, log, electionTicksMin } = this.#context;
    if (target === self) return 'leads-already';
    if (!log.configuration.configuration.voters.includes(target)) return 'not-a-voter';
    if (this.#transfer !== null) return 'under-way';
    this.#transfer = { target, ticksLeft: electionTicksMin };
    this.#handOver();
    return 'begun';
  }

  /** A leader that has left names its successor: a voter that holds the whole log need not wait for an election timeout. */
  passOn(): void {
    const lastIndex = this.#context.log.last.index;
    const { voters } = this.#context.log.configuration.configuration;
    const successor = voters.find((voter) => this.#progress.get(voter)?.match === lastIndex);
    if (successor !== undefined) this.#context.send({ ...this.#envelope(successor), type: 'timeout-now', lastIndex });
  }

  /** Counted in ticks alone: whatever else goes on must not keep a failed hand-over alive (bug L10). */
  #tickTransfer(): void {
    if (this.#transfer === null) return;
    this.#transfer.ticksLeft -= 1;
    if (this.#transfer.ticksLeft <= 0) this.#transfer = null;
    else this.#handOver();
  }

  /** Tells the target to campaign once it holds the whole log durably; again with every tick, for a message may be lost. */
  #handOver(): void {
    if (this.#transfer === null) return;
    const { target } = this.#transfer;
    const lastIndex = this.#context.log.last.index;
    if (this.#progress.get(target)?.match !== lastIndex) return;
    this.#context.send({ ...this.#envelope(target), type: 'timeout-now', lastIndex });
  }

  /** Commits what a majority holds durably, this replica's own disk included only when it does (thesis 3.6.2, bugs E1, E10). */
  advanceCommit(): void {
    const { log, self, term } = this.#context;
    const reached = asIndex(
      reachedByHalves(this.#halves, (voter) =>
        voter === self ? log.durable : (this.#progress.get(voter)?.match ?? 0),
      ),
    );
    if (reached <= log.commit || log.termAt(reached) !== term) return;
    const first = log.termAt(log.commit) !== term;
    log.commitTo(reached);
    if (first) this.#reads.releaseEarly(reached);
  }

  /** Takes a read; it is answered once a round sent from now on is echoed by a majority. */
  read(requestId: string, from: ReplicaId): void {
    const { log, term } = this.#context;
    const committedInTerm = log.termAt(log.commit) === term;
    if (!this.#reads.add(requestId, from, committedInTerm ? log.commit : null))
      this.#context.answer({ requestId, from }, null);
  }

  #confirmReads(): void {
    const { self } = this.#context;
    const round = reachedByHalves(this.#halves, (voter) =>
      voter === self ? this.#reads.round : (this.#progress.get(voter)?.roundEchoed ?? 0),
    );
    const confirmed: readonly PendingRead[] = this.#reads.confirm(round);
    for (const read of confirmed) this.#context.answer(read, read.index);
  }

  /** Did a majority answer since the last call? (Check-quorum, thesis 6.2.) */
  checkQuorum(): boolean {
    const { self } = this.#context;
    const answered = this.#halves.every((voters) => {
      const active = voters.filter((voter) => voter === self || this.#progress.get(voter)?.recentlyActive === true);
      return active.length >= majority(voters.length);
    });
    for (const progress of this.#progress.values()) progress.recentlyActive = false;
    return answered;
  }

  /** Stepping down: nobody who waits is left waiting (bug R8). */
  abandonReads(): void {
    for (const read of this.#reads.abandon()) this.#context.answer(read, null);
  }
}
