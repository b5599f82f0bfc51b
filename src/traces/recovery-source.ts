/**
 * What a stopped node's directory says of itself to `quorate recover`: who it was, what it promised, what it holds. Opening
 * cuts a log at its first fault, and LevelDB tidies up: give it a copy (src/platform/real/directory-copy.ts).
 */
import type { Disk } from '../platform/platform.ts';
import { replicasOf } from '../raft/core/configuration.ts';
import type { Configuration, ConfigurationAt, LogPosition, ReplicaId } from '../raft/core/types.ts';
import { BlockLog } from '../store/block-log.ts';
import { decodeConfiguration, type RecoveryMark } from '../store/configuration-record.ts';
import { type HardState, hardStateSlots, readHardState } from '../store/hard-state.ts';
import type { Hole } from '../store/verified-tail.ts';

export interface RecoverySource {
  /** Its directory. */
  readonly where: string;
  /** null where no member has this incarnation: its hard state is lost, or it was never a member. */
  readonly replica: ReplicaId | null;
  readonly state: HardState | null;
  readonly clusterId: string;
  /** The end of the log as far as it is whole. */
  readonly end: LogPosition;
  readonly endTimeMs: number;
  /** What was wrong behind it, or null. */
  readonly cut: string | null;
  /** Damaged entries below the end. */
  readonly holes: readonly Hole[];
  /** Whether the log holds what the hard state promised (protocol A2). */
  readonly holdsPromise: boolean;
  /** The newest one, committed or not. */
  readonly configuration: ConfigurationAt;
  /** A recovery of this directory that was cut short. */
  readonly unfinished: RecoveryMark | null;
}

/** Reads the whole log. Rejects with a sentence when there is none. */
export async function readRecoverySource(disk: Disk, where: string): Promise<RecoverySource> {
  const keyValue = await disk.openKeyValue('log');
  try {
    const state = await readState(disk);
    const log = await openWholeLog(keyValue, state);
    return await sourceOf(log, { state, where });
  } finally {
    await keyValue.close();
  }
}

/** Everything is verified: nobody is left who could mend what is found damaged later. */
export function openWholeLog(
  keyValue: Awaited<ReturnType<Disk['openKeyValue']>>,
  state: HardState | null,
): Promise<BlockLog> {
  const promise = state && { tail: state.promised, commit: state.commit };
  return BlockLog.open({ keyValue, promise, verifyBytes: Infinity });
}

async function readState(disk: Disk): Promise<HardState | null> {
  const file = await disk.openSlotFile('hard-state', hardStateSlots);
  try {
    return readHardState(await file.read()).newest?.state ?? null;
  } finally {
    await file.close();
  }
}

export async function sourceOf(
  log: BlockLog,
  { state, where }: Pick<RecoverySource, 'state' | 'where'>,
): Promise<RecoverySource> {
  const { base, opened } = log;
  if (base === null) {
    const why = opened.reason ?? 'it never belonged to a cluster';
    throw new Error(`${where} has no log to recover from (${why}): give the directory of another node`);
  }
  const decoded = opened.configurations.map(({ index, payload }) => ({ index, ...decodeConfiguration(payload) }));
  const inBase: ConfigurationAt = { index: base.configurationIndex, configuration: base.configuration };
  const known: readonly ConfigurationAt[] = [
    inBase,
    ...(state?.configuration ? [state.configuration] : []),
    ...decoded,
  ];
  const [configuration = inBase] = known.toSorted((left, right) => right.index - left.index);
  const newest = decoded.at(-1);
  const mark = newest?.index === log.last.index ? newest.recovery : null;
  const unfinished = mark !== null && mark.clusterId === state?.clusterId ? mark : null;
  return {
    where,
    replica: unfinished?.replica ?? (state === null ? null : replicaIn(known, state.incarnation)),
    state,
    clusterId: base.clusterId,
    end: log.last,
    endTimeMs: log.lastTimeMs,
    cut: opened.reason,
    holes: opened.holes,
    holdsPromise: state !== null && (await log.holds(state.promised)),
    configuration: { index: configuration.index, configuration: configuration.configuration },
    unfinished,
  };
}

function replicaIn(known: readonly { readonly configuration: Configuration }[], incarnation: string): ReplicaId | null {
  const replicas = known.flatMap(({ configuration }) => replicasOf(configuration));
  return replicas.find((replica) => replica.endsWith(`#${incarnation}`)) ?? null;
}
