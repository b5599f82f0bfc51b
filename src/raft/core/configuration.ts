/**
 * Who belongs to the group and who decides (thesis 4, protocol B2, G4). A configuration is an entry of the log and counts from
 * the moment it is appended; while `outgoing` is not empty, every decision needs a majority of both halves.
 *
 *   settled -> learner added -> settled -> joint (learners vote, who leaves still does) -> settled
 *
 * A replica becomes a voter only as a learner that has caught up, so that no change costs the majority its copies.
 */
import { type Configuration, type Learner, type NodeId, nodeIdOf, type ReplicaId } from './types.ts';

/** Adds a learner, to be promoted once it has caught up (in the place of the voter that it `replaces`), or removes a replica. */
export type ConfigurationChange =
  | {
      readonly kind: 'add';
      readonly replica: ReplicaId;
      readonly addresses: Readonly<Record<NodeId, string>>;
      readonly replaces: ReplicaId | null;
    }
  | { readonly kind: 'remove'; readonly replica: ReplicaId };

export const votersOnly = (voters: readonly ReplicaId[]): Configuration => ({
  voters,
  outgoing: [],
  learners: [],
  addresses: {},
});

export const isJoint = ({ outgoing }: Configuration): boolean => outgoing.length > 0;

/** The sets of which every decision needs a majority each. */
export const halvesOf = ({ voters, outgoing }: Configuration): readonly (readonly ReplicaId[])[] =>
  outgoing.length === 0 ? [voters] : [voters, outgoing];

export const votes = ({ voters, outgoing }: Configuration, replica: ReplicaId): boolean =>
  voters.includes(replica) || outgoing.includes(replica);

/** Everybody who takes part in decisions, once. */
export const decidersOf = ({ voters, outgoing }: Configuration): ReplicaId[] => [...new Set([...voters, ...outgoing])];

/** Everybody to whom the log is replicated, once. */
export const replicasOf = (configuration: Configuration): ReplicaId[] => [
  ...new Set([...decidersOf(configuration), ...configuration.learners.map(({ replica }) => replica)]),
];

export const belongs = (configuration: Configuration, replica: ReplicaId): boolean =>
  replicasOf(configuration).includes(replica);

/** What `change` makes of a settled configuration; a sentence where it makes no sense. */
export function configurationAfter(
  active: Configuration,
  change: ConfigurationChange,
  membersMax: number,
): Configuration | string {
  const { voters, learners, addresses } = active;
  const node = nodeIdOf(change.replica);
  if (change.kind === 'add') {
    const { replica, replaces } = change;
    if (belongs(active, replica)) return `${node} is a member already`;
    if (replaces !== null && !voters.includes(replaces))
      return `${nodeIdOf(replaces)} is no voter, so nothing can take its place`;
    const namesake = voters.find((voter) => nodeIdOf(voter) === node);
    if (namesake !== undefined && namesake !== replaces)
      return `another incarnation of ${node} votes: replace that one`;
    // Whoever waited in the same place before has gone: a disk that was replaced twice.
    const others = learners.filter(
      (learner) => nodeIdOf(learner.replica) !== node && (replaces === null || learner.replaces !== replaces),
    );
    const newcomers = others.filter((learner) => learner.replaces === null);
    if (replaces === null && voters.length + newcomers.length >= membersMax)
      return `the cluster has ${membersMax} members, which is the most`;
    return prunedTo({
      voters,
      outgoing: [],
      learners: [...others, { replica, replaces }],
      addresses: { ...addresses, ...change.addresses },
    });
  }
  const { replica } = change;
  if (!belongs(active, replica)) return `${node} is no member`;
  const remaining = learners.filter((learner) => learner.replica !== replica && learner.replaces !== replica);
  if (!voters.includes(replica)) return prunedTo({ ...active, learners: remaining });
  if (voters.length === 1) return `${node} is the last voter: add another one first`;
  return { ...active, voters: voters.filter((voter) => voter !== replica), outgoing: voters, learners: remaining };
}

/** The joint configuration in which these learners vote. */
export function promoted(active: Configuration, caughtUp: readonly Learner[]): Configuration {
  const replaced = new Set(caughtUp.map(({ replaces }) => replaces));
  const voters = active.voters.filter((voter) => !replaced.has(voter));
  return {
    ...active,
    voters: [...voters, ...caughtUp.map(({ replica }) => replica)].toSorted(),
    outgoing: active.voters,
    learners: active.learners.filter((learner) => !caughtUp.includes(learner)),
  };
}

/** The end of a joint configuration: whoever is only in its outgoing half has left. */
export const settled = (joint: Configuration): Configuration => prunedTo({ ...joint, outgoing: [] });

/** Addresses of members alone. */
function prunedTo(configuration: Configuration): Configuration {
  const nodes = new Set<string>(replicasOf(configuration).map(nodeIdOf));
  const addresses = Object.fromEntries(Object.entries(configuration.addresses).filter(([node]) => nodes.has(node)));
  return { ...configuration, addresses };
}
