/**
 * What a data directory is: a log and a hard state, opened, checked against one another and against the node they are for.
 * A lost hard state makes it a new incarnation, which is no voter (protocol A3, B2).
 */
import type { Logger } from '../logger.ts';
import type { Platform } from '../platform/platform.ts';
import { formatRange } from '../raft/core/format-level.ts';
import { replicasOf } from '../raft/core/configuration.ts';
import { emptyLog, type NodeId, nodeIdOf } from '../raft/core/types.ts';
import { BlockLog } from '../store/block-log.ts';
import { decodeConfiguration } from '../store/configuration-record.ts';
import { HardStateFile, hardStateSlots } from '../store/hard-state.ts';

export interface DataDirectoryOptions {
  readonly platform: Pick<Platform, 'disk' | 'random'>;
  readonly node: NodeId;
  readonly logger: Logger;
  readonly logVerifyBytes?: number;
  /** The newest format level that this binary reads. */
  readonly newestFormat?: number;
}

export interface DataDirectory {
  readonly log: BlockLog;
  /** Its state is never null: a new one was written where there was none. */
  readonly hardState: HardStateFile;
  readonly incarnation: string;
}

/** Rejects with one sentence when the directory cannot be this node's. */
export async function openDataDirectory(options: DataDirectoryOptions): Promise<DataDirectory> {
  const { platform, node, logger, logVerifyBytes: verifyBytes } = options;
  const { disk, random } = platform;
  // The log first: its lock keeps a second process out before anything is written.
  const keyValue = await disk.openKeyValue('log');
  // Before the log is read: a binary that is too old for what is in there does not get to see it (protocol B4).
  const hardState = await HardStateFile.open(
    await disk.openSlotFile('hard-state', hardStateSlots),
    options.newestFormat,
  );
  const promise = hardState.state && { tail: hardState.state.promised, commit: hardState.state.commit };
  const log = await BlockLog.open({ keyValue, promise, ...(verifyBytes === undefined ? {} : { verifyBytes }) });
  if (log.opened.reason !== null) {
    logger.warn(
      { dropped: log.opened.dropped, end: log.last.index },
      `the log was cut at its first fault: ${log.opened.reason}`,
    );
  }
  const promisedTo = hardState.state?.clusterId ?? log.clusterId;
  if (log.clusterId !== null && promisedTo !== log.clusterId) {
    if (isCutShort(log, promisedTo)) {
      throw new Error('`quorate recover` was cut short on this --data: run it again, it goes on from there');
    }
    throw new Error(
      `the log in --data belongs to cluster ${log.clusterId} and its hard state to ${promisedTo}: put back the directory as it was`,
    );
  }
  const configurations = [log.configuration, hardState.state?.configuration?.configuration ?? null];
  const replicas = configurations.flatMap((known) => (known === null ? [] : replicasOf(known)));
  const owner = replicas.find((replica) => replica.endsWith(`#${hardState.state?.incarnation}`));
  if (owner !== undefined && nodeIdOf(owner) !== node) {
    throw new Error(`--data is the directory of ${nodeIdOf(owner)}, not of ${node}: correct --id or --data`);
  }
  if (hardState.state === null) {
    if (hardState.problem === 'unreadable' || log.base !== null) {
      logger.error(
        {},
        'the hard state is lost: this data directory is a new incarnation and no longer a voter (protocol A3)',
      );
    }
    await hardState.write({
      clusterId: null,
      incarnation: Buffer.from(random.bytes(16)).toString('hex'),
      term: emptyLog.term,
      vote: null,
      promised: emptyLog,
      commit: emptyLog.index,
      modeEpoch: 0,
      sealed: false,
      configuration: null,
      formatLevel: log.base?.formatLevel ?? formatRange.oldest,
      // Nobody knows what a log holds that has lost its hard state.
      formatLevelWritten: log.base === null ? formatRange.oldest : formatRange.newest,
    });
  }
  const { state } = hardState;
  if (state === null) throw new Error('the hard state could not be written');
  return { log, hardState, incarnation: state.incarnation };
}

/** The log is a recovered cluster's already, and the hard state still that of the cluster before. */
function isCutShort({ opened, last }: BlockLog, before: string | null): boolean {
  const newest = opened.configurations.at(-1);
  return newest?.index === last.index && decodeConfiguration(newest.payload).recovery?.clusterId === before;
}
