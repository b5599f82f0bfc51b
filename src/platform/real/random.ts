/** Randomness from the operating system. */
import { randomBytes, randomInt } from 'node:crypto';
import type { Random } from '../random.ts';

export const realRandom: Random = {
  below: (bound) => randomInt(bound),
  bytes: (length) => new Uint8Array(randomBytes(length)),
};
