/**
 * What is believed of the tail of a log, entry after entry from its end downwards. It ends below the first fault, unless that
 * lies inside of what was committed: then it is a hole, to be repaired from another node by the hash that the entry above it
 * names (protocol A4). Must hold for each hole:
 *
 * - the tail that the hard state promised stands above it, by index, term and hash, and without a fault from there to the end:
 *   a log that lost its promise may have fallen back to replaced entries, of which the commit index does not speak;
 * - it is at or below the commit index of that hard state, so it was on a majority of disks, and is never truncated;
 * - the whole entries next above and below it are of one term. The leader of that term had both, and a log that has the upper one
 *   is that leader's up to there: so the lower one is no replaced entry that the disk brought back, although no chain leads to
 *   it. At the edge of a term nobody could say that, nor what term the hole is of.
 */
import type { Entry, LogIndex, LogPosition } from '../raft/core/types.ts';
import { asIndex } from '../raft/core/types.ts';

export interface Hole {
  readonly index: LogIndex;
  /** What is wrong there: `it is missing`. */
  readonly reason: string;
}

/** What the hard state says of the log beside it. */
export interface LogPromise {
  readonly tail: LogPosition;
  readonly commit: LogIndex;
}

export class VerifiedTail {
  readonly #base: LogPosition;
  readonly #promise: LogPromise | null;
  #end: Entry | null = null;
  #reason: string | null = null;
  /** The lowest entry that is believed. */
  #above: Entry | null = null;
  /** The lowest index that was looked at. */
  #lowest: LogIndex | null = null;
  #holdsPromise = false;
  #holes: Hole[] = [];
  /** Faults below `above`: holes, once an entry of its term is found below them. */
  #open: Hole[] = [];
  /** Highest first. */
  #configurations: Entry[] = [];
  #raises: Entry[] = [];
  /** Whole entries in a place that belongs to another one. */
  #strangers: LogIndex[] = [];

  constructor(base: LogPosition, promise: LogPromise | null) {
    this.#base = base;
    this.#promise = promise;
  }

  /** The last entry of the log; null when that is the base. */
  get end(): Entry | null {
    return this.#end;
  }
  /** Why the log was cut: what is wrong right behind its end; null when nothing is. */
  get reason(): string | null {
    return this.#reason;
  }
  /** Highest first. */
  get holes(): readonly Hole[] {
    return this.#holes;
  }
  /** Holes in which a whole entry stands, that must not be read. */
  get strangers(): readonly LogIndex[] {
    return this.#strangers;
  }

  /** The configuration entries that are believed, lowest first. */
  get configurations(): readonly Entry[] {
    return this.#configurations.toReversed();
  }
  /** The same of entries that raise the format level. */
  get raises(): readonly Entry[] {
    return this.#raises.toReversed();
  }

  /** Takes the next key downwards, and its entry or what is wrong with it. False at a fault, and where faults became holes. */
  take(index: LogIndex | null, found: Entry | { readonly fault: string }): boolean {
    if (index === null) {
      this.#cut('a key of the log is damaged');
      return false;
    }
    const isNext = this.#lowest === null || index === this.#lowest - 1;
    if (!isNext) this.#missing(index);
    this.#lowest = index;
    if ('fault' in found) {
      this.#fault(index, found.fault, `entry ${index} of the log is damaged: ${found.fault}`);
      return false;
    }
    return this.#takeWhole(found) && isNext;
  }

  #takeWhole(entry: Entry): boolean {
    const above = this.#above;
    if (above === null) {
      this.#believe(entry);
      return true;
    }
    if (this.#open.length > 0) {
      if (entry.term === above.term) this.#holes.push(...this.#open.splice(0));
      else this.#cut(faultSentence(this.#open.at(-1)));
      this.#believe(entry);
      return false;
    }
    if (above.previousHash === entry.hash) {
      this.#believe(entry);
      return true;
    }
    this.#fault(entry.index, `entry ${above.index} does not follow it`, chainSentence(above, entry));
    if (this.#open.length > 0) this.#strangers.push(entry.index);
    else this.#believe(entry);
    return false;
  }

  #believe(entry: Entry): void {
    this.#end ??= entry;
    this.#above = entry;
    if (entry.kind === 'configuration') this.#configurations.push(entry);
    if (entry.kind === 'format-level') this.#raises.push(entry);
    const tail = this.#promise?.tail;
    if (entry.index === tail?.index) this.#holdsPromise = entry.term === tail.term && entry.hash === tail.hash;
  }

  /** There is nothing between `lowest` and `index`. */
  #missing(index: LogIndex): void {
    const missing = `entry ${index + 1} of the log is missing`;
    if (!this.#holdsPromise) {
      if (this.#above !== null) this.#cut(missing);
      return;
    }
    for (let at = (this.#lowest ?? 0) - 1; at > index && this.#holdsPromise; at -= 1) {
      this.#fault(asIndex(at), 'it is missing', missing);
    }
  }

  #fault(index: LogIndex, reason: string, sentence: string): void {
    if (this.#holdsPromise && index <= (this.#promise?.commit ?? 0)) this.#open.push({ index, reason });
    else this.#cut(sentence);
  }

  /** The log ends below what was looked at so far. */
  #cut(sentence: string): void {
    this.#reason = sentence;
    this.#end = null;
    this.#above = null;
    this.#holdsPromise = false;
    this.#holes = [];
    this.#open = [];
    this.#strangers = [];
    this.#configurations = [];
    this.#raises = [];
  }

  /**
   * Nothing is left above the base. That is known whole, so it decides what is undecided like an entry of its term; what follows it
   * at once must chain to it.
   */
  reachedBase(): void {
    const { index, term, hash } = this.#base;
    if (this.#above !== null && (this.#lowest ?? 0) > index + 1) this.#missing(index);
    const above = this.#above;
    if (above === null) return;
    if (this.#open.length > 0) {
      if (term === above.term) this.#holes.push(...this.#open.splice(0));
      else this.#cut(faultSentence(this.#open.at(-1)));
    } else if (this.#lowest === index + 1 && above.index === index + 1 && above.previousHash !== hash) {
      this.#cut(chainSentence(above, this.#base));
    }
  }
}

const chainSentence = (above: LogPosition, below: LogPosition): string =>
  `entry ${above.index} of the log does not follow entry ${below.index}: the hash chain is broken`;

const faultSentence = (hole: Hole | undefined): string =>
  `entry ${hole?.index} of the log is damaged, where a term may begin: ${hole?.reason}`;
