/** The fuzzer is worth what it catches: each planted bug must become a finding, in a process that exits with 1. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type PlantedRun, runPlanted } from '../support/planted-process.ts';
import { type PlantedDecoderBug, plantedDecoderBugs } from './plants.ts';

const findings = mkdtempSync(join(tmpdir(), 'quorate-fuzz-'));
afterAll(() => rmSync(findings, { recursive: true, force: true }));

function fuzzWith(bug: PlantedDecoderBug): Promise<PlantedRun> {
  const { target, inputs } = bug;
  const options = { target, seed: '1', inputs: String(inputs), kinds: '1', findings };
  return runPlanted(
    bug,
    'test/fuzz/main.ts',
    Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
  );
}

describe('planted bugs are found', { timeout: 60_000 }, () => {
  test.each(plantedDecoderBugs)('$name', async (bug) => {
    const { code, output } = await fuzzWith(bug);
    const kinds = Array.from(output.matchAll(/^finding in .*$/gm), ([line]) => line).join('\n');
    expect(code, output.slice(-2_000)).toBe(1);
    expect(kinds, output.slice(-2_000)).toMatch(bug.caughtBy);
  });
});
