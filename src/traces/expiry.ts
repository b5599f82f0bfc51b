/**
 * What expires, on one node: the clock guard, the leader's retention, and the deletion of what was trimmed, put together
 * (docs/retention.md). Looked after a few times a second, by all nodes: who leads is told at every look.
 */
import { errorOf } from '../errors.ts';
import { limits, type RetentionLimits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../platform/clock.ts';
import { emptyLog, type ReplicaId } from '../raft/core/types.ts';
import type { EntryRepair } from '../raft/entry-repair.ts';
import type { Replica } from '../raft/replica.ts';
import type { BlockLog } from '../store/block-log.ts';
import { clocksFrom } from '../transport/transport.ts';
import { ClockGuard, type ClockReading, readClock } from './clock-guard.ts';
import { LogTrimming } from './log-trimming.ts';
import { Retention, windowBounds } from './retention.ts';
import type { RetentionStatus } from './status.ts';
import type { TraceIndexer } from './trace-indexer.ts';

export interface ExpiryOptions {
  readonly self: ReplicaId;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly log: BlockLog;
  readonly entries: Pick<EntryRepair, 'tryReadRange'>;
  /** What is kept; absent: everything. */
  readonly retention?: RetentionLimits;
  /** See limits. */
  readonly trimEveryMs?: number;
  readonly retentionWindowBytesMin?: number;
  readonly clockToleranceMs?: number;
  /** What a replica last said of its clock. */
  readonly clockOf: (replica: ReplicaId) => ClockReading | null;
  readonly isSpaceShort: () => boolean;
  /** The node must stop: a write failed or an invariant broke (protocol A5). */
  readonly fatal: (error: Error) => void;
}

interface Running {
  readonly replica: Replica;
  readonly index: TraceIndexer;
}

const keepAll: RetentionLimits = { ageMs: null, bytes: null };

export class Expiry {
  readonly #options: ExpiryOptions;
  readonly #kept: RetentionLimits;
  readonly #guard: ClockGuard;
  readonly #trimming: LogTrimming;
  #running: Running | null = null;
  #retention: Retention | null = null;
  #stopped = false;

  constructor(options: ExpiryOptions) {
    const { self, clock, logger, log, clockOf, retention = keepAll } = options;
    this.#options = options;
    this.#kept = retention;
    this.#guard = new ClockGuard({
      self,
      ageMs: retention.ageMs,
      toleranceMs: options.clockToleranceMs ?? limits.clockToleranceMs,
      logger,
      configuration: () => this.#running?.replica.configuration.configuration ?? null,
      clockOf,
    });
    this.#trimming = new LogTrimming({
      clock,
      logger,
      log,
      isUrgent: options.isSpaceShort,
      fatal: options.fatal,
    });
  }

  /** The replica runs. */
  begin(running: Running): void {
    const { replica, index } = running;
    const { clock, entries, trimEveryMs = limits.trimEveryMs } = this.#options;
    this.#running = running;
    this.#retention = new Retention({
      limits: this.#kept,
      everyMs: trimEveryMs,
      clock,
      index,
      // What is damaged is read at a later look: nothing waits for it.
      log: { readRange: (first, last, bytesMax) => entries.tryReadRange(first, last, bytesMax) },
      leads: () => replica.status.role === 'leader',
      base: () => replica.base,
      applied: () => replica.status.applied,
      configuration: () => replica.configuration,
      formatLevel: () => replica.status.formatLevel,
      expiryTimeMs: () => this.#guard.expiryTimeMs,
      propose: (base) => replica.proposeTrim(base),
    });
    // What a crash left.
    this.#trimming.wake();
  }

  /** What bounds a window of the index, so that whole windows expire in time. */
  get windowBounds(): ReturnType<typeof windowBounds> {
    return windowBounds(this.#kept, this.#options.retentionWindowBytesMin);
  }

  get #now(): ClockReading {
    return readClock(this.#options.clock);
  }

  /** See `ClockGuard.entryTimeMs`. Before all members tell their clocks there is only the own one. */
  entryTimeMs(beforeMs: number): number {
    return this.#level < clocksFrom ? this.#now.wallMs : this.#guard.entryTimeMs(this.#now, beforeMs);
  }

  get #level(): number {
    return this.#running?.replica.status.formatLevel ?? 1;
  }

  /**
   * A leader that has just begun may not have heard the clocks of the others yet, a quarter of a second at most. Where spans expire
   * by age, none is to be taken in by a clock that may be wrong.
   */
  get canTellTime(): boolean {
    return this.#kept.ageMs === null || this.#level < clocksFrom || this.#guard.isInformed(this.#now);
  }

  /** The log begins after another base, and the disk says so. */
  trimmed(): void {
    this.#trimming.wake();
  }

  /** Called a few times a second. */
  look(): void {
    // What a reader had use for, before.
    if (this.#options.log.hasTrimmed) this.#trimming.wake();
    const leads = this.#running?.replica.status.role === 'leader';
    const expiredMs = this.#trimmedToMs ?? this.#running?.index.windows[0]?.timeMs ?? null;
    this.#guard.look(this.#now, leads ? { expiredMs } : null);
    this.#retention?.look().catch((error: unknown) => {
      // What it waited for may end with the node.
      if (!this.#stopped) this.#options.fatal(errorOf(error));
    });
  }

  /** Entry time where the log begins; null while it begins with its first entry. */
  get #trimmedToMs(): number | null {
    const { base } = this.#options.log;
    return base === null || base.position.index === emptyLog.index ? null : base.timeMs;
  }

  get status(): { readonly retention: RetentionStatus; readonly clockAlarm: string | null } {
    const trimmedTo = this.#options.log.base?.position.index ?? emptyLog.index;
    const retention = { ...this.#kept, trimmedTo, trimmedToMs: this.#trimmedToMs };
    return { retention, clockAlarm: this.#guard.alarm };
  }

  stop(): void {
    this.#stopped = true;
    this.#trimming.stop();
  }

  /** Resolves when nothing is deleted any more; after `stop`. */
  async idle(): Promise<void> {
    await this.#trimming.idle();
  }
}
