/**
 * Runs scenarios/*.txt. In a file, commands stand above a line `----` and below it stands all that they print.
 * UPDATE=1 rewrites the expectations; then read each change: it must be what Raft demands, not what the code does.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { etcdSituations } from './etcd-situations.ts';
import { Harness } from './harness.ts';

const folder = join(import.meta.dirname, 'scenarios');
const update = process.env['UPDATE'] === '1';

/** Executes each block's commands and puts what they printed under them. */
function play(script: string): string {
  const harness = new Harness();
  const blocks = script.trimEnd().split(/\n{2,}/);
  const played = blocks.map((blockText) => {
    const [commands = ''] = blockText.split(/^----$/m);
    const lines = commands.trimEnd().split('\n');
    if (lines.every((line) => line.startsWith('#'))) return lines.join('\n');
    const printed = lines.filter((line) => !line.startsWith('#')).flatMap((line) => harness.run(line));
    return [...lines, '----', ...(printed.length === 0 ? ['ok'] : printed)].join('\n');
  });
  return `${played.join('\n\n')}\n`;
}

const files = readdirSync(folder).filter((file) => file.endsWith('.txt'));

describe('raft scenarios', () => {
  test.each(files)('%s', (file) => {
    const path = join(folder, file);
    const script = readFileSync(path, 'utf8');
    const played = play(script);
    if (update) writeFileSync(path, played);
    else expect(played).toBe(script);
  });
});

describe('the index of scenarios', () => {
  const index = readFileSync(join(folder, 'README.md'), 'utf8');
  const named = [...index.matchAll(/`([\w-]+\.txt)`/g)].map(([, file = '']) => file);
  const rows = index.split('\n').map((line) => line.split('|').map((cell) => cell.trim()));

  test('names every scenario, and no other', () => {
    expect([...new Set(named)].toSorted()).toEqual(files.toSorted());
  });

  test('has 41 situations of etcd in its list', () => {
    expect(new Set(etcdSituations).size).toBe(41);
  });

  test.each(etcdSituations)('has one row for %s, with a scenario or the reason why there is none', (situation) => {
    const found = rows.filter((cells) => cells[1] === `\`${situation}\``);
    expect(found).toHaveLength(1);
    const [, , rule, scenario] = found[0] ?? [];
    expect(rule).not.toBe('');
    expect(scenario).toMatch(/^(`[\w-]+\.txt`(, )?)+$|^not (yet|here): ./);
  });
});
