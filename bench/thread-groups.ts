/**
 * What the threads of one process do: CPU time by group from /proc, and native functions by group from `perf`, where it is
 * installed. A group is all threads of one name: Node's main thread, V8's helpers (compiler and garbage collector), and the
 * pool of libuv, whose name LevelDB's own thread inherits.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { promisify } from 'node:util';
import { ticksPerSecond } from './measure.ts';

const run = promisify(execFile);
const samplesPerSecond = 997;
const outputMax = 64 * 1024 * 1024;

/** CPU time of each group since the process began, us. */
export function cpuUsByGroup(pid: number): Map<string, number> {
  const groups = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    let stat: string;
    try {
      stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    } catch {
      // It ended since it was listed.
      continue;
    }
    const [name, us] = parseStat(stat);
    groups.set(name, (groups.get(name) ?? 0) + us);
  }
  return groups;
}

/** Name, and user and system time in us, of a line of /proc/PID/task/TID/stat. */
function parseStat(stat: string): [name: string, us: number] {
  // The name may hold blanks and parentheses; what follows it does not. utime and stime are fields 14 and 15.
  const end = stat.lastIndexOf(')');
  const fields = stat.slice(end + 2).split(' ');
  return [stat.slice(stat.indexOf('(') + 1, end), ((Number(fields[11]) + Number(fields[12])) * 1e6) / ticksPerSecond];
}

export interface NativeSample {
  readonly group: string;
  readonly symbol: string;
  readonly percent: number;
}

/** Self time by native function, of all threads, for so long; none without perf. Compiled JavaScript shows as addresses. */
export async function nativeProfile(pid: number, seconds: number, file: string): Promise<NativeSample[]> {
  try {
    await run('perf', [
      'record',
      '-F',
      String(samplesPerSecond),
      '-p',
      String(pid),
      '-o',
      file,
      '--',
      'sleep',
      String(seconds),
    ]);
    const fields = ['-F', 'overhead,comm,symbol', '--field-separator', '\t'];
    const { stdout } = await run('perf', ['report', '-i', file, '--stdio', ...fields], { maxBuffer: outputMax });
    return parsePerfReport(stdout);
  } catch {
    return [];
  } finally {
    rmSync(file, { force: true });
  }
}

/** Lines of `perf report`: percent, thread, `[.] symbol`. Addresses without a name are one symbol. */
export function parsePerfReport(text: string): NativeSample[] {
  const sums = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [percent, group, symbol] = line.split('\t').map((field) => field.trim());
    if (line.startsWith('#') || percent === undefined || group === undefined || symbol === undefined) continue;
    const name = symbol.replace(/^\[(.)\] /, '').replace(/^0x[0-9a-f]+$/, 'compiled JavaScript');
    const key = `${group}\t${name}`;
    sums.set(key, (sums.get(key) ?? 0) + Number(percent.replace('%', '')));
  }
  return [...sums]
    .map(([key, percent]) => {
      const [group = '', symbol = ''] = key.split('\t');
      return { group, symbol, percent };
    })
    .toSorted((a, b) => b.percent - a.percent);
}
