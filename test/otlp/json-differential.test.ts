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
  const { accepted, refused } = compareOn(fc.oneof(documentText, spanDocumentText), 700);
  expect(accepted).toBeGreaterThan(150);
  expect(refused).toBeGreaterThan(40);
});

test('the same documents with bytes changed, added and taken away', () => {
  const { accepted, refused } = compareOn(damagedDocument, 1_000);
  expect(accepted).toBeGreaterThan(30);
  expect(refused).toBeGreaterThan(150);
});

test('any JSON, and any bytes', () => {
  compareOn(fc.json(), 500);
  compareOn(fc.uint8Array({ maxLength: 40 }), 500);
});
