/**
 * Gets back what the disk lost or altered inside the log (protocol A4): reads that meet a damaged entry wait here until
 * another node has given it. Must always hold:
 * - only what is committed is repaired, so what is written is never truncated meanwhile;
 * - an entry is asked for by the hash that the entry above it names; where that one is damaged too, it comes first;
 * - nobody is believed: what is written has this index, this hash, this term, and the payload of its header.
 *
 * A question or an answer may be lost, doubled or late: it is asked again, of the next node, until the entry is here. A node
 * that says it cannot give the entry is not waited for: a long run of missing entries would take a retry time for each.
 */
import { errorOf, QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../platform/clock.ts';
import { DiskError } from '../platform/disk-error.ts';
import { type BlockLog, NotInLogError } from '../store/block-log.ts';
import { DamagedEntryError } from '../store/damaged.ts';
import { type InTurn, now } from '../store/disk-reads.ts';
import { faultOf } from '../store/entry.ts';
import { asIndex, emptyLog, type Entry, type EntryHash, type LogIndex, type NodeId, type Term } from './core/types.ts';

/** An entry by the name that the one above it gives it. */
export interface NamedEntry {
  readonly index: LogIndex;
  readonly hash: EntryHash;
}

/** What Raft knows of this log. */
export interface LogStanding {
  readonly committed: () => LogIndex;
  /** The term of the entry at an index; undefined where that is not known. */
  readonly termAt: (index: LogIndex) => Term | undefined;
}

export interface EntryRepairOptions {
  readonly log: BlockLog;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The nodes that may have what is lacking here. */
  readonly peers: () => readonly NodeId[];
  /** Queues the question for a peer; false when that is not connected. */
  readonly ask: (peer: NodeId, wanted: NamedEntry) => boolean;
  /** The node must stop: a write failed or an invariant broke (protocol A5). */
  readonly fatal: (error: Error) => void;
}

interface Reader {
  readonly goOn: () => void;
  readonly give: (up: Error) => void;
}

interface Damage {
  readonly index: LogIndex;
  readonly reason: string;
  readonly readers: Set<Reader>;
  /** What was asked for last. */
  hash: EntryHash | null;
  /** Not to be asked for again before this monotonic time. */
  retryAtMs: number;
  /** Whose turn it is. */
  turn: number;
  askedLast: NodeId | null;
  asked: number;
  /** An answer waits to be written, or is. */
  answered: boolean;
}

export class EntryRepair {
  readonly #options: EntryRepairOptions;
  readonly #damaged = new Map<LogIndex, Damage>();
  #standing: LogStanding = { committed: () => emptyLog.index, termAt: () => undefined };
  #repaired = 0;
  #answering = 0;
  #working: Promise<void> | null = null;
  #writing: Promise<void> = Promise.resolve();
  #wake: () => void = () => undefined;
  #closed = false;

  constructor(options: EntryRepairOptions) {
    this.#options = options;
  }

  /** Until it is told, nothing counts as committed, and damage is an error to whoever meets it. */
  judgeBy(standing: LogStanding): void {
    this.#standing = standing;
  }

  /** Entries met damaged and not yet repaired. */
  get damaged(): number {
    return this.#damaged.size;
  }
  /** Entries put back since the start. */
  get repaired(): number {
    return this.#repaired;
  }

  /** Why a read of the entry at `index` has to wait; null when it is not known to be damaged. */
  waitingFor(index: LogIndex): QuorateError | null {
    if (!this.#damaged.has(index)) return null;
    return new QuorateError(
      'unavailable',
      `entry ${index} of the log is damaged on this node and is being fetched from the others: ask another node, or this one later`,
    );
  }

  /**
   * `BlockLog.read`, like `readRange` here. What is not in memory is read `inTurn`; who waits for a repair keeps nobody
   * waiting there.
   */
  async read(index: LogIndex, untilMs = Infinity, inTurn: InTurn = now): Promise<Entry> {
    const look = (): Promise<Entry[]> => this.tryReadRange(index, index, 0);
    const isInMemory = this.#options.log.cached(index, index) !== null;
    const [entry] = await this.#mending(isInMemory ? look : () => inTurn(look), untilMs);
    if (entry === undefined) throw new Error('a range has at least one entry');
    return entry;
  }

  /**
   * `BlockLog.readRange`; where it meets a damaged entry that is committed, it waits for the repair and goes on. Rejects with
   * `unavailable` at `untilMs` of monotonic time.
   */
  readRange(first: LogIndex, last: LogIndex, bytesMax: number, untilMs = Infinity): Promise<Entry[]> {
    return this.#mending(() => this.tryReadRange(first, last, bytesMax), untilMs);
  }

  /** What `look` finds, once what it meets damaged is repaired. */
  async #mending(look: () => Promise<Entry[]>, untilMs: number): Promise<Entry[]> {
    for (;;) {
      try {
        return await look();
      } catch (error) {
        const damage = error instanceof DamagedEntryError ? this.#damaged.get(error.index) : undefined;
        if (damage === undefined) throw error;
        await this.#repairOf(damage, untilMs);
      }
    }
  }

  /** `BlockLog.readRange`; a damaged entry is an error as there, and its repair begins. For who comes again. */
  async tryReadRange(first: LogIndex, last: LogIndex, bytesMax: number): Promise<Entry[]> {
    try {
      return await this.#ofThisLog(await this.#options.log.readRange(first, last, bytesMax));
    } catch (error) {
      if (error instanceof DamagedEntryError) this.meet(error.index, error.what);
      throw error;
    }
  }

  /**
   * The entry as the disk has it, also where memory still keeps it; null where it is still on its way there. A damaged one is an
   * error, and its repair begins. For the scrub.
   */
  async readStored(index: LogIndex): Promise<Entry | null> {
    try {
      const entry = await this.#options.log.readStored(index);
      if (entry !== null) await this.#ofThisLog([entry]);
      return entry;
    } catch (error) {
      if (error instanceof DamagedEntryError) this.meet(error.index, error.what);
      throw error;
    }
  }

  /** Entries up to one that was replaced, and that damage brought back: whole, but of another term than the one of this log. */
  async #ofThisLog(entries: Entry[]): Promise<Entry[]> {
    const { committed, termAt } = this.#standing;
    const known = (index: LogIndex): Term | undefined => (index <= committed() ? termAt(index) : undefined);
    const at = entries.findIndex(({ index, term }) => (known(index) ?? term) !== term);
    const stranger = entries[at];
    if (stranger === undefined) return entries;
    if (at > 0) return entries.slice(0, at);
    const { index, term } = stranger;
    const reason = `it is of term ${term} instead of ${known(index)}`;
    await this.#options.log.removeStranger(index);
    throw new DamagedEntryError(index, reason);
  }

  #repairOf(damage: Damage, untilMs: number): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve, reject) => {
      const cancel =
        untilMs === Infinity
          ? (): void => undefined
          : clock.after(Math.max(0, untilMs - clock.monotonicMs()), () => {
              damage.readers.delete(reader);
              reject(this.waitingFor(damage.index) ?? closedError());
            });
      const reader: Reader = {
        goOn: () => {
          cancel();
          resolve();
        },
        give: (error) => {
          cancel();
          reject(error);
        },
      };
      damage.readers.add(reader);
    });
  }

  /** A damaged entry was met. Its repair begins, unless it is not committed: then it may be replaced, by Raft alone. */
  meet(index: LogIndex, reason: string): void {
    const { log, logger } = this.#options;
    const base = log.base?.position.index ?? Infinity;
    const isCommitted = index > base && index <= this.#standing.committed();
    if (this.#closed || this.#damaged.has(index) || !isCommitted) return;
    logger.warn({ index, reason }, 'an entry of the log is damaged: it is fetched from another node');
    this.#damaged.set(index, {
      index,
      reason,
      readers: new Set(),
      hash: null,
      retryAtMs: 0,
      turn: index,
      askedLast: null,
      asked: 0,
      answered: false,
    });
    this.#wake();
    this.#start();
  }

  #start(): void {
    if (this.#damaged.size === 0 || this.#closed) return;
    this.#working ??= this.#work()
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#working = null;
        // What was met while the last round was ending.
        this.#start();
      });
  }

  /** Asks for what is damaged, so many at once, again and again until nothing is. */
  async #work(): Promise<void> {
    while (this.#damaged.size > 0 && !this.#closed) {
      this.#forgetTrimmed();
      // Before the questions: an answer that comes while they are asked must not be slept through.
      const woken = this.#pause();
      for (const damage of this.#due()) {
        await this.#ask(damage);
        if (this.#closed) return;
      }
      await woken;
    }
  }

  /** What is below the base meanwhile is repaired no more (protocol E1); whoever waits for it finds that it is gone. */
  #forgetTrimmed(): void {
    const base = this.#options.log.base?.position.index ?? emptyLog.index;
    for (const damage of this.#damaged.values()) if (damage.index <= base) this.#settle(damage);
  }

  /** Resolves after the retry time, or when there is something to do before. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(limits.repairRetryMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Those longest due first, and none below another damaged one: nothing names it yet. */
  #due(): Damage[] {
    const nowMs = this.#options.clock.monotonicMs();
    const named = [...this.#damaged.values()].filter(
      ({ index, answered }) => !answered && !this.#damaged.has(asIndex(index + 1)),
    );
    const due = named.filter(({ retryAtMs }) => retryAtMs <= nowMs);
    const room = limits.repairsAtOnce - (named.length - due.length);
    return due.toSorted((left, right) => left.retryAtMs - right.retryAtMs).slice(0, Math.max(0, room));
  }

  async #ask(damage: Damage): Promise<void> {
    const { log, clock, logger, peers, ask } = this.#options;
    const { index } = damage;
    damage.retryAtMs = clock.monotonicMs() + limits.repairRetryMs;
    const hash = await this.#nameOf(index);
    // As soon as the one above is back.
    if (this.#damaged.has(asIndex(index + 1))) damage.retryAtMs = 0;
    if (hash === null || this.#closed || this.#damaged.get(index) !== damage || damage.answered) return;
    const stored = await log.readStored(index).catch(() => null);
    if (stored?.hash === hash) {
      // It was this disk that could not be read for a moment, or the entry below that did not fit to its damaged one.
      this.#settle(damage);
      return;
    }
    damage.hash = hash;
    const [kept] = log.cached(index, index) ?? [];
    if (kept?.hash === hash) {
      this.#answer(damage, kept, 'memory');
      return;
    }
    const nodes = peers();
    for (let tried = 0; tried < nodes.length; tried += 1) {
      const peer = nodes[damage.turn % nodes.length];
      damage.turn += 1;
      if (peer === undefined || !ask(peer, { index, hash })) continue;
      damage.askedLast = peer;
      damage.asked += 1;
      if (damage.asked === 3 * nodes.length)
        logger.error(
          { index, hash },
          'a damaged entry of the log was not found on any other node; they are asked again',
        );
      return;
    }
  }

  /** The hash that the entry must have; null while the entry above cannot say it. */
  async #nameOf(index: LogIndex): Promise<EntryHash | null> {
    const { log } = this.#options;
    try {
      const { hash, by } = await log.nameOf(index);
      const above = asIndex(Math.min(index + 1, log.last.index));
      const known = this.#standing.termAt(above);
      // Index and term name one entry in all logs. An old one that stands there again would name what was replaced.
      if (known === undefined || known === by) return hash;
      this.meet(above, `it is of term ${by} instead of ${known}`);
    } catch (error) {
      if (error instanceof DamagedEntryError) this.meet(error.index, error.what);
      // A disk that cannot be read is asked again; whoever has to stop for it does so without us.
      // Nor is one that was trimmed meanwhile.
      else if (!(error instanceof DiskError || error instanceof NotInLogError)) throw error;
    }
    return null;
  }

  /** The entry that a peer asks for, when it is intact here; null, too, for one that asks for much at a time. */
  async answer({ index, hash }: NamedEntry): Promise<Entry | null> {
    // A node whose disk was replaced is asked, too.
    if (this.#options.log.base === null || this.#answering >= limits.repairsAtOnce) return null;
    this.#answering += 1;
    try {
      const [entry] = await this.tryReadRange(index, index, 0);
      return entry?.hash === hash && faultOf(entry) === null ? entry : null;
    } catch (error) {
      if (error instanceof DamagedEntryError || error instanceof NotInLogError || error instanceof DiskError)
        return null;
      if (this.#closed) return null;
      throw error;
    } finally {
      this.#answering -= 1;
    }
  }

  /** A peer cannot give what it was asked for last: the next one is asked at once, until each was; then all have time again. */
  lacking(from: NodeId, { index, hash }: NamedEntry): void {
    const damage = this.#damaged.get(index);
    if (damage === undefined || damage.askedLast !== from || damage.hash !== hash) return;
    damage.askedLast = null;
    if (damage.asked % this.#options.peers().length === 0) return;
    damage.retryAtMs = 0;
    this.#wake();
  }

  /** An entry from a peer. What was not asked for, or not by this name, is dropped. */
  receive(from: NodeId, entry: Entry): void {
    const damage = this.#damaged.get(entry.index);
    if (this.#closed || damage === undefined || damage.answered || damage.hash !== entry.hash) return;
    const known = this.#standing.termAt(entry.index) ?? entry.term;
    const fault = faultOf(entry) ?? (known === entry.term ? null : `it is of term ${entry.term} instead of ${known}`);
    if (fault !== null) {
      this.#options.logger.warn({ index: entry.index, peer: from, fault }, 'an entry that a peer gave was dropped');
      return;
    }
    this.#answer(damage, entry, from);
  }

  #answer(damage: Damage, entry: Entry, from: NodeId | 'memory'): void {
    damage.answered = true;
    this.#writing = this.#writing
      .then(() => this.#repair(damage, entry, from))
      .catch((error: unknown) => this.#fail(error));
  }

  async #repair(damage: Damage, entry: Entry, from: NodeId | 'memory'): Promise<void> {
    const { log, logger } = this.#options;
    const { index, reason } = damage;
    if (this.#closed) return;
    if (await log.repair(entry)) {
      this.#repaired += 1;
      logger.info({ index, reason, from }, 'a damaged entry of the log was repaired');
    }
    this.#settle(damage);
  }

  /** The entry is whole: those who wait for it go on, and the next ones are asked for. */
  #settle(damage: Damage): void {
    this.#damaged.delete(damage.index);
    for (const reader of damage.readers) reader.goOn();
    damage.readers.clear();
    this.#wake();
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.close();
    this.#options.fatal(errorOf(error));
  }

  /** Nobody waits any longer. */
  close(): void {
    this.#closed = true;
    for (const { readers } of this.#damaged.values()) {
      for (const reader of readers) reader.give(closedError());
      readers.clear();
    }
    this.#wake();
  }

  /** Resolves when nothing of the log is read or written here any more; after `close`. */
  async idle(): Promise<void> {
    await Promise.all([this.#working, this.#writing]);
  }
}

function closedError(): Error {
  return new Error('the log is closed');
}
