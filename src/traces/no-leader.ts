/** Why there is no leader, as far as one node can tell: for readiness and status (protocol A2). */
import type { ReplicaStatus } from '../raft/replica.ts';
import type { NodeId } from '../raft/core/types.ts';

/** @param recovering connected members that say that they lost what they promised */
export function whyNoLeader({ lostPromise }: ReplicaStatus, recovering: readonly NodeId[]): string {
  if (lostPromise !== null)
    return (
      `no leader: this node promised entries up to ${lostPromise.index} of term ${lostPromise.term}, which its disk lost. ` +
      'Start every other node; if no disk holds them, only `quorate recover` decides'
    );
  if (recovering.length > 0)
    return `no leader: the disk of ${recovering.join(' and ')} lost what it had promised, its status names the entry`;
  return 'no leader';
}
