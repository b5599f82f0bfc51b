/** How much space is enough, on disks of every size (protocol A5). */
import { describe, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import type { SpaceLevel } from '../../src/platform/disk-space.ts';
import { ballastBytesFor, lowMarkOf, openBytesFor, spaceLevelOf } from '../../src/traces/space-marks.ts';

const MiB = 2 ** 20;
const GiB = 2 ** 30;

interface Disk {
  readonly totalBytes?: number;
  readonly before?: SpaceLevel;
  readonly hasBallast?: boolean;
}

function levelAt(
  freeBytes: number,
  { totalBytes = 100 * GiB, before = 'ample', hasBallast = true }: Disk = {},
): SpaceLevel {
  const ballastBytes = hasBallast ? ballastBytesFor(totalBytes) : 0;
  return spaceLevelOf({ freeBytes, totalBytes, ballastBytes }, before);
}

test('data is taken down to 5 % of a disk, however large', () => {
  for (const totalBytes of [2 * GiB, 100 * GiB, 20_000 * GiB]) {
    expect(levelAt(totalBytes / 20, { totalBytes })).toBe('ample');
    expect(levelAt(totalBytes / 20 - 1, { totalBytes })).toBe('low');
  }
});

test('small disks have marks that do not vanish with them', () => {
  expect([lowMarkOf(GiB), openBytesFor(GiB), ballastBytesFor(GiB)]).toEqual([64 * MiB, 32 * MiB, 64 * MiB]);
  expect([lowMarkOf(256 * MiB), openBytesFor(256 * MiB), ballastBytesFor(256 * MiB)]).toEqual([
    32 * MiB,
    16 * MiB,
    16 * MiB,
  ]);
});

test.each([MiB, 64 * MiB, GiB, 10_000 * GiB])('the marks of a disk of %i bytes stand in their order', (totalBytes) => {
  const reserve = openBytesFor(totalBytes);
  expect(reserve).toBeGreaterThan(0);
  expect(lowMarkOf(totalBytes)).toBeGreaterThan(reserve);
  expect(ballastBytesFor(totalBytes)).toBeGreaterThanOrEqual(reserve);
  expect(ballastBytesFor(totalBytes)).toBeLessThanOrEqual(limits.ballastBytes);
});

test('what the ballast lacks is not there to be used: who lives on it appends nothing', () => {
  expect(levelAt(64 * MiB, { hasBallast: false })).toBe('reserve');
  expect(levelAt(32 * MiB, { totalBytes: GiB })).toBe('low');
  expect(levelAt(32 * MiB + 64 * MiB, { totalBytes: GiB, hasBallast: false })).toBe('low');
});

describe('once it was too little', () => {
  test.each<[number, SpaceLevel, SpaceLevel]>([
    [5.5 * GiB, 'ample', 'ample'],
    [5.5 * GiB, 'low', 'low'],
    [6 * GiB, 'low', 'ample'],
    [35 * MiB, 'low', 'low'],
    [35 * MiB, 'reserve', 'reserve'],
    [39 * MiB, 'reserve', 'low'],
    [5.5 * GiB, 'reserve', 'low'],
    [6 * GiB, 'reserve', 'ample'],
  ])('%i bytes after %s: %s', (freeBytes, before, level) => {
    expect(levelAt(freeBytes, { before })).toBe(level);
  });
});

test('a file system that does not tell its size is believed to have space', () => {
  expect(levelAt(0, { totalBytes: 0 })).toBe('ample');
});
