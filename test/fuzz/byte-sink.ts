/** A buffer to write generated protobuf into, used again for every input: the generator runs by the million. */
const capacity = 1 << 20;

export class ByteSink {
  readonly #bytes = Buffer.alloc(capacity);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Empties the sink and returns a copy of what was in it. */
  take(): Uint8Array {
    const bytes = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return new Uint8Array(bytes);
  }

  byte(value: number): void {
    this.#bytes[this.#length] = value;
    this.#length += 1;
  }

  bytes(value: Uint8Array): void {
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  uint32(value: number): void {
    this.#bytes.writeUInt32LE(value >>> 0, this.#length);
    this.#length += 4;
  }

  double(value: number): void {
    this.#bytes.writeDoubleLE(value, this.#length);
    this.#length += 8;
  }

  /** An integer from 0 to 2^53, in as few bytes as it takes and then `padding` more (an overlong varint). */
  varint(value: number, padding = 0): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.byte((rest % 0x80) | 0x80);
    if (padding === 0) return this.byte(rest);
    this.byte(rest | 0x80);
    for (let left = padding; left > 1; left -= 1) this.byte(0x80);
    this.byte(0);
  }

  /** Begins a length-delimited field; what is written until `close` is its value. Returns what `close` wants. */
  open(tag: number): number {
    this.varint(tag);
    this.byte(0);
    return this.#length;
  }

  close(mark: number, padding = 0): void {
    const length = this.#length - mark;
    if (length < 0x80 && padding === 0) this.#bytes[mark - 1] = length;
    else {
      const value = Buffer.from(this.#bytes.subarray(mark, this.#length));
      this.#length = mark - 1;
      this.varint(length, padding);
      this.bytes(value);
    }
  }
}
