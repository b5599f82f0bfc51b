/** All that one run of the bench found, as it is written to JSON. Parts that were not asked for are absent. */
import type { Failover } from './failover-round.ts';
import type { Machine } from './measure.ts';
import type { Phase } from './phases.ts';
import type { RoundsResult } from './rounds.ts';
import type { StorageResult } from './storage.ts';

export const parts = ['load', 'storage', 'matrix', 'failover'] as const;
export type Part = (typeof parts)[number];

export interface FailoverResult {
  readonly rounds: readonly Omit<Failover, 'firstAckMs' | 'firstExportMs'>[];
  /** Through each survivor, ms. */
  readonly firstAckMs: readonly number[];
  readonly missing: number;
  readonly spans: number;
}

export interface BenchResult {
  readonly commit: string;
  readonly startedAt: string;
  readonly machine: Machine;
  readonly etcd?: string;
  readonly nodes: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly bytesPerSpan: number;
  readonly spansPerBatch: number;
  readonly load?: RoundsResult;
  readonly storage?: StorageResult;
  readonly matrix?: readonly Phase[];
  readonly failover?: FailoverResult;
}
