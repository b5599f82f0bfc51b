/**
 * What strace saw of a node: every sync that succeeded, with its file and the moment it returned. A sync is an fdatasync, an
 * fsync, or a write to a file that was opened with O_DSYNC.
 */
import { readFileSync } from 'node:fs';

export interface KernelSync {
  /** Path of the synced file. */
  readonly path: string;
  /** ms since the epoch. */
  readonly endedMs: number;
}

/** The command under which a node's syncs are written to `file`. */
export const tracedInto = (file: string): string[] => [
  'strace',
  '-f',
  '--seccomp-bpf',
  '-y',
  '-ttt',
  '-T',
  '-s',
  '0',
  '-e',
  'trace=fdatasync,fsync,pwrite64,openat',
  '-o',
  file,
];

/** `PID 1700000000.000001 fdatasync(23</data/n1/log/000003.log>) = 0 <0.000401>` */
const line = /^(?<pid>\d+)\s+(?<at>[\d.]+) (?<call>.*)$/;
const unfinished = / <unfinished \.\.\.>$/;
const resumed = /^<\.\.\. \w+ resumed>/;
const duration = / <(?<took>[\d.]+)>$/;

const sync = /^f(?:data)?sync\(\d+<(?<path>[^>]+)>\)\s+= 0$/;
const write = /^pwrite64\((?<file>\d+<(?<path>[^>]+)>), .*, (?<asked>\d+), \d+\)\s+= (?<written>\d+)$/;
const open = /^openat\(.*, (?<flags>O_\w+(?:\|O_\w+)*)(?:, 0\d+)?\)\s+= (?<file>\d+<[^>]+>)$/;

export function kernelSyncs(file: string): KernelSync[] {
  const syncs: KernelSync[] = [];
  const begun = new Map<string, string>();
  /** Open files by number and path; whether each write to them is synced. */
  const isSynced = new Map<string, boolean>();
  for (const text of readFileSync(file, 'utf8').split('\n')) {
    const { pid = '', at, call: seen = '' } = line.exec(text)?.groups ?? {};
    if (unfinished.test(seen)) {
      begun.set(pid, seen.replace(unfinished, ''));
      continue;
    }
    const isResumed = resumed.test(seen);
    const whole = isResumed ? (begun.get(pid) ?? '') + seen.replace(resumed, '') : seen;
    // What was resumed is written down when it returned, the rest when it began.
    const tookSeconds = isResumed ? 0 : Number(duration.exec(whole)?.groups?.['took'] ?? 0);
    const endedMs = (Number(at) + tookSeconds) * 1_000;
    const call = whole.replace(duration, '');
    const opened = open.exec(call)?.groups;
    if (opened !== undefined) isSynced.set(opened['file'] ?? '', /\bO_DSYNC\b/.test(opened['flags'] ?? ''));
    const written = write.exec(call)?.groups;
    const path =
      sync.exec(call)?.groups?.['path'] ??
      (written !== undefined && isSynced.get(written['file'] ?? '') === true && written['asked'] === written['written']
        ? written['path']
        : undefined);
    if (path !== undefined) syncs.push({ path, endedMs });
  }
  return syncs;
}
