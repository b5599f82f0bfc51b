import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asHash, asIndex, asTerm, emptyLog, zeroHash } from '../../src/raft/core/types.ts';
import { DamagedError, UnsupportedFormatError } from '../../src/store/damaged.ts';
import {
  decodeEntry,
  encodeEntry,
  entryHash,
  faultOf,
  payloadHashOf,
  sealEntry,
  verifyEntry,
} from '../../src/store/entry.ts';
import { writeChecksum } from '../../src/store/record.ts';
import { anyPayload, bytesOf, entryAfter } from './support.ts';

const anyHash = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => asHash(Buffer.from(bytes).toString('hex')));
const anyEntry = fc
  .record({
    index: fc.nat(Number.MAX_SAFE_INTEGER).map(asIndex),
    term: fc.nat(Number.MAX_SAFE_INTEGER).map(asTerm),
    kind: fc.constantFrom('noop' as const, 'block' as const),
    timeMs: fc.nat(Number.MAX_SAFE_INTEGER),
    previousHash: anyHash,
    payload: anyPayload,
  })
  .map((draft) => sealEntry({ ...draft, payloadHash: payloadHashOf(draft.payload) }));

describe('entry', () => {
  test('what was encoded is decoded, and verifies', () => {
    fc.assert(
      fc.property(anyEntry, (entry) => {
        const decoded = decodeEntry(encodeEntry(entry), entry.index);
        expect({ ...decoded, payload: Buffer.from(decoded.payload) }).toEqual({
          ...entry,
          payload: Buffer.from(entry.payload),
        });
        verifyEntry(decoded);
      }),
    );
  });

  test('any changed byte, and any cut, is damage', () => {
    fc.assert(
      fc.property(anyEntry, fc.nat(), fc.integer({ min: 1, max: 255 }), (entry, position, change) => {
        const record = encodeEntry(entry);
        const at = position % record.length;
        const flipped = record.slice();
        flipped[at] = (flipped[at] ?? 0) ^ change;
        expect(() => decodeEntry(flipped, entry.index)).toThrow(DamagedError);
        expect(() => decodeEntry(record.subarray(0, at), entry.index)).toThrow(DamagedError);
      }),
    );
  });

  test('an intact entry under another index is damage, and says which entry it is', () => {
    const record = encodeEntry(entryAfter({ ...emptyLog, index: asIndex(7) }));
    expect(() => decodeEntry(record, asIndex(9))).toThrow('entry 9 of the log is damaged: it says it is entry 8');
  });

  test.each([
    ['version', 8],
    ['kind', 9],
  ])('an intact entry of an unknown %s is refused, and not called damage (protocol B4)', (_, at) => {
    const record = encodeEntry(entryAfter(emptyLog));
    record[at] = 77;
    writeChecksum(record);
    expect(() => decodeEntry(record)).toThrow(UnsupportedFormatError);
  });

  test('the hash covers every field of the header', () => {
    const entry = entryAfter(emptyLog, { payload: bytesOf('spans') });
    const others = [
      { ...entry, index: asIndex(2) },
      { ...entry, term: asTerm(2) },
      { ...entry, kind: 'noop' as const },
      { ...entry, timeMs: entry.timeMs + 1 },
      { ...entry, previousHash: payloadHashOf(bytesOf('x')) },
      { ...entry, payloadHash: payloadHashOf(bytesOf('y')) },
    ];
    expect(new Set([entry, ...others].map(entryHash)).size).toBe(others.length + 1);
    for (const other of others) expect(faultOf(other)).not.toBeNull();
  });

  test('the hash does not cover the payload itself, so that a payload can be redacted (protocol C5)', () => {
    const entry = entryAfter(emptyLog, { payload: bytesOf('a secret') });
    const redacted = { ...entry, payload: bytesOf('') };
    expect(entryHash(redacted)).toBe(entry.hash);
    expect(() => verifyEntry(redacted)).toThrow('its payload does not have the hash in its header');
  });

  test('the bytes of format 1 do not change', () => {
    const entry = sealEntry({
      index: asIndex(2 ** 40 + 5),
      term: asTerm(3),
      kind: 'block',
      timeMs: 1_700_000_000_123,
      previousHash: zeroHash,
      payloadHash: payloadHashOf(bytesOf('spans')),
      payload: bytesOf('spans'),
    });
    expect(entry.hash).toMatchInlineSnapshot(`"5d1d958c1982f423414cdef5957f5aee"`);
    expect(Buffer.from(encodeEntry(entry)).toString('hex')).toMatchInlineSnapshot(
      `"2291a705000000050102000000000000000000000000000300000100000000050000018bcfe5687b00000000000000000000000000000000cd6c32ae17a18e16e4fa0c22e84dfd7f7370616e73"`,
    );
  });
});
