/** The simulator is worth what it catches: every planted bug must be found, by the check that is there for it. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type PlantedBug, plantedBugs } from './plants.ts';

const root = join(import.meta.dirname, '../..');

function runWith({ file, find, replace, seeds }: PlantedBug): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [
        '--import',
        './test/support/plant.ts',
        'test/sim/main.ts',
        '--from',
        '1',
        '--seeds',
        String(seeds),
        '--jobs',
        '1',
        '--no-shrink',
      ],
      { cwd: root, env: { ...process.env, NODE_OPTIONS: '', PLANT: JSON.stringify({ file, find, replace }) } },
    );
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

describe('planted bugs are caught', { concurrent: true }, () => {
  test.each(plantedBugs)('$name', async (bug) => {
    const { code, output } = await runWith(bug);
    const verdict = output.split('\n').find((line) => line.startsWith('seed ')) ?? output;
    expect(code, output.slice(-2_000)).toBe(1);
    expect(verdict).toMatch(bug.caughtBy);
  });
});
