/**
 * The Raft state machine of one replica, as a pure function over time: a message or a tick goes in, `ready()` says what
 * to persist, send, commit and answer. No clock, no I/O, no await; randomness is handed in. Every message takes the one
 * path through `step` (bug E6).
 *
 * Rules it keeps: one vote per term; a leader appends only and commits only entries of its own term by counting; a
 * message of term T leaves only after T and the vote in it are durable (the driver's part); a recovering voter judges
 * candidates by the tail it promised, not by the log it has left (protocol A2).
 */
import { configurationAfter, type ConfigurationChange, decidersOf, halvesOf, isJoint, votes } from './configuration.ts';
import { encodeFormatLevel, levelOfKind, membersChangeFrom } from './format-level.ts';
import { InvariantError, invariant } from './invariant.ts';
import { Leader } from './leader.ts';
import { RaftLog } from './log.ts';
import type {
  Append,
  Heartbeat,
  Message,
  OutgoingMessage,
  PreVote,
  PreVoteReply,
  ReadIndex,
  Snapshot,
  TimeoutNow,
  Vote,
  VoteReply,
} from './message.ts';
import type {
  ChangeResult,
  Proposal,
  ProposeResult,
  RaftOptions,
  RaiseResult,
  Ready,
  TransferResult,
} from './options.ts';
import { countHalves } from './quorum.ts';
import {
  asIndex,
  asTerm,
  type BootId,
  type Configuration,
  type ConfigurationAt,
  type LogBase,
  type LogIndex,
  type LogPosition,
  type ReplicaId,
  type Term,
} from './types.ts';

type Role =
  | { readonly name: 'follower'; leader: ReplicaId | null }
  | { readonly name: 'pre-candidate' | 'candidate'; readonly votes: Map<ReplicaId, boolean> }
  | { readonly name: 'leader'; readonly leading: Leader };

/** Back-off grows up to this many times. */
const stallsMax = 4;
/** After a split vote the first of the candidates waits so long for votes that are still on their way. */
const splitVoteTicks = 2;

export class Raft {
  readonly #options: RaftOptions;
  readonly #log: RaftLog;
  #term: Term;
  #vote: ReplicaId | null;
  #ballotChanged = false;
  #role: Role = { name: 'follower', leader: null };
  #lostPromise: LogPosition | null;
  /** Ticks since the leader was heard, or since the last check of the quorum as leader. */
  #elapsed = 0;
  #electionTimeout = 0;
  /** This replica was a candidate and is not the only one of this term: when whoever is first among them tries again. */
  #splitVote: { readonly again: number; readonly isFirst: boolean } | null = null;
  /** Times that this replica stepped down because it could not commit, and the commit index since then (protocol G2). */
  #stalls = 0;
  #stalledAt = asIndex(0);
  /**
   * Up to where the log is known to equal that of this term's leader. A leader never changes its own log, so this holds
   * until the term ends, whatever role this replica takes meanwhile.
   */
  #matched = asIndex(0);
  /** How much of that the leader was told to be durable, and the newest replication session it spoke in. */
  #acknowledged = asIndex(0);
  #session = 0;
  #lastEntryTimeMs: number;
  #messages: OutgoingMessage[] = [];
  #reads: { requestId: string; index: LogIndex | null }[] = [];

  constructor(options: RaftOptions) {
    this.#options = options;
    this.#log = new RaftLog({ ...options.log, configurationIn: options.decodeConfiguration });
    this.#term = options.ballot.term;
    this.#vote = options.ballot.vote;
    this.#lostPromise = options.lostPromise;
    if (this.#log.last.term > this.#term) {
      this.#setBallot(this.#log.last.term, null);
    }
    this.#lastEntryTimeMs = options.lastEntryTimeMs;
    this.#resetElection();
    this.#maybeRecovered();
  }

