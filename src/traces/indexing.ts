/**
 * The index as a cache of the log (protocol F1): opened against the log it was made from, thrown away when it was made from
 * another, and brought up to date entry by entry.
 */
import type { Logger } from '../logger.ts';
import type { Codec } from '../platform/codec.ts';
import type { Platform } from '../platform/platform.ts';
import type { Entry } from '../raft/core/types.ts';
import { BlockReader } from '../store/block-reader.ts';
import type { BlockLog } from '../store/block-log.ts';
import { TraceIndex } from '../store/trace-index.ts';

export interface IndexOptions {
  readonly platform: Platform;
  readonly log: BlockLog;
  readonly logger: Logger;
  readonly incarnation: string;
}

/** Opens the index; empty when the one found does not belong to this log. The replica then replays what it lacks. */
export async function openIndex({ platform, log, logger, incarnation }: IndexOptions): Promise<TraceIndex> {
  const { base } = log;
  if (base === null) throw new Error('the index opens after the log is founded');
  const index = await TraceIndex.open({
    openStore: () => platform.disk.openKeyValue('index'),
    clock: platform.clock,
    executor: platform.executor,
    clusterId: base.clusterId,
    incarnation,
  });
  const fault = index.damaged ?? ((await belongs(index, log)) ? null : 'it was made from another log');
  if (fault !== null) {
    logger.warn({}, `the index is rebuilt from the log: ${fault}`);
    await index.reset({ applied: base.position.index, hash: base.position.hash });
  }
  return index;
}

async function belongs(index: TraceIndex, log: BlockLog): Promise<boolean> {
  const { flushed } = index;
  if (flushed === null) return true;
  const position = await log.positionAt(flushed.applied).catch(() => null);
  return position?.hash === flushed.hash;
}

/** Brings one committed entry into the index. */
export function applyEntry(index: TraceIndex, entry: Entry, codec: Codec): void {
  index.apply(entry.index, entry.hash, entry.kind === 'block' ? new BlockReader(entry.payload, codec).fingerprints() : []);
}
