/**
 * Deletes what the log was trimmed by, and gives its space back (protocol E2), off the way of the writes: a step at a time, and
 * a rest of some multiple of its length after each. Where space is short it does not rest. What a crash leaves is gone on with at the next start.
 */
import { errorOf } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../platform/clock.ts';
import { DiskError } from '../platform/disk-error.ts';
import type { BlockLog } from '../store/block-log.ts';

export interface LogTrimmingOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly log: Pick<BlockLog, 'deleteTrimmed'>;
  /** Whether space is short. */
  readonly isUrgent: () => boolean;
  /** The node must stop: a write failed (protocol A5). */
  readonly fatal: (error: Error) => void;
}

export class LogTrimming {
  readonly #options: LogTrimmingOptions;
  #working: Promise<void> | null = null;
  #asked = false;
  #isBlocked = false;
  #stopped = false;
  #endRest: () => void = () => undefined;

  constructor(options: LogTrimmingOptions) {
    this.#options = options;
  }

  /** There may be something to delete: the log was trimmed, or somebody reads there no more. */
  wake(): void {
    if (this.#stopped || this.#isBlocked) return;
    this.#asked = true;
    this.#working ??= this.#work()
      .catch((error: unknown) => {
        if (this.#stopped) return;
        if (error instanceof DiskError) this.#block(error);
        else this.#options.fatal(errorOf(error));
      })
      .finally(() => {
        this.#working = null;
        if (this.#asked) this.wake();
      });
  }

  async #work(): Promise<void> {
    const { clock, log, isUrgent } = this.#options;
    while (this.#asked && !this.#stopped) {
      this.#asked = false;
      const beganMs = clock.monotonicMs();
      const deleted = await log.deleteTrimmed();
      if (deleted === 0) continue;
      this.#asked = true;
      if (!isUrgent()) await this.#rest(limits.trimRestRatio * Math.max(1, clock.monotonicMs() - beganMs));
    }
  }

  /** It would be met again by every step, and a compaction of it would end the node: until the next start nothing is deleted. */
  #block(error: DiskError): void {
    this.#isBlocked = true;
    this.#asked = false;
    this.#options.logger.error(
      { error: error.message },
      'what has expired cannot be read on this disk, and so not be deleted: its space comes back with an empty --data, or a replaced disk',
    );
  }

  #rest(durationMs: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(durationMs, resolve);
      this.#endRest = () => {
        cancel();
        resolve();
      };
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#endRest();
  }

  /** Resolves when nothing is deleted any more; after `stop`. */
  async idle(): Promise<void> {
    await this.#working;
  }
}
