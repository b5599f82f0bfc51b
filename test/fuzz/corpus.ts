/**
 * Inputs kept as files, each named for what it shows: `.hex` is hex digits with comments from # to the end of the line,
 * `.txt` is the text itself.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TargetName } from './target.ts';

export interface CorpusFile {
  readonly name: string;
  readonly input: Uint8Array;
}

/** The corpus of a target, by name, so that it is the same everywhere. */
export function corpusOf(target: TargetName): readonly CorpusFile[] {
  const folder = join(import.meta.dirname, 'corpus', target);
  return readdirSync(folder)
    .sort()
    .map((name) => ({ name, input: readInput(join(folder, name)) }));
}

/** The input in a file of the corpus or of the findings. */
export function readInput(path: string): Uint8Array {
  if (!path.endsWith('.hex')) return new Uint8Array(readFileSync(path));
  const digits = readFileSync(path, 'utf8').replaceAll(/#.*$/gm, '').replaceAll(/\s/g, '');
  if (!/^(?:[0-9a-f]{2})*$/i.test(digits)) throw new Error(`${path} holds something that is not hex`);
  return new Uint8Array(Buffer.from(digits, 'hex'));
}
