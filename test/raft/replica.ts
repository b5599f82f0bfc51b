/**
 * One replica of a test cluster: a real core with a disk on which nothing becomes durable but by command.
 *
 * It does what a driver does around the core: fills appends from its log, counts which ballot each message depends on,
 * keeps term, vote, promised tail and entries across a crash (protocol A1, A2). It does nothing on its own.
 */
import { type ConfigurationChange, votersOnly } from '../../src/raft/core/configuration.ts';
import { decodeFormatLevel, formatRange, type OpenedFormatLevel } from '../../src/raft/core/format-level.ts';
import type { Message } from '../../src/raft/core/message.ts';
import type { Window } from '../../src/raft/core/progress.ts';
import { type AppendWrite, RaftLog, type LogWrite, type TermRun } from '../../src/raft/core/log.ts';
import type {
  ChangeResult,
  Proposal,
  ProposeResult,
  RaiseResult,
  TransferResult,
} from '../../src/raft/core/options.ts';
import { Raft } from '../../src/raft/core/raft.ts';
import {
  asBootId,
  asHash,
  asIndex,
  asTerm,
  type Ballot,
  type Configuration,
  type ConfigurationAt,
  emptyLog,
  type Entry,
  type EntryHash,
  type LogBase,
  type LogIndex,
  type LogPosition,
  type ReplicaId,
  zeroHash,
} from '../../src/raft/core/types.ts';
import { decodeConfiguration, encodeConfiguration } from '../../src/store/configuration-record.ts';
import { decodeTrim, encodeTrim } from '../../src/store/trim-record.ts';

/**
 * What survives a crash. Entry i stands at place i - 1, also below the base: what was trimmed, or never came because a base was
 * installed instead, is here for the checks alone, and the core is not told of it.
 */
export interface Disk {
  ballot: Ballot;
  base: LogBase | null;
  entries: Entry[];
  promise: LogPosition;
  commit: LogIndex;
  /** Of the founding; the newest when absent. */
  readonly formatLevel?: number;
}

/** A message on its way, with the number of the ballot that has to be durable before it may leave its sender. */
export interface Sent {
  readonly message: Message;
  readonly ballot: number;
}

export interface ReplicaOptions {
  readonly window: Window;
  readonly appendEntriesMax: number;
  readonly appendBytesMax: number;
  readonly uncommittedBytesMax: number;
  readonly unsyncedBytesMax: number;
  readonly electionTicksMin: number;
  readonly electionTicksMax: number;
  readonly randomBelow: (bound: number) => number;
  /** Every entry that any replica of the cluster ever had. */
  readonly history?: Map<EntryHash, Entry>;
}

export const defaultOptions: ReplicaOptions = {
  window: { messagesMax: 8, bytesMax: 2 ** 24 },
  appendEntriesMax: 8,
  appendBytesMax: 2 ** 20,
  uncommittedBytesMax: 2 ** 26,
  unsyncedBytesMax: 2 ** 26,
  electionTicksMin: 3,
  electionTicksMax: 6,
  // After 3 ticks a leader is no longer heard, after 4 a follower campaigns: scripts use the tick between.
  randomBelow: () => 1,
};

