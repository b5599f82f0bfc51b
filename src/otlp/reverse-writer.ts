/**
 * A growing buffer that is written from its end to its beginning. The length of a nested message is known once its
 * content stands behind the cursor, so a tree is encoded in one pass, without sizes computed ahead or bytes moved.
 * Fields are written in descending order and lists from their last element.
 */
import { putVarint, tagOf, varintSize, wireTypes, type WireType } from './wire.ts';

const twoTo32 = 2 ** 32;

export class ReverseWriter {
  #buffer: Buffer;
  /** Where the written bytes begin. */
  #at: number;

  constructor(expectedBytes: number) {
    this.#buffer = Buffer.allocUnsafe(Math.max(expectedBytes, 64));
    this.#at = this.#buffer.length;
  }

  /** Bytes written so far: a mark for `prependLength`. */
  get length(): number {
    return this.#buffer.length - this.#at;
  }

  /** All that was written. Valid until the next write. */
  finish(): Uint8Array {
    return this.#buffer.subarray(this.#at);
  }

  prependTag(field: number, type: WireType): void {
    this.prependVarint(tagOf(field, type));
  }

  /** Tag and length of everything written since the writer's `length` was `mark`. */
  prependLength(field: number, mark: number): void {
    this.prependVarint(this.length - mark);
    this.prependTag(field, wireTypes.bytes);
  }

  /** An integer from 0 to 2^53. */
  prependVarint(value: number): void {
    const at = this.#reserve(varintSize(value));
    putVarint(this.#buffer, at, value);
  }

  /** A 64-bit value as a varint: two's complement, so a negative one takes ten bytes. */
  prependVarint64(value: bigint): void {
    let rest = BigInt.asUintN(64, value);
    if (rest < BigInt(twoTo32)) return this.prependVarint(Number(rest));
    const bytes: number[] = [];
    for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
    bytes.push(Number(rest));
    this.prependBytes(bytes);
  }

  /** The low 64 bits of `value`, little-endian. */
  prependFixed64(value: bigint): void {
    const at = this.#reserve(8);
    this.#buffer.writeBigUInt64LE(BigInt.asUintN(64, value), at);
  }

  prependFixed32(value: number): void {
    const at = this.#reserve(4);
    this.#buffer.writeUInt32LE(value, at);
  }

  prependDouble(value: number): void {
    const at = this.#reserve(8);
    this.#buffer.writeDoubleLE(value, at);
  }

  prependBytes(bytes: ArrayLike<number>): void {
    const at = this.#reserve(bytes.length);
    this.#buffer.set(bytes, at);
  }

  /** UTF-8; a lone surrogate becomes U+FFFD. */
  prependString(text: string): void {
    const at = this.#reserve(Buffer.byteLength(text));
    this.#buffer.write(text, at);
  }

  /** Makes room for `size` bytes in front and returns where they begin. */
  #reserve(size: number): number {
    if (this.#at < size) {
      const written = this.finish();
      const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, written.length + size));
      this.#at = larger.length - written.length;
      larger.set(written, this.#at);
      this.#buffer = larger;
    }
    this.#at -= size;
    return this.#at;
  }
}
