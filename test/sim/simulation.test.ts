/** Fresh seeds at every run, the seeds that once failed, and proof that a seed repeats. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { bluntMarks, describeTotals, runCampaign } from './campaign.ts';
import { plantedBugs } from './plants.ts';
import { replant } from './replant.ts';
import { simulate } from './simulation.ts';

/**
 * Seeds that found something, with what it was; each goes in before its fix. They mean what they meant as long as the
 * simulator draws what it drew: the planted bugs are what stays.
 */
const regressions: readonly [seed: number, found: string][] = [
  [
    512_869_053,
    'many missing entries, and a peer that lacks them: each was waited for, so the index was not rebuilt in time',
  ],
  [1_855_348_412, 'a node that lost its base record together with entries where a term may begin stopped itself'],
  [6, 'a read on a node whose disk hangs was never answered'],
  [501, 'a hard state that was rolled back by a few writes was not noticed: opening had made up for them'],
  [86, 'a node that lost its promise and was damaged where a term begins never started again'],
  [2_000_043, 'the same where its promise was whole, but the entry not known to be committed'],
  [5_000_936, 'a node waited for ever for an entry below damage that was not known to be committed'],
  [1_959_088_714, 'the founding record was lost on its way to a replaced disk, which then waited for it for ever'],
  [30440, 'a read under way when its node was stopped was answered with an error of the log'],
];

const freshSeeds = Number(process.env['SIM_SEEDS'] ?? 150);
const freshFrom = Math.floor(Math.random() * 2 ** 31);

test('a seed gives the same trace again, on another machine too', async () => {
  const { traceHash, acked } = await simulate({ seed: 4 });
  expect(acked).toBeGreaterThan(0);
  // As unlike this process as one machine can make it: another place, another language, nothing optimized.
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--no-opt', '--max-semi-space-size=1', 'test/sim/main.ts', '--seed', '4'],
    {
      cwd: join(import.meta.dirname, '../..'),
      env: { ...process.env, NODE_OPTIONS: '', TZ: 'Pacific/Chatham', LC_ALL: 'tr_TR.UTF-8' },
    },
  );
  expect(stdout).toContain(`trace hash ${traceHash}`);
});

test('a failing seed is made small, and the command that is printed breaks the same rule', async () => {
  const bug = plantedBugs.find(({ id }) => id === 'read-before-apply');
  if (bug === undefined) throw new Error('this bug is no longer planted');
  const { verdict, output } = await replant(bug, { shrinks: true });
  const [, seed, faultMs, only] = /make sim SEED=(\d+) FAULT_MS=(\d+)(?: ONLY=(\S+))?/.exec(output) ?? [];
  const rule = /^seed \d+: [A-Z]\d+:/.exec(verdict)?.[0] ?? 'no rule';
  expect(rule).toBe(`seed ${seed}: R5:`);
  expect(Number(faultMs)).toBeLessThan(60_000);
  const options = ['--seed', `${seed}`, '--fault-ms', `${faultMs}`, ...(only === undefined ? [] : ['--only', only])];
  expect((await replant(bug, { options })).verdict).toContain(rule);
});

test.each(regressions)('seed %i: %s', async (seed) => {
  await simulate({ seed });
});

test(`${freshSeeds} fresh seeds from ${freshFrom}`, async () => {
  const totals = await runCampaign({
    from: freshFrom,
    seeds: freshSeeds,
    forMs: Infinity,
    jobs: 1,
    progress: () => undefined,
  });
  expect(totals.failures).toEqual([]);
  expect(bluntMarks(totals), describeTotals(totals, freshFrom)).toEqual([]);
});
