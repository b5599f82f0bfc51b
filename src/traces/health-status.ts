/** How a node does, beyond what the log says: its disk and what waits in it, for operators. */
import type { Replica } from '../raft/replica.ts';
import type { WriteSummary } from '../raft/write-times.ts';
import type { BlockLog } from '../store/block-log.ts';
import type { Ingest } from './ingest.ts';
import type { SpaceStatus, SpaceWatch } from './space-watch.ts';

export interface HealthStatus {
  readonly disk: SpaceStatus;
  /** Of the last ten seconds; null: nothing was written. */
  readonly logWrites: WriteSummary | null;
  /** Since the start. */
  readonly logWriteCount: number;
  readonly queues: {
    /** Exports that wait for a block. */
    readonly exports: number;
    /** Blocks of this node on their way into the log. */
    readonly blocks: number;
    /** Bytes of entries that wait for the disk. */
    readonly logBytes: number;
  };
}

export interface HealthSources {
  readonly space: SpaceWatch;
  readonly log: BlockLog;
  /** null until the cluster is founded. */
  readonly running: { readonly replica: Replica; readonly ingest: Ingest } | null;
}

export function healthStatus({ space, log, running }: HealthSources): HealthStatus {
  return {
    disk: space.status,
    logWrites: running?.replica.writeTimes.recent ?? null,
    logWriteCount: running?.replica.writeTimes.count ?? 0,
    queues: {
      exports: running?.ingest.waiting ?? 0,
      blocks: running?.replica.proposalsPending ?? 0,
      logBytes: log.stagedBytes,
    },
  };
}
