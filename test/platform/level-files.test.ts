/** The checksums and the compression of LevelDB's own files. */
import { describe, expect, it } from 'vitest';
import { crc32c, maskedCrc32c } from '../../src/platform/real/crc32c.ts';
import { snappyDecompress } from '../../src/platform/real/snappy.ts';

const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');

describe('CRC-32C', () => {
  // RFC 3720, B.4, and the check value of the CRC catalogue.
  it.each([
    ['32 zeros', new Uint8Array(32), 0x8a9136aa],
    ['32 bytes of ones', new Uint8Array(32).fill(255), 0x62a8ab43],
    ['32 ascending bytes', Uint8Array.from({ length: 32 }, (_, at) => at), 0x46dd794e],
    ['123456789', ascii('123456789'), 0xe3069283],
    ['nothing', new Uint8Array(0), 0],
  ])('of %s', (_, bytes, crc) => {
    expect(crc32c(bytes)).toBe(crc);
  });

  it('does not depend on where the bytes begin in memory', () => {
    const bytes = Uint8Array.from({ length: 100 }, (_, at) => (at * 37) & 255);
    for (let shift = 0; shift < 9; shift += 1) {
      const copy = new Uint8Array(shift + bytes.length);
      copy.set(bytes, shift);
      expect(maskedCrc32c(copy.subarray(shift))).toBe(maskedCrc32c(bytes));
    }
  });
});

describe('snappy', () => {
  it('literals, short copies, long ones, and one that overlaps what it makes', () => {
    // "abcd", then 4 bytes from 4 back, then 10 bytes from 1 back with a 2-byte offset.
    const block = Uint8Array.of(18, 3 << 2, ...ascii('abcd'), 1 | (0 << 2) | (0 << 5), 4, 2 | (9 << 2), 1, 0);
    expect(Buffer.from(snappyDecompress(block)).toString()).toBe('abcdabcddddddddddd');
  });

  it.each([
    ['a copy from before the beginning', [8, 1, 4]],
    ['a literal that is cut', [4, 3 << 2, 97]],
    ['fewer bytes than it says', [9, 0, 97]],
    ['no length', [255]],
  ])('refuses %s', (_, bytes) => {
    expect(() => snappyDecompress(Uint8Array.from(bytes))).toThrow(RangeError);
  });
});