  get term(): Term {
    return this.#term;
  }
  get role(): Role['name'] {
    return this.#role.name;
  }
  /** Whom this replica takes for the leader of its term, if anybody. */
  get leader(): ReplicaId | null {
    if (this.#role.name === 'leader') return this.#options.self;
    return this.#role.name === 'follower' ? this.#role.leader : null;
  }
  get vote(): ReplicaId | null {
    return this.#vote;
  }
  get commit(): LogIndex {
    return this.#log.commit;
  }
  /** What stands before the first entry of the log. */
  get base(): LogBase {
    return this.#log.base;
  }
  get last(): LogPosition {
    return this.#log.last;
  }
  get durable(): LogIndex {
    return this.#log.durable;
  }
  /** The configuration in force: the newest in the log, committed or not. */
  get configuration(): ConfigurationAt {
    return this.#log.configuration;
  }
  /** The one in force at `index`, which is not below what is committed and durable. */
  configurationAsOf(index: LogIndex): ConfigurationAt {
    return this.#log.configurationAsOf(index);
  }
  /** The format level in force, as far as this replica knows (protocol B4). */
  get formatLevel(): number {
    return this.#log.formatLevels.level;
  }
  /** The newest level that anything ever in this log is of: what its disk says of itself before it holds any of that. */
  get formatLevelWritten(): number {
    return this.#log.formatLevels.written;
  }
  /** The promised tail that this replica's log does not hold yet; null when it is whole (protocol A2). */
  get lostPromise(): LogPosition | null {
    return this.#lostPromise;
  }
  get progress(): Leader['progress'] | null {
    return this.#role.name === 'leader' ? this.#role.leading.progress : null;
  }
  /** As leader: who is to take over, while that is under way. */
  get transferTarget(): ReplicaId | null {
    return this.#role.name === 'leader' ? this.#role.leading.transferTarget : null;
  }
  termAt(index: LogIndex): Term | undefined {
    return this.#log.termAt(index);
  }

  /** One tick of time has passed. Missed ticks are not made up for (protocol G1). */
  tick(): void {
    this.#elapsed += 1;
    if (this.#role.name === 'leader') {
      this.#role.leading.tick();
      if (this.#role.leading.stalledTicks >= this.#stallTicksMax) return this.#stepDownStalled();
      if (this.#elapsed < this.#options.electionTicksMin) return;
      this.#elapsed = 0;
      if (!this.#role.leading.checkQuorum()) this.#becomeFollower(this.#term, null);
      return;
    }
    const again = this.#splitVote?.isFirst === true ? this.#splitVote.again : this.#electionTimeout;
    if (this.#elapsed >= Math.min(again, this.#electionTimeout)) this.campaign();
    else if (this.#role.name === 'pre-candidate') this.#askAgain(this.#role.votes);
  }

  /** A request may be lost (paper 5.1), or have met a voter that was about to give its leader up. */
  #askAgain(answers: ReadonlyMap<ReplicaId, boolean>): void {
    this.#broadcastVoteRequest({ type: 'pre-vote' }, (voter) => answers.get(voter) !== true);
  }

  /** Two election timeouts; longer after each time in vain, for what is large may take its time. */
  get #stallTicksMax(): number {
    return 2 * this.#options.electionTicksMax * (1 + this.#stallsNow);
  }

  /** Times in a row that this replica has led without being able to commit. */
  get #stallsNow(): number {
    return this.#log.commit === this.#stalledAt ? this.#stalls : 0;
  }

  /**
   * Nothing commits, whatever the heartbeats say: the way on which entries travel may be dead from here alone. Or others commit, and
   * the own disk has kept up so badly that nothing more is taken in. Somebody else shall try, so this replica waits longer than
   * the others before it campaigns (protocol G2, bug L3).
   */
  #stepDownStalled(): void {
    this.#stalls = Math.min(stallsMax, this.#stallsNow + 1);
    this.#stalledAt = this.#log.commit;
    this.#becomeFollower(this.#term, null);
  }

  /** Starts a pre-vote, unless this replica must not lead. Nothing happens on a leader (bug L2). */
  campaign(): void {
    if (this.#role.name === 'leader') return;
    this.#resetElection();
    if (!this.#mayLead) {
      this.#role = { name: 'follower', leader: null };
      return;
    }
    this.#role = { name: 'pre-candidate', votes: new Map([[this.#options.self, true]]) };
    this.#broadcastVoteRequest({ type: 'pre-vote' });
    this.#countVotes();
  }

  /** Whoever lacks what it promised would lead without entries that others rely on (protocol A2). */
  get #mayLead(): boolean {
    return this.#lostPromise === null && votes(this.configuration.configuration, this.#options.self);
  }

  /** Begins to hand the lead over to `target` (thesis 3.10). */
  transfer(target: ReplicaId): TransferResult {
    return this.#role.name === 'leader' ? this.#role.leading.transfer(target) : 'not-leader';
  }

  /** Appends proposals if this replica leads and has room. */
  propose(proposals: readonly Proposal[]): ProposeResult {
    if (this.#role.name !== 'leader') return 'not-leader';
    if (this.transferTarget !== null) return 'busy';
    const { uncommittedBytesMax, unsyncedBytesMax } = this.#options;
    if (this.#log.weighsAbove(this.#log.commit, uncommittedBytesMax)) return 'busy';
    if (this.#log.weighsAbove(this.#log.durable, unsyncedBytesMax)) return 'busy';
    this.#appendOwn(proposals);
    this.#role.leading.replicate();
    return 'appended';
  }

  #proposal(kind: Proposal['kind'], payload: Uint8Array): Proposal {
    return { kind, payload, payloadHash: this.#options.payloadHashOf(payload) };
  }

  /**
   * Begins a change of the members, if this replica leads and none is under way; the rest of it goes by itself, whoever leads
   * (protocol G4). `expected` is the index of the configuration that the change is meant for: of two at once, one is told `moved`.
   */
  changeConfiguration(change: ConfigurationChange, expected: LogIndex): ChangeResult {
    if (this.#role.name !== 'leader') return { outcome: 'not-leader' };
    const { index, configuration } = this.configuration;
    // Without an entry of this term committed, another leader's change might be out there, unseen (thesis 4.1, the bug of 2015).
    const settledHere = index <= this.#log.commit && this.#log.termAt(this.#log.commit) === this.#term;
    const isFree = !isJoint(configuration) && this.#role.leading.transferTarget === null;
    // A member that came while the level is being raised was not asked what it can read.
    if (!settledHere || !isFree || this.#log.formatLevels.isPending) return { outcome: 'busy' };
    if (this.formatLevel < membersChangeFrom)
      return { outcome: 'refused', why: `the cluster is at format level ${this.formatLevel}` };
    if (expected !== index) return { outcome: 'moved' };
    const next = configurationAfter(configuration, change, this.#options.membersMax);
    if (typeof next === 'string') return { outcome: 'refused', why: next };
    this.#appendConfiguration(this.#role.leading, next);
    return { outcome: 'appended', index: this.#log.last.index };
  }

  /**
   * Raises the format level, if this replica leads and all is quiet. Only for a level that every member of the configuration in
   * force has announced; who they are, the driver knows (protocol B4).
   */
  raiseFormatLevel(level: number): RaiseResult {
    if (this.#role.name !== 'leader') return 'not-leader';
    const { index, configuration } = this.configuration;
    const isQuiet = index <= this.#log.commit && !isJoint(configuration) && this.transferTarget === null;
    if (!isQuiet || this.#log.formatLevels.isPending) return 'busy';
    invariant(level > this.formatLevel, `format level ${level} would not raise ${this.formatLevel}`);
    this.#appendOwn([this.#proposal('format-level', encodeFormatLevel(level))]);
    this.#role.leading.replicate();
    return 'appended';
  }

  /** The entry that names `base` was applied: the log begins after it from now on (protocol E1). */
  trimTo(base: LogBase): void {
    this.#log.trimTo(base);
  }

  #appendConfiguration(leading: Leader, configuration: Configuration): void {
    const payload = this.#options.encodeConfiguration(configuration, this.configuration.index);
    this.#appendOwn([this.#proposal('configuration', payload)]);
    leading.configurationChanged();
    leading.replicate();
  }

  /** Goes on with a change under way, and steps down when it has left by one that is committed. */
  #endLeadersTurn(leading: Leader): void {
    const next = leading.transferTarget === null ? leading.nextConfiguration() : null;
    if (next !== null) this.#appendConfiguration(leading, next);
    leading.endTurn();
    const { index, configuration } = this.configuration;
    if (index > this.#log.commit || votes(configuration, this.#options.self)) return;
    leading.passOn();
    this.#becomeFollower(this.#term, null);
  }

  #appendOwn(proposals: readonly Proposal[]): void {
    let previous = this.#log.last;
    const entries = proposals.map((proposal) => {
      invariant(
        levelOfKind[proposal.kind] <= this.formatLevel || proposal.kind === 'format-level',
        `a ${proposal.kind} entry at format level ${this.formatLevel}`,
      );
      this.#lastEntryTimeMs = Math.max(this.#lastEntryTimeMs, this.#options.nowMs());
      const draft = {
        index: asIndex(previous.index + 1),
        term: this.#term,
        kind: proposal.kind,
        timeMs: this.#lastEntryTimeMs,
        previousHash: previous.hash,
        payloadHash: proposal.payloadHash,
        payload: proposal.payload,
      };
      const entry = { ...draft, hash: this.#options.seal(draft) };
      previous = entry;
      return entry;
    });
    this.#log.append(entries);
  }

  /** Asks for a read index; the outcome comes with a later `ready()`. */
  readIndex(requestId: string): void {
    switch (this.#role.name) {
      case 'leader':
        this.#role.leading.read(requestId, this.#options.self);
        return;
      case 'follower':
        if (this.#role.leader !== null) {
          this.#send({ ...this.#envelope(this.#role.leader), type: 'read-index', requestId });
          return;
        }
        this.#reads.push({ requestId, index: null });
        return;
      case 'pre-candidate':
      case 'candidate':
        this.#reads.push({ requestId, index: null });
    }
  }

  /** The disk holds the log up to `index` as of write `sequence`, and the hard state that promises it. */
  logDurable(index: LogIndex, sequence: number): void {
    this.#log.becameDurable(index, sequence);
    if (this.#role.name === 'leader') this.#role.leading.advanceCommit();
    this.#acknowledge(false);
    this.#maybeRecovered();
  }

  /** The connection to `peer` broke. */
  unreachable(peer: ReplicaId): void {
    if (this.#role.name === 'leader') this.#role.leading.unreachable(peer);
  }

  step(message: Message): void {
    invariant(message.to === this.#options.self, `a message for ${message.to} reached ${this.#options.self}`);
    if (message.term > this.#term) {
      const asks = message.type === 'pre-vote' || (message.type === 'vote' && !message.transfer);
      if (asks && this.#hearsLeader()) return;
      const leads = message.type === 'append' || message.type === 'heartbeat' || message.type === 'snapshot';
      this.#becomeFollower(message.term, leads ? message.from : null);
    }
    if (message.term < this.#term) {
      this.#answerOldTerm(message);
      return;
    }
    switch (message.type) {
      case 'pre-vote':
        return this.#onPreVote(message);
      case 'pre-vote-reply':
        return this.#onPreVoteReply(message);
      case 'vote':
        return this.#onVote(message);
      case 'vote-reply':
        return this.#onVoteReply(message);
      case 'append':
        return this.#onAppend(message);
      case 'heartbeat':
        return this.#onHeartbeat(message);
      case 'snapshot':
        return this.#onSnapshot(message);
      case 'append-reply':
        if (this.#role.name === 'leader') this.#role.leading.onAppendReply(message);
        return;
      case 'heartbeat-reply':
        if (this.#role.name === 'leader') this.#role.leading.onHeartbeatReply(message);
        return;
      case 'timeout-now':
        return this.#onTimeoutNow(message);
      case 'read-index':
        return this.#onReadIndex(message);
      case 'read-index-reply':
        this.#reads.push({ requestId: message.requestId, index: message.index });
    }
  }

  /** Whoever speaks in an old term learns the new one, or it would stay there for ever (bug L1). Nothing of it is echoed. */
  #answerOldTerm(message: Message): void {
    const envelope = this.#envelope(message.from);
    if (message.type === 'append' || message.type === 'heartbeat' || message.type === 'snapshot') {
      this.#send({ ...envelope, type: 'heartbeat-reply', session: 0, round: 0 });
    } else if (message.type === 'pre-vote') {
      this.#send({ ...envelope, type: 'pre-vote-reply', granted: false, campaignTerm: asTerm(message.term + 1) });
    } else if (message.type === 'vote') {
      this.#send({ ...envelope, type: 'vote-reply', granted: false });
    } else if (message.type === 'read-index') {
      this.#answerRead(message, null);
    } else if (message.type === 'read-index-reply') {
      // Whoever waits for it asks again, instead of waiting for his deadline (bug R8).
      this.#reads.push({ requestId: message.requestId, index: null });
    }
  }

  /** A leader was heard within the shortest election timeout, or leads here: votes wait (thesis 4.2.3). */
  #hearsLeader(): boolean {
    return this.leader !== null && this.#elapsed < this.#options.electionTicksMin;
  }

  /** The end of the log that candidates are judged by: what was promised, where that is more than what is left (protocol A2). */
  #voteTail(): LogPosition {
    return this.#lostPromise ?? this.#log.last;
  }

  #onPreVote(message: PreVote): void {
    const granted =
      !this.#hearsLeader() && RaftLog.upToDate({ term: message.lastTerm, index: message.lastIndex }, this.#voteTail());
    this.#send({
      ...this.#envelope(message.from),
      type: 'pre-vote-reply',
      granted,
      campaignTerm: asTerm(message.term + 1),
    });
  }

  #onPreVoteReply(message: PreVoteReply): void {
    if (this.#role.name !== 'pre-candidate' || message.campaignTerm !== this.#term + 1) return;
    this.#role.votes.set(message.from, message.granted);
    this.#countVotes();
  }

  #onVote(message: Vote): void {
    if (this.#role.name === 'candidate') this.#meetRival(message);
    const free = this.#vote === null ? this.leader === null : this.#vote === message.from;
    const granted = free && RaftLog.upToDate({ term: message.lastTerm, index: message.lastIndex }, this.#voteTail());
    if (granted) {
      this.#setBallot(this.#term, message.from);
      this.#role = { name: 'follower', leader: null };
      this.#resetElection();
    }
    this.#send({ ...this.#envelope(message.from), type: 'vote-reply', granted });
  }

  /**
   * Somebody else asks for votes in this term, so there may not be enough for anybody. Of all that are known to ask, the one with
   * the newest log, by name among equals, tries again soon. It is the only one whose timeout changes: whoever cannot win holds
   * nobody up, and a replica that lets others go first because it could not commit goes on doing so (protocol G2).
   */
  #meetRival({ from, lastTerm, lastIndex }: Vote): void {
    if (this.#stallsNow > 0) return;
    const own = this.#log.last;
    const rival = { term: lastTerm, index: lastIndex };
    const isAhead = RaftLog.upToDate(own, rival) && (!RaftLog.upToDate(rival, own) || this.#options.self > from);
    const { again = this.#elapsed + splitVoteTicks, isFirst = true } = this.#splitVote ?? {};
    this.#splitVote = { again, isFirst: isFirst && isAhead };
  }

  /**
   * This term's leader hands over. A log that lacks the index it named would lose the campaign and have cost the leader; one
   * that has more has heard from it since, so the message is late (thesis 3.10, protocol G2, bug L10).
   */
  #onTimeoutNow(message: TimeoutNow): void {
    if (this.leader !== message.from || !this.#mayLead) return;
    const { last, durable } = this.#log;
    const holds = [this.#matched, durable, last.index].every((index) => index === message.lastIndex);
    if (holds) this.#becomeCandidate({ transfer: true });
  }

  #onVoteReply(message: VoteReply): void {
    if (this.#role.name !== 'candidate') return;
    this.#role.votes.set(message.from, message.granted);
    this.#countVotes();
  }

  #countVotes(): void {
    if (this.#role.name !== 'pre-candidate' && this.#role.name !== 'candidate') return;
    switch (countHalves(halvesOf(this.configuration.configuration), this.#role.votes)) {
      case 'pending':
        return;
      case 'lost':
        this.#role = { name: 'follower', leader: null };
        return;
      case 'won':
        if (this.#role.name === 'pre-candidate') this.#becomeCandidate({ transfer: false });
        else this.#becomeLeader();
    }
  }

  #becomeCandidate({ transfer }: { readonly transfer: boolean }): void {
    this.#setBallot(asTerm(this.#term + 1), this.#options.self);
    this.#resetElection();
    this.#role = { name: 'candidate', votes: new Map([[this.#options.self, true]]) };
    this.#broadcastVoteRequest({ type: 'vote', transfer });
    this.#countVotes();
  }

  #broadcastVoteRequest(
    request: Pick<PreVote, 'type'> | Pick<Vote, 'type' | 'transfer'>,
    asks: (voter: ReplicaId) => boolean = () => true,
  ): void {
    const { index: lastIndex, term: lastTerm } = this.#log.last;
    for (const voter of decidersOf(this.configuration.configuration)) {
      if (voter !== this.#options.self && asks(voter))
        this.#send({ ...this.#envelope(voter), ...request, lastIndex, lastTerm });
    }
  }

  #becomeLeader(): void {
    const { self, boot, window, appendEntriesMax, appendBytesMax, unsyncedBytesMax } = this.#options;
    const { electionTicksMin, electionTicksMax } = this.#options;
    this.#elapsed = 0;
    const leading = new Leader({
      self,
      boot,
      term: this.#term,
      log: this.#log,
      window,
      appendEntriesMax,
      appendBytesMax,
      unsyncedBytesMax,
      departingHeartbeats: 4 * electionTicksMax,
      electionTicksMin,
      send: (message) => this.#send(message),
      answer: (read, index) => this.#answerRead(read, index),
    });
    this.#role = { name: 'leader', leading };
    // Opens the term: nothing of earlier terms commits by counting, so this entry carries them (thesis 3.6.2, bug E1).
    this.#appendOwn([this.#proposal('noop', new Uint8Array(0))]);
    leading.replicate();
  }

  #becomeFollower(term: Term, leader: ReplicaId | null): void {
    const leading = this.#role.name === 'leader' ? this.#role.leading : null;
    if (term > this.#term) this.#setBallot(term, null);
    this.#role = { name: 'follower', leader };
    this.#resetElection();
    leading?.abandonReads();
  }

  #answerRead(read: { readonly requestId: string; readonly from: ReplicaId }, index: LogIndex | null): void {
    if (read.from === this.#options.self) this.#reads.push({ requestId: read.requestId, index });
    else this.#send({ ...this.#envelope(read.from), type: 'read-index-reply', requestId: read.requestId, index });
  }

  #onReadIndex(message: ReadIndex): void {
    if (this.#role.name === 'leader') this.#role.leading.read(message.requestId, message.from);
    else this.#answerRead(message, null);
  }

  /** A message of this term's leader arrived. */
  #follow(message: Append | Heartbeat | Snapshot): void {
    if (this.#role.name === 'leader')
      throw new InvariantError(`two leaders in term ${this.#term}: ${this.#options.self} and ${message.from}`);
    const known = this.#role.name === 'follower' ? this.#role.leader : null;
    invariant(
      known === null || known === message.from,
      `two leaders in term ${this.#term}: ${known} and ${message.from}`,
    );
    if (known === null) {
      this.#role = { name: 'follower', leader: message.from };
      this.#resetElection();
    } else this.#elapsed = 0;
    this.#session = Math.max(this.#session, message.session);
  }

  #onAppend(message: Append): void {
    this.#follow(message);
    const matched = this.#log.tryAppend(message.previousIndex, message.previousTerm, message.entries);
    const envelope = this.#envelope(message.from);
    if (matched === null) {
      const hintIndex = this.#log.lastIndexWithTermAtMost(
        asIndex(Math.min(message.previousIndex, this.#log.last.index)),
        message.previousTerm,
      );
      const hintTerm = this.#log.termAt(hintIndex) ?? asTerm(0);
      const result = { accepted: false, rejected: message.previousIndex, hintIndex, hintTerm } as const;
      this.#send({ ...envelope, type: 'append-reply', session: message.session, result });
      return;
    }
    const newest = message.entries.at(-1);
    if (newest !== undefined) this.#lastEntryTimeMs = Math.max(this.#lastEntryTimeMs, newest.timeMs);
    this.#matched = asIndex(Math.max(matched, this.#matched));
    this.#followCommit(message.commit);
    this.#acknowledge(true);
  }

  /** A base that does not list this replica is taken like any other: so it learns what came before it (bug M8). */
  #onSnapshot(message: Snapshot): void {
    this.#follow(message);
    const { base } = message;
    const { index, term } = base.position;
    if (index > this.#log.commit && this.#log.termAt(index) !== term) {
      this.#log.install(base);
      this.#lastEntryTimeMs = Math.max(this.#lastEntryTimeMs, base.timeMs);
    }
    // It is committed, so where this log goes up to it or beyond, it is the leader's up to there.
    this.#matched = asIndex(Math.max(index, this.#matched));
    this.#followCommit(index);
    this.#acknowledge(true);
  }

  #onHeartbeat(message: Heartbeat): void {
    this.#follow(message);
    this.#followCommit(message.commit);
    this.#send({
      ...this.#envelope(message.from),
      type: 'heartbeat-reply',
      session: message.session,
      round: message.round,
    });
  }

  /** The leader's commit index holds for this log as far as the two are known to be equal, no further (bug E15). */
  #followCommit(commit: LogIndex): void {
    const index = Math.min(commit, this.#matched);
    if (index > this.#log.commit) this.#log.commitTo(asIndex(index));
  }

  /**
   * Tells the leader how much of its log is durable here. An append whose entries are not durable yet is answered when
   * they are (protocol C7, bug E16); `asked`: the leader waits for a word even if there is nothing new to say.
   */
  #acknowledge(asked: boolean): void {
    if (this.#role.name !== 'follower' || this.#role.leader === null) return;
    const match = asIndex(Math.min(this.#matched, this.#log.durable));
    if (match <= this.#acknowledged && !(asked && match === this.#matched)) return;
    this.#acknowledged = match;
    const result = { accepted: true, match } as const;
    this.#send({ ...this.#envelope(this.#role.leader), type: 'append-reply', session: this.#session, result });
    this.#maybeRecovered();
  }

  /** The promise is kept again: by a log that is at least as far in Raft's order, or by a leader that matched it (protocol A2). */
  #maybeRecovered(): void {
    if (this.#lostPromise === null) return;
    const { durable } = this.#log;
    const verified = { index: durable, term: this.#log.termAt(durable) ?? asTerm(0) };
    const matched = Math.min(this.#matched, durable);
    if (RaftLog.upToDate(verified, this.#lostPromise) || matched >= this.#lostPromise.index) this.#lostPromise = null;
  }

  #setBallot(term: Term, vote: ReplicaId | null): void {
    if (term === this.#term && vote === this.#vote) return;
    invariant(term > this.#term || this.#vote === null, 'a vote is never changed within its term (bug E4)');
    invariant(term >= this.#term, 'the term never goes back');
    if (term > this.#term) {
      this.#matched = asIndex(0);
      this.#acknowledged = asIndex(0);
      this.#session = 0;
    }
    this.#term = term;
    this.#vote = vote;
    this.#ballotChanged = true;
  }

  #resetElection(): void {
    const { electionTicksMin, electionTicksMax, randomBelow } = this.#options;
    this.#elapsed = 0;
    this.#splitVote = null;
    const backOff = electionTicksMax * this.#stallsNow;
    this.#electionTimeout = electionTicksMin + randomBelow(electionTicksMax - electionTicksMin + 1) + backOff;
  }

  #envelope(to: ReplicaId): { from: ReplicaId; to: ReplicaId; term: Term; boot: BootId } {
    return { from: this.#options.self, to, term: this.#term, boot: this.#options.boot };
  }

  #send(message: OutgoingMessage): void {
    this.#messages.push(message);
  }

  /** What is to be done since the last call. */
  ready(): Ready {
    if (this.#role.name === 'leader') this.#endLeadersTurn(this.#role.leading);
    const ready: Ready = {
      ballot: this.#ballotChanged ? { term: this.#term, vote: this.#vote } : null,
      writes: this.#log.takeWrites(),
      messages: this.#messages,
      reads: this.#reads,
    };
    this.#ballotChanged = false;
    this.#messages = [];
    this.#reads = [];
    return ready;
  }
}
