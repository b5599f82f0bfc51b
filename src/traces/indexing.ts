/**
 * The index as a cache of the log (protocol F1): opened against the log it was made from, thrown away when it was made from
 * another, and brought up to date entry by entry.
 */
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import type { Platform } from '../platform/platform.ts';
import { asIndex, type Entry, type ReplicaId } from '../raft/core/types.ts';
import { fingerprintsOf } from '../store/block.ts';
import type { BlockLog } from '../store/block-log.ts';
import { TraceIndex } from '../store/trace-index.ts';

export interface IndexOptions {
  readonly platform: Platform;
  readonly log: BlockLog;
  readonly logger: Logger;
  readonly incarnation: ReplicaId;
}

/** Opens the index; empty when the one found does not belong to this log. The replica then replays what it lacks. */
export async function openIndex({ platform, log, logger }: IndexOptions): Promise<TraceIndex> {
  const { base } = log;
  if (base === null) throw new Error('the index opens after the log is founded');
  const open = async (): Promise<TraceIndex> =>
    TraceIndex.open({
      keyValue: await platform.disk.openKeyValue('index'),
      clock: platform.clock,
      executor: platform.executor,
      clusterId: base.clusterId,
      base: base.position,
    });
  const index = await open();
  const found = index.damage ?? ((await belongs(index, log)) ? null : 'it was made from another log');
  if (found === null) return index;
  logger.warn({}, `the index is rebuilt from the log: ${found}`);
  await index.close();
  await platform.disk.destroyKeyValue('index');
  return open();
}

async function belongs(index: TraceIndex, log: BlockLog): Promise<boolean> {
  const { flushed } = index;
  if (flushed === null) return true;
  const position = await log.positionAt(flushed.applied).catch(() => null);
  return position?.hash === flushed.hash;
}

/** Brings one committed entry into the index. */
export function applyEntry(index: TraceIndex, entry: Entry): void {
  index.apply(entry.index, entry.hash, entry.kind === 'block' ? fingerprintsOf(entry.payload) : []);
}
