/**
 * Fills frames with slices, compresses each full one, and keeps the lists of both for the directory.
 *
 * Frame: slices, one after the other. Slice: its spans, each as part number varint, length varint, bytes.
 * The last frame ends with the block's parts, each as two byte strings with a length: they are stored once. They stand alone in
 * it unless that would be a small frame or the only one; so a lookup opens its own frame and, at most, a small one.
 */
import type { Codec } from '../platform/codec.ts';
import { invariant } from './invariant.ts';
import { varintBytes, writeVarint } from './varint.ts';

export interface ClosedFrame {
  readonly rawBytes: number;
  readonly compressed: Uint8Array;
  readonly slices: number;
}

export class FrameWriter {
  readonly closed: ClosedFrame[] = [];
  /** Per slice, in the order of the frames: the number of its trace, and its raw bytes. */
  readonly sliceTraces: number[] = [];
  readonly sliceLengths: number[] = [];
  readonly #codec: Codec;
  readonly #bytesTarget: number;
  #raw: Buffer;
  #at = 0;
  #sliceStart = 0;
  #slices = 0;

  /** `room` is where frames are put together before they are compressed; nobody else's until the last one is closed. */
  constructor(codec: Codec, bytesTarget: number, room: Buffer) {
    this.#codec = codec;
    this.#bytesTarget = bytesTarget;
    this.#raw = room;
  }

  get rawBytesClosed(): number {
    return this.closed.reduce((sum, { rawBytes }) => sum + rawBytes, 0);
  }
  /** Bytes of the slice being written. */
  get sliceBytes(): number {
    return this.#at - this.#sliceStart;
  }

  wouldExceed(bytes: number): boolean {
    return this.#at + bytes > this.#bytesTarget;
  }

  /** Closes the frame at hand when a slice of `bytes` does not fit into it; returns whether it did. */
  makeRoom(bytes: number): boolean {
    if (this.#at === 0 || !this.wouldExceed(bytes)) return false;
    this.close();
    return true;
  }

  /** Adds the span source[start, end) to the slice. */
  span(part: number, source: Buffer, start: number, end: number): void {
    this.#reserve(varintBytes(part) + varintBytes(end - start) + end - start);
    this.#at = writeVarint(this.#raw, this.#at, part);
    this.#at = writeVarint(this.#raw, this.#at, end - start);
    this.#at += source.copy(this.#raw, this.#at, start, end);
  }

  endSlice(trace: number): void {
    invariant(this.sliceBytes > 0, 'a slice has spans');
    this.sliceTraces.push(trace);
    this.sliceLengths.push(this.sliceBytes);
    this.#slices += 1;
    this.#sliceStart = this.#at;
  }

  close(): void {
    invariant(this.sliceBytes === 0, 'a slice lies in one frame');
    const raw = this.#raw.subarray(0, this.#at);
    this.closed.push({ rawBytes: raw.length, compressed: this.#codec.compress(raw), slices: this.#slices });
    this.#at = 0;
    this.#sliceStart = 0;
    this.#slices = 0;
  }

  /** Closes the last frame, with the parts. */
  finish(parts: readonly { readonly resourcePart: Uint8Array; readonly scopePart: Uint8Array }[]): void {
    const partBytes = parts.reduce(
      (sum, { resourcePart, scopePart }) => sum + resourcePart.length + scopePart.length,
      0,
    );
    if (this.#at > 0 && this.closed.length > 0 && this.#at + partBytes > this.#bytesTarget / 2) this.close();
    for (const { resourcePart, scopePart } of parts) {
      this.#bytes(resourcePart);
      this.#bytes(scopePart);
    }
    this.#sliceStart = this.#at;
    this.close();
  }

  #bytes(bytes: Uint8Array): void {
    this.#reserve(varintBytes(bytes.length) + bytes.length);
    this.#at = writeVarint(this.#raw, this.#at, bytes.length);
    this.#raw.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#raw.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#at + bytes, 2 * this.#raw.length));
    this.#raw.copy(larger, 0, 0, this.#at);
    this.#raw = larger;
  }
}
