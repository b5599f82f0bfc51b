/** Percentiles and spreads against what a reader would count by hand, and over any samples. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { latency, percentile, ratios, spread } from '../../bench/statistics.ts';

test('percentile: nearest rank, so that every figure was really measured', () => {
  const hundred = Array.from({ length: 100 }, (_, n) => 100 - n);
  expect([0, 0.5, 0.99, 1].map((share) => percentile(hundred, share))).toEqual([1, 50, 99, 100]);
  expect(percentile([7], 0.01)).toBe(7);
  expect(percentile([10, 9], 0.5)).toBe(9);
});

test('percentile: numbers are sorted as numbers', () => {
  expect(percentile([9, 10, 100], 1)).toBe(100);
  expect(latency([9, 10, 100])).toEqual({ count: 3, p50: 10, p99: 100, max: 100 });
});

test('nothing measured is no figure, never 0', () => {
  expect(latency([])).toEqual({ count: 0, p50: Number.NaN, p99: Number.NaN, max: Number.NaN });
  expect(spread([])).toEqual({ median: Number.NaN, min: Number.NaN, max: Number.NaN, rounds: 0 });
  expect(spread([Number.NaN, 3]).rounds).toBe(1);
});

test('spread: the middle round, or the mean of the two in the middle', () => {
  expect(spread([5, 1, 9])).toEqual({ median: 5, min: 1, max: 9, rounds: 3 });
  expect(spread([4, 1, 9, 6])).toEqual({ median: 5, min: 1, max: 9, rounds: 4 });
});

test('ratios: each round against its own, a round that one side lacks is left out', () => {
  expect(ratios([2, 8, 9], [1, 2, 3])).toEqual({ median: 3, min: 2, max: 4, rounds: 3 });
  expect(ratios([2, 8], [1]).rounds).toBe(1);
});

test('any samples: the share that a percentile promises does not exceed it, and the median is within the spread', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ noNaN: true, min: 0, max: 1e6 }), { minLength: 1 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (samples, share) => {
        const at = percentile(samples, share);
        expect(samples).toContain(at);
        expect(samples.filter((sample) => sample <= at).length / samples.length).toBeGreaterThanOrEqual(share);
        const { median, min, max } = spread(samples);
        expect(min <= median && median <= max).toBe(true);
      },
    ),
  );
});
