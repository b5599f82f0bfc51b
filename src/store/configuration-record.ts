/** Configurations as JSON: the payload of their entries, and a part of the base record and of the hard state. */
import {
  asIndex,
  asReplicaId,
  type Configuration,
  type Learner,
  type LogIndex,
  type NodeId,
  type ReplicaId,
} from '../raft/core/types.ts';
import { DamagedError } from './damaged.ts';

/** In the entry that `quorate recover` appends: the cluster and the replica that it was made from. */
export interface RecoveryMark {
  readonly clusterId: string;
  readonly replica: ReplicaId;
}

/** The payload of a configuration entry. `previous` is the index of the configuration before it, so that one can go back. */
export function encodeConfiguration(
  configuration: Configuration,
  previous: LogIndex,
  recovery?: RecoveryMark,
): Uint8Array {
  return Buffer.from(JSON.stringify({ ...configuration, previous, ...(recovery && { recovery }) }), 'utf8');
}

/** Throws `DamagedError` for a payload that no version writes. */
export function decodeConfiguration(payload: Uint8Array): {
  readonly configuration: Configuration;
  readonly previous: LogIndex;
  readonly recovery: RecoveryMark | null;
} {
  const where = 'a configuration entry';
  let fields: unknown;
  try {
    fields = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('utf8'));
  } catch (error) {
    throw new DamagedError(where, 'it is not JSON', { cause: error });
  }
  const previous = isFields(fields) ? fields['previous'] : undefined;
  if (typeof previous !== 'number') throw new DamagedError(where, 'it does not name the one before it');
  return { configuration: configurationIn(fields, where), previous: asIndex(previous), recovery: recoveryIn(fields) };
}

function recoveryIn(fields: unknown): RecoveryMark | null {
  const { clusterId, replica } = isFields(fields) && isFields(fields['recovery']) ? fields['recovery'] : {};
  return typeof clusterId === 'string' && typeof replica === 'string'
    ? { clusterId, replica: asReplicaId(replica) }
    : null;
}

/** The configuration in fields read from JSON; `{voters}` alone is a settled one. Throws `DamagedError`. */
export function configurationIn(fields: unknown, where: string): Configuration {
  const { voters, outgoing = [], learners = [], addresses = {} } = isFields(fields) ? fields : {};
  const learnersRead = Array.isArray(learners) ? learners.map(learnerIn) : [null];
  if (!isTexts(voters) || !isTexts(outgoing) || !areLearners(learnersRead) || !isFields(addresses)) {
    throw new DamagedError(where, 'its configuration is not one that any version writes');
  }
  if (!isTexts(Object.values(addresses))) throw new DamagedError(where, 'an address is not text');
  return {
    voters: voters.map(asReplicaId),
    outgoing: outgoing.map(asReplicaId),
    learners: learnersRead,
    addresses: addresses as Record<NodeId, string>,
  };
}

function learnerIn(fields: unknown): Learner | null {
  const { replica, replaces } = isFields(fields) ? fields : {};
  if (typeof replica !== 'string' || (replaces !== null && typeof replaces !== 'string')) return null;
  return { replica: asReplicaId(replica), replaces: replaces === null ? null : asReplicaId(replaces) };
}

const areLearners = (learners: readonly (Learner | null)[]): learners is Learner[] => !learners.includes(null);

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

const isFields = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
