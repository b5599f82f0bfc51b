/** What the kernel knows of the servers and the disk: CPU time, memory, bytes stored and written. Linux only. */
import { execFile, execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const MiB = 1024 * 1024;
const run = promisify(execFile);
export const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** User and system time of all threads of a process, in us. */
export function cpuUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The command's name may hold blanks; the fields after it do not. utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / ticksPerSecond;
}

/** Anonymous and shared memory in MiB: what the process itself holds, without files that LevelDB maps. */
export function memoryMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN);
  return (kib('RssAnon') + kib('RssShmem')) / 1024;
}

/** Bytes a directory occupies on disk, and how many of them are a ballast file: space that is kept to be given up. */
export function storedBytes(directory: string): { readonly all: number; readonly ballast: number } {
  let all = 0;
  let ballast = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      const inner = storedBytes(path);
      all += inner.all;
      ballast += inner.ballast;
    } else {
      // LevelDB deletes files while it runs.
      const bytes = (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
      all += bytes;
      if (entry.name.includes('ballast')) ballast += bytes;
    }
  }
  return { all, ballast };
}

/** Bytes that a process gave to the disk since it started, those of files that it deleted since included. */
export function writtenBytes(pid: number): number {
  return Number(/^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? Number.NaN);
}

/** Gives all that is dirty to the disk, so that what one system wrote does not slow down the next one's syncs. */
export async function syncDisk(): Promise<void> {
  await run('sync');
}

/** Empties the page cache. False when this user may not: then nothing can be called cold. */
export async function dropPageCache(): Promise<boolean> {
  await syncDisk();
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    return true;
  } catch {
    return false;
  }
}

export interface Machine {
  readonly cpus: number;
  readonly cpuModel: string;
  readonly memoryMiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly fileSystem: string;
  /** Processes that wanted a CPU, over the last minute. */
  readonly loadAverage: number;
}

const fileSystems: Readonly<Record<number, string>> = {
  0xef53: 'ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x01021994: 'tmpfs (a sync costs nothing here: the figures mean little)',
  0x794c7630: 'overlayfs',
};

export function machine(directory: string): Machine {
  const type = statfsSync(directory).type;
  return {
    cpus: cpus().length,
    cpuModel: cpus()[0]?.model ?? 'unknown',
    memoryMiB: Math.round(totalmem() / MiB),
    kernel: release(),
    loadAverage: loadavg()[0] ?? Number.NaN,
    node: process.version,
    fileSystem: fileSystems[type] ?? `type 0x${type.toString(16)}`,
  };
}

/** The commit this tree is at, marked when it differs from it. */
export function commit(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
  try {
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : ' with changes');
  } catch {
    return 'unknown';
  }
}
