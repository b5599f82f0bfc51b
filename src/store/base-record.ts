/**
 * The record before the first entry: which cluster the log belongs to, where it begins, and who votes as of that point
 * (protocol E1). Founding writes it with the empty position, a trim anew. It holds nothing newer than its position: a snapshot
 * of current members with an old index would walk a follower back through old configurations (bug M8).
 *
 * Format 1 knew nothing but voters, and is what a base is written as that clusters at format level 1 have.
 */
import type { LogBase } from '../raft/core/types.ts';
import { formatRange } from '../raft/core/format-level.ts';
import { asHash, asIndex, asTerm } from '../raft/core/types.ts';
import { configurationIn } from './configuration-record.ts';
import { DamagedError, UnsupportedFormatError } from './damaged.ts';
import { decodeJsonRecord, encodeJsonRecord } from './record.ts';

export interface BaseRecord extends LogBase {
  readonly clusterId: string;
}

const formatVersion = 2;
const where = 'the base record of the log';

export function encodeBaseRecord(base: BaseRecord): Uint8Array {
  const { voters, outgoing, learners, addresses } = base.configuration;
  const isPlain = outgoing.length === 0 && learners.length === 0 && Object.keys(addresses).length === 0;
  if (isPlain && base.formatLevel === 1) {
    const { formatLevel: _, configurationIndex: __, ...rest } = base;
    return encodeJsonRecord({ format: 1, ...rest, configuration: { voters } });
  }
  return encodeJsonRecord({ format: formatVersion, ...base });
}

/** Throws `DamagedError` or `UnsupportedFormatError`. */
export function decodeBaseRecord(record: Uint8Array): BaseRecord {
  const fields = decodeJsonRecord(record, where);
  const { format, clusterId } = fields;
  if (typeof format === 'number' && format > formatVersion)
    throw new UnsupportedFormatError(where, `base format ${format}`);
  if (typeof clusterId !== 'string') throw new DamagedError(where, 'a field is missing');
  return { clusterId, ...baseIn(fields, where) };
}

/** The base in fields read from JSON. Throws `DamagedError`, or `UnsupportedFormatError` for a level that is not read here. */
export function baseIn(fields: unknown, name: string): LogBase {
  const { position, timeMs, configuration, configurationIndex = 0, formatLevel = 1 } = fieldsOf(fields);
  const { index, term, hash } = fieldsOf(position);
  if (
    typeof timeMs !== 'number' ||
    typeof configurationIndex !== 'number' ||
    typeof formatLevel !== 'number' ||
    typeof index !== 'number' ||
    typeof term !== 'number' ||
    typeof hash !== 'string'
  ) {
    throw new DamagedError(name, 'a field is missing');
  }
  if (formatLevel > formatRange.newest) throw new UnsupportedFormatError(name, `format level ${formatLevel}`);
  return {
    position: { index: asIndex(index), term: asTerm(term), hash: asHash(hash) },
    timeMs,
    configuration: configurationIn(configuration, name),
    configurationIndex: asIndex(configurationIndex),
    formatLevel,
  };
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
