/**
 * Every bug that a test puts back (test/support/plant.ts) still finds its place: the text that it replaces occurs exactly once.
 * The tests that run them would notice, too, minutes later and one by one.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { plantedDecoderBugs } from '../fuzz/plants.ts';
import { plantedBugs } from '../sim/plants.ts';
import type { Plant } from '../support/plant.ts';

const root = join(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

const sources = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && file !== join('tooling', 'plants.test.ts'))
  .map((file) => join('test', file));

const literal = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`/;
const plantText = new RegExp(String.raw`\bfile:\s*(${literal.source}|\w+),\s*find:\s*(${literal.source})`, 'g');

/** The plants that stand in a file, whichever test they belong to; `file` may be a constant of the same file. */
function plantsIn(source: string): Pick<Plant, 'file' | 'find'>[] {
  const constant = (name: string): string =>
    new RegExp(String.raw`const ${name} = (${literal.source});`).exec(source)?.[1] ?? `'${name}, which is no constant'`;
  return [...source.matchAll(plantText)].map(([, file = '', find = '']) => ({
    file: String(runInNewContext(/^\w+$/.test(file) ? constant(file) : file)),
    find: String(runInNewContext(find)),
  }));
}

const plants = sources.flatMap((source) => plantsIn(read(source)).map((plant) => ({ source, ...plant })));

describe('what planted bugs replace occurs exactly once', () => {
  it.each(plants)('$source: $find', ({ file, find }) => {
    expect(read(file).split(find)).toHaveLength(2);
  });
});

it('none is overlooked', () => {
  const written = sources.map((source) => ({
    source,
    plants: read(source).match(/(?<!readonly )\breplace:/g)?.length ?? 0,
  }));
  expect(sources.map((source) => ({ source, plants: plantsIn(read(source)).length }))).toEqual(written);
  const inTables = [...plantedBugs, ...plantedDecoderBugs].map(({ file, find }) => `${file}: ${find}`);
  expect(plants.map(({ file, find }) => `${file}: ${find}`)).toEqual(expect.arrayContaining(inTables));
});
