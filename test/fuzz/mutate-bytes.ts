/** Changes that know nothing of the format. */
import type { SeededRandom } from '../support/seeded-random.ts';

const interestingBytes: readonly number[] = [0, 1, 2, 7, 0x0a, 0x12, 0x7e, 0x7f, 0x80, 0x81, 0xfe, 0xff];

/** A copy of `input` with one change somewhere; `other` is there to take a piece from. */
export function mutateBytes(input: Uint8Array, other: Uint8Array, random: SeededRandom): Uint8Array {
  const at = random.below(input.length + 1);
  const kind = random.below(8);
  if (kind >= 4 && at < input.length) {
    const changed = new Uint8Array(input);
    const byte = changed[at] ?? 0;
    if (kind === 4) changed[at] = byte ^ (1 << random.below(8));
    else if (kind === 5) changed[at] = random.pick(interestingBytes);
    else if (kind === 6) changed[at] = byte + random.pick([1, -1, 8, -8]);
    else changed[at] = random.below(256);
    return changed;
  }
  switch (kind) {
    case 0:
      return input.slice(0, at);
    case 1:
      return replaced(input, at, at, random.bytes(1 + random.below(3)));
    case 2:
      return replaced(input, at, Math.min(input.length, at + 1 + random.below(4)), noBytes);
    default: {
      const from = random.below(other.length + 1);
      const piece = other.subarray(from, from + 1 + random.below(24));
      return replaced(input, at, Math.min(input.length, at + random.below(2) * piece.length), piece);
    }
  }
}

/** A copy of `input` without one run of bytes, or with one set to zero. */
export function reduceBytes(input: Uint8Array, random: SeededRandom): Uint8Array {
  const at = random.below(input.length);
  if (random.below(4) === 0) {
    const changed = new Uint8Array(input);
    changed[at] = 0;
    return changed;
  }
  const count = 1 + random.below(Math.max(1, input.length >>> random.below(8)));
  return replaced(input, at, Math.min(input.length, at + count), noBytes);
}

const noBytes = new Uint8Array(0);

/** `bytes` with [from, to) replaced. */
export function replaced(bytes: Uint8Array, from: number, to: number, by: Uint8Array): Uint8Array {
  const changed = new Uint8Array(bytes.length - (to - from) + by.length);
  changed.set(bytes.subarray(0, from));
  changed.set(by, from);
  changed.set(bytes.subarray(to), from + by.length);
  return changed;
}
