/**
 * The invariants that must hold after every step (protocol A1-A2, I2; docs/spec). The witness sees every message as it
 * leaves, every entry as it is applied and every node's status, and looks at the disks themselves: it believes nothing that
 * the code under test says about durability.
 */
import { halvesOf } from '../../src/raft/core/configuration.ts';
import {
  asIndex,
  type Configuration,
  type Entry,
  type LogBase,
  type LogIndex,
  type NodeId,
  nodeIdOf,
  type ReplicaId,
  replicaIdOf,
} from '../../src/raft/core/types.ts';
import { limits } from '../../src/limits.ts';
import type { ReplicaStatus } from '../../src/raft/replica.ts';
import { blockIdOf } from '../../src/store/block.ts';
import type { BaseRecord } from '../../src/store/base-record.ts';
import type { HardState } from '../../src/store/hard-state.ts';
import { decodeTrim } from '../../src/store/trim-record.ts';
import type { Hello, PeerMessage } from '../../src/transport/transport.ts';
import type { Configurations } from './configurations.ts';
import type { DiskView, EntryOnDisk } from './disk-view.ts';
import type { SimProcess } from './platform/process.ts';

export class Violation extends Error {
  override readonly name = 'Violation';
}

export class Witness {
  readonly #disks: ReadonlyMap<NodeId, DiskView>;
  /** Nodes whose disk was damaged and which have not caught up since: they count as holding what they held (protocol I3). */
  readonly #damaged: ReadonlySet<NodeId>;
  /** The same of nodes that were no members then. */
  readonly #damagedOutside: ReadonlySet<NodeId>;
  /** Nodes that are no longer the voters they were. */
  readonly #lost: ReadonlySet<NodeId>;
  readonly #configurations: Configurations;
  /** Old entries that were damaged on purpose, as `node index`. */
  readonly #holes: ReadonlySet<string>;
  readonly #nowMs: () => number;
  readonly #ageMsMin: number | null;
  readonly #leaders = new Map<number, ReplicaId>();
  /** Every entry that anybody applied, by index. */
  readonly #committed = new Map<LogIndex, { readonly hash: string; readonly term: number }>();
  readonly #applied = new Map<string, LogIndex>();
  readonly #terms = new Map<string, number>();
  readonly #persistedCommits = new Map<ReplicaId, LogIndex>();
  readonly #persisted = new Map<ReplicaId, HardState>();
  /** Hash and predecessor of every entry that was ever durable, by index and term. */
  readonly #written = new Map<string, EntryOnDisk>();
  /** The end of the log that a candidate asked for votes with. */
  readonly #candidates = new Map<string, { readonly index: LogIndex; readonly term: number }>();
  /** Whom a leader told to campaign: replica, the leader's term and last index. */
  readonly #told = new Set<string>();
  /** Hand-overs under way, by boot of the leader. */
  readonly #handingOver = new Map<string, { readonly status: ReplicaStatus; readonly sinceMs: number }>();
  /** Committed blocks, oldest first. */
  readonly #blocks: { readonly index: LogIndex; readonly hash: string; readonly payload: Buffer }[] = [];
  /** Positions that the log was trimmed up to, by entries that are committed, and when each entry was seen first. */
  readonly #trims = new Map<number, LogBase>();
  readonly #seenSinceMs = new Map<string, number>();
  /** The base of each disk that was looked at. */
  readonly #bases = new Map<NodeId, BaseRecord>();
  /** Terms for which each block was forwarded to a leader. */
  readonly #forwarded = new Map<string, number>();
  #lastTimeMs = 0;
  #highestCommitSeen = 0;
  /** A block went to the leader of a second term. */
  reproposed = false;
  /** A node's log was replaced by a base, and it went on from there. */
  installedBase = false;
  readonly #leaderCommits = new Map<string, LogIndex>();
  /** Highest read round sent, by leader, term and receiver. */
  readonly #rounds = new Map<string, number>();
  /** Whom each boot follows, and how far all was committed when it met that leader. */
  readonly #met = new Map<string, { readonly whom: string; readonly committed: number }>();
  #highest = 0;

