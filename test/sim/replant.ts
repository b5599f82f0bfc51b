/** Runs seeds from 1 on, in a process of its own, with a known bug put back (protocol I5). */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { PlantedBug } from './plants.ts';

const root = join(import.meta.dirname, '../..');

export interface Replanted {
  /** A rule broke, and it is one of those that may notice this bug. */
  readonly caught: boolean;
  /** The line that names the seed and the rule that broke; empty when none did, or the bug could not be put back. */
  readonly verdict: string;
  readonly output: string;
}

/** @param how what to run instead of its seeds, and whether a failing one is made small */
export function replant(
  { file, find, replace, seeds, caughtBy }: PlantedBug,
  how: { readonly options?: readonly string[]; readonly shrinks?: boolean } = {},
): Promise<Replanted> {
  const options = [
    ...(how.options ?? ['--from', '1', '--seeds', String(seeds), '--jobs', '1']),
    ...(how.shrinks === true ? [] : ['--no-shrink']),
  ];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', './test/support/plant.ts', 'test/sim/main.ts', ...options], {
      cwd: root,
      env: { ...process.env, NODE_OPTIONS: '', PLANT: JSON.stringify({ file, find, replace }) },
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      const verdict = output.split('\n').find((line) => line.startsWith('seed ')) ?? '';
      const rule = /^seed \d+: ([A-Z]\d+):/.exec(verdict)?.[1];
      resolve({ caught: code === 1 && rule !== undefined && caughtBy.includes(rule), verdict, output });
    });
  });
}
