/**
 * The payload of a trim entry: the base from which the log goes on (protocol E1). It stands in the entry as a whole, made by the
 * leader as of that position, so every node takes the very same base, however much of the way to it it has seen itself.
 */
import type { LogBase } from '../raft/core/types.ts';
import { baseIn } from './base-record.ts';
import { DamagedError } from './damaged.ts';

export function encodeTrim(base: LogBase): Uint8Array {
  const { position, timeMs, configuration, configurationIndex, formatLevel } = base;
  return Buffer.from(JSON.stringify({ position, timeMs, configuration, configurationIndex, formatLevel }), 'utf8');
}

/** Throws `DamagedError` for a payload that no version writes. */
export function decodeTrim(payload: Uint8Array): LogBase {
  const where = 'a trim entry';
  let fields: unknown;
  try {
    fields = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('utf8'));
  } catch (error) {
    throw new DamagedError(where, 'it is not JSON', { cause: error });
  }
  return baseIn(fields, where);
}