/** What the core asked for since somebody last looked. */
export interface Outcome {
  ballots: Ballot[];
  writes: LogWrite[];
  sent: Sent[];
  reads: { requestId: string; index: LogIndex | null }[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** FNV-1a over text: enough to chain the entries of a test. */
function testHash(text: string): EntryHash {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
  return asHash((hash >>> 0).toString(16).padStart(8, '0'));
}

const seal = (draft: Omit<Entry, 'hash'>): EntryHash =>
  testHash(`${draft.previousHash} ${draft.index} ${draft.term} ${draft.kind} ${draft.payloadHash}`);

const block = (text: string): Proposal => ({
  kind: 'block',
  payload: encoder.encode(text),
  payloadHash: testHash(text),
});

/** `1 2 3`, with its learners `1 2 3 +4`, of which one replaces `1 2 3 +4(for 3)`; joint `1 2 4 | 1 2 3`. */
export function membersText({ voters, outgoing, learners }: Configuration): string {
  const waiting = learners.map(
    ({ replica, replaces }) => ` +${replica}${replaces === null ? '' : `(for ${replaces})`}`,
  );
  const half = outgoing.length === 0 ? '' : ` | ${outgoing.join(' ')}`;
  return `${voters.join(' ')}${waiting.join('')}${half}`;
}

export function textOf({ kind, payload }: Entry): string {
  if (kind === 'noop') return 'noop';
  if (kind === 'trim') return `trim up to ${decodeTrim(payload).position.index}`;
  return kind === 'configuration'
    ? `members ${membersText(decodeConfiguration(payload).configuration)}`
    : decoder.decode(payload);
}

/** A log with these terms; the payload of an entry is its position, so equal positions are equal entries. */
export function logOfTerms(terms: readonly number[]): Entry[] {
  const entries: Entry[] = [];
  for (const term of terms) {
    const index = asIndex(entries.length + 1);
    const draft = {
      index,
      term: asTerm(term),
      previousHash: entries.at(-1)?.hash ?? zeroHash,
      timeMs: 0,
      ...block(`${index}@${term}`),
    };
    entries.push({ ...draft, hash: seal(draft) });
  }
  return entries;
}

export const tailOf = (entries: readonly Entry[]): LogPosition => entries.at(-1) ?? emptyLog;

export function runsOf(entries: readonly Entry[]): TermRun[] {
  const runs: TermRun[] = [];
  for (const entry of entries) {
    if (runs.at(-1)?.term !== entry.term) runs.push({ term: entry.term, first: entry.index });
  }
  return runs;
}

/** A disk as it would be found: by default nothing was ever written. */
export function diskOf(found: {
  terms?: readonly number[];
  term?: number;
  vote?: ReplicaId | null;
  commit?: number;
  promise?: LogPosition;
}): Disk {
  const entries = logOfTerms(found.terms ?? []);
  const tail = tailOf(entries);
  return {
    ballot: { term: asTerm(found.term ?? tail.term), vote: found.vote ?? null },
    base: null,
    entries,
    promise: found.promise ?? tail,
    commit: asIndex(found.commit ?? 0),
  };
}

export class Replica {
  readonly id: ReplicaId;
  readonly voters: readonly ReplicaId[];
  readonly disk: Disk;
  readonly #options: ReplicaOptions;
  #raft: Raft | null = null;
  #boots = 0;
  /** The log as this process has it, durable or not. */
  entries: Entry[] = [];
  readonly #history: Map<EntryHash, Entry>;
  #applied = 0;
  #unwritten: LogWrite[] = [];
  #ballot: Ballot | null = null;
  #ballotsAsked = 0;
  #ballotsDurable = 0;
  outcome: Outcome = { ballots: [], writes: [], sent: [], reads: [] };

  constructor(id: ReplicaId, voters: readonly ReplicaId[], disk: Disk, options: ReplicaOptions) {
    this.id = id;
    this.voters = voters;
    this.disk = disk;
    this.#options = options;
    this.#history = options.history ?? new Map();
    this.restart();
  }

  get running(): boolean {
    return this.#raft !== null;
  }
  get raft(): Raft {
    if (this.#raft === null) throw new Error(`replica ${this.id} is down`);
    return this.#raft;
  }
  get boots(): number {
    return this.#boots;
  }
  /** Writes that the disk has not completed, oldest first. */
  get unwritten(): readonly LogWrite[] {
    return this.#unwritten;
  }
  get unwrittenBallot(): Ballot | null {
    return this.#ballot;
  }
  /** May a message that depends on ballot number `ballot` not leave yet? */
  holds(ballot: number): boolean {
    return ballot > this.#ballotsDurable;
  }

  step(message: Message): void {
    this.raft.step(message);
    this.#drain();
  }
  tick(): void {
    this.raft.tick();
    this.#drain();
  }
  campaign(): void {
    this.raft.campaign();
    this.#drain();
  }
  propose(...payloads: readonly string[]): ProposeResult {
    const result = this.raft.propose(payloads.map((payload) => block(payload)));
    this.#drain();
    return result;
  }
  change(change: ConfigurationChange, expected: LogIndex | null): ChangeResult {
    const result = this.raft.changeConfiguration(change, expected ?? this.raft.configuration.index);
    this.#drain();
    return result;
  }
  raise(level: number): RaiseResult {
    const result = this.raft.raiseFormatLevel(level);
    this.#drain();
    return result;
  }
  /** As leader: has the log trimmed up to the committed entry `index`. */
  trim(index: number): ProposeResult {
    const entry = this.entries[index - 1];
    if (entry === undefined || index > this.raft.commit) throw new Error(`entry ${index} is not committed here`);
    const inForce = configurationsIn(this.voters, this.entries).findLast((at) => at.index <= index);
    const payload = encodeTrim({
      position: { index: entry.index, term: entry.term, hash: entry.hash },
      timeMs: entry.timeMs,
      configuration: inForce?.configuration ?? votersOnly(this.voters),
      configurationIndex: inForce?.index ?? emptyLog.index,
      formatLevel: this.raft.formatLevel,
    });
    const result = this.raft.propose([{ kind: 'trim', payload, payloadHash: testHash(decoder.decode(payload)) }]);
    this.#drain();
    return result;
  }
  read(requestId: string): void {
    this.raft.readIndex(requestId);
    this.#drain();
  }
  transfer(target: ReplicaId): TransferResult {
    const result = this.raft.transfer(target);
    this.#drain();
    return result;
  }
  unreachable(peer: ReplicaId): void {
    this.raft.unreachable(peer);
    this.#drain();
  }

  takeOutcome(): Outcome {
    const outcome = this.outcome;
    this.outcome = { ballots: [], writes: [], sent: [], reads: [] };
    return outcome;
  }

  /** The disk completes the newest ballot: a write of the hard state alone. */
  persistBallot(): void {
    this.#writeHardState();
  }

  /** The disk completes the oldest `count` log writes as one batch, then the hard state that promises them. */
  persistLog(count: number = this.#unwritten.length): void {
    const sequence = this.#writeLog(count);
    if (sequence === null) return;
    this.#writeHardState();
    this.raft.logDurable(asIndex(this.disk.entries.length), sequence);
    this.#drain();
  }

  /** The sequence of the newest write of the batch. */
  #writeLog(count: number): number | null {
    const writes = this.#unwritten.splice(0, count);
    for (const write of writes) {
      if ('base' in write) this.disk.base = write.base;
      this.#applyWrite(this.disk.entries, write);
    }
    return writes.at(-1)?.sequence ?? null;
  }

  /** Term, vote, promise and commit index stand in one place and are written together (protocol A1, bug E2). */
  #writeHardState(): void {
    const { entries } = this.disk;
    if (this.#ballot !== null) this.disk.ballot = this.#ballot;
    this.#ballot = null;
    this.#ballotsDurable = this.#ballotsAsked;
    const tail = tailOf(entries);
    const lost = this.raft.lostPromise;
    // A promise is never overwritten with a shorter log (protocol A2), yet a longer one is promised before it is acked.
    this.disk.promise = lost !== null && !RaftLog.upToDate(tail, lost) ? lost : tail;
    // Not the end of the disk: while a truncation is pending, the disk still holds what the leader has replaced.
    this.disk.commit = asIndex(Math.min(this.raft.commit, this.raft.durable));
  }

  /**
   * The process dies. Whoever keeps its messages drops those it still holds: they never left. `written` log writes reached
   * the disk, but the hard state that promises them did not.
   */
  crash(written = 0): void {
    this.#writeLog(written);
    this.#raft = null;
    this.#unwritten = [];
    this.#ballot = null;
    this.outcome = { ballots: [], writes: [], sent: [], reads: [] };
  }

  /** Starts from what is durable; with `loseFrom` the disk has forgotten its entries from there on. */
  restart(loseFrom?: number): void {
    const base = this.disk.base ?? foundingBase(this.voters);
    if (loseFrom !== undefined)
      this.disk.entries.length = Math.min(this.disk.entries.length, Math.max(base.position.index, loseFrom - 1));
    const { ballot, entries, promise, commit } = this.disk;
    const held = entries.slice(base.position.index);
    this.#applied = base.position.index;
    this.#boots += 1;
    this.#ballotsDurable = this.#ballotsAsked;
    this.entries = [...entries];
    const { index: begins, hash: beginsWith } = base.position;
    const heldThere = promise.index === begins ? beginsWith : entries[promise.index - 1]?.hash;
    const kept = promise.index >= begins && heldThere === promise.hash;
    this.#raft = new Raft({
      ...this.#options,
      self: this.id,
      boot: asBootId(`${this.id}.${this.#boots}`),
      ballot,
      log: {
        base,
        last: held.at(-1) ?? base.position,
        runs: runsOf(held),
        commit,
        configurations: [
          { index: base.configurationIndex, configuration: base.configuration },
          ...configurationsIn([], held).slice(1),
        ],
        formatLevel: formatLevelIn(entries, this.disk.formatLevel ?? formatRange.newest),
      },
      membersMax: 7,
      lostPromise: kept ? null : promise,
      nowMs: () => 0,
      lastEntryTimeMs: 0,
      seal,
      encodeConfiguration,
      decodeConfiguration: (payload) => decodeConfiguration(payload).configuration,
      payloadHashOf: (payload) => testHash(decoder.decode(payload)),
    });
    this.#drain();
  }

