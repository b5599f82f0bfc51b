/**
 * The block: spans of one or more exports, regrouped by trace (design 2, protocol C1, C5). The unit of everything after it.
 *
 *   CRC-32 of header and directory | header | directory | frames
 *
 * - A frame is independently compressed and holds whole slices; a slice holds spans of one trace, in the bytes the client sent.
 *   What spans share, resource and scope, is a part, stored once per block (frame-writer.ts).
 * - The directory is a list of sections {tag u8, length u32, bytes}; a reader skips tags it does not know, so search can add
 *   its own. It names the slices by fingerprint, in the order of the frames. A trace too large for a frame has several.
 * - Nothing is returned from a header, directory or frame whose checksum does not match.
 */
import { digestBytes } from '../platform/digest.ts';
import { DamagedError, UnsupportedFormatError } from './damaged.ts';
import { checkedBody, checksumBytes, getUint64, hexOf, viewOf } from './record.ts';

export const blockFormatVersion = 1;
export const blockMagic = 0x51424c4b;
/** Where the fields of the header stand, from the start of the payload. */
export const headerAt = {
  magic: checksumBytes,
  version: 8,
  builder: 12,
  counter: 28,
  spanCount: 36,
  traceCount: 40,
  minStart: 44,
  maxEnd: 52,
  directoryBytes: 60,
  end: 64,
} as const;

export const sectionTags = {
  /** Per frame: raw bytes u32, compressed bytes u32, CRC-32 of the compressed bytes, slices u32. */
  frames: 1,
  /** Per slice: its trace's fingerprint. */
  fingerprints: 2,
  /** Per slice: its raw bytes, as a varint. */
  lengths: 3,
} as const;
export const frameRecordBytes = 16;
/** Tag and length in front of a section. */
export const sectionHeadBytes = 5;

const where = 'a block';

/** Who built a block, and its number there: the builder's 16 bytes in hex. Never used twice (protocol C1). */
export const blockIdFrom = (builderHex: string, counter: number): string => `${builderHex}:${counter}`;

export interface BlockHeader {
  readonly id: string;
  readonly spanCount: number;
  /** Distinct fingerprints. */
  readonly traceCount: number;
  /** Earliest start and latest end of its spans, ns since the Unix epoch. */
  readonly minStartUnixNano: bigint;
  readonly maxEndUnixNano: bigint;
  /** Header, directory and checksum; the frames follow. */
  readonly headBytes: number;
}

/** The id of a block, without checking more than its magic. Throws `DamagedError` when it is no block. */
export function blockIdOf(payload: Uint8Array): string {
  const view = viewOf(payload);
  if (payload.length < headerAt.end || view.getUint32(headerAt.magic) !== blockMagic) {
    throw new DamagedError(where, 'it does not begin like one');
  }
  const builder = hexOf(payload.subarray(headerAt.builder, headerAt.builder + digestBytes));
  return blockIdFrom(builder, getUint64(view, headerAt.counter));
}

/** Checks and reads what stands before the frames. Throws `DamagedError`, and `UnsupportedFormatError` for a newer version. */
export function readBlockHeader(payload: Uint8Array): BlockHeader {
  const id = blockIdOf(payload);
  const view = viewOf(payload);
  const headBytes = headerAt.end + view.getUint32(headerAt.directoryBytes);
  if (headBytes > payload.length) throw new DamagedError(where, 'its directory reaches behind its end');
  checkedBody(payload.subarray(0, headBytes), `block ${id}`);
  const version = view.getUint8(headerAt.version);
  if (version > blockFormatVersion) throw new UnsupportedFormatError(`block ${id}`, `block format ${version}`);
  return {
    id,
    spanCount: view.getUint32(headerAt.spanCount),
    traceCount: view.getUint32(headerAt.traceCount),
    minStartUnixNano: view.getBigUint64(headerAt.minStart),
    maxEndUnixNano: view.getBigUint64(headerAt.maxEnd),
    headBytes,
  };
}
