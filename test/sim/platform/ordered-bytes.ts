/**
 * A map from bytes to bytes, ordered by key. Keys are held as strings of one character a byte: their order is the bytes'.
 * Keys mostly arrive ascending, so a sorted array with an append path is all it takes.
 */

export type ByteKey = string;

export const keyOf = (key: Uint8Array): ByteKey =>
  Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');
export const bytesOf = (key: ByteKey): Uint8Array => new Uint8Array(Buffer.from(key, 'latin1'));

export class OrderedBytes {
  readonly #values = new Map<ByteKey, Uint8Array>();
  /** Every key of `#values`, ascending; some that were deleted linger until there are many. */
  #keys: ByteKey[] = [];

  get size(): number {
    return this.#values.size;
  }

  get(key: ByteKey): Uint8Array | undefined {
    return this.#values.get(key);
  }

  /** Puts `value`, or deletes the key when it is undefined. Gives the value before. */
  set(key: ByteKey, value: Uint8Array | undefined): Uint8Array | undefined {
    const before = this.#values.get(key);
    if (value === undefined) {
      this.#values.delete(key);
      if (this.#keys.length > 64 && this.#keys.length > 2 * this.#values.size) {
        this.#keys = this.#keys.filter((each) => this.#values.has(each));
      }
      return before;
    }
    this.#values.set(key, value);
    if (before === undefined) {
      const at = this.#lowerBound(key);
      if (this.#keys[at] !== key) this.#keys.splice(at, 0, key);
    }
    return before;
  }

  /** Keys in [gte, lt), ascending unless `reverse`, at most `limit`. */
  keys(gte: ByteKey, lt: ByteKey, reverse = false, limit = Infinity): ByteKey[] {
    const from = this.#lowerBound(gte);
    const to = this.#lowerBound(lt);
    const found: ByteKey[] = [];
    for (let n = 0; n < to - from && found.length < limit; n++) {
      const key = this.#keys[reverse ? to - 1 - n : from + n];
      if (key !== undefined && this.#values.has(key)) found.push(key);
    }
    return found;
  }

  /** All keys, ascending. */
  all(): ByteKey[] {
    return this.#keys.filter((key) => this.#values.has(key));
  }

  /** The place of the first key that is not below `key`. */
  #lowerBound(key: ByteKey): number {
    const last = this.#keys.at(-1);
    if (last === undefined || last < key) return this.#keys.length;
    let low = 0;
    let high = this.#keys.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#keys[middle] ?? '') < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
