/** Fresh seeds at every run, the seeds that once failed, and proof that a seed repeats. */
import { expect, test } from 'vitest';
import { simulate } from './simulation.ts';

/** Seeds that found something, with what it was; each goes in before its fix. */
const regressions: readonly [seed: number, found: string][] = [
  [1, 'a batch found after a crash was acknowledged without having been promised'],
  [59, 'a follower forgot what it had matched when it campaigned in vain within the same term'],
  [200141, 'a write waited behind a full queue for longer than its deadline'],
];

const freshSeeds = Number(process.env['SIM_SEEDS'] ?? 200);
const freshFrom = Math.floor(Math.random() * 2 ** 31);

test('the same seed gives the same trace', async () => {
  const [first, second] = [await simulate({ seed: 4 }), await simulate({ seed: 4 })];
  expect(second.traceHash).toBe(first.traceHash);
  expect(first.acked).toBeGreaterThan(0);
});

test.each(regressions)('seed %i: %s', async (seed) => {
  await simulate({ seed });
});

test(`${freshSeeds} fresh seeds from ${freshFrom}`, async () => {
  const marks = new Map<string, number>();
  for (let seed = freshFrom; seed < freshFrom + freshSeeds; seed += 1) {
    const report = await simulate({ seed });
    for (const mark of report.marks) marks.set(mark, (marks.get(mark) ?? 0) + 1);
  }
  // A mark that is hardly ever reached means that the faults went blunt.
  for (const mark of [
    'leader change',
    'recovering voter',
    'conflict truncation',
    'unknown outcome',
    'index rebuild',
    'paged read',
  ]) {
    expect(marks.get(mark) ?? 0, mark).toBeGreaterThanOrEqual(freshSeeds * 0.05);
  }
});
