/** Raft's promises under random schedules: loss, repetition, reordering, one-way cuts, crashes, disks that forget. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { noCoverage, RandomCluster } from './random-cluster.ts';

const schedule = (steps: number): fc.Arbitrary<readonly number[]> =>
  // Unbiased: small numbers are not special here.
  fc.noBias(fc.array(fc.nat({ max: 2 ** 31 - 1 }), { minLength: steps, maxLength: steps, size: 'max' }));

describe('random schedules', () => {
  test.each([
    { size: 3, runs: 300, steps: 1000 },
    { size: 5, runs: 120, steps: 2000 },
    { size: 1, runs: 40, steps: 300 },
  ])('$size voters keep every promise, and agree once faults end', ({ size, runs, steps }) => {
    const coverage = noCoverage();
    fc.assert(
      fc.property(schedule(steps), (choices) => {
        const cluster = new RandomCluster(size, false, coverage);
        for (const choice of choices) cluster.step(choice);
        cluster.settle();
      }),
      { numRuns: runs },
    );
    // A schedule in which nothing happens proves nothing.
    expect(coverage.committed).toBeGreaterThan(runs * 5);
    expect(coverage.readsConfirmed).toBeGreaterThan(runs);
    if (size === 1) return;
    expect(coverage.leaders).toBeGreaterThan(runs * 2);
    expect(coverage.truncations).toBeGreaterThan(runs / 10);
  });

  test.each([
    { size: 3, runs: 300, steps: 1000 },
    { size: 5, runs: 120, steps: 2000 },
  ])('$size voters whose disks forget acknowledged entries lose nothing that is committed', ({ size, runs, steps }) => {
    const coverage = noCoverage();
    fc.assert(
      fc.property(schedule(steps), (choices) => {
        const cluster = new RandomCluster(size, true, coverage);
        for (const choice of choices) cluster.step(choice);
      }),
      { numRuns: runs },
    );
    expect(coverage.amnesia).toBeGreaterThan(runs / 2);
    expect(coverage.recovered).toBeGreaterThan(runs / 10);
    expect(coverage.committed).toBeGreaterThan(runs * 3);
  });
});
