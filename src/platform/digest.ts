/** Checksums and hashes: pure functions, the same in production and in the simulator. */
import { hash } from 'node:crypto';
import { crc32 as zlibCrc32 } from 'node:zlib';

/** CRC-32 (IEEE) of `bytes`, continued from `seed`. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  return zlibCrc32(bytes, seed);
}

/** Bytes of a `sha256` digest as used here: the first 16 of SHA-256. */
export const digestBytes = 16;

/** The first 128 bits of SHA-256. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer').subarray(0, digestBytes);
}
