/**
 * The core's view of the log: terms, the last position, what is durable and what is committed. Payloads stay outside.
 *
 *   base <= commit <= last,  durable <= last
 *
 * The newest configuration in the log is the one in force, committed or not; a truncation takes it back (protocol G4).
 * `commit`, and a base below it, may be ahead of `durable` on a follower: the majority that holds the entry need not include it.
 */
import { FormatLevels, type OpenedFormatLevel } from './format-level.ts';
import { InvariantError, invariant } from './invariant.ts';
import {
  asIndex,
  type Configuration,
  type ConfigurationAt,
  type Entry,
  type EntryHash,
  type LogBase,
  type LogIndex,
  type LogPosition,
  type Term,
} from './types.ts';

/** Entries [first, next run's first) were made in `term`. */
export interface TermRun {
  readonly term: Term;
  readonly first: LogIndex;
}

/** One change of the log on its way to the disk. Writes are applied in the order of their sequence. */
export type LogWrite = AppendWrite | BaseWrite;

export interface AppendWrite {
  readonly sequence: number;
  /** Entries from here on are removed first. */
  readonly truncateFrom: LogIndex | null;
  readonly entries: readonly Entry[];
}

/** The log goes on from another base. */
export interface BaseWrite {
  readonly sequence: number;
  readonly base: LogBase;
  /** No entry of before is of this log any more: the base was installed. Else those above it stay: the log was trimmed. */
  readonly replacesLog: boolean;
}

/** Headers of this many newest entries are remembered, for window sizes and the hash chain. */
const recentMax = 8_192;
/** What an entry from before the restart is taken to weigh until it is read. */
const unknownEntryBytes = 64 * 1024;

export class RaftLog {
  #base: LogBase;
  #last: LogPosition;
  #commit: LogIndex;
  #durable: LogIndex;
  /** Ascending in both fields; the last run reaches to `last`. */
  #runs: TermRun[];
  /** Ascending; the first is committed, wherever this log ends. */
  #configurations: ConfigurationAt[];
  readonly #configurationIn: (payload: Uint8Array) => Configuration;
  /** What may be written, and what ever was. */
  readonly formatLevels: FormatLevels;
  readonly #recent = new Map<LogIndex, { readonly hash: EntryHash; readonly bytes: number }>();
  #sequence = 0;
  #writes: LogWrite[] = [];
  /** Truncations whose write has not completed: what lies at or above them is not durable, whatever completes before (bug E9). */
  #truncations: { readonly sequence: number; readonly from: LogIndex }[] = [];

