/**
 * The record before the first entry: which cluster the log belongs to, where it begins, and who votes as of that point
 * (protocol E1). Format 1 knew nothing but voters, and is what a base is written as that clusters at format level 1 have. Founding writes it with the empty position; a trim will write it anew. It holds nothing newer than its position:
 * a snapshot of current members with an old index would walk a follower back through old configurations.
 */
import type { Configuration, LogPosition } from '../raft/core/types.ts';
import { formatRange } from '../raft/core/format-level.ts';
import { asHash, asIndex, asTerm } from '../raft/core/types.ts';
import { configurationIn } from './configuration-record.ts';
import { DamagedError, UnsupportedFormatError } from './damaged.ts';
import { decodeJsonRecord, encodeJsonRecord } from './record.ts';

export interface BaseRecord {
  readonly clusterId: string;
  /** The last entry that is no longer in the log; `emptyLog` when none was trimmed. */
  readonly position: LogPosition;
  /** Entry time at `position`; 0 for the empty log. */
  readonly timeMs: number;
  readonly configuration: Configuration;
  /** The format level as of that position (protocol B4). */
  readonly formatLevel: number;
}

const formatVersion = 2;
const where = 'the base record of the log';

export function encodeBaseRecord(base: BaseRecord): Uint8Array {
  const { voters, outgoing, learners, addresses } = base.configuration;
  const isPlain = outgoing.length === 0 && learners.length === 0 && Object.keys(addresses).length === 0;
  if (isPlain && base.formatLevel === 1) {
    const { formatLevel: _, ...rest } = base;
    return encodeJsonRecord({ format: 1, ...rest, configuration: { voters } });
  }
  return encodeJsonRecord({ format: formatVersion, ...base });
}

/** Throws `DamagedError` or `UnsupportedFormatError`. */
export function decodeBaseRecord(record: Uint8Array): BaseRecord {
  const { format, clusterId, position, timeMs, configuration, formatLevel = 1 } = decodeJsonRecord(record, where);
  if (typeof format === 'number' && format > formatVersion)
    throw new UnsupportedFormatError(where, `base format ${format}`);
  const { index, term, hash } = fieldsOf(position);
  if (
    typeof clusterId !== 'string' ||
    typeof timeMs !== 'number' ||
    typeof formatLevel !== 'number' ||
    typeof index !== 'number' ||
    typeof term !== 'number' ||
    typeof hash !== 'string'
  ) {
    throw new DamagedError(where, 'a field is missing');
  }
  if (formatLevel > formatRange.newest) throw new UnsupportedFormatError(where, `format level ${formatLevel}`);
  return {
    clusterId,
    position: { index: asIndex(index), term: asTerm(term), hash: asHash(hash) },
    timeMs,
    configuration: configurationIn(configuration, where),
    formatLevel,
  };
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
