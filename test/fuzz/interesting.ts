/** Values that decoders tend to get wrong: the ends of ranges, and fields that nobody expects. */
import type { SeededRandom } from '../support/seeded-random.ts';
import type { ByteSink } from './byte-sink.ts';

const integers: readonly number[] = [
  0,
  1,
  2,
  0x7f,
  0x80,
  0xff,
  0x3fff,
  0x4000,
  0xffff,
  0x1f_ffff,
  0x20_0000,
  0x0fff_ffff,
  0x1000_0000,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_ffff,
  0x1_0000_0000,
  Number.MAX_SAFE_INTEGER,
];

/** A natural number up to 2^53, mostly small or at the end of some range. */
export function interestingInteger(random: SeededRandom): number {
  return random.below(2) === 0 ? random.below(10) : random.pick(integers);
}

/** A field of any wire type, groups among them, all well-formed. */
export function writeUnknownField(sink: ByteSink, random: SeededRandom, number: number): void {
  const type = random.pick([0, 1, 2, 3, 5]);
  sink.varint(number * 8 + type);
  switch (type) {
    case 0:
      return sink.varint(interestingInteger(random), random.below(4) === 0 ? 1 : 0);
    case 1:
      return sink.double(random.below(1_000));
    case 2:
      sink.byte(2);
      sink.byte(random.below(256));
      return sink.byte(random.below(256));
    case 3: {
      const depth = random.pick([0, 1, 2, 31, 99, 100, 101]);
      for (let level = 0; level < depth; level += 1) sink.byte(0x0b);
      if (random.below(2) === 0) sink.bytes(Buffer.from('1203616263', 'hex'));
      for (let level = 0; level < depth; level += 1) sink.byte(0x0c);
      return sink.varint(number * 8 + 4);
    }
    default:
      return sink.uint32(random.uint32());
  }
}
