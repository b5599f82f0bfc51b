/** Ends that were no stops are counted, for a while. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { StartRecord } from '../../src/platform/real/start-record.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-starts-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

it('three ends in a row are a crash loop, one stop between them makes it none', async () => {
  const isLoop: boolean[] = [];
  for (let start = 0; start < 4; start += 1)
    isLoop.push((await StartRecord.begin(directory, 1_000 * start)).isCrashLoop);
  expect(isLoop).toEqual([false, false, false, true]);
  await (await StartRecord.begin(directory, 5_000)).end();
  expect((await StartRecord.begin(directory, 6_000)).earlier).toBe(0);
});

it('ends of long ago, or of a clock that went back, do not count', async () => {
  for (let start = 0; start < 3; start += 1) await StartRecord.begin(directory, 1_000 * start);
  expect((await StartRecord.begin(directory, 3_600_000)).earlier).toBe(0);
  expect((await StartRecord.begin(directory, 1_000)).earlier).toBe(0);
});

it('a record that makes no sense is none', async () => {
  writeFileSync(join(directory, 'starts'), '{"a"');
  expect((await StartRecord.begin(directory, 0)).earlier).toBe(0);
});
