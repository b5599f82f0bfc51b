/**
 * One node's share of the trace store, without its network faces: founding, replica, log, index, ingest and lookup put
 * together over a platform and a transport. The simulator runs exactly this.
 */
import { errorOf, QuorateError } from '../errors.ts';
import { type ClientLimits, limits, type RetentionLimits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import type { Platform } from '../platform/platform.ts';
import { belongs, votersOnly, votes } from '../raft/core/configuration.ts';
import { type FormatRange, formatRange } from '../raft/core/format-level.ts';
import {
  asBootId,
  asIndex,
  type Configuration,
  type ConfigurationAt,
  emptyLog,
  type Entry,
  type LogBase,
  type LogIndex,
  type NodeId,
  nodeIdOf,
  type ReplicaId,
  replicaIdOf,
} from '../raft/core/types.ts';
import { EntryRepair, type NamedEntry } from '../raft/entry-repair.ts';
import { Founder } from '../raft/founding.ts';
import { Replica, type ReplicaStatus } from '../raft/replica.ts';
import type { BlockLog } from '../store/block-log.ts';
import { BlockReader } from '../store/block-reader.ts';
import { DamagedEntryError } from '../store/damaged.ts';
import type { HardState, HardStateFile } from '../store/hard-state.ts';
import type { TermRun } from '../store/term-runs.ts';
import type { Founding, Hello, MemberChange, PeerMessage, Refusal, Transport } from '../transport/transport.ts';
import { clocksFrom, protocolVersion } from '../transport/transport.ts';
import { version } from '../version.ts';
import { type DataDirectory, openDataDirectory } from './data-directory.ts';
import { Expiry } from './expiry.ts';
import { FormatUpgrade } from './format-upgrade.ts';
import { type HealthStatus, healthStatus } from './health-status.ts';
import { Ingest, type WriteResult } from './ingest.ts';
import { LeaderHealth } from './leader-health.ts';
import { type Leader, Leadership } from './leadership.ts';
import { findTerms, findTermsOrCut } from './log-terms.ts';
import { Membership } from './membership.ts';
import { whyNoLeader } from './no-leader.ts';
import { Peers, type Report } from './peers.ts';
import type { DiskHealth } from './relief.ts';
import { Scrub, type ScrubStatus } from './scrub.ts';
import { SpaceWatch } from './space-watch.ts';
import { memberStatuses, type StoreStatus } from './status.ts';
import { type StoreDigest, StoreDigests } from './store-digest.ts';
import { TraceIndexer } from './trace-indexer.ts';
import { type Consistency, type ReadOptions, type TraceRead, TraceReader } from './trace-reader.ts';

export interface TraceStoreOptions {
  readonly platform: Platform;
  readonly transport: Transport;
  readonly node: NodeId;
  /** Base URL of this node's HTTP API. */
  readonly http: string;
  /** Where this node listens for the others, `host:port`. */
  readonly address: string;
  /** All nodes of `--cluster`, this one included, with the address where they listen; empty for a node that joins. */
  readonly members: ReadonlyMap<NodeId, string>;
  readonly logger: Logger;
  /** Sees every committed entry, in log order, once a life. */
  readonly committed?: (entry: Entry) => void;
  /** What clients may send and ask for, where that is not `limits`. */
  readonly limits?: ClientLimits;
  /** What expires; absent: nothing. */
  readonly retention?: RetentionLimits;
  /** How often a trim is proposed at most, and the least that a window of the index holds of what is kept by bytes; see limits. */
  readonly trimEveryMs?: number;
  readonly retentionWindowBytesMin?: number;
  /** How far apart wall clocks may be; see limits. */
  readonly clockToleranceMs?: number;
  /** Entries after which the index is flushed; see limits. */
  readonly indexFlushEntries?: number;
  /** Raw span bytes after which a block is closed; see limits. */
  readonly blockRawBytesTarget?: number;
  /** The end of the log that is verified at open; see limits. */
  readonly logVerifyBytes?: number;
  /** From the end of one pass of the scrub to the next; see limits. */
  readonly scrubRestMs?: number;
  /** The format levels that this node reads, where that is not `formatRange`. */
  readonly formats?: FormatRange;
  /** Aborted when the node is told to stop: it may wait for space to open. */
  readonly signal?: AbortSignal | undefined;
  /** The node must stop; called at most once. */
  readonly fatal: (error: Error) => void;
}

/** The part that exists once the cluster is founded. */
interface Running {
  readonly replica: Replica;
  readonly index: TraceIndexer;
  readonly ingest: Ingest;
  readonly leadership: Leadership;
  readonly health: LeaderHealth;
  readonly scrub: Scrub;
}

/** Often enough that a status page is not behind what the others already know. */
const reportEveryMs = 250;

export class TraceStore {
  readonly #options: TraceStoreOptions;
  readonly #limits: ClientLimits;
  readonly #space: SpaceWatch;
  readonly #log: BlockLog;
  readonly #hardState: HardStateFile;
  readonly #self: ReplicaId;
  readonly #boot: string;
  readonly #peers: Peers;
  readonly #membership: Membership;
  readonly #expiry: Expiry;
  readonly #formats: FormatRange;
  readonly #formatUpgrade: FormatUpgrade;
  readonly #entries: EntryRepair;
  readonly #reader: TraceReader;
  readonly #digests: StoreDigests;
  #founder: Founder | null = null;
  /** Under way, or done. */
  #founding: Promise<void> | null = null;
  #running: Running | null = null;
  /** Tells who waits for an entry, before the replica runs, that it has expired at another node. */
  #baseOffered: (base: LogBase) => void = () => undefined;
  #leaving = false;
  #stopped = false;
  #cancelReport: () => void = () => undefined;

  private constructor(options: TraceStoreOptions, space: SpaceWatch, { log, hardState, incarnation }: DataDirectory) {
    this.#options = options;
    this.#limits = options.limits ?? limits;
    this.#space = space;
    this.#log = log;
    this.#hardState = hardState;
    this.#self = replicaIdOf(options.node, incarnation);
    this.#boot = hex(options.platform.random.bytes(16));
    const { platform, logger, members, transport } = options;
    this.#entries = new EntryRepair({
      log,
      clock: platform.clock,
      logger,
      peers: () => [...this.#membership.addresses.keys()].filter((node) => node !== options.node),
      ask: (peer, wanted) => transport.send(peer, 'control', { kind: 'fetch', ...wanted }),
      fatal: (error) => this.#fatal(error),
    });
    this.#reader = new TraceReader({
      platform,
      logger,
      log,
      entries: this.#entries,
      limits: this.#limits,
      stopping: () => (this.#stopped ? this.#stopping() : null),
    });
    this.#digests = new StoreDigests({ clock: platform.clock, log, entries: this.#entries });
    this.#peers = new Peers({
      node: options.node,
      clock: platform.clock,
      logger,
      members: () => this.#membership.addresses,
    });
    this.#expiry = new Expiry({
      ...options,
      self: this.#self,
      clock: platform.clock,
      log,
      entries: this.#entries,
      clockOf: (replica) => this.#peers.clockOf(replica),
      isSpaceShort: () => space.level !== 'ample',
      fatal: (error) => this.#fatal(error),
    });
    this.#formats = options.formats ?? formatRange;
    this.#formatUpgrade = new FormatUpgrade({
      self: { replica: this.#self, version, formats: this.#formats },
      peers: this.#peers,
      logger,
      replica: () => this.#running?.replica ?? null,
    });
    this.#membership = new Membership({
      node: options.node,
      address: options.address,
      configured: members,
      peers: this.#peers,
      clock: platform.clock,
      random: platform.random,
      logger,
      stored: () => newestStored(hardState.state, log),
      replica: () => this.#running?.replica ?? null,
      formatRefusal: (wanted) => this.#formatUpgrade.refusal(wanted),
      send: (to, message) => transport.send(to, 'control', message),
    });
  }

  /**
   * Opens the data directory, as soon as there is space to, verifies it, and joins the others. Rejects with one sentence when
   * that cannot be done.
   */
  static async open(options: TraceStoreOptions): Promise<TraceStore> {
    const { platform, logger, signal, formats = formatRange } = options;
    const space = await SpaceWatch.start({ space: platform.disk.space, clock: platform.clock, logger, signal });
    const directory = await openDataDirectory({ ...options, newestFormat: formats.newest }).catch((error: unknown) => {
      space.stop();
      throw error;
    });
    const store = new TraceStore(options, space, directory);
    try {
      await store.#start();
    } catch (error) {
      await store.close();
      throw error;
    }
    return store;
  }

  async #start(): Promise<void> {
    const { transport } = this.#options;
    await this.#finishFounding();
    const terms = this.#belongs ? await this.#findTerms() : null;
    if (terms === null) this.#founder = this.#newFounder();
    else if (!(terms instanceof DamagedEntryError)) await this.#startReplica(terms);
    this.#reachMembers();
    await transport.start(() => this.hello, {
      admit: (hello) => this.#peers.admit(hello, this.hello.clusterId),
      onUp: (hello) => this.#peerUp(hello),
      onDown: (node) => this.#peerDown(node),
      onMessage: (hello, message) => this.#receive(hello, message),
      onRefused: (node, refusal) => this.#refused(node, refusal),
    });
    if (terms instanceof DamagedEntryError)
      this.#founding = this.#startRepaired(terms).catch((error: unknown) => this.#fatal(errorOf(error)));
    this.#report();
  }

  #reachMembers(): void {
    this.#options.transport.reach(this.#membership.addresses);
  }

  #findTerms(): Promise<readonly TermRun[] | DamagedEntryError> {
    const { state } = this.#hardState;
    if (state === null) throw new Error('the hard state is gone');
    return findTermsOrCut(this.#log, state, this.#options.logger);
  }

  /** Starts the replica once the damage is repaired that hides where a term begins. Peers answer for that without replicas. */
  async #startRepaired(damage: DamagedEntryError): Promise<void> {
    const commit = this.#hardState.state?.commit ?? emptyLog.index;
    this.#entries.judgeBy({ committed: () => commit, termAt: () => undefined });
    let terms: readonly TermRun[] | DamagedEntryError = damage;
    while (terms instanceof DamagedEntryError) {
      const offered = new Promise<LogBase>((resolve) => (this.#baseOffered = resolve));
      const got = await Promise.race([this.#entries.read(terms.index), offered]);
      // Where it has expired meanwhile it is not needed any more.
      if ('position' in got) await this.#log.adoptBase(got);
      terms = await findTerms(this.#log);
    }
    if (this.#stopped) return;
    await this.#startReplica(terms);
    this.#options.transport.helloChanged();
  }

  /** Hard state and log name the same cluster: this incarnation was founded with it, or admitted. */
  get #belongs(): boolean {
    const { base } = this.#log;
    return base !== null && base.clusterId === this.#hardState.state?.clusterId;
  }

  /**
   * A founding that was cut short: its record is synced, the hard state does not name the cluster yet. The record lists this
   * very incarnation, so nobody has to be asked; and nobody could be, where the one that minted the cluster was cut short.
   */
  async #finishFounding(): Promise<void> {
    const { base } = this.#log;
    const { state } = this.#hardState;
    if (base === null || state === null || state.clusterId !== null) return;
    if (!base.configuration.voters.includes(this.#self)) return;
    await this.#hardState.write(foundedState(state, base));
  }

  #newFounder(): Founder {
    const { node, members, platform, logger } = this.#options;
    const found = (founding: Founding): Promise<void> => {
      this.#founding = this.#found(founding).catch((error: unknown) => this.#fatal(errorOf(error)));
      return this.#founding;
    };
    const clusterId = this.#hardState.state?.clusterId ?? this.#log.clusterId;
    return new Founder({
      node,
      replica: this.#self,
      clusterId,
      formats: this.#formats,
      members: [...members.keys()],
      clock: platform.clock,
      random: platform.random,
      logger,
      found,
    });
  }

  /** Syncs the founding record, then takes part. */
  async #found(founding: Founding): Promise<void> {
    const { state } = this.#hardState;
    if (state === null) throw new Error('the hard state is gone');
    if (this.#log.base === null) {
      const { clusterId, voters, formatLevel } = founding;
      await this.#log.found({ clusterId, configuration: votersOnly(voters), formatLevel });
    }
    await this.#hardState.write(foundedState(state, founding));
    if (this.#stopped) return;
    // A log that only lost its base record may be damaged elsewhere, too.
    const terms = await this.#findTerms();
    this.#founder = null;
    if (terms instanceof DamagedEntryError) await this.#startRepaired(terms);
    else {
      await this.#startReplica(terms);
      this.#options.transport.helloChanged();
    }
    for (const hello of this.#peers.hellos) this.#offerFounding(hello);
  }

  async #startReplica(terms: readonly TermRun[]): Promise<void> {
    const { platform, transport, logger } = this.#options;
    const index = await TraceIndexer.open({
      platform,
      log: this.#log,
      entries: this.#entries,
      logger,
      incarnation: this.#hardState.state?.incarnation ?? '',
      ...this.#expiry.windowBounds,
      ...(this.#options.indexFlushEntries === undefined ? {} : { flushEntries: this.#options.indexFlushEntries }),
    });
    const replica = await Replica.start({
      self: this.#self,
      boot: asBootId(this.#boot),
      clock: platform.clock,
      random: platform.random,
      executor: platform.executor,
      logger,
      log: this.#log,
      entries: this.#entries,
      hardState: this.#hardState,
      terms,
      entryTimeMs: (beforeMs) => this.#expiry.entryTimeMs(beforeMs),
      applied: index.applied,
      apply: (entry) => {
        index.apply(entry);
        this.#options.committed?.(entry);
      },
      send: (to, message) => {
        const bulk = message.type === 'append' && message.entries.length > 0;
        transport.send(to, bulk ? 'bulk' : 'control', { kind: 'raft', message });
      },
      installed: ({ position }) => index.installBase(position),
      trimmed: (base) => {
        index.trimTo(base);
        this.#expiry.trimmed();
      },
      membersChanged: () => this.#membersChanged(),
      // Whoever cannot read it is refused from now on, also where it was connected before.
      formatLevelChanged: () => transport.helloChanged(),
      takesBlocks: () => (this.#running?.health.takesBlocks ?? true) && this.#expiry.canTellTime,
      forward: (to, term, payload) => transport.send(to, 'bulk', { kind: 'forward', term, payload }),
      fatal: (error) => this.#fatal(error),
    });
    for (const { index: hole, reason } of this.#log.opened.holes) this.#entries.meet(hole, reason);
    const ingest = new Ingest({
      clock: platform.clock,
      codec: platform.codec,
      executor: platform.executor,
      builder: this.#boot,
      propose: (id, payload) => replica.propose(id, payload),
      limits: this.#limits,
      unavailable: () => replica.unavailable(),
      ...(this.#options.blockRawBytesTarget === undefined
        ? {}
        : { blockRawBytesTarget: this.#options.blockRawBytesTarget }),
    });
    const leadership = new Leadership({
      self: this.#self,
      boot: this.#boot,
      clock: platform.clock,
      logger,
      replica,
      peers: this.#peers,
      send: (to, message) => transport.send(to, 'control', message),
    });
    const own = (): DiskHealth => ({
      // Asked for only where it counts: it sorts hundreds of samples, and `takesBlocks` is asked at every block.
      get writeMs() {
        return replica.writeTimes.recent?.syncP50Ms ?? null;
      },
      space: this.#space.level,
    });
    const health = new LeaderHealth({ clock: platform.clock, logger, leadership, own });
    const scrub = Scrub.start({
      platform,
      log: this.#log,
      entries: this.#entries,
      index,
      logger,
      applied: () => replica.status.applied,
      isBusy: () => ingest.isBehind || this.#log.stagedBytes > limits.scrubYieldBytes,
      bytesPerSecond: this.#limits.scrubBytesPerSecond,
      restMs: this.#options.scrubRestMs ?? limits.scrubRestMs,
    });
    this.#running = { replica, index, ingest, leadership, health, scrub };
    this.#expiry.begin({ replica, index });
    this.#membersChanged();
  }

  /** What this node says of itself now. */
  get hello(): Hello {
    const { node, http, address } = this.#options;
    return {
      protocol: protocolVersion,
      node,
      replica: this.#self,
      boot: asBootId(this.#boot),
      clusterId: this.#hardState.state?.clusterId ?? this.#log.clusterId,
      founded: this.#running !== null,
      hardStateCounter: this.#hardState.counterFound,
      http,
      peer: address,
      members: this.#membership.members,
      version,
      formats: this.#formats,
      formatLevel: this.#formatLevel,
    };
  }

  /** Of the cluster, as far as this node knows; null while it belongs to none. */
  get #formatLevel(): number | null {
    if (this.#running !== null) return this.#running.replica.status.formatLevel;
    const { base } = this.#log;
    const { state } = this.#hardState;
    if (base === null && state?.clusterId == null) return null;
    return Math.max(base?.formatLevel ?? 1, state?.formatLevel ?? 1);
  }

  /** Whoever became a member is connected to, and gets the founding record if it waits for one. */
  #membersChanged(): void {
    // The pump of a replica runs before this node knows it as its own.
    if (this.#running === null) return;
    this.#membership.forgetAbsent();
    this.#reachMembers();
    for (const hello of this.#peers.connected) this.#offerFounding(hello);
  }

  #refused(node: NodeId, refusal: Refusal): void {
    const reason = this.#peers.refused(node, refusal);
    // Who waits at the door may have come before there was a cluster behind it.
    if (this.#running === null && this.#options.members.size === 0) return;
    if (reason !== null && this.#running?.replica.status.leader == null) this.#fatal(new Error(reason));
  }

  #peerUp(hello: Hello): void {
    this.#peers.up(hello);
    this.#membership.heard(hello);
    this.#reachMembers();
    this.#founder?.peerUp(hello);
    this.#offerFounding(hello);
  }

  /** A founded member brings the founding record to an empty node that it lists by this very incarnation (protocol B1, B2). */
  #offerFounding(hello: Hello): void {
    const { base } = this.#log;
    if (this.#running === null || base === null || hello.founded) return;
    const { configuration } = this.#running.replica.configuration;
    const wasFounder = base.configuration.voters.includes(hello.replica);
    if (!wasFounder && !belongs(configuration, hello.replica)) return;
    const { clusterId, formatLevel } = base;
    const founding: Founding = { clusterId, voters: base.configuration.voters, formatLevel };
    const admits = wasFounder ? null : hello.replica;
    this.#options.transport.send(hello.node, 'control', { kind: 'found', founding, admits });
  }

  #peerDown(node: NodeId): void {
    this.#peers.down(node);
    this.#founder?.peerDown(node);
    this.#running?.replica.disconnected(node);
  }

  #receive(hello: Hello, message: PeerMessage): void {
    if (this.#stopped) return;
    const replica = this.#running?.replica;
    switch (message.kind) {
      case 'raft':
        if (message.message.from !== hello.replica || message.message.to !== this.#self) return;
        if (!this.#space.refuses(message.message)) replica?.receive(message.message);
        return;
      case 'forward':
        if (this.#isWholeBlock(hello, message.payload)) replica?.receiveForward(message.term, message.payload);
        return;
      case 'found':
        void this.#founder?.receive(message);
        return;
      case 'fetch':
        void this.#give(hello.node, message);
        return;
      case 'fetched':
        this.#entries.receive(hello.node, message.entry);
        return;
      case 'lacking':
        this.#entries.lacking(hello.node, message);
        return;
      case 'trimmed':
        this.#learnBase(message.base);
        return;
      case 'change-members': {
        const { requestId, change } = message;
        const result = this.#membership.beginHere(change);
        this.#options.transport.send(hello.node, 'control', { kind: 'members-changed', requestId, result });
        return;
      }
      case 'members-changed':
        this.#membership.answered(message.requestId, message.result);
        return;
      case 'hand-over':
        void this.#running?.leadership.receive(hello.node, message);
        return;
      case 'not-handed-over':
        this.#running?.leadership.refused(message);
        return;
      case 'report':
        this.#peers.reported(hello, message);
    }
  }

  /** Sends an entry to a peer whose own is damaged (protocol A4). It need not be known as committed here: its hash names it. */
  async #give(node: NodeId, wanted: NamedEntry): Promise<void> {
    const { transport } = this.#options;
    const entry = await this.#entries.answer(wanted).catch(this.#fatal);
    if (entry === undefined || this.#stopped) return;
    const { base } = this.#log;
    if (entry === null && base !== null && wanted.index <= base.position.index)
      transport.send(node, 'control', { kind: 'trimmed', base });
    else if (entry === null)
      transport.send(node, 'control', { kind: 'lacking', index: wanted.index, hash: wanted.hash });
    else transport.send(node, 'bulk', { kind: 'fetched', entry });
  }

  /**
   * What this node lacks, and needs to go on, has expired: it cannot come to the trim that says so by itself, but the others have
   * applied it.
   */
  #learnBase(base: LogBase): void {
    if (this.#running !== null) this.#running.replica.learnBase(base);
    else this.#baseOffered(base);
  }

  /** A block that no node could open must not get into the log, where every node would fail at it. */
  #isWholeBlock(from: Hello, payload: Uint8Array): boolean {
    try {
      new BlockReader(payload, this.#options.platform.codec).verifyFrames();
      return true;
    } catch (error) {
      this.#options.logger.error(
        { peer: from.node, error: errorOf(error).message },
        'a forwarded block is damaged and was dropped',
      );
      return false;
    }
  }

  #report(): void {
    this.#tellPeers();
    this.#formatUpgrade.raiseWhenDue();
    this.#membership.replaceLostDisks();
    // It may have been lost on its way.
    for (const hello of this.#peers.connected) this.#offerFounding(hello);
    // It waits in memory: the reserve is not for it.
    if (this.#space.level !== 'reserve') void this.#running?.index.maybeFlush();
    this.#running?.health.look();
    this.#expiry.look();
    this.#cancelReport = this.#options.platform.clock.after(reportEveryMs, () => this.#report());
  }

  #tellPeers(): void {
    const { transport, node, platform } = this.#options;
    const replica = this.#running?.replica.status;
    const report: Report = {
      kind: 'report',
      applied: replica?.applied ?? asIndex(0),
      ready: this.ready,
      recovering: (replica?.lostPromise ?? null) !== null,
      hardStateCounter: this.#hardState.counter,
      ...(this.#running?.health.report ?? { writeMicros: null, space: this.#space.level, handOver: null }),
      clockMs: Math.max(0, Math.round(platform.clock.nowMs())),
    };
    for (const member of this.#membership.addresses.keys()) {
      if (member === node) continue;
      const takesClock = (this.#peers.get(member)?.hello.formats.newest ?? 1) >= clocksFrom;
      transport.send(member, 'control', takesClock ? report : { ...report, clockMs: null });
    }
  }

  /** Able to serve linearizable reads and writes, as far as this node can tell. */
  get ready(): boolean {
    if (this.#running === null || this.#leaving || this.#stopped || this.#running.index.rebuilding) return false;
    // A learner is still catching up, and whoever was removed gets nothing new.
    if (!this.#isVoter) return false;
    const { replica } = this.#running;
    const { leader } = replica.status;
    return leader !== null && this.#reaches(leader) && replica.caughtUp;
  }

  /** A leader that is heard and does not hear: what this node has for it, exports and reads, would only meet its deadline. */
  #reaches(leader: ReplicaId): boolean {
    return leader === this.#self || this.#peers.get(nodeIdOf(leader))?.connected === true;
  }

  get #isVoter(): boolean {
    const at = this.#running?.replica.configuration;
    return at !== undefined && votes(at.configuration, this.#self);
  }

  /** Changes the members, wherever the leader is; see `Membership.change`. Rejects with `not-ready` where nothing runs. */
  async changeMembers(change: MemberChange): Promise<ConfigurationAt> {
    this.#require();
    return this.#membership.change(change);
  }

  /** Why another export had better be refused than read: `no-space`, `overloaded`, or `unavailable` without a leader; null when it may come. */
  get refusal(): QuorateError | null {
    if (this.#space.refusal !== null) return this.#space.refusal;
    if (this.#running === null || !this.#running.ingest.isBehind) return null;
    if (!this.ready) return this.#running.replica.unavailable();
    return new QuorateError('overloaded', 'this node is behind with what it has taken in: send it again later', {
      limit: 'queueWaitMsMax',
    });
  }

  /** Stores an ExportTraceServiceRequest; see `Ingest.write`. */
  async write(request: Uint8Array): Promise<WriteResult> {
    const { ingest } = this.#require();
    if (this.#space.refusal !== null) throw this.#space.refusal;
    return ingest.write(request);
  }

  /**
   * A trace, or as much of it as one answer may take: then `next` names where the next page begins (protocol D4).
   * Rejects with `unavailable` when a linearizable read cannot be confirmed, or a large one does not get its turn, inside the
   * deadline; with `not-ready`, or `damaged`.
   */
  async read(traceId: Uint8Array, consistency: Consistency, { after = null }: ReadOptions = {}): Promise<TraceRead> {
    return this.#reader.read(this.#require(), { traceId, consistency, after });
  }

  #stopping(): QuorateError {
    return new QuorateError('not-ready', 'this node is stopping: ask another one');
  }

  /** Makes `to`, or the node that is best able to, the leader, and resolves with who leads then; see `Leadership.transfer`. */
  async transferLeadership(to: NodeId | null): Promise<Leader> {
    return this.#require().leadership.transfer(to);
  }

  /**
   * What this node holds of the log up to `index`, in two values that are equal on every sound replica whose log begins at the
   * same place: the hash of the entry there, which covers all headers below, and a digest of the index. One at a time.
   * Rejects with `not-ready` where it is not that far.
   */
  async digest(index: LogIndex): Promise<StoreDigest> {
    const { replica, index: indexer } = this.#require();
    return this.#digests.digest(index, replica.status.applied, indexer);
  }

  #require(): Running {
    if (this.#stopped) throw this.#stopping();
    if (this.#running === null) throw new QuorateError('not-ready', this.#waitingToStart);
    return this.#running;
  }

  get #waitingToStart(): string {
    if (this.#founder !== null) return this.#founder.waiting;
    return this.#entries.damaged > 0
      ? 'fetching a damaged entry of the log from another node'
      : 'this node is starting';
  }

  /** The replica alone; null until the cluster is founded. Cheap. */
  get replicaStatus(): ReplicaStatus | null {
    return this.#running?.replica.status ?? null;
  }

  /** Damaged entries of the log: met and not yet repaired, and repaired since the start. Cheap. */
  get logRepairs(): { readonly damaged: number; readonly repaired: number } {
    const { damaged, repaired } = this.#entries;
    return { damaged, repaired };
  }

  /** What the scrub has seen since the start; null until the cluster is founded. Cheap. */
  get scrubStatus(): ScrubStatus | null {
    return this.#running?.scrub.status ?? null;
  }

  /** Its disk and its queues. Cheap. */
  get health(): HealthStatus {
    return healthStatus({ space: this.#space, log: this.#log, running: this.#running });
  }

  get status(): StoreStatus {
    const { node, http } = this.#options;
    const running = this.#running;
    const replica = running?.replica.status ?? null;
    const waiting = this.ready ? null : running === null ? this.#waitingToStart : this.#waitingWhileRunning(running);
    return {
      id: node,
      clusterId: this.#log.clusterId,
      formatLevel: this.#formatLevel,
      ready: this.ready,
      waiting,
      replica,
      members: memberStatuses({
        self: { node, replica: this.#self, http, version, ready: this.ready },
        members: this.#membership.addresses,
        peers: this.#peers,
        configuration: running?.replica.configuration.configuration ?? this.#log.configuration,
        status: replica,
        followers: running?.replica.followers ?? null,
      }),
      applicants: this.#membership.applicants.map((hello) => ({ id: hello.node, peer: hello.peer })),
      lastHandOver: running?.leadership.lastHandOver ?? null,
      ...this.#expiry.status,
    };
  }

  #waitingWhileRunning({ replica, index }: Running): string {
    const { configuration } = replica.configuration;
    if (!this.#isVoter) {
      return belongs(configuration, this.#self)
        ? 'catching up with the log: this node becomes a voter by itself once it has'
        : 'this node is not, or no longer, a member: add it, or stop it and delete its --data';
    }
    if (this.#leaving) return 'stopping';
    const { leader } = replica.status;
    if (leader === null) return whyNoLeader(replica.status, this.#peers.recovering);
    if (!this.#reaches(leader))
      return `the leader ${nodeIdOf(leader)} cannot be reached from here: look at the network`;
    return index.rebuilding
      ? 'rebuilding the index'
      : 'catching up with what was committed before this node had a leader';
  }

  readonly #fatal = (error: Error): void => {
    if (this.#stopped) return;
    this.#stop();
    this.#options.fatal(error);
  };

  #stop(): void {
    this.#stopped = true;
    this.#cancelReport();
    this.#space.stop();
    this.#running?.replica.stop();
    this.#running?.index.stop();
    this.#running?.scrub.stop();
    this.#expiry.stop();
    this.#entries.close();
    this.#membership.close();
  }

  /**
   * Before a node stops: it is no longer ready, and gives the lead away, if it has it, in `limits.handOverMs`. It goes on
   * serving. Never rejects.
   */
  async leave(): Promise<void> {
    if (this.#leaving || this.#stopped || this.#running === null) return;
    this.#leaving = true;
    this.#tellPeers();
    await this.#running.leadership.leave();
  }

  /** Gives the lead away, stops taking part, flushes the index and closes the data directory. Writes in flight end as unknown. */
  async close(): Promise<void> {
    await this.leave();
    this.#stop();
    await this.#options.transport.close();
    // One under way would go on with a log that is closed, and leave a replica and an index behind.
    await this.#founding;
    this.#running?.replica.stop();
    await this.#running?.replica.idle();
    await this.#entries.idle();
    await this.#running?.scrub.idle();
    await this.#expiry.idle();
    await this.#space.idle();
    await this.#running?.index.close();
    await this.#log.close();
    await this.#hardState.close();
  }
}

/** The newest configuration that the disk knows to be committed. */
function newestStored(state: HardState | null, { base }: Pick<BlockLog, 'base'>): Configuration | null {
  const kept = state?.configuration ?? null;
  return kept !== null && kept.index > (base?.configurationIndex ?? 0)
    ? kept.configuration
    : (base?.configuration ?? null);
}

/** Of a node that holds the founding record: a binary that cannot read what may follow will not start on it. */
function foundedState(
  state: HardState,
  { clusterId, formatLevel }: Pick<Founding, 'clusterId' | 'formatLevel'>,
): HardState {
  return {
    ...state,
    clusterId,
    formatLevel: Math.max(state.formatLevel, formatLevel),
    formatLevelWritten: Math.max(state.formatLevelWritten, formatLevel),
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
