/**
 * Trace ids as short fingerprints, for directories and postings (protocol C5, F2). Two traces may share one: then a reader
 * opens a slice too many, and the span's own bytes decide. All 16 bytes take part, because ids of 64 bits come padded with zeros.
 *
 * 48 bits, as a plain number: exact as a double, fast as a key, well mixed in its low bits.
 */
import { viewOf } from './record.ts';

declare const brand: unique symbol;
export type Fingerprint = number & { readonly [brand]: 'Fingerprint' };

/** Bytes of a fingerprint where it is stored. */
export const fingerprintBytes = 6;
const traceIdBytes = 16;

/** The fingerprint of the 16 bytes of `bytes` from `at` on. */
export function fingerprintOf(bytes: Uint8Array, at = 0): Fingerprint {
  return fingerprintAt(viewOf(bytes), at);
}

/** The same for many ids of one buffer. */
export function fingerprintAt(view: DataView, at: number): Fingerprint {
  let low = 0x2545f491;
  let high = 0x6c078965;
  for (let offset = at; offset < at + traceIdBytes; offset += 4) {
    const word = view.getInt32(offset);
    low = Math.imul(low ^ Math.imul(word, 0xcc9e2d51), 0x1b873593);
    low ^= low >>> 15;
    high = Math.imul(high ^ Math.imul(word ^ (word >>> 16), 0x85ebca6b), 0xc2b2ae35);
    high ^= high >>> 13;
  }
  return ((mixed(high) >>> 16) * 0x1_0000_0000 + mixed(low)) as Fingerprint;
}

/** Spreads every bit of a 32-bit number over all of them (the finalizer of MurmurHash3). */
export function mixed(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

export function writeFingerprint(target: DataView, at: number, fingerprint: Fingerprint): void {
  target.setUint16(at, fingerprint / 0x1_0000_0000);
  target.setUint32(at + 2, fingerprint % 0x1_0000_0000);
}

export function readFingerprint(source: DataView, at: number): Fingerprint {
  return (source.getUint16(at) * 0x1_0000_0000 + source.getUint32(at + 2)) as Fingerprint;
}

/** Numbers fingerprints 0, 1, 2... in the order they come in. An open-addressing table: no object per fingerprint. */
export class FingerprintTable {
  #keys = new Float64Array(64);
  /** Number + 1 of the fingerprint in each slot, 0 for none; at most half of the slots are taken. */
  #slots = new Int32Array(128);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Forgets all, and keeps its memory. */
  clear(): void {
    this.#slots.fill(0);
    this.#size = 0;
  }

  /** The fingerprint with this number. */
  at(number: number): Fingerprint {
    if (number >= this.#size) throw new RangeError(`there is no fingerprint ${number}`);
    return this.#keys[number] as Fingerprint;
  }

  /** The number of the fingerprint, or -1. */
  find(fingerprint: Fingerprint): number {
    return (this.#slots[this.#slotOf(fingerprint)] as number) - 1;
  }

  /** The number of the fingerprint, a new one when it has none: then `size` has grown. */
  add(fingerprint: Fingerprint): number {
    const slot = this.#slotOf(fingerprint);
    const found = this.#slots[slot] as number;
    if (found !== 0) return found - 1;
    const number = this.#size;
    this.#keys[number] = fingerprint;
    this.#slots[slot] = number + 1;
    this.#size = number + 1;
    if (this.#size === this.#keys.length) this.#grow();
    return number;
  }

  #slotOf(fingerprint: Fingerprint): number {
    const mask = this.#slots.length - 1;
    let slot = fingerprint & mask;
    for (;;) {
      const number = this.#slots[slot] as number;
      if (number === 0 || this.#keys[number - 1] === fingerprint) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #grow(): void {
    const keys = new Float64Array(this.#keys.length * 2);
    keys.set(this.#keys);
    this.#keys = keys;
    this.#slots = new Int32Array(keys.length * 2);
    for (let number = 0; number < this.#size; number += 1) {
      this.#slots[this.#slotOf(keys[number] as Fingerprint)] = number + 1;
    }
  }
}
