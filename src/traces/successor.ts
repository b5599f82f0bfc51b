/** Which voter is to lead next, when nobody was named. */
import type { LogIndex, ReplicaId } from '../raft/core/types.ts';

/** Another voter, as the leader sees it. */
export interface Candidate {
  readonly voter: ReplicaId;
  readonly connected: boolean;
  /** What it last said of itself; null: nothing yet. */
  readonly report: { readonly recovering: boolean; readonly ready: boolean } | null;
  /** Up to where it holds the log durably. */
  readonly match: LogIndex;
}

/** Of those who hold all that is committed: one that serves before one that does not, then the one that lacks least. */
export function bestSuccessor(candidates: readonly Candidate[], commit: LogIndex): ReplicaId | null {
  const able = candidates.flatMap(({ voter, connected, report, match }) =>
    connected && report !== null && !report.recovering && match >= commit
      ? [{ voter, match, ready: report.ready ? 1 : 0 }]
      : [],
  );
  return able.toSorted((left, right) => right.ready - left.ready || right.match - left.match)[0]?.voter ?? null;
}
