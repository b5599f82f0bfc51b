/**
 * Whether a leader had better hand over for the sake of its disk, and to whom (protocol G3). All is relative: only a voter that
 * is clearly better off takes over, so on one shared disk, or where all are as slow, nobody does.
 */
import type { SpaceLevel } from '../platform/disk-space.ts';
import type { LogIndex, ReplicaId } from '../raft/core/types.ts';
import { bestSuccessor, type Candidate } from './successor.ts';

export interface DiskHealth {
  /** Median time of a synced write of the log, ms; null: nothing was written lately. */
  readonly writeMs: number | null;
  readonly space: SpaceLevel;
}

/** Another voter, with what it last said of its disk. */
export interface ReliefCandidate extends Candidate {
  readonly disk: DiskHealth | null;
}

export interface Relief {
  readonly to: ReplicaId;
  readonly why: 'slow disk' | 'low space';
}

/** A disk is clearly slower when it takes so many times as long, and so much longer. */
const slowerTimes = 4;
const slowerMs = 20;

export function relief(own: DiskHealth, candidates: readonly ReliefCandidate[], commit: LogIndex): Relief | null {
  const roomy = candidates.filter(({ disk }) => disk?.space === 'ample');
  const isLow = own.space !== 'ample';
  const better = isLow ? roomy : roomy.filter(({ disk }) => isClearlySlower(own.writeMs, disk?.writeMs ?? null));
  const to = bestSuccessor(better, commit);
  return to === null ? null : { to, why: isLow ? 'low space' : 'slow disk' };
}

function isClearlySlower(ownMs: number | null, otherMs: number | null): boolean {
  return ownMs !== null && otherMs !== null && ownMs >= slowerTimes * otherMs && ownMs - otherMs >= slowerMs;
}
