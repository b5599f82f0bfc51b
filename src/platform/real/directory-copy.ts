/**
 * A copy of a data directory to look at, beside it and without its bytes: tables never change once written, so they are
 * linked; what LevelDB writes or replaces is copied. The lock is not: while it is copied, the original is locked by the
 * original's own lock file, so no node runs on it, and nothing of it is written.
 */
import { constants, copyFile, link, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DiskError } from '../disk-error.ts';
import { goneSuffix } from './disk.ts';
import { openLevel } from './key-value.ts';
import { diskErrorOf } from './system-error.ts';

export interface DirectoryCopy {
  readonly path: string;
  remove(): Promise<void>;
}

const stores = ['log', 'index'] as const;
const probeOptions = { compression: false, writeBufferBytes: 64 * 1024 };

/** Rejects with a `DiskError`: in use by a node, not there, not a data directory. */
export async function copyDirectory(dataDir: string): Promise<DirectoryCopy> {
  await assertDataDirectory(dataDir);
  const path = await placeFor(dataDir);
  const copy = { path, remove: () => rm(path, { recursive: true, force: true }) };
  try {
    await copyLocked(dataDir, path);
    return copy;
  } catch (error) {
    await copy.remove();
    throw diskErrorOf(error, dataDir);
  }
}

/** Rejects with a `DiskError` that says so when there is none. */
export async function assertDataDirectory(dataDir: string): Promise<void> {
  const found = await stat(dataDir).catch(() => null);
  if (found === null)
    throw new DiskError('io', `${dataDir} does not exist: give the data directory of a node to --data`);
  const names = found.isDirectory() ? await readdir(dataDir) : [];
  if (!names.includes('log') && !names.includes('hard-state'))
    throw new DiskError('not-a-directory', `${dataDir} is not a data directory: it has neither a log nor a hard state`);
}

/** Beside the data, or inside where that is another file system: links do not reach across. A start sweeps away what is left there. */
async function placeFor(dataDir: string): Promise<string> {
  const [inside, beside] = await Promise.all([stat(dataDir), stat(dirname(dataDir))]);
  if (inside.dev === beside.dev) {
    const path = await mkdtemp(join(dirname(dataDir), `${basename(dataDir)}.verify-`)).catch(() => null);
    if (path !== null) return path;
  }
  const path = join(dataDir, `verify-${process.pid}${goneSuffix}`);
  await mkdir(path);
  return path;
}

async function copyLocked(dataDir: string, path: string): Promise<void> {
  const probe = join(path, 'lock');
  await mkdir(probe);
  const isLocked = await link(join(dataDir, 'log', 'LOCK'), join(probe, 'LOCK')).then(
    () => true,
    () => false,
  );
  // LevelDB locks the file itself, whatever name it goes by.
  const lock = isLocked ? await openLevel(probe, { ...probeOptions, dataDir }) : null;
  try {
    for (const store of stores) await copyStore(join(dataDir, store), join(path, store));
    await copyFile(join(dataDir, 'hard-state'), join(path, 'hard-state')).catch(ignoreAbsent);
  } finally {
    await lock?.close();
  }
}

async function copyStore(from: string, to: string): Promise<void> {
  const files = await readdir(from).catch(ignoreAbsent);
  if (files === undefined) return;
  await mkdir(to);
  for (const file of files) {
    if (/\.(ldb|sst)$/.test(file)) await link(join(from, file), join(to, file));
    else if (!/^LO(CK|G)/.test(file)) await copyFile(join(from, file), join(to, file), constants.COPYFILE_FICLONE);
  }
}

function ignoreAbsent(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
  throw error;
}
