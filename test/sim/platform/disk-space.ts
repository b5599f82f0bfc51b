/**
 * The space on one simulated machine's disk: what the node itself has written, its ballast, and a foreign file that somebody
 * else makes larger and smaller. Small files (slots) were made in full and take no more.
 */
import { DiskError } from '../../../src/platform/disk-error.ts';
import type { DiskSpace, SpaceSeen } from '../../../src/platform/disk-space.ts';
import type { SimProcess } from './process.ts';

export class SpaceState {
  /** Of a size at which all marks are absolute and far apart. */
  readonly totalBytes = 1024 * 1024 * 1024;
  foreignBytes = 0;
  ballastBytes = 0;
  #ownBytes = 0;

  get freeBytes(): number {
    return Math.max(0, this.totalBytes - this.foreignBytes - this.ballastBytes - this.#ownBytes);
  }

  /** A foreign file is in the way. */
  get isFilled(): boolean {
    return this.foreignBytes > 0;
  }

  /** The foreign file grows until so much is free. */
  fillTo(freeBytes: number): void {
    this.foreignBytes += this.freeBytes - freeBytes;
  }

  /** False when there is no room for so many bytes of the node's own. */
  take(bytes: number): boolean {
    if (bytes > this.freeBytes) return false;
    this.#ownBytes += bytes;
    return true;
  }

  wipe(): void {
    this.#ownBytes = 0;
    this.ballastBytes = 0;
  }
}

/** What one boot sees of it. Takes no time, so that it changes nothing of what else a run draws. */
export class SimDiskSpace implements DiskSpace {
  readonly #state: SpaceState;
  readonly #process: SimProcess;

  constructor(state: SpaceState, process: SimProcess) {
    this.#state = state;
    this.#process = process;
  }

  async look(): Promise<SpaceSeen> {
    await this.#alive();
    const { freeBytes, totalBytes, ballastBytes } = this.#state;
    return { freeBytes, totalBytes, ballastBytes };
  }

  async addBallast(bytes: number): Promise<void> {
    await this.#alive();
    const isFull = bytes > this.#state.freeBytes;
    this.#state.ballastBytes = isFull ? 0 : this.#state.ballastBytes + bytes;
    if (isFull) throw new DiskError('full', 'the simulated disk is full; free some space and start again');
  }

  async releaseBallast(): Promise<void> {
    await this.#alive();
    this.#state.ballastBytes = 0;
  }

  /** What a dead process asked for never comes. */
  #alive(): Promise<void> {
    return this.#process.alive ? Promise.resolve() : new Promise(() => undefined);
  }
}
