/** Puts the bytes of a block together: header and directory in front of its frames. block.ts says where everything stands. */
import { crc32 } from '../platform/digest.ts';
import { blockFormatVersion, blockMagic, frameRecordBytes, headerAt, sectionHeadBytes, sectionTags } from './block.ts';
import { fingerprintBytes, type FingerprintTable, writeFingerprint } from './fingerprint.ts';
import type { ClosedFrame, FrameWriter } from './frame-writer.ts';
import { setUint64, viewOf, writeChecksum } from './record.ts';
import { varintBytes, writeVarint } from './varint.ts';

/** high * 2^32 + low. */
interface Uint64 {
  readonly high: number;
  readonly low: number;
}

export interface BlockContent {
  /** 32 hex digits. */
  readonly builder: string;
  readonly counter: number;
  readonly spanCount: number;
  readonly minStart: Uint64;
  readonly maxEnd: Uint64;
  readonly traces: FingerprintTable;
  readonly frames: FrameWriter;
}

export function encodeBlock(content: BlockContent): Uint8Array {
  const { frames, traces } = content;
  const { closed } = frames;
  const sections: readonly (readonly [tag: number, bytes: Uint8Array])[] = [
    [sectionTags.frames, encodeFrames(closed)],
    [sectionTags.fingerprints, encodeFingerprints(frames.sliceTraces, traces)],
    [sectionTags.lengths, encodeLengths(frames.sliceLengths)],
  ];
  const directoryBytes = sections.reduce((sum, [, bytes]) => sum + sectionHeadBytes + bytes.length, 0);
  const headBytes = headerAt.end + directoryBytes;
  const payload = new Uint8Array(headBytes + closed.reduce((sum, { compressed }) => sum + compressed.length, 0));
  writeHeader(payload, content, directoryBytes);
  let at: number = headerAt.end;
  for (const [tag, bytes] of sections) {
    payload[at] = tag;
    viewOf(payload).setUint32(at + 1, bytes.length);
    payload.set(bytes, at + sectionHeadBytes);
    at += sectionHeadBytes + bytes.length;
  }
  writeChecksum(payload.subarray(0, headBytes));
  for (const { compressed } of closed) {
    payload.set(compressed, at);
    at += compressed.length;
  }
  return payload;
}

function writeHeader(payload: Uint8Array, content: BlockContent, directoryBytes: number): void {
  const view = viewOf(payload);
  view.setUint32(headerAt.magic, blockMagic);
  view.setUint8(headerAt.version, blockFormatVersion);
  payload.set(Buffer.from(content.builder, 'hex'), headerAt.builder);
  setUint64(view, headerAt.counter, content.counter);
  view.setUint32(headerAt.spanCount, content.spanCount);
  view.setUint32(headerAt.traceCount, content.traces.size);
  view.setUint32(headerAt.minStart, content.minStart.high);
  view.setUint32(headerAt.minStart + 4, content.minStart.low);
  view.setUint32(headerAt.maxEnd, content.maxEnd.high);
  view.setUint32(headerAt.maxEnd + 4, content.maxEnd.low);
  view.setUint32(headerAt.directoryBytes, directoryBytes);
}

function encodeFrames(frames: readonly ClosedFrame[]): Uint8Array {
  const section = new Uint8Array(frames.length * frameRecordBytes);
  const view = viewOf(section);
  for (const [position, { rawBytes, compressed, slices }] of frames.entries()) {
    for (const [field, value] of [rawBytes, compressed.length, crc32(compressed), slices].entries()) {
      view.setUint32(position * frameRecordBytes + 4 * field, value);
    }
  }
  return section;
}

function encodeFingerprints(sliceTraces: readonly number[], traces: FingerprintTable): Uint8Array {
  const section = new Uint8Array(sliceTraces.length * fingerprintBytes);
  const view = viewOf(section);
  for (const [slice, trace] of sliceTraces.entries())
    writeFingerprint(view, slice * fingerprintBytes, traces.at(trace));
  return section;
}

function encodeLengths(lengths: readonly number[]): Uint8Array {
  const section = new Uint8Array(lengths.reduce((sum, length) => sum + varintBytes(length), 0));
  let at = 0;
  for (const length of lengths) at = writeVarint(section, at, length);
  return section;
}
