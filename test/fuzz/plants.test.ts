/** The fuzzer is worth what it catches: each planted bug must become a finding, in a process that exits with 1. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type PlantedDecoderBug, plantedDecoderBugs } from './plants.ts';

const root = join(import.meta.dirname, '../..');
const findings = mkdtempSync(join(tmpdir(), 'quorate-fuzz-'));
afterAll(() => rmSync(findings, { recursive: true, force: true }));

function fuzzWith({
  file,
  find,
  replace,
  target,
  inputs,
}: PlantedDecoderBug): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const options = [
      '--target',
      target,
      '--seed',
      '1',
      '--inputs',
      String(inputs),
      '--kinds',
      '1',
      '--findings',
      findings,
    ];
    const child = spawn(process.execPath, ['--import', './test/support/plant.ts', 'test/fuzz/main.ts', ...options], {
      cwd: root,
      env: { ...process.env, NODE_OPTIONS: '', PLANT: JSON.stringify({ file, find, replace }) },
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

describe('planted bugs are found', { timeout: 60_000 }, () => {
  test.each(plantedDecoderBugs)('$name', async (bug) => {
    const { code, output } = await fuzzWith(bug);
    const kinds = Array.from(output.matchAll(/^finding in .*$/gm), ([line]) => line).join('\n');
    expect(code, output.slice(-2_000)).toBe(1);
    expect(kinds, output.slice(-2_000)).toMatch(bug.caughtBy);
  });
});
