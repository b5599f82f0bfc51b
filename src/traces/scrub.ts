/**
 * Reads the whole log from its disk again and again, slowly (protocol F3): damage is met while others still have what is
 * damaged, and not first when their copy is the last one. Each block that is read must be found through every trace in it
 * (protocol F2). What it meets is mended by who mends it for a read: entries by `EntryRepair`, the index by `TraceIndexer`.
 *
 * It delays nobody: so many bytes a tick, a turn of the loop after each entry, and nothing at all while writes wait.
 * Where it was does not outlive the process; opening has verified the end of the log, and it begins with the oldest.
 */
import { errorOf } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import { DiskError } from '../platform/disk-error.ts';
import type { Platform } from '../platform/platform.ts';
import { asIndex, type Entry, type LogIndex } from '../raft/core/types.ts';
import type { EntryRepair } from '../raft/entry-repair.ts';
import { type BlockLog, NotInLogError } from '../store/block-log.ts';
import { BlockReader } from '../store/block-reader.ts';
import { DamagedError } from '../store/damaged.ts';
import type { TraceIndexer } from './trace-indexer.ts';

export interface ScrubOptions {
  readonly platform: Pick<Platform, 'clock' | 'codec' | 'executor'>;
  readonly log: Pick<BlockLog, 'base'>;
  readonly entries: Pick<EntryRepair, 'readStored'>;
  readonly index: Pick<TraceIndexer, 'finds'>;
  readonly logger: Logger;
  /** The last entry of which is known that it is committed, and that the index has it. */
  readonly applied: () => LogIndex;
  /** Writes wait: not now. */
  readonly isBusy: () => boolean;
  /** 0: not at all. */
  readonly bytesPerSecond: number;
  readonly restMs: number;
}

export interface ScrubStatus {
  readonly entries: number;
  readonly bytes: number;
  readonly findings: number;
  /** Wall-clock time when the end of the log was last reached; null before. */
  readonly lastPassMs: number | null;
}

export class Scrub {
  readonly #options: ScrubOptions;
  #entries = 0;
  #bytes = 0;
  #findings = 0;
  #lastPassMs: number | null = null;
  #stopped = false;
  #endPause: () => void = () => undefined;
  #working: Promise<void> = Promise.resolve();

  private constructor(options: ScrubOptions) {
    this.#options = options;
  }

  static start(options: ScrubOptions): Scrub {
    const scrub = new Scrub(options);
    if (options.bytesPerSecond > 0) scrub.#working = scrub.#work();
    return scrub;
  }

  get status(): ScrubStatus {
    return {
      entries: this.#entries,
      bytes: this.#bytes,
      findings: this.#findings,
      lastPassMs: this.#lastPassMs,
    };
  }

  async #work(): Promise<void> {
    const { restMs, logger, platform } = this.#options;
    while (!this.#stopped) {
      try {
        await this.#pass();
        if (!this.#stopped) this.#lastPassMs = platform.clock.nowMs();
      } catch (error) {
        if (this.#stopped) return;
        logger.warn({ error: errorOf(error).message }, 'the scrub could not go on; it begins anew');
      }
      await this.#pause(restMs);
    }
  }

  /** From the oldest entry to the last one applied when it begins. */
  async #pass(): Promise<void> {
    const { applied, bytesPerSecond, isBusy, log, platform } = this.#options;
    const bytesPerTick = (bytesPerSecond * limits.scrubTickMs) / 1_000;
    const last = applied();
    let credit = 0;
    for (let next = 1; next <= last && !this.#stopped;) {
      await this.#pause(limits.scrubTickMs);
      if (isBusy()) continue;
      // What one large entry took too much, the next ticks give back.
      for (credit = Math.min(0, credit) + bytesPerTick; credit > 0 && next <= last && !this.#stopped; next += 1) {
        next = Math.max(next, (log.base?.position.index ?? 0) + 1);
        credit -= await this.#check(asIndex(next));
        await platform.executor.nextTurn();
      }
    }
  }

  /** Resolves with the bytes that were read. */
  async #check(index: LogIndex): Promise<number> {
    const { entries, log, logger } = this.#options;
    try {
      const entry = await entries.readStored(index);
      if (entry === null || this.#stopped) return 0;
      this.#entries += 1;
      this.#bytes += entry.payload.length;
      if (!(await this.#isFound(entry))) this.#findings += 1;
      return entry.payload.length + entryCostBytes;
    } catch (error) {
      // Trimmed, meanwhile: what stood there may be gone already (protocol D3).
      const isTrimmed = index <= (log.base?.position.index ?? 0);
      if (error instanceof NotInLogError || isTrimmed || this.#stopped) return entryCostBytes;
      if (!(error instanceof DamagedError || error instanceof DiskError)) throw error;
      this.#findings += 1;
      logger.warn({ index, error: error.message }, 'the scrub met damage');
      return entryCostBytes;
    }
  }

  async #isFound(entry: Entry): Promise<boolean> {
    if (entry.kind !== 'block') return true;
    const reader = new BlockReader(entry.payload, this.#options.platform.codec);
    return this.#options.index.finds(entry.index, reader.fingerprints());
  }

  #pause(durationMs: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#options.platform.clock.after(durationMs, resolve);
      this.#endPause = () => {
        cancel();
        resolve();
      };
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#endPause();
  }

  /** Resolves when it reads nothing any more; after `stop`. */
  async idle(): Promise<void> {
    await this.#working;
  }
}

/** What the smallest entry costs, in bytes of a large one. */
const entryCostBytes = 1_024;