  #drain(): void {
    this.#takeReady();
    // What is applied can only lead to another write.
    while (this.#applied < this.raft.commit) {
      this.#applied += 1;
      const entry = this.entries[this.#applied - 1];
      if (entry?.kind === 'trim') this.raft.trimTo(decodeTrim(entry.payload));
    }
    this.#takeReady();
  }

  #takeReady(): void {
    const ready = this.raft.ready();
    if (ready.ballot !== null) {
      this.#ballot = ready.ballot;
      this.#ballotsAsked += 1;
      this.outcome.ballots.push(ready.ballot);
    }
    for (const write of ready.writes) {
      this.#applyWrite(this.entries, write);
      this.#unwritten.push(write);
      this.outcome.writes.push(write);
    }
    for (const message of ready.messages) {
      this.outcome.sent.push({ ballot: this.#ballotsAsked, message: this.#filled(message) });
    }
    this.outcome.reads.push(...ready.reads);
  }

  #applyWrite(entries: Entry[], write: LogWrite): void {
    if ('base' in write) {
      if (write.replacesLog) entries.splice(0, entries.length, ...this.#upTo(write.base.position));
      return;
    }
    if (write.truncateFrom !== null) entries.length = write.truncateFrom - 1;
    for (const entry of write.entries) {
      if (entry.index !== entries.length + 1)
        throw new Error(`a write of ${entry.index} does not follow ${entries.length}`);
      entries.push(entry);
      this.#history.set(entry.hash, entry);
    }
  }

  /** The entries that a base stands for. */
  #upTo({ index, hash }: LogPosition): Entry[] {
    const entries: Entry[] = [];
    for (let name = hash; entries.length < index;) {
      const entry = this.#history.get(name);
      if (entry === undefined) throw new Error(`nobody ever had the entry ${name} below the base at ${index}`);
      entries.push(entry);
      name = entry.previousHash;
    }
    return entries.toReversed();
  }

