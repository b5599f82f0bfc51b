/**
 * Drives one Raft core: the only place where it meets the disk, the network and time.
 *
 * Order of effects (docs/io-ordering.md, protocol A1, C7):
 *   log batch synced -> hard state synced with the promised tail -> what depends on it leaves.
 * A message leaves once the ballot it was sent under is durable; an acknowledgement once the entries and the promise are.
 * One log batch is in flight, the rest coalesces; the next batch does not wait for the hard state of the one before.
 *
 *   applied <= commit <= last
 */
import { QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../platform/clock.ts';
import type { Executor } from '../platform/executor.ts';
import type { Random } from '../platform/random.ts';
import { blockIdOf } from '../store/block.ts';
import type { BaseRecord } from '../store/base-record.ts';
import { type BlockLog, NotInLogError } from '../store/block-log.ts';
import type { OpenedLog } from '../store/log-opening.ts';
import { decodeConfiguration, encodeConfiguration } from '../store/configuration-record.ts';
import { entryHash, payloadHashOf } from '../store/entry.ts';
import type { HardState, HardStateFile } from '../store/hard-state.ts';
import type { TermRun } from '../store/term-runs.ts';
import { decodeTrim, encodeTrim } from '../store/trim-record.ts';
import { AppendOnce } from './append-once.ts';
import { AppendSender } from './append-sender.ts';
import { RaftLog } from './core/log.ts';
import type { Message, OutgoingMessage } from './core/message.ts';
import type { ConfigurationChange } from './core/configuration.ts';
import { decodeFormatLevel, type OpenedFormatLevel, trimFrom } from './core/format-level.ts';
import type { ChangeResult, ProposeResult, RaiseResult, Ready } from './core/options.ts';
import { Raft } from './core/raft.ts';
import {
  asIndex,
  type BootId,
  type ConfigurationAt,
  type Entry,
  type LogBase,
  type LogIndex,
  type LogPosition,
  type NodeId,
  nodeIdOf,
  type ReplicaId,
  type Term,
} from './core/types.ts';
import type { EntryRepair } from './entry-repair.ts';
import { Proposals, type ProposalOutcome } from './proposals.ts';
import { LeaderChanges, type LeaderChange, type NewLeader, transferRefused } from './leader-changes.ts';
import { ReadGate } from './read-gate.ts';
import { WriteTimes } from './write-times.ts';

export interface ReplicaOptions {
  readonly self: ReplicaId;
  readonly boot: BootId;
  readonly clock: Clock;
  readonly random: Random;
  readonly executor: Executor;
  readonly logger: Logger;
  readonly log: BlockLog;
  /** Reads of the log that wait for what is damaged. Closed by its owner when the replica stops. */
  readonly entries: EntryRepair;
  readonly hardState: HardStateFile;
  /** Where the terms of the log begin: `BlockLog.termRuns`. */
  readonly terms: readonly TermRun[];
  /** The leader's wall clock for an entry that it appends now, as far as the others bear it out, and that of the one before (protocol E3). */
  readonly entryTimeMs: (beforeMs: number) => number;
  /** The last index that `apply` has seen in an earlier life; the replica goes on after it. */
  readonly applied: LogIndex;
  /** Takes one committed entry in, in log order, exactly once. */
  readonly apply: (entry: Entry) => void;
  /** A base was installed past what was applied: what is applied goes on after it, and nothing of before is to be answered from. */
  readonly installed: (base: LogBase) => void;
  /** The log begins after another base, and the disk says so. */
  readonly trimmed: (base: LogIndex) => void;
  /** Another configuration is in force. */
  readonly membersChanged: () => void;
  /** The format level was raised, and that is committed. */
  readonly formatLevelChanged: (level: number) => void;
  /** Queues a message for a peer; may lose it. */
  readonly send: (to: NodeId, message: Message) => void;
  /** Queues a block for the leader of `term`; may lose it. */
  readonly forward: (to: NodeId, term: Term, payload: Uint8Array) => void;
  /** Whether a leader may take blocks into its log now; always, unless it is given. */
  readonly takesBlocks?: () => boolean;
  /** The node must stop: a write failed or an invariant broke (protocol A5). Called at most once. */
  readonly fatal: (error: Error) => void;
}

export interface ReplicaStatus {
  readonly role: Raft['role'];
  readonly leader: ReplicaId | null;
  readonly term: Term;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly last: LogIndex;
  /** As leader: who is to take over, while that is under way. */
  readonly transferTarget: ReplicaId | null;
  /** The tail this replica promised and has not got back yet (protocol A2). */
  readonly lostPromise: LogPosition | null;
  /** In force here, committed or not. */
  readonly configuration: ConfigurationAt;
  /** In force, as far as this replica knows. */
  readonly formatLevel: number;
}

export interface FollowerStatus {
  /** Up to where it holds the log durably. */
  readonly match: LogIndex;
  /** How long ago it last held all that was committed; null when it never did under this leader. */
  readonly lagMs: number | null;
}

/** The configurations that may be in force: the newest one known to be committed, and those behind the commit index. */
function configurationsOf(base: BaseRecord, state: HardState, opened: OpenedLog): ConfigurationAt[] {
  const { configuration, configurationIndex } = base;
  const kept = state.configuration;
  const committed =
    kept !== null && kept.index > configurationIndex ? kept : { index: configurationIndex, configuration };
  const found = opened.configurations.map((entry) => ({
    index: entry.index,
    configuration: decodeConfiguration(entry.payload).configuration,
  }));
  const known = Math.max(committed.index, state.commit);
  return [committed, ...found.filter(({ index }) => index > known)];
}

/** The format level that is known to be committed, and the entries that may have raised it since. */
function formatLevelOf(base: BaseRecord, state: HardState, { raises }: OpenedLog): OpenedFormatLevel {
  return {
    level: Math.max(base.formatLevel, state.formatLevel),
    written: Math.max(base.formatLevel, state.formatLevelWritten),
    raises: raises.map(({ index, payload }) => ({ index, level: decodeFormatLevel(payload) })),
  };
}

/** Who was last said to lead. */
interface Announced {
  readonly term: Term;
  readonly leader: ReplicaId | null;
}

export class Replica {
  /** For whoever waits until another replica leads. */
  readonly leaderChanges: LeaderChanges;
  readonly writeTimes: WriteTimes;
  readonly #options: ReplicaOptions;
  readonly #core: Raft;
  readonly #proposals: Proposals;
  readonly #reads: ReadGate;
  readonly #appendOnce = new AppendOnce();
  readonly #sender: AppendSender;
  /** Messages that wait for their ballot to be durable. */
  #held: { readonly ballot: number; readonly message: OutgoingMessage }[] = [];
  #ballot = 0;
  #ballotDurable = 0;
  #durableTail: LogPosition;
  #applied: LogIndex;
  #baseSeen: LogIndex;
  #configurationSeen: LogIndex | null = null;
  #formatLevelSeen: number;
  readonly #caughtUpAtMs = new Map<ReplicaId, number>();
  #pumpScheduled = false;
  #flushing: Promise<void> | null = null;
  /** Blocks that came while a write of the log was under way, each with the term it is meant for. */
  #arrived: { readonly term: Term; readonly payload: Uint8Array }[] = [];
  #arrivedBytes = 0;
  #cancelGathering: (() => void) | null = null;
  #applying: Promise<void> | null = null;
  #stopped = false;
  /** The hand-over that this leader has begun. */
  #handingOver: { readonly term: Term; readonly change: LeaderChange; readonly target: ReplicaId } | null = null;
  #caughtUp = false;
  #announced: Announced | null = null;
  #cancelTick: () => void = () => undefined;

  private constructor(options: ReplicaOptions, core: Raft) {
    this.#options = options;
    this.#core = core;
    this.writeTimes = new WriteTimes(options.clock);
    this.#applied = options.applied;
    this.#durableTail = options.log.last;
    this.#baseSeen = options.log.durableBase;
    this.#formatLevelSeen = core.formatLevel;
    options.entries.judgeBy({ committed: () => core.commit, termAt: (index) => core.termAt(index) });
    this.#sender = new AppendSender({
      log: options.log,
      entries: options.entries,
      logger: options.logger,
      stillLeads: (term) => !this.#stopped && core.role === 'leader' && core.term === term,
      send: (message) => options.send(nodeIdOf(message.to), message),
      failed: (peer) => core.unreachable(peer),
    });
    this.#proposals = new Proposals({
      clock: options.clock,
      deadlineMs: limits.writeDeadlineMs,
      retryMs: limits.forwardRetryMs,
      send: (term, payload) => this.#sendProposal(term, payload),
    });
    this.leaderChanges = new LeaderChanges({ clock: options.clock, deadlineMs: limits.transferDeadlineMs });
    this.#reads = new ReadGate(
      {
        clock: options.clock,
        deadlineMs: limits.readDeadlineMs,
        retryMs: limits.readRetryMs,
        boot: options.boot,
        ask: (requestId) => {
          core.readIndex(requestId);
          this.#schedulePump();
        },
        unavailable: () => this.#readUnavailable(),
      },
      options.applied,
    );
  }

  /** Starts a replica of a founded cluster on an opened log and hard state. */
  static async start(options: ReplicaOptions): Promise<Replica> {
    const { log, hardState, random, logger } = options;
    const { base } = log;
    const { state } = hardState;
    if (base === null || state === null) throw new Error('a replica starts only after its cluster is founded');
    const kept = await log.holds(state.promised);
    // A log that lost its promise may have fallen back to entries that were replaced by what was committed in their place:
    // then the commit index of the hard state does not speak of them. What was applied has been found again by its hash.
    const core = new Raft({
      self: options.self,
      boot: options.boot,
      ballot: { term: state.term, vote: state.vote },
      log: {
        base,
        last: log.last,
        runs: options.terms,
        configurations: configurationsOf(base, state, log.opened),
        formatLevel: formatLevelOf(base, state, log.opened),
        commit: kept ? asIndex(Math.max(options.applied, Math.min(state.commit, log.last.index))) : options.applied,
      },
      lostPromise: kept ? null : state.promised,
      electionTicksMin: limits.electionTicksMin,
      electionTicksMax: limits.electionTicksMax,
      window: { messagesMax: limits.inflightMessagesMax, bytesMax: limits.inflightBytesMax },
      appendEntriesMax: limits.appendEntriesMax,
      appendBytesMax: limits.appendBytesMax,
      membersMax: limits.votersMax,
      uncommittedBytesMax: limits.uncommittedBytesMax,
      unsyncedBytesMax: limits.unsyncedBytesMax,
      nowMs: () => options.entryTimeMs(log.lastTimeMs),
      lastEntryTimeMs: log.lastTimeMs,
      randomBelow: (bound) => random.below(bound),
      seal: (draft) => entryHash(draft),
      payloadHashOf,
      encodeConfiguration,
      decodeConfiguration: (payload) => decodeConfiguration(payload).configuration,
    });
    if (core.lostPromise !== null) {
      logger.warn(
        { promised: core.lostPromise.index, found: log.last.index },
        'the log ends before what this node promised: recovering from the other nodes, voting by the promise',
      );
    }
    const replica = new Replica(options, core);
    // A batch that was in flight at a crash may be in the log without being promised; it is not acknowledged before it is.
    await replica.#writeHardState();
    replica.#scheduleTick();
    replica.#schedulePump();
    return replica;
  }

  get status(): ReplicaStatus {
    const { role, leader, term, commit, transferTarget, lostPromise, configuration, formatLevel } = this.#core;
    const [applied, last] = [this.#applied, this.#core.last.index];
    return { role, leader, term, commit, applied, last, transferTarget, lostPromise, configuration, formatLevel };
  }

  /** Another replica has applied a trim that this one cannot come to: an entry below it is damaged here and expired elsewhere. */
  learnBase(base: LogBase): void {
    this.#guard(() => {
      const { index, term } = base.position;
      if (index > this.#core.commit || this.#core.termAt(index) !== term) return;
      this.#core.trimTo(base);
      this.#schedulePump();
    });
  }

  /** Where the log begins. */
  get base(): LogBase {
    return this.#core.base;
  }

  /**
   * It has applied all that was committed before it met its leader, or became that itself: its own disk cannot know what was
   * committed while it was away (bug D8).
   */
  get caughtUp(): boolean {
    return this.#caughtUp;
  }

  /** The configuration in force here, committed or not. */
  get configuration(): ConfigurationAt {
    return this.#core.configuration;
  }

  /** Blocks of this node that are proposed and not settled. */
  get proposalsPending(): number {
    return this.#proposals.size;
  }

  /** Begins a change of the members, as leader; see `Raft.changeConfiguration`. */
  changeConfiguration(change: ConfigurationChange, expected: LogIndex): ChangeResult {
    if (this.#stopped) return { outcome: 'not-leader' };
    const result = this.#core.changeConfiguration(change, expected);
    this.#schedulePump();
    return result;
  }

  /** Brings a trim into the log, as leader: every node drops what is up to `base` once it applies that (protocol E1). */
  proposeTrim(base: LogBase): ProposeResult {
    if (this.#stopped || this.#core.role !== 'leader') return 'not-leader';
    const { index } = base.position;
    if (this.#core.formatLevel < trimFrom || index <= this.#core.base.position.index || index > this.#applied)
      return 'busy';
    const payload = encodeTrim(base);
    const result = this.#core.propose([{ kind: 'trim', payload, payloadHash: payloadHashOf(payload) }]);
    this.#schedulePump();
    return result;
  }

  /** Raises the format level, as leader; see `Raft.raiseFormatLevel`. */
  raiseFormatLevel(level: number): RaiseResult {
    if (this.#stopped) return 'not-leader';
    const result = this.#core.raiseFormatLevel(level);
    this.#schedulePump();
    return result;
  }

  /** As leader: what it knows of each voter's log; null otherwise. */
  get followers(): ReadonlyMap<ReplicaId, FollowerStatus> | null {
    const { progress, durable } = this.#core;
    if (progress === null) return null;
    const nowMs = this.#options.clock.monotonicMs();
    const own = [this.#options.self, { match: durable, lagMs: 0 }] as const;
    const others = [...progress].map(([peer, { match }]) => {
      const caughtUpAt = this.#caughtUpAtMs.get(peer);
      const lagMs = match >= this.#core.commit ? 0 : caughtUpAt === undefined ? null : Math.round(nowMs - caughtUpAt);
      return [peer, { match, lagMs }] as const;
    });
    return new Map([own, ...others]);
  }

  /** Notes which followers hold everything that is committed now. */
  #noteFollowers(): void {
    for (const [peer, { match }] of this.#core.progress ?? []) {
      if (match >= this.#core.commit) this.#caughtUpAtMs.set(peer, this.#options.clock.monotonicMs());
    }
  }

  /** A message from a peer. */
  receive(message: Message): void {
    this.#guard(() => {
      this.#core.step(message);
      this.#schedulePump();
    });
  }

  /** A forwarded block for the leader of `term`. Dropped when this replica is not that leader; its builder finds out (protocol C2). */
  receiveForward(term: Term, payload: Uint8Array): void {
    this.#guard(() => this.#takeBlock(term, payload));
  }

  /** The connection to `node` broke. */
  disconnected(node: NodeId): void {
    for (const peer of this.#core.progress?.keys() ?? []) {
      if (nodeIdOf(peer) === node) this.#core.unreachable(peer);
    }
  }

  /** Brings a block into the log. Resolves once it is committed, or with `unknown` at the write deadline. */
  propose(blockId: string, payload: Uint8Array): Promise<ProposalOutcome> {
    if (this.#stopped) return Promise.resolve('unknown');
    return this.#proposals.submit(blockId, payload);
  }

  /** Resolves once this replica has applied everything committed before the call (protocol D1). Rejects at the read deadline. */
  linearize(): Promise<LogIndex> {
    return this.#reads.pass();
  }

  /**
   * As leader: brings `target` up to date and has it elected (thesis 3.10). Resolves with the leader of a later term, which is
   * another replica. Rejects with `conflict` when it cannot be begun, with `unavailable` when nobody else was elected.
   */
  transferLeadership(target: ReplicaId): Promise<NewLeader> {
    const { term } = this.#core;
    const result = this.#stopped ? 'not-leader' : this.#core.transfer(target);
    if (result !== 'begun') return Promise.reject(transferRefused(result, target));
    const change = this.leaderChanges.after({ leader: this.#options.self, term });
    this.#handingOver = { term, change, target };
    this.#schedulePump();
    return change.next;
  }

  /** The core has given a hand-over up: this replica goes on as leader. */
  #noteTransfer(): void {
    if (this.#handingOver === null || this.#core.transferTarget !== null) return;
    const { term, change, target } = this.#handingOver;
    this.#handingOver = null;
    if (this.#core.role !== 'leader' || this.#core.term !== term) return;
    const sentence = `${nodeIdOf(target)} did not take over in time: it does not answer, or is too far behind`;
    change.fail(new QuorateError('unavailable', sentence));
  }

  #readUnavailable(): QuorateError {
    const damage = this.#options.entries.waitingFor(asIndex(this.#applied + 1));
    if (damage !== null) return damage;
    const why =
      this.#core.leader === null ? 'no majority of the cluster is reachable' : 'no majority confirmed the read in time';
    return new QuorateError('unavailable', `${why}: ask again, or with consistency=stale for what this node has`);
  }

  /** Why a write could not be confirmed, for the client. */
  unavailable(): QuorateError {
    const { leader, lostPromise } = this.#core;
    if (lostPromise !== null && leader === null) {
      const sentence = `no leader, and this node promised entries up to ${lostPromise.index} that its disk lost: start the other nodes, then send it again`;
      return new QuorateError('unavailable', sentence);
    }
    return new QuorateError(
      'unavailable',
      leader === null
        ? 'no majority of the cluster is reachable: it may be stored; sending it again is safe'
        : 'no confirmation from a majority in time: it may be stored; sending it again is safe',
    );
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancelTick();
    this.#cancelGathering?.();
    this.#proposals.abandon();
    this.#reads.close();
    this.leaderChanges.close(new QuorateError('not-ready', 'this node is stopping: ask another one'));
  }

  /** Resolves when no write of the log is under way; after `stop`, for good. */
  async idle(): Promise<void> {
    await Promise.all([this.#flushing, this.#applying]);
  }

  #sendProposal(term: Term, payload: Uint8Array): void {
    const { leader } = this.#core;
    if (leader === null || term !== this.#core.term) return;
    if (leader === this.#options.self) this.#takeBlock(term, payload);
    else this.#options.forward(nodeIdOf(leader), term, payload);
  }

  /**
   * Appends a block as leader; or keeps it until the write of the log that is under way has ended, but not for long: before that
   * it could not be written here either, and blocks that come meanwhile leave together, in one append to each follower. Behind a
   * write that takes its time they leave without this disk: a majority of the others may have them sooner.
   */
  #takeBlock(term: Term, payload: Uint8Array): void {
    if (this.#core.role !== 'leader' || this.#core.term !== term) return;
    // More than the core would take in a tick. The builder sends it again.
    if (this.#arrivedBytes >= limits.unsyncedBytesMax) return;
    this.#arrived.push({ term, payload });
    this.#arrivedBytes += payload.length;
    if (this.#flushing === null) this.#appendArrived();
    else
      this.#cancelGathering ??= this.#options.clock.after(limits.gatherMsMax, () =>
        this.#guard(() => this.#appendArrived()),
      );
  }

  #appendArrived(): void {
    this.#cancelGathering?.();
    this.#cancelGathering = null;
    const arrived = this.#arrived;
    if (arrived.length === 0) return;
    this.#arrived = [];
    this.#arrivedBytes = 0;
    const core = this.#core;
    if (core.role !== 'leader' || this.#options.takesBlocks?.() === false) return;
    // Only those of this very term, and once (protocol C1): the leader may have changed while they waited.
    const blocks = arrived
      .filter(({ term }) => term === core.term)
      .map(({ payload }) => ({ id: blockIdOf(payload), payload }))
      .filter(({ id }) => this.#appendOnce.admit(core.term, id));
    if (blocks.length === 0) return;
    const proposals = blocks.map(({ payload }) => ({
      kind: 'block' as const,
      payload,
      payloadHash: payloadHashOf(payload),
    }));
    if (core.propose(proposals) !== 'appended') for (const { id } of blocks) this.#appendOnce.forget(id);
    this.#schedulePump();
  }

  #scheduleTick(): void {
    const { clock, executor } = this.#options;
    const due = clock.monotonicMs() + limits.tickMs;
    this.#cancelTick = clock.after(limits.tickMs, () => {
      // After a pause of our own, what the others said meanwhile comes first (protocol G1).
      const late = clock.monotonicMs() - due > limits.tickMs;
      void (late ? executor.nextTurn().then(() => executor.nextTurn()) : Promise.resolve()).then(() => this.#tick());
    });
  }

  #tick(): void {
    if (this.#stopped) return;
    this.#guard(() => {
      this.#core.tick();
      this.#proposals.tick();
      this.#noteFollowers();
      this.#schedulePump();
    });
    this.#scheduleTick();
  }

  /** Carries out what the core wants once this turn's messages are all in. */
  #schedulePump(): void {
    if (this.#pumpScheduled || this.#stopped) return;
    this.#pumpScheduled = true;
    void Promise.resolve().then(() => {
      this.#pumpScheduled = false;
      if (!this.#stopped) this.#guard(() => this.#pump());
    });
  }

  #pump(): void {
    const ready = this.#core.ready();
    this.#persist(ready);
    for (const message of ready.messages) this.#held.push({ ballot: this.#ballot, message });
    this.#releaseHeld();
    for (const { requestId, index } of ready.reads) this.#reads.answered(requestId, index);
    this.#announceLeader();
    this.#announceConfiguration();
    this.#announceFormatLevel();
    this.#noteTransfer();
    if (this.#applied < this.#core.commit) {
      this.#applying ??= this.#applyCommitted()
        .catch(this.#fatal)
        .finally(() => (this.#applying = null));
    }
  }

  #persist(ready: Ready): void {
    if (ready.ballot !== null) {
      this.#ballot += 1;
      const ballot = this.#ballot;
      this.#writeHardState().then(() => {
        this.#ballotDurable = Math.max(this.#ballotDurable, ballot);
        this.#releaseHeld();
      }, this.#fatal);
    }
    for (const write of ready.writes) this.#options.log.stage(write);
    if (ready.writes.length > 0) this.writeTimes.waits();
    // Not only after new writes: one staged while the last flush was ending must not wait for the next.
    if (this.#options.log.hasStaged)
      this.#flushing ??= this.#flush()
        .catch(this.#fatal)
        .finally(() => {
          this.#flushing = null;
          this.#guard(() => this.#appendArrived());
        });
  }

  /** Writes the log, batch after batch, each followed by the hard state that promises it. */
  async #flush(): Promise<void> {
    while (this.#options.log.hasStaged && !this.#stopped) {
      // A start looks at the hard state first, and an old binary must not get to what it cannot read (protocol B4).
      if (!this.#isFormatMarked) {
        await this.#writeHardState();
        continue;
      }
      const { position, sequence } = await this.writeTimes.measure(() => this.#options.log.flush());
      if (this.#stopped) return;
      this.#announceBase();
      this.#durableTail = position;
      this.#writeHardState().then(() => {
        this.#guard(() => this.#core.logDurable(position.index, sequence));
        this.#schedulePump();
      }, this.#fatal);
      if (this.#arrived.length === 0) continue;
      this.#guard(() => {
        this.#appendArrived();
        // Now, so that they are staged for the batch that comes next.
        this.#pump();
      });
    }
  }

  /** The hard state on the disk says of which format level the log may be. */
  get #isFormatMarked(): boolean {
    return (this.#options.hardState.state?.formatLevelWritten ?? 0) >= this.#core.formatLevelWritten;
  }

  /**
   * What this replica promises with its next hard state. While it is recovering the promise is never overwritten with a
   * shorter log (protocol A2); a log that has caught up is promised before it is acknowledged.
   */
  #promise(): LogPosition {
    const { lostPromise } = this.#core;
    return lostPromise === null || RaftLog.upToDate(this.#durableTail, lostPromise) ? this.#durableTail : lostPromise;
  }

  #writeHardState(): Promise<void> {
    const { hardState } = this.#options;
    const { state } = hardState;
    if (state === null) return Promise.reject(new Error('hard state is gone'));
    // Not the durable tail's index: entries there may wait to be replaced by what was committed in their place.
    const commit = asIndex(Math.max(state.commit, Math.min(this.#core.commit, this.#core.durable)));
    const inForce = this.#core.configurationAsOf(commit);
    // Whatever the base says that may not be on the disk yet; and never before what a write under way says.
    const kept = hardState.requested?.configuration ?? null;
    const isNewer = inForce.index <= commit && inForce.index > (kept?.index ?? 0);
    return hardState.write({
      ...state,
      term: this.#core.term,
      vote: this.#core.vote,
      promised: this.#promise(),
      commit,
      configuration: isNewer ? inForce : kept,
      formatLevel: Math.max(state.formatLevel, this.#core.formatLevel),
      formatLevelWritten: Math.max(state.formatLevelWritten, this.#core.formatLevelWritten),
    });
  }

  #releaseHeld(): void {
    const released = this.#held.findIndex(({ ballot }) => ballot > this.#ballotDurable);
    const messages = this.#held.splice(0, released < 0 ? this.#held.length : released);
    for (const { message } of messages) {
      if (message.type === 'append') this.#sender.send(message);
      else this.#options.send(nodeIdOf(message.to), message);
    }
  }

  #announceBase(): void {
    const { durableBase } = this.#options.log;
    if (durableBase === this.#baseSeen) return;
    this.#baseSeen = durableBase;
    this.#options.logger.info({ base: durableBase }, 'the log was trimmed');
    this.#options.trimmed(durableBase);
  }

  #announceConfiguration(): void {
    const { index, configuration } = this.#core.configuration;
    if (this.#configurationSeen === index) return;
    const isFirst = this.#configurationSeen === null;
    this.#configurationSeen = index;
    if (!isFirst) this.#options.logger.info({ index, ...configuration }, 'the members changed');
    this.#options.membersChanged();
  }

  #announceFormatLevel(): void {
    const { formatLevel } = this.#core;
    const before = this.#formatLevelSeen;
    if (before === formatLevel) return;
    this.#formatLevelSeen = formatLevel;
    this.#options.logger.info({ level: formatLevel, before }, 'the format level was raised');
    this.#options.formatLevelChanged(formatLevel);
  }

  /** Tells who waits that there is another leader, or none. */
  #announceLeader(): void {
    const { term, leader, role } = this.#core;
    if (this.#announced?.term === term && this.#announced.leader === leader) return;
    this.#announced = { term, leader };
    this.#options.logger.info({ term, role, leader }, leader === null ? 'no leader' : 'leader');
    this.#proposals.leaderChanged(leader === null ? null : term);
    this.#caughtUp = false;
    if (leader === null) return;
    this.#reads.retry();
    this.leaderChanges.announced(term, leader);
    void this.#catchUp(this.#announced);
  }

  /** A read asks the leader how far the log is committed, and waits until that is applied. */
  async #catchUp(met: Announced): Promise<void> {
    while (!this.#stopped && this.#announced === met && !this.#caughtUp) {
      const passed = await this.linearize().then(
        () => true,
        () => false,
      );
      if (this.#announced === met) this.#caughtUp = passed;
    }
  }

  async #applyCommitted(): Promise<void> {
    const { executor } = this.#options;
    while (this.#applied < this.#core.commit && !this.#stopped) {
      if (this.#applied < this.#core.base.position.index) this.#applyBase(this.#core.base);
      else await this.#applySome();
      if (this.#stopped) return;
      this.#reads.appliedTo(this.#applied);
      if (this.#applied < this.#core.commit) await executor.nextTurn();
    }
  }

  /** The leader had no longer what this replica lacked: all of it has expired. */
  #applyBase(base: LogBase): void {
    const { index, term } = base.position;
    this.#options.logger.warn(
      { applied: this.#applied, base: index },
      'the log goes on from a later base: what was below it has expired meanwhile',
    );
    this.#options.installed(base);
    this.#applied = index;
    this.#proposals.baseInstalled(term);
  }

  async #applySome(): Promise<void> {
    const { log, entries: reader } = this.#options;
    const first = asIndex(this.#applied + 1);
    const last = asIndex(Math.min(this.#core.commit, this.#applied + limits.appendEntriesMax));
    try {
      const entries = log.cached(first, last) ?? (await reader.readRange(first, last, limits.appendBytesMax));
      if (this.#stopped) return;
      for (const entry of entries) this.#apply(entry);
    } catch (error) {
      // A base was installed past it while it was read.
      if (!(error instanceof NotInLogError) || first > this.#core.base.position.index) throw error;
    }
  }

  #apply(entry: Entry): void {
    this.#options.apply(entry);
    this.#applied = entry.index;
    if (entry.kind === 'trim') {
      this.#core.trimTo(decodeTrim(entry.payload));
      this.#schedulePump();
    }
    this.#proposals.applied(entry.term, entry.kind === 'block' ? blockIdOf(entry.payload) : null);
  }

  #guard(action: () => void): void {
    if (this.#stopped) return;
    try {
      action();
    } catch (error) {
      this.#fatal(error);
    }
  }

  readonly #fatal = (error: unknown): void => {
    if (this.#stopped) return;
    this.stop();
    this.#options.fatal(error instanceof Error ? error : new Error(String(error)));
  };
}
