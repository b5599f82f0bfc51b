/** Who is to lead next, when nobody was named. */
import { expect, test } from 'vitest';
import { asIndex, asReplicaId } from '../../src/raft/core/types.ts';
import { bestSuccessor, type Candidate } from '../../src/traces/successor.ts';

const well = { recovering: false, ready: true };
const candidate = (name: string, other: Partial<Candidate> = {}): Candidate => ({
  voter: asReplicaId(name),
  connected: true,
  report: well,
  match: asIndex(10),
  ...other,
});

test.each<[string, readonly Candidate[], string | null]>([
  ['nobody', [], null],
  ['the first of equals', [candidate('a'), candidate('b')], 'a'],
  ['the one that lacks least', [candidate('a'), candidate('b', { match: asIndex(12) })], 'b'],
  [
    'one that serves, before one that lacks less',
    [candidate('a', { report: { ...well, ready: false }, match: asIndex(12) }), candidate('b')],
    'b',
  ],
  ['one that does not serve, before nobody', [candidate('a', { report: { ...well, ready: false } })], 'a'],
  ['not one that lacks what is committed', [candidate('a', { match: asIndex(9) })], null],
  ['not one that is recovering', [candidate('a', { report: { ...well, recovering: true } })], null],
  ['not one that has said nothing of itself', [candidate('a', { report: null })], null],
  ['not one that is not connected', [candidate('a', { connected: false })], null],
])('%s', (_, candidates, best) => {
  expect(bestSuccessor(candidates, asIndex(10))).toBe(best);
});
