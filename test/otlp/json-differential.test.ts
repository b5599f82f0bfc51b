/** The decoder of OTLP JSON against json-reference.ts: on every text the same bytes, or both refuse. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { damagedDocument, documentText, spanDocumentText } from './json-documents.ts';
import { type Agreement, compareJsonDecoders } from './json-reference.ts';

/** Compares on `numRuns` texts, and says how often both accepted and both refused. */
function compareOn(texts: fc.Arbitrary<string | Uint8Array>, numRuns: number): Record<Agreement, number> {
  const seen = { accepted: 0, refused: 0, 'not compared': 0 };
  fc.assert(
    fc.property(texts, (text) => {
      seen[compareJsonDecoders(Buffer.from(text as Uint8Array))] += 1;
    }),
    { numRuns },
  );
  return seen;
}

test('documents made from the schema, in every spelling', () => {
  const { accepted, refused } = compareOn(fc.oneof(documentText, spanDocumentText), 2_000);
  expect(accepted).toBeGreaterThan(500);
  expect(refused).toBeGreaterThan(100);
});

test('the same documents with bytes changed, added and taken away', () => {
  const { accepted, refused } = compareOn(damagedDocument, 3_000);
  expect(accepted).toBeGreaterThan(100);
  expect(refused).toBeGreaterThan(500);
});

test('any JSON, and any bytes', () => {
  compareOn(fc.json(), 500);
  compareOn(fc.uint8Array({ maxLength: 40 }), 500);
});
