/**
 * Runs scenarios/*.txt. In a file, commands stand above a line `----` and below it stands all that they print.
 * UPDATE=1 rewrites the expectations; then read each change: it must be what Raft demands, not what the code does.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
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

describe('raft scenarios', () => {
  const files = readdirSync(folder).filter((file) => file.endsWith('.txt'));
  test.each(files)('%s', (file) => {
    const path = join(folder, file);
    const script = readFileSync(path, 'utf8');
    const played = play(script);
    if (update) writeFileSync(path, played);
    else expect(played).toBe(script);
  });

  test('every scenario stands in the index', () => {
    const index = readFileSync(join(folder, 'README.md'), 'utf8');
    expect(files.filter((file) => !index.includes(`\`${file}\``))).toEqual([]);
  });
});
