import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { putTagged, putVarint, taggedSize, varintSize, WireError, WireReader } from '../../src/otlp/wire.ts';
import { hex } from './bytes.ts';

const readerOf = (text: string): WireReader => new WireReader(Buffer.from(text, 'hex'));

function read64(text: string): bigint {
  const reader = readerOf(text);
  reader.readVarint64();
  expect(reader.at).toBe(reader.end);
  return (BigInt(reader.high) << 32n) + BigInt(reader.low);
}

describe('varints', () => {
  test.each([
    ['00', 0n],
    ['7f', 127n],
    ['8001', 128n],
    ['ffffffff0f', 0xffff_ffffn],
    ['8080808010', 1n << 32n],
    ['ffffffffffffffffff01', 2n ** 64n - 1n],
    ['8000', 0n],
  ])('%s is %d', (text, value) => {
    expect(read64(text)).toBe(value);
  });

  test('what is written is read back, up to 2^53', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const bytes = new Uint8Array(varintSize(value));
        expect(putVarint(bytes, 0, value)).toBe(bytes.length);
        expect(read64(hex(bytes))).toBe(BigInt(value));
      }),
    );
  });

  test.each([
    ['', 'a varint is cut off (at byte 0)'],
    ['ff', 'a varint is cut off (at byte 0)'],
    ['ffffffffffffffffff02', 'a varint is longer than 64 bits (at byte 0)'],
    ['ffffffffffffffffff80', 'a varint is longer than 64 bits (at byte 0)'],
  ])('%s is refused: %s', (text, sentence) => {
    expect(() => readerOf(text).readVarint64()).toThrow(new WireError(sentence.replace(' (at byte 0)', ''), 0));
    expect(() => readerOf(text).skipVarint()).toThrow(sentence);
  });
});

describe('tags and lengths', () => {
  test('a tag may take five bytes', () => {
    expect(readerOf('0a').readTag()).toBe(10);
    expect(readerOf('8501').readTag()).toBe(16 * 8 + 5);
    expect(readerOf('faffffff0f').readTag()).toBe(536_870_911 * 8 + 2);
  });

  test.each([
    ['00', 'a field has number 0'],
    ['07', 'a field has number 0'],
    ['0e', 'wire type 6 does not exist'],
    ['0f', 'wire type 7 does not exist'],
    ['8a', 'a varint is cut off'],
    ['8a8080808000', 'a tag or length is longer than 32 bits'],
    ['ffffffff1f', 'a tag or length is longer than 32 bits'],
  ])('the tag %s is refused: %s', (text, sentence) => {
    expect(() => readerOf(text).readTag()).toThrow(sentence);
  });

  test('a length may not reach past the message, not even into bytes that exist', () => {
    const reader = new WireReader(Buffer.from('03616263', 'hex'), 0, 3);
    expect(() => reader.readLength()).toThrow('a length of 3 reaches past the end of its message (at byte 0)');
    reader.end = 4;
    reader.at = 0;
    expect(reader.readLength()).toBe(3);
  });

  test('taggedSize says what putTagged and the value take', () => {
    const bytes = new Uint8Array(taggedSize(16, 300));
    expect(putTagged(bytes, 0, 16, 300) + 300).toBe(bytes.length);
    const reader = new WireReader(bytes);
    expect([reader.readTag(), reader.readLength()]).toEqual([130, 300]);
  });
});

describe('skipping', () => {
  const skip = (text: string): number => {
    const reader = readerOf(text);
    reader.skip(reader.readTag());
    return reader.at;
  };

  test.each([
    ['a varint', '08ffff03'],
    ['eight bytes', '090102030405060708'],
    ['a string', '0a03616263'],
    ['four bytes', '0d01020304'],
    ['an empty group', '0b0c'],
    ['a group with fields and a group inside', '0b0801131a0161140c'],
  ])('%s', (_name, text) => {
    expect(skip(text)).toBe(text.length / 2);
  });

  test.each([
    ['eight bytes cut off', '0901020304050607', 'a value of 8 bytes reaches past the end'],
    ['four bytes cut off', '0d010203', 'a value of 4 bytes reaches past the end'],
    ['a group without end', '0b0801', 'a varint is cut off'],
    ['a group ended by another number', '0b14', 'group 2 ends without having begun'],
    ['an end without a group', '0c', 'group 1 ends without having begun'],
    ['groups nested 101 deep', `${'0b'.repeat(102)}${'0c'.repeat(102)}`, 'groups are nested deeper than 100'],
  ])('%s is refused', (_name, text, sentence) => {
    expect(() => skip(text)).toThrow(sentence);
  });

  test('groups nested 100 deep are still skipped', () => {
    expect(skip(`${'0b'.repeat(100)}${'0c'.repeat(100)}`)).toBe(200);
  });
});
