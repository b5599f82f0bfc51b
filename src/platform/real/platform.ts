/** Everything a node takes from the machine, for real. */
import { mkdir, open, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DiskError } from '../disk-error.ts';
import type { Platform } from '../platform.ts';
import { realClock } from './clock.ts';
import { realCodec } from './codec.ts';
import { RealDisk } from './disk.ts';
import { openRealExecutor } from './executor.ts';
import { realRandom } from './random.ts';
import { diskErrorOf } from './system-error.ts';

/**
 * Makes the data directory when absent and proves that it can be written, unless it is full: whoever opens it waits for space.
 * Rejects with a DiskError: unwritable, not a directory, or no space even to make it.
 */
export async function openRealPlatform(options: { readonly dataDir: string }): Promise<Platform> {
  const dataDir = resolve(options.dataDir);
  await proveWritable(dataDir);
  const disk = new RealDisk(dataDir);
  await disk.sweep();
  return { clock: realClock, random: realRandom, codec: realCodec, executor: openRealExecutor(), disk };
}

/**
 * One level after the other: `mkdir` with `recursive` never returns below a directory that takes no entries, as /proc.
 * Another process may make the same levels meanwhile.
 */
async function makeDirectory(path: string): Promise<void> {
  const parent = dirname(path);
  for (let isSecondTry = false; ; isSecondTry = true) {
    try {
      await mkdir(path);
      return;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'EEXIST') return;
      if (code !== 'ENOENT' || parent === path || isSecondTry) throw error;
      if ((await stat(parent).catch(() => null)) === null) await makeDirectory(parent);
    }
  }
}

async function proveWritable(dataDir: string): Promise<void> {
  const probe = join(dataDir, `probe-${process.pid}`);
  let isMade = false;
  try {
    await makeDirectory(dataDir);
    isMade = true;
    const handle = await open(probe, 'w');
    try {
      await handle.writeFile(new Uint8Array(4096));
      await handle.sync();
    } finally {
      await handle.close();
      await rm(probe, { force: true });
    }
  } catch (error) {
    const found = await stat(dataDir).catch(() => null);
    if (found !== null && !found.isDirectory()) {
      throw new DiskError('not-a-directory', `${dataDir} is a file; choose a directory for --data`, error);
    }
    const failure = diskErrorOf(error, dataDir);
    if (failure.code !== 'full' || !isMade) throw failure;
  }
}
