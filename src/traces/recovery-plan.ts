/**
 * What `quorate recover` can make of some directories of a cluster that lost its quorum: which log is the longest, what may be
 * missing, and why it had better not be done. Pure; protocol A2 is what it judges by.
 */
import { decidersOf, halvesOf } from '../raft/core/configuration.ts';
import { RaftLog } from '../raft/core/log.ts';
import { countHalves, majority } from '../raft/core/quorum.ts';
import { type LogPosition, type NodeId, nodeIdOf, type ReplicaId } from '../raft/core/types.ts';
import type { RecoverySource } from './recovery-source.ts';

export interface RecoveryPlan {
  /** Whose log the new cluster begins with. */
  readonly chosen: RecoverySource;
  /** Whose log is the longest in Raft's order: last term, then last index. */
  readonly longest: RecoverySource;
  /** Every voter that any of the directories knows of in its newest configuration. */
  readonly voters: readonly ReplicaId[];
  /** Where voters listen, as far as the logs say. */
  readonly addresses: Readonly<Record<NodeId, string>>;
  /** What may be lost; sentences. */
  readonly losses: readonly string[];
  /** Why it must not be done, or not like this; null when it may. */
  readonly refusal: string | null;
}

export interface RecoveryWish {
  /** The node to go on with; null for the one with the longest log. */
  readonly keep: NodeId | null;
  /** Another than the longest log may be kept. */
  readonly acceptLoss: boolean;
}

const nameOf = ({ replica, where }: RecoverySource): string => (replica === null ? where : nodeIdOf(replica));
const entryText = ({ index, term }: LogPosition): string => `entry ${index} of term ${term}`;

/** Throws a sentence where the directories do not belong together, or `keep` is none of them. */
export function planRecovery(given: readonly RecoverySource[], { keep, acceptLoss }: RecoveryWish): RecoveryPlan {
  // A decision that was half carried out stands.
  const cutShort = given.filter(({ unfinished }) => unfinished !== null);
  const sources = cutShort.length > 0 ? cutShort : given;
  const [first] = sources;
  if (first === undefined) throw new Error('there is no directory to recover from');
  const stranger = sources.find(({ clusterId }) => clusterId !== first.clusterId);
  if (stranger !== undefined)
    throw new Error(
      `${stranger.where} is of cluster ${stranger.clusterId} and ${first.where} of ${first.clusterId}: give directories of one`,
    );
  const longest = sources.reduce((best, source) => (RaftLog.upToDate(best.end, source.end) ? best : source));
  const chosen =
    keep === null ? longest : sources.find(({ replica }) => replica !== null && nodeIdOf(replica) === keep);
  if (chosen === undefined) throw new Error(`--keep: none of the directories is that of ${keep}`);
  const voters = [...new Set(sources.flatMap(({ configuration }) => decidersOf(configuration.configuration)))];
  const newest = sources.reduce((best, source) =>
    source.configuration.index > best.configuration.index ? source : best,
  );
  const plan = { chosen, longest, voters, addresses: newest.configuration.configuration.addresses };
  return {
    ...plan,
    losses: lossesOf(sources, chosen),
    refusal: chosen.unfinished === null ? refusalOf(sources, { chosen, longest, acceptLoss }) : null,
  };
}

function refusalOf(
  sources: readonly RecoverySource[],
  { chosen, longest, acceptLoss }: Pick<RecoveryPlan, 'chosen' | 'longest'> & Pick<RecoveryWish, 'acceptLoss'>,
): string | null {
  const electable = sources.find((candidate) => canLead(candidate, sources));
  if (electable !== undefined) {
    const { voters } = electable.configuration.configuration;
    return voters.length === 1
      ? `${nameOf(electable)} is the only voter of its cluster and lacks nothing: start it`
      : `the given voters are a majority, and ${nameOf(electable)} holds what they promised: start them, they need no recovery`;
  }
  if (chosen.replica === null)
    return (
      `nobody knows whose directory ${chosen.where} is: its hard state is lost, or it never was a member. ` +
      'give that of another node'
    );
  const [hole] = chosen.holes;
  if (hole !== undefined)
    return (
      `the log of ${nameOf(chosen)} is damaged at entry ${hole.index} (${hole.reason}), and alone it could not mend that: ` +
      'give the directory of another node, too, and keep that one'
    );
  if (chosen !== longest && !RaftLog.upToDate(chosen.end, longest.end) && !acceptLoss)
    return (
      `${nameOf(longest)} has the longer log (${entryText(longest.end)}, ${nameOf(chosen)} ends with ${entryText(chosen.end)}): ` +
      `keep that one, or say --accept-loss`
    );
  return null;
}

/** Whether the given voters would elect `candidate`: each judges by what it promised, the candidate too (protocol A2). */
function canLead(candidate: RecoverySource, sources: readonly RecoverySource[]): boolean {
  const votes = new Map<ReplicaId, boolean>();
  for (const { replica, state, holdsPromise, end, holes } of sources) {
    if (replica === null || state === null) continue;
    const tail = holdsPromise ? end : state.promised;
    votes.set(replica, holes.length === 0 && RaftLog.upToDate(candidate.end, tail));
  }
  if (candidate.replica === null || votes.get(candidate.replica) !== true) return false;
  return countHalves(halvesOf(candidate.configuration.configuration), votes) === 'won';
}

function lossesOf(sources: readonly RecoverySource[], chosen: RecoverySource): string[] {
  const { end, configuration } = chosen;
  const losses: string[] = [];
  for (const source of sources) {
    const { state, holdsPromise, cut, holes } = source;
    if (state !== null && !holdsPromise && !RaftLog.upToDate(end, state.promised)) {
      const holder = sources.find((other) => other.holdsPromise && RaftLog.upToDate(other.end, state.promised));
      losses.push(
        `${nameOf(source)} promised entries up to ${entryText(state.promised)}, which ` +
          (holder === undefined ? 'no given disk holds' : `${nameOf(holder)} holds and ${nameOf(chosen)} does not`) +
          `: what was acknowledged behind ${entryText(end)} is lost`,
      );
    }
    if (cut !== null && source === chosen) losses.push(`the log of ${nameOf(source)} ends at its first fault: ${cut}`);
    for (const { index, reason } of holes) losses.push(`entry ${index} of ${nameOf(source)} is damaged: ${reason}`);
    if (source !== chosen && !RaftLog.upToDate(end, source.end))
      losses.push(
        `${nameOf(source)} holds entries up to ${entryText(source.end)}, ${nameOf(chosen)} up to ${entryText(end)}: those behind are lost`,
      );
  }
  const given = new Set(sources.map(({ replica }) => replica));
  const away = halvesOf(configuration.configuration)
    .map((voters) => voters.filter((voter) => !given.has(voter)))
    .filter((absent, half) => absent.length >= majority(halvesOf(configuration.configuration)[half]?.length ?? 0));
  for (const absent of away)
    losses.push(
      `${absent.map(nodeIdOf).join(' and ')} could acknowledge without the given disks: ` +
        `what they did behind ${entryText(end)} is lost, and no given disk knows of it`,
    );
  return losses;
}