  /** A log as found on disk: everything up to `last` is durable. */
  constructor(opened: {
    base: LogBase;
    last: LogPosition;
    runs: readonly TermRun[];
    commit: LogIndex;
    configurations: readonly ConfigurationAt[];
    formatLevel: OpenedFormatLevel;
    /** Reads the payload of a configuration entry. */
    configurationIn: (payload: Uint8Array) => Configuration;
  }) {
    invariant(opened.configurations.length > 0, 'a log has a configuration from its base on');
    this.#configurations = [...opened.configurations];
    this.#configurationIn = opened.configurationIn;
    this.formatLevels = new FormatLevels(opened.formatLevel);
    this.#base = opened.base;
    this.#last = opened.last;
    this.#durable = opened.last.index;
    this.#runs = [...opened.runs];
    const { position } = opened.base;
    this.#commit = asIndex(Math.max(position.index, Math.min(opened.commit, opened.last.index)));
    this.formatLevels.commitTo(this.#commit);
    this.#recent.set(opened.last.index, { hash: opened.last.hash, bytes: unknownEntryBytes });
    this.#recent.set(position.index, { hash: position.hash, bytes: unknownEntryBytes });
    invariant(this.termAt(this.#last.index) === this.#last.term, 'term runs must reach to the last entry');
  }

  /** What stands before the first entry. */
  get base(): LogBase {
    return this.#base;
  }
  get last(): LogPosition {
    return this.#last;
  }
  get commit(): LogIndex {
    return this.#commit;
  }
  get durable(): LogIndex {
    return this.#durable;
  }

  /** The configuration in force. */
  get configuration(): ConfigurationAt {
    const newest = this.#configurations.at(-1);
    invariant(newest !== undefined, 'a log has a configuration');
    return newest;
  }
  /** The one that was in force at `index`, or the oldest one known. */
  configurationAsOf(index: LogIndex): ConfigurationAt {
    const [first] = this.#configurations;
    invariant(first !== undefined, 'a log has a configuration');
    return this.#configurations.findLast((at) => at.index <= index) ?? first;
  }
  /** Those before the newest one that is committed and durable are needed no more. */
  #forgetConfigurations(): void {
    const kept = this.configurationAsOf(asIndex(Math.min(this.#commit, this.#durable)));
    this.#configurations.splice(0, this.#configurations.indexOf(kept));
  }

  /** The term of the entry at `index`; undefined outside [base, last]. */
  termAt(index: LogIndex): Term | undefined {
    const base = this.#base.position;
    if (index === base.index) return base.term;
    if (index < base.index || index > this.#last.index) return undefined;
    return this.#runs.findLast((run) => run.first <= index)?.term;
  }

  bytesAt(index: LogIndex): number {
    return this.#recent.get(index)?.bytes ?? unknownEntryBytes;
  }

  /** Whether the entries above `index` are `bytes` or more. */
  weighsAbove(index: LogIndex, bytes: number): boolean {
    let left = bytes;
    for (let at = this.#last.index; at > index && left > 0; at = asIndex(at - 1)) left -= this.bytesAt(at);
    return left <= 0;
  }

  /** Is a log that ends at (term, index) at least as up to date as one that ends at `tail`? (Thesis 3.6.1, bug E5.) */
  static upToDate(candidate: { term: Term; index: LogIndex }, tail: { term: Term; index: LogIndex }): boolean {
    return candidate.term > tail.term || (candidate.term === tail.term && candidate.index >= tail.index);
  }

  /** The largest index in [base, index] whose term is at most `term`: where two logs may still agree. */
  lastIndexWithTermAtMost(index: LogIndex, term: Term): LogIndex {
    let candidate = Math.min(index, this.#last.index);
    for (const run of this.#runs.toReversed()) {
      if (run.term <= term) break;
      candidate = Math.min(candidate, run.first - 1);
    }
    return asIndex(Math.max(candidate, this.#base.position.index));
  }

  /** The leader's own append: entries follow `last` and chain to it. */
  append(entries: readonly Entry[]): void {
    this.#write(null, entries);
  }

  /**
   * A follower's append (thesis 3.5): null when the log has no entry (previousIndex, previousTerm); else the index up
   * to which it now equals the leader's. Truncates only at a true conflict, so a delayed append removes nothing (bug E13).
   */
  tryAppend(previousIndex: LogIndex, previousTerm: Term, entries: readonly Entry[]): LogIndex | null {
    entries.forEach((entry, offset) => {
      invariant(
        entry.index === previousIndex + 1 + offset,
        'entries of an append must follow its previous index (bug E14)',
      );
    });
    const base = this.#base.position;
    // What is below the base was committed, so the leader has just that.
    if (previousIndex < base.index)
      return this.tryAppend(base.index, base.term, entries.slice(base.index - previousIndex));
    if (this.termAt(previousIndex) !== previousTerm) return null;
    const matched = asIndex(previousIndex + entries.length);
    const firstNew = entries.findIndex((entry) => this.termAt(entry.index) !== entry.term);
    if (firstNew >= 0) {
      const fresh = entries.slice(firstNew);
      const from = asIndex(previousIndex + 1 + firstNew);
      this.#write(from <= this.#last.index ? from : null, fresh);
    }
    return matched;
  }

  #write(truncateFrom: LogIndex | null, entries: readonly Entry[]): void {
    this.#sequence += 1;
    if (truncateFrom !== null) this.#truncate(truncateFrom);
    for (const entry of entries) this.#push(entry);
    this.#writes.push({ sequence: this.#sequence, truncateFrom, entries });
  }

  #truncate(from: LogIndex): void {
    if (from <= this.#commit) throw new InvariantError(`entry ${from} is committed and conflicts with the leader's`);
    for (let index = from; index <= this.#last.index; index = asIndex(index + 1)) this.#recent.delete(index);
    while ((this.#runs.at(-1)?.first ?? 0) >= from) this.#runs.pop();
    this.#durable = asIndex(Math.min(this.#durable, from - 1));
    // Not the first: it is committed, and where it stands above this log that has yet to catch up with it.
    while (this.#configurations.length > 1 && this.configuration.index >= from) this.#configurations.pop();
    this.formatLevels.truncate(from);
    this.#truncations.push({ sequence: this.#sequence, from });
    const index = asIndex(from - 1);
    const base = this.#base.position;
    const term = index === base.index ? base.term : this.#runs.at(-1)?.term;
    invariant(term !== undefined, `no term for entry ${index} below a truncation`);
    // An entry from before the restart may have no known hash; the entry that follows brings it.
    this.#last = { index, term, hash: this.#recent.get(index)?.hash ?? ('' as EntryHash) };
  }

  #push(entry: Entry): void {
    invariant(entry.index === this.#last.index + 1, `entry ${entry.index} does not follow ${this.#last.index}`);
    invariant(entry.term >= this.#last.term, `term ${entry.term} of entry ${entry.index} is below the term before it`);
    if (this.#last.hash !== '' && entry.previousHash !== this.#last.hash) {
      throw new InvariantError(
        `entry ${entry.index} does not chain to this node's entry ${this.#last.index}: the logs diverged`,
      );
    }
    if (entry.term !== this.#last.term || this.#runs.length === 0)
      this.#runs.push({ term: entry.term, first: entry.index });
    this.#recent.set(entry.index, { hash: entry.hash, bytes: entry.payload.length });
    this.#recent.delete(asIndex(Math.max(0, entry.index - recentMax)));
    this.#last = { index: entry.index, term: entry.term, hash: entry.hash };
    this.formatLevels.append(entry);
    if (entry.kind === 'configuration' && entry.index > this.configuration.index)
      this.#configurations.push({
        index: entry.index,
        configuration: this.#configurationIn(entry.payload),
      });
  }

  /**
   * The cluster has agreed that the log begins after `base` (protocol E1). What this replica has not on its disk yet gets there
   * before the base does. An older trim than one before changes nothing.
   */
  trimTo(base: LogBase): void {
    const { index, term, hash } = base.position;
    if (index <= this.#base.position.index) return;
    invariant(index <= this.#commit, `entry ${index} is trimmed before it is committed`);
    const known = this.#recent.get(index)?.hash ?? hash;
    if (this.termAt(index) !== term || known !== hash)
      throw new InvariantError(`entry ${index} is not the one that the cluster trims its log up to: the logs diverged`);
    this.#runs =
      index === this.#last.index
        ? []
        : this.#runs.filter((_, at) => (this.#runs[at + 1]?.first ?? Infinity) > index + 1);
    this.#beginAfter(base, false);
  }

  /**
   * A leader's base stands in the place of this log, which ends before it or has another entry there. All that it says is
   * committed; what was not, goes, configurations among it (bug M8).
   */
  install(base: LogBase): void {
    const { position, configuration, configurationIndex, formatLevel } = base;
    invariant(position.index > this.#commit, `a base at ${position.index} would take back what is committed`);
    this.#last = position;
    this.#commit = position.index;
    this.#runs = [];
    this.#recent.clear();
    // Nothing of this log is durable before the base is, whatever completes before.
    this.#durable = asIndex(0);
    this.#truncations.push({ sequence: this.#sequence + 1, from: asIndex(1) });
    // The first one is committed, wherever this log ended.
    const [committed] = this.#configurations;
    const isNewer = committed !== undefined && committed.index > configurationIndex;
    this.#configurations = [isNewer ? committed : { index: configurationIndex, configuration }];
    this.formatLevels.install(formatLevel);
    this.#beginAfter(base, true);
  }

  #beginAfter(base: LogBase, replacesLog: boolean): void {
    this.#base = base;
    const { index, hash } = base.position;
    for (const below of this.#recent.keys()) if (below < index) this.#recent.delete(below);
    this.#recent.set(index, { hash, bytes: 0 });
    this.#sequence += 1;
    this.#writes.push({ sequence: this.#sequence, base, replacesLog });
  }

  /** Raises the commit index. Never lowers it. */
  commitTo(index: LogIndex): void {
    invariant(index <= this.#last.index, `commit ${index} is beyond the last entry ${this.#last.index} (bug E15)`);
    if (index <= this.#commit) return;
    this.#commit = index;
    this.formatLevels.commitTo(index);
    this.#forgetConfigurations();
  }

  /** The writes since the last call, for the disk. */
  takeWrites(): readonly LogWrite[] {
    const writes = this.#writes;
    this.#writes = [];
    return writes;
  }

  get hasWrites(): boolean {
    return this.#writes.length > 0;
  }

  /** The disk holds everything up to `index` as of write `sequence`, and the hard state that promises it. */
  becameDurable(index: LogIndex, sequence: number): void {
    this.#truncations = this.#truncations.filter((truncation) => truncation.sequence > sequence);
    const below = this.#truncations.map((truncation) => truncation.from - 1);
    const durable = Math.min(index, this.#last.index, ...below);
    if (durable > this.#durable) this.#durable = asIndex(durable);
    this.#forgetConfigurations();
  }
}
