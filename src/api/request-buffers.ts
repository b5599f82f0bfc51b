/**
 * Buffers for the bodies of requests, used again and again. Each body in memory of its own would be the larger half of what a
 * node allocates at its peak, and outside of V8's heap: it answers that with full collections, several a second.
 *
 * A buffer is given back only by whoever knows that nothing points into it any more; one that is not is simply collected.
 */
import { limits } from '../limits.ts';
import type { Reserve } from './request-body.ts';

/** Buffers have sizes of a power of two, so one holds at most about twice what was asked for; that is what is reserved. */
const classBytesMin = 16 * 1024;

export class RequestBuffers {
  readonly #spare = new Map<number, ArrayBuffer[]>();
  /** Those that are out. Only they are taken back, and once: a buffer that is two requests' would be acknowledged as the wrong one. */
  readonly #out = new WeakSet<ArrayBufferLike>();
  #spareBytes = 0;

  /** Room for a body of `bytes`; its content is whatever was there. */
  take(bytes: number, reserve: Reserve): Uint8Array {
    const classBytes = classOf(bytes);
    // Small ones cost nothing, and for large ones the next collection is no worse than keeping them.
    if (classBytes === null || !reserve(classBytes)) return Buffer.allocUnsafe(bytes);
    const spare = this.#spare.get(classBytes)?.pop();
    if (spare !== undefined) this.#spareBytes -= classBytes;
    const buffer = spare ?? Buffer.allocUnsafeSlow(classBytes).buffer;
    this.#out.add(buffer);
    return new Uint8Array(buffer, 0, bytes);
  }

  /** Nothing points into `taken` any more. Anything else than what `take` gave is left alone. */
  give(taken: Uint8Array): void {
    const { buffer } = taken;
    if (!this.#out.delete(buffer) || !(buffer instanceof ArrayBuffer)) return;
    const { byteLength } = buffer;
    if (this.#spareBytes + byteLength > limits.spareBufferBytesMax) return;
    const spare = this.#spare.get(byteLength);
    if (spare === undefined) this.#spare.set(byteLength, [buffer]);
    else spare.push(buffer);
    this.#spareBytes += byteLength;
  }
}

/** The size of buffer that `bytes` go into; null when they are too few or too many. */
function classOf(bytes: number): number | null {
  if (bytes < classBytesMin / 2 || bytes > limits.spareBufferBytesMax / 8) return null;
  let classBytes = classBytesMin;
  while (classBytes < bytes) classBytes *= 2;
  return classBytes;
}
