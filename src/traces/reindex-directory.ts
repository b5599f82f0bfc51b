/**
 * Makes the index of a stopped node again from its log. Up to the commit index of the hard state: what lies behind is not
 * known to be committed, and the next start replays it. It can be stopped at any time: what was flushed by then is an index
 * that goes less far, from which a start goes on.
 */
import { limits } from '../limits.ts';
import type { Platform } from '../platform/platform.ts';
import { asIndex, type LogIndex } from '../raft/core/types.ts';
import { BlockLog } from '../store/block-log.ts';
import { BlockReader } from '../store/block-reader.ts';
import { DamagedEntryError } from '../store/damaged.ts';
import { weightOf } from '../store/entry.ts';
import { type HardState, hardStateSlots, readHardState } from '../store/hard-state.ts';
import { TraceIndex } from '../store/trace-index.ts';
import { openIndexStore } from './trace-indexer.ts';

export interface ReindexOptions {
  readonly platform: Platform;
  readonly progress?: (index: LogIndex, last: LogIndex) => void;
  /** Looked at between two steps. */
  readonly stopped: () => boolean;
  /** Entries of one step at most. */
  readonly entriesAtOnce?: number;
}

export interface Reindexed {
  readonly indexedTo: LogIndex;
  /** How far it would have gone had it not been stopped. */
  readonly last: LogIndex;
}

/** Rejects with one sentence when the directory is in use, or has no log to make an index from. */
export async function reindexDirectory(options: ReindexOptions): Promise<Reindexed> {
  const { disk } = options.platform;
  const keyValue = await disk.openKeyValue('log');
  const state = await hardStateOf(options.platform);
  const promise = state && { tail: state.promised, commit: state.commit };
  let log: BlockLog;
  try {
    log = await BlockLog.open({ keyValue, promise });
  } catch (error) {
    await keyValue.close();
    throw error;
  }
  try {
    if (state === null || log.base === null || !(await log.holds(state.promised)))
      throw new Error(
        'the log does not hold all that this node promised: start the node, which recovers it from the others and makes its index by itself',
      );
    return await replay(log, state, options);
  } catch (error) {
    if (!(error instanceof DamagedEntryError)) throw error;
    throw new Error(
      `${error.message}: start the node, which fetches it from the others and makes its index by itself`,
      { cause: error },
    );
  } finally {
    await log.close();
  }
}

async function hardStateOf({ disk }: Platform): Promise<HardState | null> {
  const file = await disk.openSlotFile('hard-state', hardStateSlots);
  try {
    return readHardState(await file.read()).newest?.state ?? null;
  } finally {
    await file.close();
  }
}

async function replay(
  log: BlockLog,
  { incarnation, commit }: HardState,
  { platform, progress, stopped, entriesAtOnce = Infinity }: ReindexOptions,
): Promise<Reindexed> {
  const { disk, clock, executor, codec } = platform;
  if (log.base === null) throw new Error('there is no log to make an index from');
  const { clusterId, position } = log.base;
  const index = await TraceIndex.open({
    openStore: () => openIndexStore(disk),
    destroyStore: () => disk.destroyKeyValue('index'),
    clock,
    executor,
    clusterId,
    incarnation,
  });
  const last = asIndex(Math.max(position.index, Math.min(commit, log.last.index)));
  try {
    await index.reset({ applied: position.index, hash: position.hash });
    while (index.applied < last && !stopped()) {
      const end = asIndex(Math.min(last, index.applied + entriesAtOnce));
      for (const entry of await log.readRange(asIndex(index.applied + 1), end, limits.appendBytesMax)) {
        const fingerprints = entry.kind === 'block' ? new BlockReader(entry.payload, codec).fingerprints() : [];
        index.apply(entry.index, entry.hash, fingerprints, weightOf(entry));
      }
      await index.maybeFlush();
      progress?.(index.applied, last);
      await executor.nextTurn();
    }
    return { indexedTo: index.applied, last };
  } finally {
    await index.close();
  }
}
