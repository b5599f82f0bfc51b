/** Unsigned 32-bit numbers in as few bytes as they need, as protobuf writes them. */

export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes += 1;
  return bytes;
}

/** Writes a number and returns where it ends. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  let end = at;
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) {
    target[end] = (rest & 0x7f) | 0x80;
    end += 1;
  }
  target[end] = rest;
  return end + 1;
}

/** Reads number after number. `ok` turns false at the first one that is cut or too long; from then on it reads zeros. */
export class VarintReader {
  readonly #bytes: Uint8Array;
  at: number;
  ok = true;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  get atEnd(): boolean {
    return !this.ok || this.at >= this.#bytes.length;
  }

  next(): number {
    let value = 0;
    for (let scale = 1; scale <= 0x1000_0000; scale *= 0x80) {
      const byte = this.#bytes[this.at];
      if (byte === undefined) break;
      this.at += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    this.ok = false;
    return 0;
  }

  /** The next `length` bytes, as a view. */
  take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.at) this.ok = false;
    const taken = this.#bytes.subarray(this.at, this.at + length);
    this.at += length;
    return taken;
  }
}
