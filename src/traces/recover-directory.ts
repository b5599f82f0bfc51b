/**
 * Makes a stopped node's directory the only voter of a cluster of its own (docs/decisions/0003-recover.md). The order of effects:
 *
 *   1. one synced batch of the log: the base record of the new cluster, and an entry in which the only voter is the new
 *      incarnation and which names the cluster and the replica of before
 *   2. the hard state of the new incarnation, synced
 *
 * Before 1 the directory belongs to the cluster it was of; between 1 and 2 a start refuses it, and another call finishes by what
 * the entry says. All entries that the log holds are kept: any of them may have been acknowledged.
 */
import type { Platform } from '../platform/platform.ts';
import { membersChangeFrom } from '../raft/core/format-level.ts';
import { clusterAfterRecovery } from '../raft/core/cluster-epoch.ts';
import { votersOnly } from '../raft/core/configuration.ts';
import {
  asIndex,
  asTerm,
  type Configuration,
  type Entry,
  type LogPosition,
  nodeIdOf,
  type ReplicaId,
  replicaIdOf,
} from '../raft/core/types.ts';
import { encodeBaseRecord } from '../store/base-record.ts';
import type { BlockLog } from '../store/block-log.ts';
import { decodeConfiguration, encodeConfiguration } from '../store/configuration-record.ts';
import { encodeEntry, payloadHashOf, positionOf, sealEntry } from '../store/entry.ts';
import { HardStateFile, hardStateSlots } from '../store/hard-state.ts';
import { baseKey, entryKey } from '../store/log-keys.ts';
import { openWholeLog, type RecoverySource, sourceOf } from './recovery-source.ts';

export interface Recovered {
  readonly clusterId: string;
  readonly replica: ReplicaId;
  /** The last entry that was kept. */
  readonly kept: LogPosition;
}

/** Rejects with a sentence when the directory is not any more what `expected` says; then nothing was changed. */
export async function recoverDirectory(
  { disk, clock, random }: Pick<Platform, 'disk' | 'clock' | 'random'>,
  expected: RecoverySource,
): Promise<Recovered> {
  // The log first: its lock keeps a node from starting meanwhile.
  const keyValue = await disk.openKeyValue('log');
  const slots = await disk.openSlotFile('hard-state', hardStateSlots);
  try {
    const hardState = await HardStateFile.open(slots);
    const log = await openWholeLog(keyValue, hardState.state);
    const source = await sourceOf(log, { state: hardState.state, where: expected.where });
    if (source.end.hash !== expected.end.hash || source.clusterId !== expected.clusterId)
      throw new Error(`${expected.where} was changed meanwhile: run recover again`);
    const unique = (): string => Buffer.from(random.bytes(16)).toString('hex');
    if (source.unfinished === null) {
      const clusterId = clusterAfterRecovery(source.clusterId, unique().slice(0, 16));
      const entry = recoveryEntry(log, { source, incarnation: unique(), nowMs: clock.nowMs() });
      const base = { ...baseOf(log), clusterId, configuration: votersOnly(configurationIn(entry).voters) };
      await keyValue.batch(
        [
          { type: 'put', key: baseKey, value: encodeBaseRecord(base) },
          { type: 'put', key: entryKey(entry.index), value: encodeEntry(entry) },
        ],
        { sync: true },
      );
      return await found(hardState, { clusterId, entry, kept: source.end });
    }
    const entry = await log.read(log.last.index);
    const kept = (await log.positionAt(asIndex(entry.index - 1))) ?? source.end;
    return await found(hardState, { clusterId: source.clusterId, entry, kept });
  } finally {
    await keyValue.close();
    await slots.close();
  }
}

function baseOf({ base }: BlockLog): NonNullable<BlockLog['base']> {
  if (base === null) throw new Error('there is no log to recover');
  return base;
}

const configurationIn = (entry: Entry): Configuration => decodeConfiguration(entry.payload).configuration;

/** In a term of its own, above all that this directory heard of: no leader of the old cluster can have had it. */
function recoveryEntry(
  { last, lastTimeMs }: BlockLog,
  { source, incarnation, nowMs }: { source: RecoverySource; incarnation: string; nowMs: number },
): Entry {
  const { replica, state, configuration } = source;
  if (replica === null || state === null) throw new Error(`nobody knows whose directory ${source.where} is`);
  const node = nodeIdOf(replica);
  const address = configuration.configuration.addresses[node];
  const addresses: Configuration['addresses'] = address === undefined ? {} : { [node]: address };
  const payload = encodeConfiguration(
    { ...votersOnly([replicaIdOf(node, incarnation)]), addresses },
    configuration.index,
    { clusterId: source.clusterId, replica },
  );
  return sealEntry({
    index: asIndex(last.index + 1),
    term: asTerm(Math.max(last.term, state.term, state.promised.term) + 1),
    kind: 'configuration',
    timeMs: Math.max(lastTimeMs, nowMs),
    previousHash: last.hash,
    payloadHash: payloadHashOf(payload),
    payload,
  });
}

/** What the entry says, as the first promise of the new incarnation. */
async function found(
  hardState: HardStateFile,
  { clusterId, entry, kept }: { clusterId: string; entry: Entry; kept: LogPosition },
): Promise<Recovered> {
  const configuration = configurationIn(entry);
  const [replica] = configuration.voters;
  if (replica === undefined) throw new Error('a recovery leaves one voter');
  await hardState.refound({
    clusterId,
    incarnation: replica.slice(replica.indexOf('#') + 1),
    term: entry.term,
    vote: null,
    promised: positionOf(entry),
    commit: entry.index,
    modeEpoch: hardState.state?.modeEpoch ?? 0,
    sealed: hardState.state?.sealed ?? false,
    configuration: { index: entry.index, configuration },
    // The entry is of this version; that the cluster is, its new leader says by an entry of its own (protocol B4).
    formatLevel: hardState.state?.formatLevel ?? 1,
    formatLevelWritten: Math.max(hardState.state?.formatLevelWritten ?? 1, membersChangeFrom),
  });
  return { clusterId, replica, kept };
}