  #filled(message: ReturnType<Raft['ready']>['messages'][number]): Message {
    if (message.type !== 'append') return message;
    const { lastIndex, ...append } = message;
    return { ...append, entries: this.entries.slice(message.previousIndex, lastIndex) };
  }
}

const foundingBase = (voters: readonly ReplicaId[]): LogBase => ({
  position: emptyLog,
  timeMs: 0,
  configuration: votersOnly(voters),
  configurationIndex: emptyLog.index,
  formatLevel: 1,
});

function configurationsIn(voters: readonly ReplicaId[], entries: readonly Entry[]): ConfigurationAt[] {
  const logged = entries
    .filter(({ kind }) => kind === 'configuration')
    .map(({ index, payload }) => ({ index, configuration: decodeConfiguration(payload).configuration }));
  return [{ index: emptyLog.index, configuration: votersOnly(voters) }, ...logged];
}

/** All of it: what is above the commit index, the log itself finds out. */
function formatLevelIn(entries: readonly Entry[], founded: number): OpenedFormatLevel {
  const raises = entries
    .filter(({ kind }) => kind === 'format-level')
    .map(({ index, payload }) => ({ index, level: decodeFormatLevel(payload) }));
  return { level: founded, written: founded, raises };
}

/** Without those that only move the base. */
export const appendsOf = (writes: readonly LogWrite[]): readonly AppendWrite[] =>
  writes.filter((write): write is AppendWrite => !('base' in write));
