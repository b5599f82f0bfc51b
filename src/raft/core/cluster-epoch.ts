/**
 * The name of a cluster carries its epoch: `quorate recover` makes of a cluster that lost its quorum another one, so that no
 * voter of before can be counted in it, and the name says what it was made from. `ID` as founded, `ID.1.UNIQUE` after the first
 * recovery, `ID.2.UNIQUE` after the second; two recoveries from the same one differ in UNIQUE.
 */

/** The cluster that a recovery makes of `before`; `unique` is random. */
export function clusterAfterRecovery(before: string, unique: string): string {
  return `${rootOf(before)}.${epochOf(before) + 1}.${unique}`;
}

/** How often the cluster was recovered. */
function epochOf(clusterId: string): number {
  return Number(clusterId.split('.')[1] ?? 0);
}

const rootOf = (clusterId: string): string => clusterId.split('.')[0] ?? clusterId;

interface Member {
  readonly node: string;
  readonly clusterId: string | null;
}

export interface OtherCluster {
  /** `recovered-without-you`: it is `other` that belongs to the cluster as it was before. */
  readonly code: 'other-cluster' | 'recovered-without-you';
  readonly sentence: string;
}

/** Why `one` does not talk to `other`, in a sentence for both; null when they are of one cluster, or one is of none. */
export function otherCluster(one: Member, other: Member): OtherCluster | null {
  if (one.clusterId === null || other.clusterId === null || one.clusterId === other.clusterId) return null;
  if (rootOf(one.clusterId) !== rootOf(other.clusterId))
    return {
      code: 'other-cluster',
      sentence: `${other.node} belongs to cluster ${other.clusterId} and ${one.node} to ${one.clusterId}; correct --cluster or --data`,
    };
  const [epoch, otherEpoch] = [epochOf(one.clusterId), epochOf(other.clusterId)];
  if (epoch === otherEpoch)
    return {
      code: 'other-cluster',
      sentence: `${one.node} and ${other.node} belong to two recoveries of the same cluster; keep one, and put the --data of the other aside`,
    };
  const [before, after] = epoch < otherEpoch ? [one, other] : [other, one];
  return {
    code: before === other ? 'recovered-without-you' : 'other-cluster',
    sentence:
      `${before.node} belongs to the cluster as it was before \`quorate recover\` made ${after.node} one of its own; ` +
      `put the --data of ${before.node} aside and start it with an empty one and --join`,
  };
}
