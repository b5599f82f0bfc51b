/** Who may hold many bytes for a lookup, and how long the others wait. */
import { expect, test } from 'vitest';
import { LargeLookups } from '../../src/traces/large-lookups.ts';
import { Machine } from '../store/machine.ts';

function twoAtOnce(): {
  machine: Machine;
  large: LargeLookups;
  enter: (name: string, untilMs?: number) => void;
  log: string[];
  leave: Map<string, () => void>;
} {
  const machine = new Machine(1);
  const large = new LargeLookups({ clock: machine.platform.clock, atOnce: 2 });
  const log: string[] = [];
  const leave = new Map<string, () => void>();
  const startMs = machine.platform.clock.monotonicMs();
  const enter = (name: string, untilMs = 5_000): void => {
    large.enter(startMs + untilMs).then(
      (release) => {
        log.push(name);
        leave.set(name, release);
      },
      (error: unknown) =>
        log.push(`${name}: ${error instanceof Error && 'code' in error ? String(error.code) : 'failed'}`),
    );
  };
  return { machine, large, enter, log, leave };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('so many at once, the others in the order they came', async () => {
  const { enter, log, leave } = twoAtOnce();
  for (const name of ['a', 'b', 'c', 'd', 'e']) enter(name);
  await settle();
  expect(log).toEqual(['a', 'b']);
  leave.get('b')?.();
  await settle();
  expect(log).toEqual(['a', 'b', 'c']);
  leave.get('a')?.();
  leave.get('c')?.();
  await settle();
  expect(log).toEqual(['a', 'b', 'c', 'd', 'e']);
});

test('leaving twice makes room once', async () => {
  const { enter, log, leave } = twoAtOnce();
  for (const name of ['a', 'b', 'c', 'd']) enter(name);
  await settle();
  leave.get('a')?.();
  leave.get('a')?.();
  await settle();
  expect(log).toEqual(['a', 'b', 'c']);
});

test('one that waited until its deadline is unavailable, and takes nobody’s turn', async () => {
  const { machine, enter, log, leave } = twoAtOnce();
  for (const name of ['a', 'b']) enter(name);
  enter('early', 1_000);
  enter('late', 5_000);
  const runFor = (ms: number): Promise<unknown> =>
    machine.scheduler.run({ untilMs: machine.scheduler.nowMs + ms, settled: () => false });
  await runFor(999);
  expect(log).toEqual(['a', 'b']);
  await runFor(2);
  expect(log).toEqual(['a', 'b', 'early: unavailable']);
  leave.get('a')?.();
  await settle();
  expect(log.at(-1)).toBe('late');
  await runFor(10_000);
  expect(log).toHaveLength(4);
});
