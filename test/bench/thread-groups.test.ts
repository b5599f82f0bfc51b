/** What perf prints, line by line; and this process's own threads. */
import { expect, test } from 'vitest';
import { cpuUsByGroup, parsePerfReport } from '../../bench/thread-groups.ts';

test('perf report: comments are skipped, addresses without a name are one symbol, the most comes first', () => {
  const text = [
    '# Overhead\tCommand\tSymbol',
    '     5.00%\tMainThread  \t[.] 0x00007f0000000010',
    '    10.75%\tV8Worker    \t[.] v8::internal::Sweeper::RawSweep',
    '     7.00%\tMainThread  \t[.] 0x00007f0000000020',
    '     2.00%\tlibuv-worker\t[k] finish_task_switch.isra.0',
    '',
  ].join('\n');
  expect(parsePerfReport(text)).toEqual([
    { group: 'MainThread', symbol: 'compiled JavaScript', percent: 12 },
    { group: 'V8Worker', symbol: 'v8::internal::Sweeper::RawSweep', percent: 10.75 },
    { group: 'libuv-worker', symbol: 'finish_task_switch.isra.0', percent: 2 },
  ]);
});

test('threads of this process: groups have names, and together some CPU time', () => {
  const groups = cpuUsByGroup(process.pid);
  expect([...groups.keys()].every((name) => name.length > 0 && !name.includes('('))).toBe(true);
  expect([...groups.values()].reduce((sum, us) => sum + us, 0)).toBeGreaterThan(0);
});
