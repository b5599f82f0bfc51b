/** The data directory: one LevelDB directory per store, one file per slot file, side by side under their names. */
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyValue } from '../key-value.ts';
import type { Disk } from '../platform.ts';
import type { SlotFile } from '../slot-file.ts';
import { RealDiskSpace } from './disk-space.ts';
import { openLevel } from './key-value.ts';
import { realRandom } from './random.ts';
import { openRealSlotFile, syncDirectory } from './slot-file.ts';
import { diskErrorOf } from './system-error.ts';

const MiB = 1024 * 1024;
/** Suffix of a store on its way out: a half-removed LevelDB would open as a shorter one. */
export const goneSuffix = '.gone';

/**
 * Blocks are compressed already, and large: no snappy, larger memtables so that files stay few (measurements a, 5). How large is
 * drawn at each open: all nodes append the same bytes, and memtables of one size would be full at the same entry. Then every
 * node writes a table at once, and none is left to make a majority meanwhile (docs/performance.md, the tail).
 */
const logBufferMiB = { min: 8, max: 16 };
const otherOptions = { compression: true, writeBufferBytes: 4 * MiB };

export class RealDisk implements Disk {
  readonly space: RealDiskSpace;
  readonly #dataDir: string;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
    this.space = new RealDiskSpace(dataDir);
  }

  /** Finishes removals that a crash cut short. Call once, before any store is opened. */
  async sweep(): Promise<void> {
    for (const name of await readdir(this.#dataDir)) {
      if (name.endsWith(goneSuffix)) await rm(join(this.#dataDir, name), { recursive: true, force: true });
    }
  }

  openKeyValue(name: string): Promise<KeyValue> {
    const options = name === 'log' || name.startsWith('log-') ? logOptions() : otherOptions;
    return openLevel(join(this.#dataDir, name), { ...options, dataDir: this.#dataDir });
  }

  async destroyKeyValue(name: string): Promise<void> {
    const path = join(this.#dataDir, name);
    try {
      await rm(path + goneSuffix, { recursive: true, force: true });
      await rename(path, path + goneSuffix).catch(ignoreAbsent);
      await syncDirectory(this.#dataDir);
      await rm(path + goneSuffix, { recursive: true, force: true });
    } catch (error) {
      throw diskErrorOf(error, this.#dataDir);
    }
  }

  openSlotFile(name: string, shape: { readonly slotBytes: number; readonly slotCount: number }): Promise<SlotFile> {
    return openRealSlotFile(join(this.#dataDir, name), shape);
  }
}

function logOptions() {
  const kiB = realRandom.below((logBufferMiB.max - logBufferMiB.min) * 1024);
  return { compression: false, writeBufferBytes: logBufferMiB.min * MiB + kiB * 1024 };
}

function ignoreAbsent(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
}
