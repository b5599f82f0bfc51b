/**
 * Looks after the space under the data directory (protocol A5): makes room to open it, or waits until there is some; then looks
 * again and again, and keeps the ballast whole while there is enough. A full disk is no reason to end: who ends is started
 * again, and ends again. Nothing here is tried again that could have been half written.
 */
import { errorOf, QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../platform/clock.ts';
import type { DiskSpace, SpaceLevel, SpaceSeen } from '../platform/disk-space.ts';
import type { Message } from '../raft/core/message.ts';
import { ballastBytesFor, lowMarkOf, openBytesFor, spaceLevelOf } from './space-marks.ts';

export interface SpaceWatchOptions {
  readonly space: DiskSpace;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborted when the node is told to stop while it waits for room. */
  readonly signal?: AbortSignal | undefined;
}

export interface SpaceStatus extends SpaceSeen {
  readonly level: SpaceLevel;
  /** Below so many free bytes this node takes no data. */
  readonly lowMarkBytes: number;
}

const tellEveryMs = 60_000;
/** A ballast that could not be made, or read, is not tried again before this long. */
const retryMs = 10_000;

export class SpaceWatch {
  readonly #options: SpaceWatchOptions;
  #seen: SpaceSeen;
  #level: SpaceLevel;
  #ballastDueMs: number;
  #looking: Promise<void> | null = null;
  #cancel: () => void = () => undefined;
  #stopped = false;

  private constructor(options: SpaceWatchOptions, seen: SpaceSeen) {
    this.#options = options;
    this.#seen = seen;
    this.#level = spaceLevelOf(seen, 'ample');
    this.#ballastDueMs = options.clock.monotonicMs() + limits.ballastDelayMs;
    if (this.#level !== 'ample') this.#tell();
    this.#lookLater();
  }

  /** Resolves once there is room to open the data directory. Rejects when `signal` is aborted before, or with a `DiskError`. */
  static async start(options: SpaceWatchOptions): Promise<SpaceWatch> {
    return new SpaceWatch(options, await roomToOpen(options));
  }

  get level(): SpaceLevel {
    return this.#level;
  }

  get status(): SpaceStatus {
    return { ...this.#seen, level: this.#level, lowMarkBytes: lowMarkOf(this.#seen.totalBytes) };
  }

  /** Why no data is taken; null when it is. */
  get refusal(): QuorateError | null {
    if (this.#level === 'ample') return null;
    return new QuorateError('no-space', `${this.#sentence}: free some space, or send it to another node`, {
      limit: 'spaceLowPercent',
    });
  }

  /** Whether a message brings blocks that must not be appended: it is as good as lost, and comes again. */
  refuses(message: Message): boolean {
    return (
      this.#level === 'reserve' && message.type === 'append' && message.entries.some(({ kind }) => kind === 'block')
    );
  }

  get #sentence(): string {
    const { freeBytes, totalBytes } = this.#seen;
    const percent = ((100 * freeBytes) / totalBytes).toFixed(1);
    return `the disk has ${mebibytes(freeBytes)} free (${percent} %), and data is taken from ${mebibytes(lowMarkOf(totalBytes))} on`;
  }

  #lookLater(): void {
    this.#cancel = this.#options.clock.after(limits.spaceLookMs, () => {
      // One at a time: a disk that hangs must not take one thread after the other.
      this.#looking = this.#look().finally(() => {
        this.#looking = null;
        if (!this.#stopped) this.#lookLater();
      });
    });
  }

  async #look(): Promise<void> {
    const { space, clock, logger } = this.#options;
    try {
      this.#seen = await space.look();
      const before = this.#level;
      this.#level = spaceLevelOf(this.#seen, before);
      if (this.#level !== before) this.#tell();
      if (this.#level === 'ample' && clock.monotonicMs() >= this.#ballastDueMs) await this.#addBallast();
    } catch (error) {
      if (clock.monotonicMs() >= this.#ballastDueMs)
        logger.warn({ error: errorOf(error).message }, 'the space on the disk, or its ballast, is not to be had');
      this.#ballastDueMs = clock.monotonicMs() + retryMs;
    }
  }

  /** A piece at each look: what is written here waits in line with the log. */
  async #addBallast(): Promise<void> {
    const { totalBytes, ballastBytes } = this.#seen;
    const lacks = ballastBytesFor(totalBytes) - ballastBytes;
    if (lacks <= 0 || this.#stopped) return;
    await this.#options.space.addBallast(Math.min(lacks, limits.ballastPieceBytes));
  }

  #tell(): void {
    const { logger } = this.#options;
    const { freeBytes, totalBytes } = this.#seen;
    const fields = { level: this.#level, freeBytes, totalBytes };
    if (this.#level === 'ample') logger.info(fields, 'there is space on the disk again: data is taken');
    else if (this.#level === 'low') logger.warn(fields, `${this.#sentence}: none is taken until there is more`);
    else logger.error(fields, `${this.#sentence}: this node appends no more blocks until there is more`);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** Resolves when nothing is under way; after `stop`, for good. */
  async idle(): Promise<void> {
    await this.#looking;
  }
}

/** Deletes the ballast where that is needed, and waits until there is room. Gives what there is then. */
async function roomToOpen({ space, clock, logger, signal }: SpaceWatchOptions): Promise<SpaceSeen> {
  let toldMs = -Infinity;
  for (;;) {
    const seen = await space.look();
    const { freeBytes, totalBytes, ballastBytes } = seen;
    const needed = openBytesFor(totalBytes);
    if (freeBytes >= needed) return seen;
    if (ballastBytes > 0) {
      logger.warn({ freeBytes, ballastBytes }, 'the disk is full: its ballast is deleted, to open what is on it');
      await space.releaseBallast();
      continue;
    }
    if (clock.monotonicMs() - toldMs >= tellEveryMs) {
      toldMs = clock.monotonicMs();
      logger.error(
        { freeBytes, totalBytes },
        `the disk is full: this node opens its data once ${mebibytes(needed)} are free, by itself; free some space`,
      );
    }
    await new Promise<void>((resolve) => clock.after(limits.spaceLookMs, resolve));
    signal?.throwIfAborted();
  }
}

function mebibytes(bytes: number): string {
  const mebi = bytes / 2 ** 20;
  return mebi < 1_024 ? `${mebi.toFixed(mebi < 10 ? 1 : 0)} MiB` : `${(mebi / 1_024).toFixed(1)} GiB`;
}
