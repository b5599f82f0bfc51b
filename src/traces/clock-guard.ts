/**
 * Whether this node's wall clock may be believed (protocol E3): it stamps entries, and age is judged by it. One clock that
 * jumps eight days ahead must neither stamp entries with that time nor let a store expire. Must always hold:
 *
 *   lower bound <= median of all voters' clocks <= upper bound
 *   time of an entry      within `toleranceMs` of these bounds, once a majority was heard
 *   time that age goes by <= own clock,  <= lower bound,  and grows by at most `expiryPaceMax` a second
 *
 * The median is that of *all* voters, not of those heard: of five, two may be wrong and two down, and the median of the
 * three that are left would be a wrong clock.
 *
 * How it is wired, with `now` = `readClock(platform.clock)`:
 * - `nowMs` of the Raft core is `() => guard.entryTimeMs(now, time of the last entry)`;
 * - `guard.look(now, leading)` is called on every node a few times a second, and on the leader right before
 *   `guard.expiryTimeMs` is used to choose what expires.
 */
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../platform/clock.ts';
import { decidersOf, halvesOf } from '../raft/core/configuration.ts';
import type { Configuration, ReplicaId } from '../raft/core/types.ts';

/** What a wall clock showed, at a monotonic time of this node. */
export interface ClockReading {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

export const readClock = (clock: Clock): ClockReading => ({
  wallMs: clock.nowMs(),
  monotonicMs: clock.monotonicMs(),
});

export interface ClockGuardOptions {
  readonly self: ReplicaId;
  /** Entries expire at this age; null: never. */
  readonly ageMs: number | null;
  /** Clocks further apart than this are wrong. */
  readonly toleranceMs: number;
  readonly logger: Logger;
  /** Whose clocks count; null while this node takes part in nothing. */
  readonly configuration: () => Configuration | null;
  /** What a replica last said of its clock, and when that came; null: nothing yet. */
  readonly clockOf: (replica: ReplicaId) => ClockReading | null;
}

/** This node leads. */
export interface Leading {
  /**
   * The log time that had already expired: that of the base, or of the end of the oldest index window where nothing was ever
   * trimmed. null: there is nothing that could expire.
   */
  readonly expiredMs: number | null;
}

export interface MedianBounds {
  readonly lower: number;
  readonly upper: number;
}

/** Between what the median of `votersCount` clocks lies, when these are known and the others may show anything; null: anywhere. */
export function medianBounds(heard: readonly number[], votersCount: number): MedianBounds | null {
  const clocks = heard.toSorted((left, right) => left - right);
  const unheard = votersCount - heard.length;
  // Of an even number there are two in the middle, and the median is between them. Without a majority the least of them may be
  // an unheard one, whatever it shows.
  const lower = clocks[Math.ceil(votersCount / 2) - 1 - unheard];
  const upper = clocks[Math.floor(votersCount / 2)];
  return lower === undefined || upper === undefined ? null : { lower, upper };
}

/** How far a time is outside of the bounds: above 0 behind them, below 0 before them. */
function beyond(timeMs: number, { lower, upper }: MedianBounds): number {
  return timeMs < lower ? timeMs - lower : Math.max(0, timeMs - upper);
}

const noMajority =
  'no majority of the voters has told its clock in the last minute, so nothing expires by age: look why they are not connected, or are of an older version';

export class ClockGuard {
  readonly #options: ClockGuardOptions;
  #leadsSinceMs: number | null = null;
  /** Age was judged by this time, or could have been, at a monotonic time; null before this node led and had something to expire. */
  #paced: { readonly timeMs: number; readonly atMs: number } | null = null;
  #lastLook: ClockReading | null = null;
  #jump: { readonly byMs: number; readonly atMs: number } | null = null;
  #expiryTimeMs: number | null = null;
  #alarm: string | null = null;

  constructor(options: ClockGuardOptions) {
    this.#options = options;
  }

  /** As of the last look, the time by which age is judged; null while nothing may expire by age. */
  get expiryTimeMs(): number | null {
    return this.#expiryTimeMs;
  }

  /** As of the last look, what is wrong with the clocks, and what to do; null: nothing that is known. */
  get alarm(): string | null {
    return this.#alarm;
  }

  /** Whether a majority of the voters has told its clock: before, nobody can say whether this node's own is right. */
  isInformed(now: ClockReading): boolean {
    return this.#boundsAt(now) !== null;
  }

  /**
   * The time for an entry that is appended now to a log whose last one is of `logMs`: this node's clock, as far as the others bear
   * it out. A clock behind the log is wrong, where another one is not: what came after a pause would look as old as what came before.
   */
  entryTimeMs(now: ClockReading, logMs: number): number {
    const bounds = this.#boundsAt(now);
    // Nobody bears it out: time stands still for the moment until somebody can, or a wrong clock would stand in the log for days.
    if (bounds === null) return logMs > 0 ? logMs : now.wallMs;
    const { lower, upper } = bounds;
    const { toleranceMs } = this.#options;
    const ownMs = Math.round(Math.min(Math.max(now.wallMs, lower - toleranceMs), upper + toleranceMs));
    if (ownMs >= logMs) return ownMs;
    const others = this.#heardOf(this.#voters, now).filter((clockMs) => clockMs >= logMs && clockMs <= upper);
    return others.length === 0 ? ownMs : Math.round(Math.min(...others));
  }

