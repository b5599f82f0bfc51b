/**
 * Frames on a byte stream: body length u32 | header length u32 | CRC-32 of those eight bytes and the header | header | body.
 * The header says what the frame is; the body is raw bytes (entries, blocks) that no encoder touches.
 * A stream from outside is trusted with nothing: lengths are bounded before a byte is kept for them, and the first
 * mistake is a `FrameError`, after which the stream cannot be read any further.
 */
import { crc32 } from '../platform/digest.ts';
import { limits } from '../limits.ts';
import type { Fields } from './fields.ts';

/** Bytes that no node sends. The connection they came from is cut off. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

export interface Frame {
  readonly header: Uint8Array;
  readonly body: Uint8Array;
  /** What `fieldsOf` read in the header. */
  fields?: Fields;
}

const prefixBytes = 12;

/** The pieces to write for one frame. `body` is passed on as it is and must not be changed afterwards. */
export function encodeFrame(header: Uint8Array, body: readonly Uint8Array[] = []): Uint8Array[] {
  const bodyBytes = body.reduce((sum, piece) => sum + piece.length, 0);
  if (header.length > limits.frameHeaderBytesMax || prefixBytes + header.length + bodyBytes > limits.frameBytesMax) {
    throw new RangeError(`a message of ${header.length} + ${bodyBytes} bytes is larger than any node takes`);
  }
  const head = new Uint8Array(prefixBytes + header.length);
  const view = new DataView(head.buffer);
  view.setUint32(0, bodyBytes);
  view.setUint32(4, header.length);
  head.set(header, prefixBytes);
  view.setUint32(8, checksumOf(head.subarray(0, 8), header));
  return [head, ...body];
}

function checksumOf(lengths: Uint8Array, header: Uint8Array): number {
  return crc32(header, crc32(lengths));
}

/** Cuts a stream into frames. */
export class FrameReader {
  readonly #onFrame: (frame: Frame) => void;
  #frameBytesMax: number;
  /** Prefix and header of the frame being read, while they are incomplete. */
  #head: Uint8Array = new Uint8Array(0);
  #header: Uint8Array | null = null;
  #body: Uint8Array = new Uint8Array(0);
  #bodyFilled = 0;
  #stopped = false;

  constructor(options: { readonly frameBytesMax: number; readonly onFrame: (frame: Frame) => void }) {
    this.#frameBytesMax = options.frameBytesMax;
    this.#onFrame = options.onFrame;
  }

  /** The other side has shown who it is: from now on its frames may be this large. */
  allow(frameBytesMax: number): void {
    this.#frameBytesMax = frameBytesMax;
  }

  /** Nothing more is taken or handed over, not even from the bytes being pushed. */
  stop(): void {
    this.#stopped = true;
    this.#head = this.#body = new Uint8Array(0);
  }

  /** Takes the next bytes of the stream and hands over every frame they complete. Throws `FrameError`. */
  push(bytes: Uint8Array): void {
    let rest = bytes;
    while (rest.length > 0 && !this.#stopped) {
      rest = this.#header === null ? this.#readHead(rest) : this.#readBody(rest);
    }
  }

  #readHead(bytes: Uint8Array): Uint8Array {
    // A head that is whole in these bytes is read in place; else what is there is kept until the rest comes.
    const joined = this.#head.length === 0 ? bytes : new Uint8Array(Buffer.concat([this.#head, bytes]));
    const view = new DataView(joined.buffer, joined.byteOffset, joined.length);
    const headerBytes = joined.length < prefixBytes ? 0 : view.getUint32(4);
    if (joined.length >= prefixBytes) this.#checkLengths(view.getUint32(0), headerBytes);
    if (joined.length < prefixBytes + headerBytes || joined.length < prefixBytes) {
      this.#head = joined === bytes ? bytes.slice() : joined;
      return new Uint8Array(0);
    }
    const header = joined.subarray(prefixBytes, prefixBytes + headerBytes);
    if (view.getUint32(8) !== checksumOf(joined.subarray(0, 8), header))
      throw new FrameError('a checksum does not match');
    this.#head = new Uint8Array(0);
    // The body gets memory of its own, of its exact size: entries that are kept must not pin buffers of the socket.
    this.#body = unfilled(view.getUint32(0));
    this.#bodyFilled = 0;
    this.#header = this.#body.length === 0 ? header : header.slice();
    if (this.#body.length === 0) this.#finish();
    return joined.subarray(prefixBytes + headerBytes);
  }

  #checkLengths(bodyBytes: number, headerBytes: number): void {
    if (headerBytes === 0 || headerBytes > limits.frameHeaderBytesMax) {
      throw new FrameError(`a header of ${headerBytes} bytes; at most ${limits.frameHeaderBytesMax} are taken`);
    }
    const frameBytes = prefixBytes + headerBytes + bodyBytes;
    if (frameBytes > this.#frameBytesMax) {
      throw new FrameError(`a frame of ${frameBytes} bytes; at most ${this.#frameBytesMax} are taken here`);
    }
  }

  #readBody(bytes: Uint8Array): Uint8Array {
    const taken = bytes.subarray(0, this.#body.length - this.#bodyFilled);
    this.#body.set(taken, this.#bodyFilled);
    this.#bodyFilled += taken.length;
    if (this.#bodyFilled === this.#body.length) this.#finish();
    return bytes.subarray(taken.length);
  }

  #finish(): void {
    const { header, body } = { header: this.#header ?? new Uint8Array(0), body: this.#body };
    this.#header = null;
    this.#body = new Uint8Array(0);
    this.#onFrame({ header, body });
  }
}

/** Memory that is not zeroed first: zeroing costs as much as checking the bytes, and every one of them is written. */
function unfilled(length: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
}
