/**
 * docs/bugs.md holds every number of the field's list of bugs once, and what it names is there: tests by file and title, scenarios,
 * planted bugs. A row without a test says in docs/divergence.md why it cannot happen.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { plantedBugs } from '../sim/plants.ts';

const root = join(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

/** How many bugs each letter has. */
const counts = { E: 17, R: 10, M: 11, L: 15, D: 9 };
const numbers = Object.entries(counts).flatMap(([letter, count]) =>
  Array.from({ length: count }, (_, at) => `${letter}${at + 1}`),
);

const rows = read('docs/bugs.md')
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .filter(([, number = '']) => /^[A-Z]\d+$/.test(number))
  .map(([, number = '', what = '', held = '']) => ({ number, what, citations: held === '' ? [] : held.split('<br>') }));

/** Why a citation leads nowhere; null when it leads somewhere. */
function fault(citation: string): string | null {
  const plant = /^`make sim PLANT=([\w-]+)`$/.exec(citation)?.[1];
  if (plant !== undefined) return plantedBugs.some(({ id }) => id === plant) ? null : 'no such planted bug';
  const [, file = '', title] = /^`(test\/[\w./-]+)`(?:: (.+))?$/.exec(citation) ?? [];
  if (file === '') return 'neither a test nor a planted bug';
  if (!existsSync(join(root, file))) return 'no such file';
  if (title === undefined) return file.endsWith('.txt') ? null : 'a test needs its title';
  const quoted = [`'${title}'`, `"${title}"`, `\`${title}\``];
  return quoted.some((text) => read(file).includes(text)) ? null : 'no test of this title there';
}

describe('the page of bugs', () => {
  it('has every number of the list once, in its order', () => {
    expect(rows.map(({ number }) => number)).toEqual(numbers);
  });

  it.each(rows)('$number names what is there', ({ what, citations }) => {
    expect(what).not.toBe('');
    expect(citations.map((citation) => `${citation}: ${fault(citation)}`)).toEqual(
      citations.map((citation) => `${citation}: null`),
    );
    if (citations.length === 0) expect(what).toContain('(divergence.md)');
  });
});
