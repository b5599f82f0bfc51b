/**
 * Looks for what the log need not keep any longer, on the leader, and proposes a trim up to there (protocol E1, E3). Whole
 * windows of the index go, so that the index loses what the log loses; a trace is cut at the edge.
 *
 *   base < X <= applied
 *   by age:   all entries up to X are older than the age, by their time and the clock guard's
 *   by bytes: X is the first such end above which the entries are within the limit
 *
 * - The newest window never goes for its bytes: what was acknowledged a moment ago can be read.
 * - Without a time from the guard nothing goes by age; bytes need no clock.
 * - A trim that takes no block is not worth its own entry: an idle cluster would write one for ever, to trim the last.
 * - Windows that an older version wrote are weighed by reading their entries once, one window a look.
 */
import { limits, type RetentionLimits } from '../limits.ts';
import type { Clock } from '../platform/clock.ts';
import { DiskError } from '../platform/disk-error.ts';
import { asIndex, type ConfigurationAt, type Entry, type LogBase, type LogIndex } from '../raft/core/types.ts';
import { NotInLogError } from '../store/block-log.ts';
import { DamagedError } from '../store/damaged.ts';
import { weightOf } from '../store/entry.ts';
import type { EntryWeight } from '../store/index-window.ts';
import type { WindowSeen } from '../store/trace-index.ts';
import { baseAt } from './base-at.ts';

export interface RetentionOptions {
  readonly limits: RetentionLimits;
  /** A trim is proposed this often at most. */
  readonly everyMs: number;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly index: {
    readonly windows: readonly WindowSeen[];
    weigh(first: LogIndex, weight: EntryWeight): void;
  };
  /** Rejects with `NotInLogError` for what was trimmed meanwhile; may wait for what is damaged. */
  readonly log: { readRange(first: LogIndex, last: LogIndex, bytesMax: number): Promise<Entry[]> };
  /** As of now: */
  readonly leads: () => boolean;
  readonly base: () => LogBase;
  readonly applied: () => LogIndex;
  /** The newest one in the log, committed or not. */
  readonly configuration: () => ConfigurationAt;
  readonly formatLevel: () => number;
  /** The time that age is judged by; null: not now (the clock guard). */
  readonly expiryTimeMs: () => number | null;
  readonly propose: (base: LogBase) => 'appended' | 'not-leader' | 'busy';
}

export class Retention {
  readonly #options: RetentionOptions;
  #looking = false;
  #proposedAtMs = -Infinity;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /**
   * Called again and again; does one thing at a time, and nothing unless this node leads. Resolves with the end of the trim
   * that it proposed, or null. What it cannot read now it reads at a later look.
   */
  async look(): Promise<LogIndex | null> {
    const { ageMs, bytes } = this.#options.limits;
    if ((ageMs === null && bytes === null) || this.#looking || !this.#options.leads()) return null;
    this.#looking = true;
    try {
      return await this.#look();
    } catch (error) {
      if (error instanceof NotInLogError || error instanceof DamagedError || error instanceof DiskError) return null;
      // It stops, perhaps, and the log is closed.
      if (!this.#options.leads()) return null;
      throw error;
    } finally {
      this.#looking = false;
    }
  }

  async #look(): Promise<LogIndex | null> {
    const { clock, index, base, applied } = this.#options;
    const begins = base().position.index;
    const windows = index.windows.filter(({ last }) => last > begins && last <= applied());
    const [byAge, byBytes] = [this.#byAge(windows), this.#byBytes(windows)];
    const unknown = byAge.unknown ?? byBytes.unknown;
    if (unknown !== null) await this.#weigh(unknown, begins);
    const end = Math.max(byAge.end, byBytes.end);
    if (end <= begins || clock.monotonicMs() - this.#proposedAtMs < this.#options.everyMs) return null;
    return this.#propose(asIndex(end));
  }

  /** From the oldest window on: how far all is too old. */
  #byAge(windows: readonly WindowSeen[]): Found {
    const { ageMs } = this.#options.limits;
    const nowMs = ageMs === null ? null : this.#options.expiryTimeMs();
    let end = 0;
    if (ageMs === null) return { end, unknown: null };
    // Also where nothing can be judged now: the clock guard begins at the end of the oldest window.
    if (nowMs === null) return { end, unknown: windows.find(({ timeMs }) => timeMs === null) ?? null };
    for (const window of windows) {
      if (window.timeMs === null) return { end, unknown: window };
      if (window.timeMs >= nowMs - ageMs) break;
      end = window.last;
    }
    return { end, unknown: null };
  }

  /** From the newest window down: the first one that is too much. */
  #byBytes(windows: readonly WindowSeen[]): Found {
    const { bytes } = this.#options.limits;
    if (bytes === null) return { end: 0, unknown: null };
    let sum = 0;
    for (const [above, window] of windows.toReversed().entries()) {
      if (window.bytes === null) return { end: 0, unknown: window };
      sum += window.bytes;
      if (sum > bytes && above > 0) return { end: window.last, unknown: null };
    }
    return { end: 0, unknown: null };
  }

  /** By what the log still has of it. */
  async #weigh({ first, last }: WindowSeen, begins: LogIndex): Promise<void> {
    let bytes = 0;
    let timeMs = 0;
    for (let next = Math.max(first, begins + 1); next <= last;) {
      const entries = await this.#options.log.readRange(asIndex(next), last, limits.appendBytesMax);
      for (const entry of entries) {
        const weight = weightOf(entry);
        bytes += weight.bytes;
        timeMs = weight.timeMs;
      }
      next += entries.length;
    }
    this.#options.index.weigh(first, { bytes, timeMs });
  }

  /** Many entries are not looked at: there is one among them. */
  async #takesBlock(end: LogIndex): Promise<boolean> {
    const first = asIndex(this.#options.base().position.index + 1);
    if (end - first >= fewEntries) return true;
    for (let next = first; next <= end;) {
      const entries = await this.#options.log.readRange(next, end, limits.appendBytesMax);
      if (entries.some(({ kind }) => kind === 'block')) return true;
      next = asIndex(next + entries.length);
    }
    return false;
  }

  async #propose(end: LogIndex): Promise<LogIndex | null> {
    const { base, clock, configuration, formatLevel, leads, log, propose } = this.#options;
    const read = async (index: LogIndex): Promise<Entry> => {
      const [entry] = await log.readRange(index, index, 0);
      if (entry === undefined) throw new NotInLogError(`entry ${index} is not in the log any more`);
      return entry;
    };
    if (!(await this.#takesBlock(end))) return null;
    const proposed = await baseAt(end, {
      read,
      base: base(),
      configuration: configuration(),
      formatLevel: formatLevel(),
    });
    if (!leads() || end <= base().position.index || propose(proposed) !== 'appended') return null;
    this.#proposedAtMs = clock.monotonicMs();
    return end;
  }
}

const fewEntries = 16;

interface Found {
  /** 0: nothing is to go. */
  readonly end: number;
  /** It cannot be told without the weight of this one. */
  readonly unknown: WindowSeen | null;
}

/** What bounds a window of the index, so that whole windows expire in time. */
export function windowBounds(
  { ageMs, bytes }: RetentionLimits,
  bytesMin: number = limits.retentionWindowBytesMin,
): { readonly windowMs: number; readonly windowBytes: number } {
  const { retentionWindows, retentionWindowMsMin } = limits;
  return {
    windowMs: ageMs === null ? Infinity : Math.max(retentionWindowMsMin, ageMs / retentionWindows),
    windowBytes: bytes === null ? Infinity : Math.max(bytesMin, bytes / retentionWindows),
  };
}
