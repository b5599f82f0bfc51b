/**
 * A growing buffer into which protobuf is written from front to back. A nested message is opened with room for a length
 * of one byte; closing it moves its content when the length needs more.
 */
import { putVarint, varintSize } from './wire.ts';

const bytesMin = 1024;
/** Below this a loop copies faster than a call does. */
const shortCopyBytes = 48;
/** A tag and a length are of five bytes each at most. */
const headerBytesMax = 10;
const varint64BytesMax = 10;

export class ForwardWriter {
  #buffer = Buffer.allocUnsafe(bytesMin);
  /** Where `rearrange` keeps what it puts back. */
  #aside = Buffer.alloc(0);
  /** Bytes written so far. */
  length = 0;

  /** All that was written. Valid until the next write. */
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.length);
  }

  /** Begins a nested message and returns where its content begins, for `close`. */
  open(tag: number): number {
    this.#reserve(headerBytesMax);
    this.length = putVarint(this.#buffer, this.length, tag) + 1;
    return this.length;
  }

  close(contentStart: number): void {
    const size = this.length - contentStart;
    const lengthAt = contentStart - 1;
    if (size >= 0x80) {
      const shift = varintSize(size) - 1;
      this.#reserve(shift);
      this.#buffer.copyWithin(contentStart + shift, contentStart, this.length);
      this.length += shift;
    }
    putVarint(this.#buffer, lengthAt, size);
  }

  /** A length-delimited field with source[start, end). */
  putBytes(tag: number, source: Buffer, start: number, end: number): void {
    const size = end - start;
    this.#reserve(headerBytesMax + size);
    const buffer = this.#buffer;
    let at = putVarint(buffer, putVarint(buffer, this.length, tag), size);
    if (size > shortCopyBytes) {
      source.copy(buffer, at, start, end);
      at += size;
    } else {
      for (let index = start; index < end; index += 1, at += 1) buffer[at] = source[index] as number;
    }
    this.length = at;
  }

  /** One byte of a nested message's content. */
  putByte(byte: number): void {
    this.#reserve(1);
    this.#buffer[this.length] = byte;
    this.length += 1;
  }

  /** A varint of 64 bits, from two unsigned halves. */
  putVarint64(tag: number, high: number, low: number): void {
    this.#reserve(headerBytesMax + varint64BytesMax);
    const buffer = this.#buffer;
    let at = putVarint(buffer, this.length, tag);
    let highRest = high;
    let lowRest = low;
    while (highRest > 0 || lowRest >= 0x80) {
      buffer[at] = (lowRest & 0x7f) | 0x80;
      lowRest = ((lowRest >>> 7) | (highRest << 25)) >>> 0;
      highRest >>>= 7;
      at += 1;
    }
    buffer[at] = lowRest;
    this.length = at + 1;
  }

  putFixed32(tag: number, value: number): void {
    this.#reserve(headerBytesMax);
    const at = putVarint(this.#buffer, this.length, tag);
    this.length = putUint32(this.#buffer, at, value);
  }

  /** Eight bytes from two unsigned halves. */
  putFixed64(tag: number, high: number, low: number): void {
    this.#reserve(headerBytesMax + 8);
    const at = putVarint(this.#buffer, this.length, tag);
    this.length = putUint32(this.#buffer, putUint32(this.#buffer, at, low), high);
  }

  putDouble(tag: number, value: number): void {
    this.#reserve(headerBytesMax + 8);
    const at = putVarint(this.#buffer, this.length, tag);
    this.length = this.#buffer.writeDoubleLE(value, at);
  }

  /** Takes out what was written in [start, end). */
  remove(start: number, end: number): void {
    this.#buffer.copyWithin(start, end, this.length);
    this.length -= end - start;
  }

  /**
   * Puts the pieces of [from, length) into another order: `pieces` are start and end of each, in turn, and all of them
   * together are what stands there.
   */
  rearrange(from: number, pieces: readonly number[]): void {
    const size = this.length - from;
    if (this.#aside.length < size) this.#aside = Buffer.allocUnsafe(Math.max(size, 2 * this.#aside.length));
    this.#buffer.copy(this.#aside, 0, from, this.length);
    let at = from;
    for (let index = 0; index < pieces.length; index += 2) {
      const start = (pieces[index] as number) - from;
      const end = (pieces[index + 1] as number) - from;
      this.#aside.copy(this.#buffer, at, start, end);
      at += end - start;
    }
  }

  #reserve(size: number): void {
    const needed = this.length + size;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, needed));
    this.#buffer.copy(larger, 0, 0, this.length);
    this.#buffer = larger;
  }
}

function putUint32(target: Uint8Array, at: number, value: number): number {
  target[at] = value;
  target[at + 1] = value >>> 8;
  target[at + 2] = value >>> 16;
  target[at + 3] = value >>> 24;
  return at + 4;
}
