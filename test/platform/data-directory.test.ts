/** Making the data directory: levels at a time, also while other nodes make the same ones, and never without an end. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openRealPlatform } from '../../src/platform/real/platform.ts';

test('nodes that start at once share the levels above their directories', async () => {
  const root = mkdtempSync(join(tmpdir(), 'quorate-levels-'));
  for (let round = 0; round < 20; round += 1) {
    const directories = ['n1', 'n2', 'n3', 'n4'].map((id) => join(root, String(round), 'a', 'b', id));
    await Promise.all(directories.map((dataDir) => openRealPlatform({ dataDir })));
    expect(directories.filter((path) => existsSync(path))).toEqual(directories);
  }
  rmSync(root, { recursive: true });
});

test('where no directory can be made it says so', async () => {
  await expect(openRealPlatform({ dataDir: '/proc/quorate/n1' })).rejects.toThrow('/proc/quorate/n1');
});
