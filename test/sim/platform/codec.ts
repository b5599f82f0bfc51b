/** Frames without compression: a length, a checksum and a copy. As strict as zstd about what it opens, and cheaper. */
import type { Codec } from '../../../src/platform/codec.ts';
import { crc32 } from '../../../src/platform/digest.ts';

const headerBytes = 8;

export const simCodec: Codec = {
  compress(raw) {
    const frame = new Uint8Array(headerBytes + raw.length);
    const view = new DataView(frame.buffer);
    view.setUint32(0, raw.length);
    view.setUint32(4, crc32(raw));
    frame.set(raw, headerBytes);
    return frame;
  },
  decompress(frame, rawBytes) {
    if (frame.length < headerBytes) throw new Error('a frame was cut');
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const raw = frame.slice(headerBytes);
    if (view.getUint32(0) !== raw.length || raw.length !== rawBytes) throw new Error('a frame has another length');
    if (view.getUint32(4) !== crc32(raw)) throw new Error('a frame is damaged');
    return raw;
  },
};
