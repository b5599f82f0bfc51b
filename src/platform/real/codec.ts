/** zstd as Node has it built in, level 1: 4.9x smaller at 0.5-1.0 us per span (design, idea 1). */
import { constants, createZstdCompress, createZstdDecompress, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { Codec } from '../codec.ts';

const params = { [constants.ZSTD_c_compressionLevel]: 1 };
/** The least size of an output piece that zlib accepts. */
const chunkBytesMin = 64;
/** Usual frames are smaller; what is larger gets a compressor of its own. */
const reusedBytesMax = 128 * 1024;

export const realCodec: Codec = {
  compress(raw) {
    if (compressor === undefined) compressor = FrameCompressor.make();
    const frame = raw.length <= reusedBytesMax ? compressor?.compress(raw) : undefined;
    return frame ?? compressOnce(raw);
  },
  decompress(frame, rawBytes) {
    if (decompressor === undefined) decompressor = FrameDecompressor.make();
    const raw = decompressor?.decompress(frame, rawBytes);
    if (raw !== undefined) return raw;
    // Nobody but a new context can say what is wrong with the frame, or that nothing is.
    if (decompressor !== null) decompressor = undefined;
    return decompressOnce(frame, rawBytes);
  },
};

function decompressOnce(frame: Uint8Array, rawBytes: number): Uint8Array {
  const raw = zstdDecompressSync(frame, {
    chunkSize: Math.max(rawBytes, chunkBytesMin),
    maxOutputLength: Math.max(rawBytes, 1),
  });
  if (raw.length !== rawBytes) throw new Error(`a frame holds ${raw.length} bytes instead of ${rawBytes}`);
  return plain(raw);
}

/** The longest that a frame of so many raw bytes can be (ZSTD_compressBound, rounded up). */
const frameBytesMax = (rawBytes: number): number => rawBytes + (rawBytes >>> 7) + 128;

function compressOnce(raw: Uint8Array): Uint8Array {
  // The known size lets zstd choose tables to fit; one output piece of the worst size saves joining pieces.
  return plain(zstdCompressSync(raw, { params, chunkSize: frameBytesMax(raw.length), pledgedSrcSize: raw.length }));
}

/** What stands behind a compression stream of Node.js, as far as it is used here; no part of its documented interface. */
interface StreamHandle {
  readonly _handle: {
    writeSync(
      flush: number,
      from: Uint8Array,
      at: number,
      bytes: number,
      to: Uint8Array,
      out: number,
      room: number,
    ): void;
  };
  /** Room left in the output, and bytes left in the input, after a write. */
  readonly _writeState: Uint32Array;
}

/**
 * Makes frame after frame with one zstd context and one output buffer. `zstdCompressSync` makes both anew each time, which is
 * 30 % of its time, and garbage that V8 answers with full collections. It gives the same bytes.
 */
class FrameCompressor {
  readonly #stream = createZstdCompress({ params });
  readonly #inner: StreamHandle;
  readonly #output = Buffer.allocUnsafeSlow(frameBytesMax(reusedBytesMax));
  #failed = false;

  private constructor() {
    this.#inner = this.#stream as unknown as StreamHandle;
    this.#stream.on('error', () => (this.#failed = true));
  }

  /** null where this Node.js is made differently inside. */
  static make(): FrameCompressor | null {
    try {
      const made = new FrameCompressor();
      const probe = Buffer.from('frame after frame, frame after frame');
      // A context that kept anything of one frame in the next would show in the second.
      const [first, second] = [made.compress(probe), made.compress(probe)];
      const expected = compressOnce(probe);
      const isSound = [first, second].every((frame) => frame !== undefined && Buffer.compare(frame, expected) === 0);
      return isSound ? made : null;
    } catch {
      return null;
    }
  }

  /** undefined when it did not come out in one piece: then nothing of it counts, nor of what would come after. */
  compress(raw: Uint8Array): Uint8Array | undefined {
    if (this.#failed) return undefined;
    const { _handle: handle, _writeState: state } = this.#inner;
    const output = this.#output;
    handle.writeSync(constants.ZSTD_e_end, raw, 0, raw.length, output, 0, output.length);
    const [room = 0, left = 0] = state;
    this.#failed ||= left > 0 || room === 0 || room === output.length;
    return this.#failed ? undefined : new Uint8Array(output.subarray(0, output.length - room));
  }
}

/** Of this process; made when it is first needed. null: there is none to be had. */
let compressor: FrameCompressor | null | undefined;

/** No room or rest is as large as this. */
const stateUnset = 0xffff_ffff;

/** Opens frame after frame with one zstd context. One that met anything unexpected may be in the middle of a frame: it is given up. */
class FrameDecompressor {
  readonly #stream = createZstdDecompress();
  readonly #inner: StreamHandle;
  #failed = false;

  private constructor() {
    this.#inner = this.#stream as unknown as StreamHandle;
    this.#stream.on('error', () => (this.#failed = true));
  }

  /** null where this Node.js is made differently inside. */
  static make(): FrameDecompressor | null {
    try {
      const made = new FrameDecompressor();
      const probe = Buffer.from('frame after frame, frame after frame');
      const frame = compressOnce(probe);
      const opened = [made.decompress(frame, probe.length), made.decompress(frame, probe.length)];
      return opened.every((raw) => raw !== undefined && Buffer.compare(raw, probe) === 0) ? made : null;
    } catch {
      return null;
    }
  }

  /** undefined unless it is one whole frame of exactly so many raw bytes. */
  decompress(frame: Uint8Array, rawBytes: number): Uint8Array | undefined {
    if (this.#failed) return undefined;
    const { _handle: handle, _writeState: state } = this.#inner;
    // One byte more: an output that is full does not say whether the frame is at its end.
    const output = new Uint8Array(Buffer.allocUnsafeSlow(rawBytes + 1).buffer);
    // A frame that it refuses leaves the state as it was, and the error comes in a later turn.
    state.fill(stateUnset);
    handle.writeSync(constants.ZSTD_e_end, frame, 0, frame.length, output, 0, output.length);
    const [room, left] = state;
    this.#failed ||= room !== 1 || left !== 0;
    return this.#failed ? undefined : output.subarray(0, rawBytes);
  }
}

/** Of this process, like the compressor. */
let decompressor: FrameDecompressor | null | undefined;

/** The same bytes without Buffer's own idea of `slice`. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}