  /** Looks at the clocks. `leading` is null while this node does not lead. */
  look(now: ClockReading, leading: Leading | null): void {
    this.#noteJump(now);
    const bounds = this.#boundsAt(now);
    if (leading === null) this.#leadsSinceMs = null;
    else this.#leadsSinceMs ??= now.monotonicMs;
    this.#setAlarm(this.#alarmAt(now, bounds));
    const isSure = bounds !== null && this.#alarm === null;
    const judgedMs = isSure ? Math.min(now.wallMs, bounds.lower) : null;
    this.#expiryTimeMs = this.#paceOf(now, leading?.expiredMs ?? null, judgedMs);
  }

  /** Keeps the pace: what was not used up is lost, or a clock that jumps after a quiet day would find a day's worth of it. */
  #paceOf(now: ClockReading, expiredMs: number | null, judgedMs: number | null): number | null {
    const { ageMs } = this.#options;
    if (ageMs === null || expiredMs === null) {
      this.#paced = null;
      return null;
    }
    const before = Math.max(expiredMs + ageMs, this.#paced?.timeMs ?? 0);
    const elapsedMs = this.#paced === null ? 0 : now.monotonicMs - this.#paced.atMs;
    const timeMs = judgedMs === null ? null : Math.min(judgedMs, before + elapsedMs * limits.expiryPaceMax);
    this.#paced = { timeMs: Math.max(before, timeMs ?? 0), atMs: now.monotonicMs };
    return timeMs;
  }

  #alarmAt(now: ClockReading, bounds: MedianBounds | null): string | null {
    const judges = this.#options.ageMs !== null && this.#leadsSinceMs !== null;
    if (bounds === null) {
      const sinceMs = now.monotonicMs - (this.#leadsSinceMs ?? now.monotonicMs);
      // Whoever begins to lead may not have heard the others yet.
      return judges && sinceMs > limits.clockReportMs ? noMajority : null;
    }
    const offMs = beyond(now.wallMs, bounds);
    if (Math.abs(offMs) > this.#options.toleranceMs)
      return `the clock of this node is ${seconds(offMs)} ${offMs > 0 ? 'ahead of' : 'behind'} the median of the voters: set it right (NTP); until then nothing expires by age where this node leads`;
    if (judges && this.#jump !== null && this.#isAlone(now))
      return `the clock of this node jumped ${seconds(this.#jump.byMs)} ${this.#jump.byMs > 0 ? 'ahead' : 'back'}, and no other voter bears it out: set it right (NTP) if it is wrong; nothing expires by age for a minute`;
    return null;
  }

  /** A wall clock that no longer runs as the monotonic one does. The only voter has nobody else to compare itself with. */
  #noteJump(now: ClockReading): void {
    const last = this.#lastLook;
    this.#lastLook = now;
    const byMs = last === null ? 0 : now.wallMs - last.wallMs - (now.monotonicMs - last.monotonicMs);
    if (Math.abs(byMs) > this.#options.toleranceMs) this.#jump = { byMs, atMs: now.monotonicMs };
    else if (this.#jump !== null && now.monotonicMs - this.#jump.atMs > limits.clockReportMs) this.#jump = null;
  }

  #setAlarm(alarm: string | null): void {
    const { logger } = this.#options;
    // Its figures change with every look.
    if (alarm !== null && this.#alarm === null) logger.error({}, alarm);
    if (alarm === null && this.#alarm !== null) logger.info({}, 'the clock alarm is over');
    this.#alarm = alarm;
  }

  /** Of a change of the members both halves count: the bounds hold the median of each. */
  #boundsAt(now: ClockReading): MedianBounds | null {
    const configuration = this.#options.configuration();
    if (configuration === null) return null;
    const halves = halvesOf(configuration).map((voters) => medianBounds(this.#heardOf(voters, now), voters.length));
    const known = halves.filter((half) => half !== null);
    if (known.length < halves.length) return null;
    return {
      lower: Math.min(...known.map(({ lower }) => lower)),
      upper: Math.max(...known.map(({ upper }) => upper)),
    };
  }

  /** What their clocks show now, had they run on since they were told of. */
  #heardOf(voters: readonly ReplicaId[], now: ClockReading): number[] {
    const { self, clockOf } = this.#options;
    return voters.flatMap((voter) => {
      const told = voter === self ? now : clockOf(voter);
      const ageMs = told === null ? Infinity : now.monotonicMs - told.monotonicMs;
      return told === null || ageMs > limits.clockReportMs ? [] : [told.wallMs + ageMs];
    });
  }

  get #voters(): readonly ReplicaId[] {
    const configuration = this.#options.configuration();
    return configuration === null ? [] : decidersOf(configuration);
  }

  /** No other voter's clock counts. */
  #isAlone(now: ClockReading): boolean {
    const others = this.#voters.filter((voter) => voter !== this.#options.self);
    return this.#heardOf(others, now).length === 0;
  }
}

const seconds = (durationMs: number): string => `${Math.round(Math.abs(durationMs) / 1_000)} s`;
