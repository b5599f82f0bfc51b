/** What damage to each kind of file can do, in faults of the simulated disk. docs/disk-faults.md is this table with figures. */
import type { FileKind } from './files.ts';
import type { Fault, FaultName } from './outcome.ts';

const wholeBatches: readonly FaultName[] = ['lose', 'cutLog', 'vanish'];

export const possible: Readonly<Record<FileKind, readonly FaultName[]>> = {
  /** Each record of the write-ahead log has its checksum: a batch is there as it was written, or not at all. */
  wal: wholeBatches,
  /** It too has checksums. What it names and does not find keeps the store shut; an older end of it names fewer tables. */
  manifest: ['refuse', ...wholeBatches],
  /** Without it LevelDB begins anew, deletes every table and replays the write-ahead log that it finds. */
  current: ['refuse', ...wholeBatches],
  /** Read without a check of its checksums: anything that one table can say or keep to itself. */
  table: ['refuse', 'crash', ...wholeBatches, 'forget', 'flipBit', 'garble', 'misplace', 'hide', 'failReads'],
};

/** The first fault that is not among the possible ones; 'unexplained' when there is none that explains the outcome; or null. */
export function impossible(
  faults: readonly Fault[] | null,
  allowed: readonly FaultName[],
): FaultName | 'unexplained' | null {
  if (faults === null) return 'unexplained';
  return faults.find(({ fault }) => !allowed.includes(fault))?.fault ?? null;
}
