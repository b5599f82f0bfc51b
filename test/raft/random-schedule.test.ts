/** Raft's promises under random schedules: loss, repetition, reordering, one-way cuts, crashes, disks that forget. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { noCoverage } from './promises.ts';
import { RandomCluster, schedule } from './random-cluster.ts';

/** Shrinking ends here; whatever it found by then is reported. */
const interruptAfterTimeLimit = 12_000;

describe('random schedules', () => {
  test.each([
    { size: 3, runs: 200, mean: 1000 },
    { size: 5, runs: 80, mean: 2000 },
    { size: 4, runs: 60, mean: 1000 },
    { size: 1, runs: 40, mean: 300 },
  ])('$size voters keep every promise, and agree once faults end', ({ size, runs, mean }) => {
    const coverage = noCoverage();
    fc.assert(
      fc.property(schedule(mean), (choices) => {
        const cluster = new RandomCluster(size, false, coverage);
        for (const choice of choices) cluster.step(choice);
        cluster.settle();
      }),
      { numRuns: runs, interruptAfterTimeLimit },
    );
    // Schedules in which nothing happens prove nothing.
    const { steps, leaders, committed, readsConfirmed, truncations, transfers, trims, installs } = coverage;
    expect(committed).toBeGreaterThan(steps / 200);
    expect(readsConfirmed).toBeGreaterThan(steps / 500);
    if (size === 1) return;
    expect(leaders).toBeGreaterThan(steps / 1000);
    expect(transfers).toBeGreaterThan(steps / 20_000);
    expect(truncations).toBeGreaterThan(steps / 10_000);
    expect(trims).toBeGreaterThan(steps / 1_000);
    // An even number of voters seldom leaves one behind: two must be away for that.
    if (size !== 4) expect(installs).toBeGreaterThan(steps / 50_000);
  });

  test.each([
    { size: 3, runs: 200, mean: 1000 },
    { size: 5, runs: 80, mean: 2000 },
  ])('$size voters whose disks forget acknowledged entries lose nothing that is committed', ({ size, runs, mean }) => {
    const coverage = noCoverage();
    fc.assert(
      fc.property(schedule(mean), (choices) => {
        const cluster = new RandomCluster(size, true, coverage);
        for (const choice of choices) cluster.step(choice);
      }),
      { numRuns: runs, interruptAfterTimeLimit },
    );
    const { steps, committed, amnesia, recovered } = coverage;
    expect(committed).toBeGreaterThan(steps / 200);
    expect(amnesia).toBeGreaterThan(steps / 5_000);
    expect(recovered).toBeGreaterThan(steps / 10_000);
  });
});
