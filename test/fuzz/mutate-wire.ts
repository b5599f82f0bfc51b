/** Changes that know protobuf's wire format, but no schema. */
import type { SeededRandom } from '../support/seeded-random.ts';
import { ByteSink } from './byte-sink.ts';
import { interestingInteger, writeUnknownField } from './interesting.ts';
import { mutateBytes, reduceBytes, replaced } from './mutate-bytes.ts';
import { pickSpot, withField, type Spot } from './wire-spot.ts';

/** Larger inputs find nothing that smaller ones do not, more slowly. */
const inputBytesMax = 1_536;
const sink = new ByteSink();
const noBytes = new Uint8Array(0);

type FieldChange = (bytes: Uint8Array, spot: Spot, other: Uint8Array, random: SeededRandom) => Uint8Array;

const fieldOf = (bytes: Uint8Array, { start, end }: Spot): Uint8Array => bytes.subarray(start, end);
const valueOf = (bytes: Uint8Array, { valueStart, end }: Spot): Uint8Array => bytes.subarray(valueStart, end);

/** What takes the place of a field. */
const changes: readonly FieldChange[] = [
  function remove() {
    return noBytes;
  },
  function duplicate(bytes, spot) {
    return Buffer.concat([fieldOf(bytes, spot), fieldOf(bytes, spot)]);
  },
  function otherWireType(bytes, spot, _other, random) {
    sink.varint((spot.tag & ~7) + random.below(8));
    sink.bytes(bytes.subarray(afterTag(bytes, spot), spot.end));
    return sink.take();
  },
  function otherNumber(bytes, spot, _other, random) {
    const number = random.pick([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 31, 32, 536_870_911, 536_870_912]);
    sink.varint(number * 8 + (spot.tag & 7));
    sink.bytes(bytes.subarray(afterTag(bytes, spot), spot.end));
    return sink.take();
  },
  function otherValue(bytes, spot, _other, random) {
    sink.varint(spot.tag);
    switch (spot.tag & 7) {
      case 0:
        sink.varint(interestingInteger(random), random.pick([0, 0, 1, 2, 3, 8, 9]));
        break;
      case 2:
        writeLengthDelimited(valueOf(bytes, spot), random);
        break;
      default:
        sink.bytes(random.bytes(spot.end - spot.valueStart));
    }
    return sink.take();
  },
  function longVarint(_bytes, spot, _other, random) {
    sink.varint(spot.tag & ~7);
    for (let left = random.pick([3, 4, 8, 9, 10]); left > 0; left -= 1) sink.byte(random.pick([0x80, 0xff]));
    sink.byte(random.pick([0, 1, 2, 0x7f]));
    return sink.take();
  },
  function overlongTag(bytes, spot, _other, random) {
    sink.varint(spot.tag, random.pick([1, 2, 3, 4, 5]));
    sink.bytes(bytes.subarray(afterTag(bytes, spot), spot.end));
    return sink.take();
  },
  function overlongLength(bytes, spot, _other, random) {
    if ((spot.tag & 7) !== 2) return fieldOf(bytes, spot);
    sink.varint(spot.tag);
    sink.varint(spot.end - spot.valueStart, random.pick([1, 2, 3, 4, 5]));
    sink.bytes(valueOf(bytes, spot));
    return sink.take();
  },
  function wrongLength(bytes, spot, _other, random) {
    if ((spot.tag & 7) !== 2) return fieldOf(bytes, spot);
    sink.varint(spot.tag);
    sink.varint(Math.max(0, spot.end - spot.valueStart + random.pick([-3, -2, -1, -1, 1, 1, 2, 3])));
    sink.bytes(valueOf(bytes, spot));
    return sink.take();
  },
  function inGroup(bytes, spot, _other, random) {
    const number = random.pick([1, 2, 17, 100]);
    sink.varint(number * 8 + 3);
    sink.bytes(fieldOf(bytes, spot));
    if (random.below(6) > 0) sink.varint(number * 8 + 4);
    return sink.take();
  },
  function withUnknown(bytes, spot, _other, random) {
    if (random.below(2) === 0) sink.bytes(fieldOf(bytes, spot));
    writeUnknownField(sink, random, random.pick([17, 31, 32, 1_000, 536_870_911]));
    return sink.take();
  },
  function fromOther(bytes, spot, other, random) {
    const theirs = pickSpot(other, random);
    if (theirs === null) return noBytes;
    if (random.below(2) === 0) sink.bytes(fieldOf(bytes, spot));
    sink.bytes(fieldOf(other, theirs));
    return sink.take();
  },
  function valueInside(bytes, spot, _other, random) {
    // One level more: the field as the value of a field like it.
    const number = random.below(3) === 0 ? random.pick([1, 2, 5, 6, 9]) : spot.tag >>> 3;
    const mark = sink.open(number * 8 + 2);
    sink.bytes(fieldOf(bytes, spot));
    sink.close(mark);
    return sink.take();
  },
];

/** A changed copy of encoded protobuf: one to three changes, most of which leave the rest of it well-formed. */
export function mutateWire(input: Uint8Array, other: Uint8Array, random: SeededRandom): Uint8Array {
  let changed = input;
  for (let left = random.pick([1, 1, 1, 2, 3]); left > 0; left -= 1) {
    const spot = random.below(4) === 0 ? null : pickSpot(changed, random);
    if (spot === null) changed = mutateBytes(changed, other, random);
    else {
      const field = random.pick(changes)(changed, spot, other, random);
      changed =
        random.below(12) === 0 ? replaced(changed, spot.start, spot.end, field) : withField(changed, spot, field);
    }
  }
  return changed.length > inputBytesMax ? changed.slice(0, inputBytesMax) : changed;
}

/** A smaller copy: a field less, with right lengths around it, or just bytes. */
export function reduceWire(input: Uint8Array, random: SeededRandom): Uint8Array {
  const spot = random.below(3) === 0 ? null : pickSpot(input, random);
  if (spot === null) return reduceBytes(input, random);
  if (random.below(2) === 0) return withField(input, spot, noBytes);
  // The value alone takes the place of the field: one level less.
  return withField(input, spot, valueOf(input, spot));
}

function afterTag(bytes: Uint8Array, { start }: Spot): number {
  let at = start;
  while ((bytes[at] ?? 0) >= 0x80) at += 1;
  return at + 1;
}

function writeLengthDelimited(value: Uint8Array, random: SeededRandom): void {
  switch (random.below(4)) {
    case 0:
      sink.varint(0);
      break;
    case 1:
      sink.varint(value.length >>> 1);
      sink.bytes(value.subarray(0, value.length >>> 1));
      break;
    case 2: {
      // Ids are compared with their length and with zero.
      const zeros = Buffer.alloc(random.pick([7, 8, 9, 15, 16, 17, 127, 128]));
      sink.varint(zeros.length);
      sink.bytes(zeros);
      break;
    }
    default:
      sink.varint(random.below(3) === 0 ? interestingInteger(random) : value.length + random.below(3));
      sink.bytes(value);
  }
}
