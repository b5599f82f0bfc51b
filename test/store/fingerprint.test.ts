import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BloomFilter } from '../../src/store/bloom-filter.ts';
import {
  type Fingerprint,
  fingerprintOf,
  FingerprintTable,
  readFingerprint,
  writeFingerprint,
} from '../../src/store/fingerprint.ts';
import { traceIdOf } from './exports.ts';

const anyFingerprint = fc.maxSafeNat().map((value) => (value % 2 ** 48) as Fingerprint);

describe('fingerprint', () => {
  test('it is part of the stored format and does not change', () => {
    const id = Uint8Array.from({ length: 16 }, (_, at) => at);
    expect([fingerprintOf(id), fingerprintOf(traceIdOf(1)), fingerprintOf(Buffer.concat([id, id]), 16)])
      .toMatchInlineSnapshot(`
      [
        96625528613860,
        29447979535885,
        96625528613860,
      ]
    `);
  });

  test('ids that differ in a few bits only spread over all buckets, and never meet', () => {
    const fingerprints = Array.from({ length: 50_000 }, (_, number) => fingerprintOf(traceIdOf(number)));
    expect(new Set(fingerprints).size).toBe(fingerprints.length);
    const perBucket = new Uint32Array(256);
    for (const fingerprint of fingerprints) perBucket[fingerprint & 255] = (perBucket[fingerprint & 255] ?? 0) + 1;
    expect(Math.min(...perBucket)).toBeGreaterThan(120);
    expect(Math.max(...perBucket)).toBeLessThan(280);
  });

  test('every byte of the id counts', () => {
    const zero = new Uint8Array(16);
    for (let at = 0; at < 16; at += 1) expect(fingerprintOf(zero.with(at, 1))).not.toBe(fingerprintOf(zero));
  });

  test('what was written is read', () => {
    fc.assert(
      fc.property(anyFingerprint, (fingerprint) => {
        const view = new DataView(new ArrayBuffer(8));
        writeFingerprint(view, 1, fingerprint);
        expect(readFingerprint(view, 1)).toBe(fingerprint);
      }),
    );
  });

  test('the table numbers fingerprints like a Map would', () => {
    // Few different ones, and all in few slots, so that they meet.
    const crowded = fc.nat(400).map((value) => (value * 1024) as Fingerprint);
    fc.assert(
      fc.property(fc.array(fc.oneof(anyFingerprint, crowded), { maxLength: 600 }), (fingerprints) => {
        const table = new FingerprintTable();
        const numbers = new Map<Fingerprint, number>();
        for (const fingerprint of fingerprints) {
          expect(table.find(fingerprint)).toBe(numbers.get(fingerprint) ?? -1);
          if (!numbers.has(fingerprint)) numbers.set(fingerprint, numbers.size);
          expect(table.add(fingerprint)).toBe(numbers.get(fingerprint));
        }
        expect(table.size).toBe(numbers.size);
        for (const [fingerprint, number] of numbers) expect(table.at(number)).toBe(fingerprint);
      }),
      { numRuns: 50 },
    );
  });
});

describe('bloom filter', () => {
  test('what was added is always there; of what was not, about one in a hundred', () => {
    const filter = BloomFilter.for(8_192);
    const ofTrace = (number: number): Fingerprint => fingerprintOf(traceIdOf(number));
    for (let number = 0; number < 8_192; number += 1) filter.add(ofTrace(number));
    for (let number = 0; number < 8_192; number += 1)
      if (!filter.mayHave(ofTrace(number))) throw new Error(`${number} is gone`);
    let wrong = 0;
    for (let number = 10_000; number < 30_000; number += 1) if (filter.mayHave(ofTrace(number))) wrong += 1;
    expect(wrong / 20_000).toBeLessThan(0.015);
  });
});
