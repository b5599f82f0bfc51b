/** `statfs`, and the file `ballast` beside the stores. */
import { randomFillSync } from 'node:crypto';
import { open, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { DiskSpace, SpaceSeen } from '../disk-space.ts';
import { syncDirectory } from './slot-file.ts';
import { diskErrorOf } from './system-error.ts';

const pieceBytes = 1024 * 1024;

export class RealDiskSpace implements DiskSpace {
  readonly #dataDir: string;
  readonly #ballast: string;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
    this.#ballast = join(dataDir, 'ballast');
  }

  look(): Promise<SpaceSeen> {
    return this.#guard(async () => {
      const { bavail, blocks, bsize } = await statfs(this.#dataDir);
      const ballast = await stat(this.#ballast).catch(() => null);
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize, ballastBytes: ballast?.size ?? 0 };
    });
  }

  addBallast(bytes: number): Promise<void> {
    return this.#guard(async () => {
      try {
        const handle = await open(this.#ballast, 'a');
        try {
          // Random: a file system that compresses would make next to nothing of zeros.
          const piece = randomFillSync(new Uint8Array(Math.min(bytes, pieceBytes)));
          for (let left = bytes; left > 0; left -= piece.length) await handle.writeFile(piece.subarray(0, left));
          await handle.sync();
        } finally {
          await handle.close();
        }
      } catch (error) {
        await rm(this.#ballast, { force: true });
        throw error;
      }
    });
  }

  releaseBallast(): Promise<void> {
    return this.#guard(async () => {
      await rm(this.#ballast, { force: true });
      await syncDirectory(this.#dataDir);
    });
  }

  async #guard<Result>(call: () => Promise<Result>): Promise<Result> {
    try {
      return await call();
    } catch (error) {
      throw diskErrorOf(error, this.#dataDir);
    }
  }
}
