/** Which traces an index window may hold: 10 bits a trace, seven probes, about 1 % false (measurements b). Never a false no. */
import type { Fingerprint } from './fingerprint.ts';
import { mixed } from './fingerprint.ts';

const bitsPerTrace = 10;
const probes = 7;

export class BloomFilter {
  readonly bytes: Uint8Array;
  readonly #bits: number;

  /** A filter over bits that were made by another one. */
  constructor(bytes: Uint8Array) {
    if (bytes.length === 0) throw new RangeError('a filter has bits');
    this.bytes = bytes;
    this.#bits = bytes.length * 8;
  }

  /** An empty filter for this many traces. */
  static for(traces: number): BloomFilter {
    return new BloomFilter(new Uint8Array(Math.ceil((Math.max(1, traces) * bitsPerTrace) / 8)));
  }

  add(fingerprint: Fingerprint): void {
    const step = stepOf(fingerprint);
    let bit = fingerprint >>> 0;
    for (let probe = 0; probe < probes; probe += 1) {
      const at = bit % this.#bits;
      this.bytes[at >>> 3] = (this.bytes[at >>> 3] as number) | (1 << (at & 7));
      bit = (bit + step) >>> 0;
    }
  }

  mayHave(fingerprint: Fingerprint): boolean {
    const step = stepOf(fingerprint);
    let bit = fingerprint >>> 0;
    for (let probe = 0; probe < probes; probe += 1) {
      const at = bit % this.#bits;
      if (((this.bytes[at >>> 3] as number) & (1 << (at & 7))) === 0) return false;
      bit = (bit + step) >>> 0;
    }
    return true;
  }
}

/** Odd, and not made of the same bits as the first probe alone. */
function stepOf(fingerprint: Fingerprint): number {
  return (mixed((fingerprint >>> 0) ^ Math.floor(fingerprint / 0x1_0000)) | 1) >>> 0;
}
