/** What strace saw of a node: every fdatasync and fsync that succeeded, with its file and the moment it returned. */
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
  '-e',
  'trace=fdatasync,fsync',
  '-o',
  file,
];

/** `PID 1700000000.000001 fdatasync(23</data/n1/log/000003.log>) = 0 <0.000401>` */
const whole = /^\d+\s+(?<at>[\d.]+) f(?:data)?sync\(\d+<(?<path>[^>]+)>\)\s+= 0 <(?<took>[\d.]+)>/;
const begun = /^(?<pid>\d+)\s+[\d.]+ f(?:data)?sync\(\d+<(?<path>[^>]+)>\s*<unfinished/;
const resumed = /^(?<pid>\d+)\s+(?<at>[\d.]+) <\.\.\. f(?:data)?sync resumed>\)\s+= 0/;

export function kernelSyncs(file: string): KernelSync[] {
  const syncs: KernelSync[] = [];
  const unfinished = new Map<string, string>();
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const full = whole.exec(line)?.groups;
    if (full !== undefined) {
      syncs.push({ path: full['path'] ?? '', endedMs: (Number(full['at']) + Number(full['took'])) * 1_000 });
      continue;
    }
    const start = begun.exec(line)?.groups;
    if (start !== undefined) unfinished.set(start['pid'] ?? '', start['path'] ?? '');
    const end = resumed.exec(line)?.groups;
    const path = unfinished.get(end?.['pid'] ?? '');
    if (end !== undefined && path !== undefined) syncs.push({ path, endedMs: Number(end['at']) * 1_000 });
  }
  return syncs;
}
