/** Runs a program of this repository, in a process of its own, with a known bug put back (protocol I5). */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Plant } from './plant.ts';

const root = join(import.meta.dirname, '../..');

export interface PlantedRun {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null;
  /** What it printed, errors included. */
  readonly output: string;
}

/** @param program path below the repository's root */
export function runPlanted(
  { file, find, replace }: Plant,
  program: string,
  options: readonly string[],
): Promise<PlantedRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', './test/support/plant.ts', program, ...options], {
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
