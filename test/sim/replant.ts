/** Seeds from 1 on with a known bug put back, and whether the right rule noticed. */
import { runPlanted } from '../support/planted-process.ts';
import type { PlantedBug } from './plants.ts';

export interface Replanted {
  /** A rule broke, and it is one of those that may notice this bug. */
  readonly caught: boolean;
  /** The line that names the seed and the rule that broke; empty when none did, or the bug could not be put back. */
  readonly verdict: string;
  readonly output: string;
}

/** @param how what to run instead of its seeds, and whether a failing one is made small */
export async function replant(
  bug: PlantedBug,
  how: { readonly options?: readonly string[]; readonly shrinks?: boolean } = {},
): Promise<Replanted> {
  const { code, output } = await runPlanted(bug, 'test/sim/main.ts', [
    ...(how.options ?? ['--from', '1', '--seeds', String(bug.seeds), '--jobs', '1']),
    ...(how.shrinks === true ? [] : ['--no-shrink']),
  ]);
  const verdict = output.split('\n').find((line) => line.startsWith('seed ')) ?? '';
  const rule = /^seed \d+: ([A-Z]\d+):/.exec(verdict)?.[1];
  return { caught: code === 1 && rule !== undefined && bug.caughtBy.includes(rule), verdict, output };
}