  constructor(options: {
    disks: ReadonlyMap<NodeId, DiskView>;
    damaged: ReadonlySet<NodeId>;
    damagedOutside: ReadonlySet<NodeId>;
    lost: ReadonlySet<NodeId>;
    configurations: Configurations;
    holes: ReadonlySet<string>;
    nowMs: () => number;
    /** Nothing younger is trimmed by age; null: there is no retention by age, or other data goes before. */
    ageMsMin: number | null;
  }) {
    this.#disks = options.disks;
    this.#damaged = options.damaged;
    this.#damagedOutside = options.damagedOutside;
    this.#lost = options.lost;
    this.#configurations = options.configurations;
    this.#holes = options.holes;
    this.#nowMs = options.nowMs;
    this.#ageMsMin = options.ageMsMin;
  }

  /** The highest index known to be committed. */
  get highestCommitted(): number {
    return this.#highest;
  }

  /** An entry is durable on some disk. Two logs that agree in index and term agree in everything before it (thesis 3.5). */
  written(entry: EntryOnDisk): void {
    const position = `${entry.index}@${entry.term}`;
    const known = this.#written.get(position);
    if (known === undefined) {
      this.#written.set(position, entry);
      this.#see(entry.hash);
    }
    demand(
      known === undefined || (known.hash === entry.hash && known.previousHash === entry.previousHash),
      `S8: two disks hold different entries ${position}`,
    );
    if (known === undefined && entry.configuration !== null) this.#promotion(entry, entry.configuration);
  }

