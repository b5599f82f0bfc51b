import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { generatedPages, limitsPage } from './generated-pages.ts';

for (const { path, text } of generatedPages()) {
  it(`${path} says what the code says (else: make docs)`, () => {
    expect(readFileSync(join(import.meta.dirname, '../..', path), 'utf8')).toBe(text);
  });
}

it('every limit is explained', () => {
  const rows = generatedPages()
    .find(({ path }) => path === 'docs/limits.md')
    ?.text.split('\n')
    .filter((line) => line.startsWith('| `'));
  expect(rows).toHaveLength(Object.keys(limits).length);
  expect(rows?.filter((row) => row.endsWith('|  |'))).toEqual([]);
});

it('a limit that the page cannot read is an error, not a gap', () => {
  expect(() => limitsPage('export const limits = {\n  tickMs: 50,\n}')).toThrow('cannot read');
});
