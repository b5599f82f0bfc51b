/** What every Codec and Random must do. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Codec } from '../../src/platform/codec.ts';
import type { Random } from '../../src/platform/random.ts';

export function codecConformance(name: string, codec: Codec): void {
  describe(`Codec: ${name}`, () => {
    it('a frame opens to the bytes it was made of', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 5000 }), (raw) => {
          expect(codec.decompress(codec.compress(raw), raw.length)).toEqual(raw);
        }),
      );
      const large = new Uint8Array(150_000).map((_, n) => n % 251);
      expect(Buffer.compare(codec.decompress(codec.compress(large), large.length), large)).toBe(0);
    });

    it('an empty input has a frame too', () => {
      expect(codec.decompress(codec.compress(new Uint8Array(0)), 0)).toEqual(new Uint8Array(0));
    });

    it('a frame of another size than promised throws, in both directions', () => {
      const frame = codec.compress(new Uint8Array(1000).fill(3));
      for (const size of [0, 1, 999, 1001, 100_000]) expect(() => codec.decompress(frame, size)).toThrow();
    });

    it('a cut frame throws, and so does garbage', () => {
      const raw = new Uint8Array(1000).map((_, n) => (n * 31) % 253);
      const frame = codec.compress(raw);
      for (const length of [0, 1, 4, frame.length >> 1, frame.length - 1]) {
        expect(() => codec.decompress(frame.subarray(0, length), raw.length)).toThrow();
      }
      expect(() => codec.decompress(new Uint8Array(50).fill(255), raw.length)).toThrow();
      const followed = new Uint8Array(frame.length + 3);
      followed.set(frame);
      expect(() => codec.decompress(followed, raw.length + 3)).toThrow();
    });

    it('a frame that was damaged, or of another size, leaves nothing behind in the next one', () => {
      const raw = new Uint8Array(70_000).map((_, n) => (n * n) % 253);
      const frame = codec.compress(raw);
      const damaged = [frame.length >> 1, frame.length - 1].map((length) => frame.subarray(0, length));
      for (const [bytes, rawBytes] of [...damaged.map((cut) => [cut, raw.length] as const), [frame, 60_000] as const]) {
        expect(() => codec.decompress(bytes, rawBytes)).toThrow();
        expect(Buffer.compare(codec.decompress(frame, raw.length), raw)).toBe(0);
      }
    });

    it('a frame stays as it was opened while others are', () => {
      const [first, second] = [new Uint8Array(900).fill(1), new Uint8Array(900).fill(2)];
      const frames = [first, second].map((raw) => codec.compress(raw));
      const opened = frames.map((frame) => codec.decompress(frame, 900));
      expect(opened).toEqual([first, second]);
    });
  });
}

export function randomConformance(name: string, random: Random): void {
  describe(`Random: ${name}`, () => {
    it('below stays below, and reaches both ends', () => {
      const seen = new Set(Array.from({ length: 500 }, () => random.below(7)));
      expect([...seen].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6]);
      expect(random.below(1)).toBe(0);
      for (let n = 0; n < 50; n++) {
        const large = random.below(2 ** 32);
        expect(Number.isInteger(large) && large >= 0 && large < 2 ** 32).toBe(true);
      }
    });

    it('bytes have the length asked for and differ', () => {
      expect(random.bytes(0)).toEqual(new Uint8Array(0));
      const drawn = new Set(Array.from({ length: 100 }, () => Buffer.from(random.bytes(16)).toString('hex')));
      expect(drawn.size).toBe(100);
    });
  });
}