  /** Whoever begins to vote holds the log up to the configuration before, at the least (thesis 4.2.1, protocol G4). */
  #promotion({ index, previousConfiguration }: EntryOnDisk, { voters, outgoing }: Configuration): void {
    if (outgoing.length === 0 || previousConfiguration === null || previousConfiguration === 0) return;
    for (const voter of voters.filter((replica) => !outgoing.includes(replica))) {
      const node = nodeIdOf(voter);
      demand(
        this.#damaged.has(node) || this.#reaches(node, previousConfiguration),
        `M2: entry ${index} makes ${voter} a voter, which does not even hold entry ${previousConfiguration}`,
      );
    }
  }

  /** Does the disk of `node` hold this entry, whatever stands there, or has it expired there? */
  #reaches(node: NodeId, index: LogIndex): boolean {
    const disk = this.#disks.get(node);
    return disk !== undefined && (disk.base >= index || disk.entry(index) !== null);
  }

  /** What a replica takes for the configuration in force stands in its log, or was committed (protocol G4). */
  #configurationInForce(id: NodeId, { term, configuration: { index, configuration } }: ReplicaStatus): void {
    const held = this.#disks.get(id)?.entry(index);
    // One of an earlier term may be about to be replaced by what is in force: the write is on its way.
    if (held?.term !== term || this.#configurations.isCommitted(index)) return;
    demand(
      JSON.stringify(held.configuration?.voters) === JSON.stringify(configuration.voters),
      `M1: ${id} goes by the configuration of entry ${index}, but another entry stands there`,
    );
  }

  /** A client was told that all of these spans are stored: each must be in a committed block, and so on a majority of disks (S5). */
  acknowledged(spanIds: readonly string[], node: string): void {
    for (const spanId of spanIds) {
      const bytes = Buffer.from(spanId, 'hex');
      demand(
        this.#blocks.findLast(({ payload }) => payload.includes(bytes)) !== undefined,
        `C6: ${node} acknowledged span ${spanId}, which is in no committed block`,
      );
    }
  }

  /** Those of these spans that were committed in a block at or below `base`: a read at that trim point need not show them. */
  expired(spanIds: readonly string[], base: LogIndex): readonly string[] {
    const blocks = this.#blocks.filter(({ index }) => index <= base);
    return spanIds.filter((spanId) => {
      const bytes = Buffer.from(spanId, 'hex');
      return blocks.some(({ payload }) => payload.includes(bytes));
    });
  }

  /** A message leaves `from`: what it depends on must be durable (docs/io-ordering.md). */
  message(from: Hello, message: PeerMessage): void {
    if (message.kind === 'forward') this.#forward(message.term, message.payload);
    if (message.kind !== 'raft') return;
    const disk = this.#disks.get(from.node);
    const hardState = disk?.hardState();
    if (disk === undefined || hardState == null) throw new Violation(`${from.node} speaks without a hard state`);
    const raft = message.message;
    if (raft.type === 'append') for (const { hash } of raft.entries) this.#see(hash);
    const who = `${raft.type} of ${from.node} in term ${raft.term}`;
    demand(hardState.term >= raft.term, `P1: ${who} left before the term was durable (${hardState.term})`);
    if (raft.type === 'heartbeat') {
      const link = `${raft.from} ${raft.term} ${raft.to}`;
      this.#rounds.set(link, Math.max(raft.round, this.#rounds.get(link) ?? 0));
    }
    if (raft.type === 'vote')
      this.#candidates.set(`${raft.from} ${raft.term}`, { index: raft.lastIndex, term: raft.lastTerm });
    if (raft.type === 'timeout-now') this.#handsOver(who, raft);
    if (raft.type === 'vote' && raft.transfer) {
      demand(
        this.#told.has(`${raft.from} ${raft.term - 1} ${raft.lastIndex}`),
        `T2: ${who} says that the leader before asked for it, with a log up to ${raft.lastIndex}, but it did not`,
      );
    }
    if (raft.type === 'heartbeat-reply') {
      const sent = this.#rounds.get(`${raft.to} ${raft.term} ${raft.from}`) ?? 0;
      demand(raft.round <= sent, `R1: ${who} echoes read round ${raft.round}, but ${raft.to} has only sent ${sent}`);
    }
    if (hardState.term > raft.term) return;
    if (raft.type === 'vote') demand(hardState.vote === raft.from, `P1: ${who} left before its own vote was durable`);
    if (raft.type === 'vote-reply' && raft.granted) {
      demand(hardState.vote === raft.to, `P1: ${who} left before the vote was durable`);
      this.#judgedByPromise(who, `${raft.to} ${raft.term}`, raft.term, hardState.promised);
    }
    if (raft.type === 'append-reply' && raft.result.accepted && raft.result.match > 0) {
      const { match } = raft.result;
      demand(
        this.#damaged.has(from.node) || this.#reaches(from.node, match),
        `P2: ${who} acknowledged entry ${match}, which is not on its disk`,
      );
      demand(
        hardState.promised.index >= match || hardState.promised.term > (disk.entry(match)?.term ?? 0),
        `P2: ${who} acknowledged entry ${match}, which it had not promised`,
      );
    }
  }

  /** A leader tells a replica to campaign only when that has on disk all that the leader has in its log. */
  #handsOver(who: string, { to, term, lastIndex }: { to: ReplicaId; term: number; lastIndex: LogIndex }): void {
    this.#told.add(`${to} ${term} ${lastIndex}`);
    const target = nodeIdOf(to);
    demand(
      this.#damaged.has(target) ||
        this.#disks.get(target)?.base === lastIndex ||
        this.#disks.get(target)?.entry(lastIndex)?.term === term,
      `T1: ${who} hands over to ${target}, which does not have entry ${lastIndex} on its disk`,
    );
  }

  /**
   * While a leader hands over it takes nothing into its log, or its successor would not hold it; so that must not last longer
   * than the shortest election timeout, twice which is allowed here for clocks that run too slow.
   */
  #handOver(id: NodeId, boot: string, status: ReplicaStatus, process: SimProcess): void {
    const before = this.#handingOver.get(boot);
    this.#handingOver.delete(boot);
    const { transferTarget, term, last } = status;
    if (transferTarget === null) return;
    const { nowMs } = process.scheduler;
    const goesOn = before?.status.transferTarget === transferTarget && before.status.term === term;
    const sinceMs = goesOn ? before.sinceMs : nowMs;
    this.#handingOver.set(boot, { status, sinceMs });
    if (!goesOn) return;
    demand(before.status.last === last, `T3: ${id} hands over to ${transferTarget} and appends entry ${last}`);
    const lastsTooLong = nowMs - sinceMs > 2 * limits.electionTicksMin * limits.tickMs && process.ranSince(sinceMs);
    demand(!lastsTooLong, `T3: ${id} has been handing over to ${transferTarget} since ${Math.round(sinceMs)} ms`);
  }

  /** A vote goes only to a log that holds what the voter promised in earlier terms, whatever its disk has left (protocol A2). */
  #judgedByPromise(who: string, candidate: string, term: number, promised: { index: LogIndex; term: number }): void {
    const last = this.#candidates.get(candidate);
    if (last === undefined || promised.term >= term) return;
    demand(
      last.term > promised.term || (last.term === promised.term && last.index >= promised.index),
      `P4: ${who} is for a log that ends at ${last.index}@${last.term}, below its promise ${promised.index}@${promised.term}`,
    );
  }

  #forward(term: number, payload: Uint8Array): void {
    const block = blockIdOf(payload);
    const before = this.#forwarded.get(block);
    if (before !== undefined && before !== term) this.reproposed = true;
    this.#forwarded.set(block, term);
  }

  /** `node` applied `entry`. */
  applied(node: NodeId, boot: string, entry: Entry): void {
    const { index, hash, term } = entry;
    const before = this.#applied.get(boot);
    const goesOn = before === undefined || index === before + 1 || (index > before && this.#trims.has(index - 1));
    demand(goesOn, `S3: ${node} applied entry ${index} after entry ${before}`);
    if (before !== undefined && index !== before + 1) this.installedBase = true;
    this.#applied.set(boot, index);
    const known = this.#committed.get(index);
    if (known !== undefined) {
      demand(known.hash === hash, `S4: ${node} applied another entry ${index} than somebody before`);
      return;
    }
    demand(index === this.#highest + 1, `S3: entry ${index} is applied first, before entry ${this.#highest + 1}`);
    this.#highest = index;
    this.#committed.set(index, { hash, term });
    this.#see(hash);
    if (entry.kind === 'block') this.#blocks.push({ index, hash, payload: Buffer.from(entry.payload) });
    demand(entry.timeMs >= this.#lastTimeMs, `S9: the time of entry ${index} is before that of the entry before it`);
    this.#lastTimeMs = entry.timeMs;
    this.#configurations.committed(entry);
    if (entry.kind === 'trim') this.#trimmed(entry);
    demand(
      this.#heldByQuorum(index, hash),
      `S5: entry ${index} is committed, but only ${this.#holdersOf(index, hash).join(', ') || 'nobody'} has it on disk`,
    );
  }

  #holdersOf(index: LogIndex, hash: string): NodeId[] {
    return [...this.#disks]
      .filter(([, disk]) => disk.base >= index || disk.entry(index)?.hash === hash)
      .map(([id]) => id);
  }

  /** Is the entry on a majority of the disks of each half of a configuration that may have decided it? */
  #heldByQuorum(index: LogIndex, hash: string): boolean {
    return this.#configurations
      .forEntry(index)
      .some((configuration) =>
        halvesOf(configuration).every(
          (voters) => voters.filter((voter) => this.#holds(voter, index, hash)).length > voters.length / 2,
        ),
      );
  }

  #holds(voter: ReplicaId, index: LogIndex, hash: string): boolean {
    const node = nodeIdOf(voter);
    if (this.#damaged.has(node)) return true;
    const disk = this.#disks.get(node);
    if (disk === undefined || !voter.endsWith(`#${disk.hardState()?.incarnation}`)) return false;
    return disk.base >= index || disk.entry(index)?.hash === hash;
  }

  /** Looks at one running node after a step. */
  status(id: NodeId, boot: string, replica: ReplicaStatus, process: SimProcess): void {
    const { role, term, commit, applied, last } = replica;
    this.#configurations.founded(replica.configuration.configuration);
    demand(applied <= commit && commit <= last, `S1: ${id} has applied ${applied}, commit ${commit}, last ${last}`);
    demand(term >= (this.#terms.get(boot) ?? 0), `S1: the term of ${id} went back to ${term}`);
    this.#terms.set(boot, term);
    demand(
      replica.lostPromise === null || role === 'follower',
      `P4: ${id} is a ${role} while it lacks what it promised`,
    );
    this.#configurationInForce(id, replica);
    this.#promise(id, replica);
    this.#persistedCommit(id);
    this.#base(id);
    this.#heldByMajority(id, commit);
    this.#commitRule(id, boot, replica);
    this.#handOver(id, boot, replica, process);
    if (role !== 'leader' || replica.leader === null) return;
    const known = this.#leaders.get(term);
    demand(
      known === undefined || known === replica.leader,
      `S2: ${known} and ${replica.leader} both lead term ${term}`,
    );
    if (known !== undefined) return;
    this.#leaders.set(term, replica.leader);
    const committedBefore = [...this.#committed].findLast(([, entry]) => entry.term < term)?.[0] ?? 0;
    demand(
      last > committedBefore,
      `S6: ${id} leads term ${term} with a log up to ${last}, without committed entry ${committedBefore}`,
    );
    // What it leads with may still be on its way to its disk; what is there must be what was committed.
    const held = this.#disks.get(id)?.entry(asIndex(committedBefore));
    demand(
      held == null || held.hash === this.#committed.get(asIndex(committedBefore))?.hash,
      `S6: ${id} leads term ${term} with another entry ${committedBefore} than was committed`,
    );
  }

  /** Whoever takes an entry for committed first: a majority has it on disk by then, not only when somebody applies it. */
  #heldByMajority(id: NodeId, commit: LogIndex): void {
    for (let index = this.#highestCommitSeen + 1; index <= commit; index += 1) {
      const hashes = [...this.#disks.values()].map((disk) => disk.entry(asIndex(index))?.hash);
      const candidates = [...new Set(hashes)].filter((hash) => hash !== undefined);
      demand(
        [...candidates, ''].some((hash) => this.#heldByQuorum(asIndex(index), hash)),
        `S5: ${id} takes entry ${index} for committed, but no majority of disks agrees on it`,
      );
      this.#highestCommitSeen = index;
    }
  }

  /** Somebody has this entry now. */
  #see(hash: string): void {
    if (!this.#seenSinceMs.has(hash)) this.#seenSinceMs.set(hash, this.#nowMs());
  }

  /** Everybody drops what is up to here: it is committed, and as old as it must be, by a clock that nobody can turn (protocol E3). */
  #trimmed(entry: Entry): void {
    const base = decodeTrim(entry.payload);
    const { index, hash } = base.position;
    demand(index < entry.index, `B1: entry ${entry.index} trims the log up to ${index}`);
    demand(
      this.#committed.get(index)?.hash === hash,
      `B1: the log is trimmed up to ${index}, which was never committed`,
    );
    this.#checkAsOf(base, `the trim of entry ${entry.index}`);
    this.#trims.set(index, base);
    const youngest = this.#blocks.findLast((block) => block.index <= index);
    if (this.#ageMsMin === null || youngest === undefined) return;
    const ageMs = this.#nowMs() - (this.#seenSinceMs.get(youngest.hash) ?? this.#nowMs());
    demand(
      ageMs >= this.#ageMsMin,
      `B3: entry ${youngest.index} is trimmed ${Math.round(ageMs)} ms after it was seen first, and is to be kept for ${this.#ageMsMin} ms`,
    );
  }

  /** A base on a disk is one that the cluster agreed on, and says nothing newer than its position (protocol E1, bug M8). */
  #base(id: NodeId): void {
    const disk = this.#disks.get(id);
    demand(disk?.writtenBelow == null, `B1: ${id} wrote entry ${disk?.writtenBelow} below the base of its log`);
    const base = disk?.baseRecord;
    if (base == null || base === this.#bases.get(id)) return;
    this.#bases.set(id, base);
    const { index, hash } = base.position;
    if (index === 0) return;
    demand(
      this.#trims.get(index)?.position.hash === hash,
      `B1: the log of ${id} begins after ${index}, up to which nobody trimmed it`,
    );
    this.#checkAsOf(base, `the base of ${id}`);
  }

  #checkAsOf({ position: { index }, configuration, configurationIndex }: LogBase, what: string): void {
    const inForce = this.#configurations.asOf(index);
    demand(
      inForce === null ||
        (inForce.index === configurationIndex &&
          JSON.stringify(inForce.configuration.voters) === JSON.stringify(configuration.voters)),
      `B4: ${what} at ${index} has the configuration of entry ${configurationIndex}, but that of ${inForce?.index} was in force`,
    );
  }

  /** Whoever calls itself ready has applied what was committed when it met its leader, or became that itself (bug D8). */
  ready(id: NodeId, boot: string, { leader, term, applied }: ReplicaStatus, isReady: boolean): void {
    const whom = `${leader} in term ${term}`;
    const before = this.#met.get(boot);
    const met = before?.whom === whom ? before : { whom, committed: this.#highest };
    this.#met.set(boot, met);
    demand(
      !isReady || applied >= met.committed,
      `R5: ${id} is ready with ${applied} applied, but ${met.committed} was committed when it met ${whom}`,
    );
  }

  /** A recovering replica keeps its promise until it holds that much again (protocol A2). */
  #promise(id: NodeId, { lostPromise }: ReplicaStatus): void {
    if (lostPromise === null) return;
    const kept = this.#disks.get(id)?.hardState()?.promised;
    const still =
      kept !== undefined &&
      (kept.term > lostPromise.term || (kept.term === lostPromise.term && kept.index >= lostPromise.index));
    demand(
      still,
      `P3: ${id} is recovering entry ${lostPromise.index} of term ${lostPromise.term}, but its hard state promises only ${kept?.index}`,
    );
  }

  /** What a hard state calls committed is on that disk as it was committed, or a restart would apply something else. */
  #persistedCommit(id: NodeId): void {
    const disk = this.#disks.get(id);
    const hardState = disk?.hardState();
    const commit = hardState?.commit;
    if (disk === undefined || hardState == null || commit === undefined) return;
    const replica = replicaIdOf(id, hardState.incarnation);
    if (!this.#lost.has(id)) this.#neverBack(replica, hardState);
    const isDamaged = this.#damaged.has(id) || this.#damagedOutside.has(id);
    if (this.#persistedCommits.get(replica) === commit || isDamaged) return;
    this.#persistedCommits.set(replica, commit);
    const known = this.#committed.get(commit);
    if (known === undefined) return;
    const { baseRecord: base } = disk;
    if (base !== null && base.position.index > commit) return;
    const held = base?.position.index === commit ? base.position : disk.entry(commit);
    if (held === null && this.#holes.has(`${id} ${commit}`)) return;
    demand(
      held?.hash === known.hash,
      `P8: the hard state of ${id} says that ${commit} is committed, but its disk holds ${held === null ? 'no' : 'another'} entry there`,
    );
  }

  /**
   * What a hard state says never goes back, whatever the log lost. A promise may name an entry of an older term only further
   * on: a leader has replaced what was promised, and more (protocol A2).
   */
  #neverBack(id: ReplicaId, hardState: HardState): void {
    const before = this.#persisted.get(id);
    this.#persisted.set(id, hardState);
    if (before === undefined || before === hardState) return;
    demand(
      hardState.term >= before.term,
      `P5: the hard state of ${id} went back from term ${before.term} to ${hardState.term}`,
    );
    const [was, is] = [before.promised, hardState.promised];
    demand(
      is.term > was.term || is.index >= was.index,
      `P3: ${id} had promised ${was.index}@${was.term}, and now only ${is.index}@${is.term}`,
    );
  }

  /** A leader counts copies only of entries of its own term (thesis 3.6.2). */
  #commitRule(id: NodeId, boot: string, { role, term, commit }: ReplicaStatus): void {
    const key = `${boot} ${term}`;
    if (role !== 'leader') return;
    const before = this.#leaderCommits.get(key);
    this.#leaderCommits.set(key, commit);
    if (before === undefined || commit === before) return;
    const entry =
      this.#disks.get(id)?.entry(commit) ??
      [...this.#disks.values()].map((disk) => disk.entry(commit)).find((held) => held?.term === term);
    demand(
      entry?.term === term,
      `S7: ${id} leads term ${term} and committed entry ${commit} of term ${entry?.term} by counting`,
    );
  }

  /** Positions that the log was trimmed up to. */
  get trims(): number {
    return this.#trims.size;
  }

  get leaderChanges(): number {
    return this.#leaders.size;
  }
}

export function demand(holds: boolean, sentence: string): void {
  if (!holds) throw new Violation(sentence);
}
