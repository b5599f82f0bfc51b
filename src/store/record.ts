/**
 * What all stored records share: big-endian numbers, and a CRC-32 in the first four bytes over everything behind it.
 * The checksum's place never changes between formats, so damage and a newer format can be told apart.
 */
import { crc32 } from '../platform/digest.ts';
import { DamagedError } from './damaged.ts';

export const checksumBytes = 4;

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Fills in the checksum of a record whose first four bytes were left free. `seed` binds it to a place, such as its key. */
export function writeChecksum(record: Uint8Array, seed = 0): void {
  viewOf(record).setUint32(0, crc32(record.subarray(checksumBytes), seed));
}

/** What stands behind the checksum; a view, not a copy. Throws `DamagedError` when the checksum does not match. */
export function checkedBody(record: Uint8Array, where: string, seed = 0): Uint8Array {
  if (record.length <= checksumBytes) throw new DamagedError(where, `it has only ${record.length} bytes`);
  const body = record.subarray(checksumBytes);
  if (viewOf(record).getUint32(0) !== crc32(body, seed)) throw new DamagedError(where, 'its checksum does not match');
  return body;
}

/** A small record of named fields: JSON behind the checksum. */
export function encodeJsonRecord(fields: object, seed = 0): Uint8Array {
  const text = Buffer.from(JSON.stringify(fields), 'utf8');
  const record = new Uint8Array(checksumBytes + text.length);
  record.set(text, checksumBytes);
  writeChecksum(record, seed);
  return record;
}

/** The fields of a record made by `encodeJsonRecord`, still to be checked. Throws `DamagedError`. */
export function decodeJsonRecord(record: Uint8Array, where: string, seed = 0): Record<string, unknown> {
  const body = checkedBody(record, where, seed);
  let fields: unknown;
  try {
    fields = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'));
  } catch (error) {
    throw new DamagedError(where, 'it is not JSON', { cause: error });
  }
  if (typeof fields !== 'object' || fields === null) throw new DamagedError(where, 'it has no fields');
  return fields as Record<string, unknown>;
}

/** Writes a safe integer as 8 bytes. */
export function setUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, Math.floor(value / 0x1_0000_0000));
  view.setUint32(offset + 4, value >>> 0);
}

/** 8 bytes as a number; beyond 2^53 it is no safe integer, which the caller checks. */
export function getUint64(view: DataView, offset: number): number {
  return view.getUint32(offset) * 0x1_0000_0000 + view.getUint32(offset + 4);
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
