/** Whether a leader goes for the sake of its disk, and who takes over (protocol G3). */
import { describe, expect, test } from 'vitest';
import { asIndex, asReplicaId } from '../../src/raft/core/types.ts';
import { type DiskHealth, relief, type ReliefCandidate } from '../../src/traces/relief.ts';

const disk = (writeMs: number | null, space: DiskHealth['space'] = 'ample'): DiskHealth => ({ writeMs, space });
const candidate = (name: string, health: DiskHealth | null, other: Partial<ReliefCandidate> = {}): ReliefCandidate => ({
  voter: asReplicaId(name),
  connected: true,
  report: { recovering: false, ready: true },
  match: asIndex(10),
  disk: health,
  ...other,
});
const found = (own: DiskHealth, ...others: readonly ReliefCandidate[]) => {
  const result = relief(own, others, asIndex(10));
  return result && `${result.to}: ${result.why}`;
};

describe('a slow disk', () => {
  test.each<[string, DiskHealth, ReliefCandidate[], string | null]>([
    ['clearly slower than one', disk(100), [candidate('a', disk(90)), candidate('b', disk(2))], 'b: slow disk'],
    ['as slow as the others, however slow', disk(900), [candidate('a', disk(880)), candidate('b', disk(910))], null],
    ['three times as slow', disk(300), [candidate('a', disk(100))], null],
    ['ten times as slow, by milliseconds', disk(10), [candidate('a', disk(1))], null],
    ['4 times and 20 ms', disk(28), [candidate('a', disk(7))], 'a: slow disk'],
    ['4 times and not quite 20 ms', disk(26), [candidate('a', disk(6.5))], null],
    ['nothing was written here', disk(null), [candidate('a', disk(1))], null],
    ['nothing is known of the other', disk(500), [candidate('a', disk(null)), candidate('b', null)], null],
    ['the better one is short of space', disk(500), [candidate('a', disk(1, 'low'))], null],
    ['the better one is not connected', disk(500), [candidate('a', disk(1), { connected: false })], null],
    ['the better one lacks entries', disk(500), [candidate('a', disk(1), { match: asIndex(9) })], null],
  ])('%s', (_, own, others, expected) => {
    expect(found(own, ...others)).toBe(expected);
  });
});

describe('low space', () => {
  test.each<[string, DiskHealth, ReliefCandidate[], string | null]>([
    ['one has space', disk(1, 'low'), [candidate('a', disk(1, 'low')), candidate('b', disk(1))], 'b: low space'],
    ['one has space and a slower disk', disk(1, 'reserve'), [candidate('a', disk(800))], 'a: low space'],
    ['nobody has space', disk(1, 'low'), [candidate('a', disk(1, 'low')), candidate('b', disk(1, 'reserve'))], null],
    ['nobody has space, and one is faster', disk(500, 'low'), [candidate('a', disk(1, 'low'))], null],
  ])('%s', (_, own, others, expected) => {
    expect(found(own, ...others)).toBe(expected);
  });
});
