/** The cluster as one node sees it, for status pages and operators. */
import type { RetentionLimits } from '../limits.ts';
import { replicasOf, votes } from '../raft/core/configuration.ts';
import {
  type Configuration,
  type LogIndex,
  type NodeId,
  nodeIdOf,
  type ReplicaId,
  replicaIdOf,
} from '../raft/core/types.ts';
import type { FollowerStatus, ReplicaStatus } from '../raft/replica.ts';
import type { HandOver, Peers } from './peers.ts';

export interface MemberStatus {
  readonly id: NodeId;
  readonly replica: ReplicaId;
  readonly connected: boolean;
  readonly peer: string;
  readonly http: string | null;
  /** The release that it runs, or ran when it was last connected; null when it has not been. */
  readonly version: string | null;
  readonly role: 'leader' | 'follower' | 'unknown';
  readonly voter: boolean;
  /** It gets the log and becomes a voter once it has caught up, in the place of `replaces` if that is set. */
  readonly learner: boolean;
  readonly replaces: NodeId | null;
  /** What the leader knows to be durable there; null when this node is not the leader. */
  readonly matchIndex: LogIndex | null;
  /** How long ago it last held all that was committed; null when unknown. */
  readonly lagMs: number | null;
  readonly appliedIndex: LogIndex | null;
  readonly ready: boolean | null;
  readonly recovering: boolean | null;
}

export interface StoreStatus {
  readonly id: NodeId;
  readonly clusterId: string | null;
  /** null while there is no cluster (protocol B4). */
  readonly formatLevel: number | null;
  readonly ready: boolean;
  /** Why it is not ready; null when it is. */
  readonly waiting: string | null;
  readonly replica: ReplicaStatus | null;
  readonly members: readonly MemberStatus[];
  /** Nodes that wait to be added. */
  readonly applicants: readonly { readonly id: NodeId; readonly peer: string }[];
  /** The newest one that this node knows of; null: none since it started. */
  readonly lastHandOver: HandOver | null;
  readonly retention: RetentionStatus;
  /** What is wrong with the clocks, and what to do; null: nothing that is known (protocol E3). */
  readonly clockAlarm: string | null;
}

export interface RetentionStatus extends RetentionLimits {
  /** The last entry that has expired; 0: none. */
  readonly trimmedTo: LogIndex;
  /** Its time; null: none has. */
  readonly trimmedToMs: number | null;
}

export interface StatusSources {
  readonly self: {
    readonly node: NodeId;
    readonly replica: ReplicaId;
    readonly http: string;
    readonly version: string;
    readonly ready: boolean;
  };
  /** Every node of `--cluster` with its address for the others. */
  readonly members: ReadonlyMap<NodeId, string>;
  readonly peers: Peers;
  /** null while the cluster is not founded. */
  readonly configuration: Configuration | null;
  readonly status: ReplicaStatus | null;
  /** Known to the leader alone. */
  readonly followers: ReadonlyMap<ReplicaId, FollowerStatus> | null;
}

export function memberStatuses(sources: StatusSources): MemberStatus[] {
  const { self, members, peers, configuration, status, followers } = sources;
  const replicas = configuration === null ? [] : replicasOf(configuration);
  const standing = (replica: ReplicaId): Pick<MemberStatus, 'voter' | 'learner' | 'replaces'> => {
    const learner = configuration?.learners.find((other) => other.replica === replica);
    const replaces = learner?.replaces == null ? null : nodeIdOf(learner.replaces);
    const voter = configuration !== null && votes(configuration, replica);
    return { voter, learner: learner !== undefined, replaces };
  };
  return [...members].map(([id, address]): MemberStatus => {
    const listed = replicas.find((replica) => nodeIdOf(replica) === id) ?? replicaIdOf(id, '');
    if (id === self.node) {
      return {
        id,
        replica: self.replica,
        connected: true,
        peer: address,
        http: self.http,
        version: self.version,
        role: status?.leader === self.replica ? 'leader' : 'follower',
        ...standing(self.replica),
        matchIndex: followers?.get(self.replica)?.match ?? null,
        lagMs: followers?.get(self.replica)?.lagMs ?? null,
        appliedIndex: status?.applied ?? null,
        ready: self.ready,
        recovering: status !== null && status.lostPromise !== null,
      };
    }
    const peer = peers.get(id);
    const replica = peer?.hello.replica ?? listed;
    const connected = peer?.connected === true;
    return {
      id,
      replica,
      connected,
      peer: address,
      http: peer?.hello.http ?? null,
      version: peer?.hello.version ?? null,
      role: status?.leader === replica ? 'leader' : connected ? 'follower' : 'unknown',
      ...standing(replica),
      matchIndex: followers?.get(replica)?.match ?? null,
      lagMs: followers?.get(replica)?.lagMs ?? null,
      appliedIndex: peer?.report?.applied ?? null,
      ready: connected ? (peer.report?.ready ?? null) : false,
      recovering: peer?.report?.recovering ?? null,
    };
  });
}
