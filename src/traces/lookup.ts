/**
 * A trace by its id: which blocks hold it, the frames that hold it, its spans merged into one answer.
 * A block that cannot be read is an error, never a smaller answer.
 */
import { mergingTrace } from '../otlp/trace-merge.ts';
import { WireError } from '../otlp/wire.ts';
import type { Codec } from '../platform/codec.ts';
import type { Executor } from '../platform/executor.ts';
import type { LogIndex } from '../raft/core/types.ts';
import { BlockReader } from '../store/block-reader.ts';
import type { BlockLog } from '../store/block-log.ts';
import { DamagedError } from '../store/damaged.ts';
import { fingerprintOf } from '../store/fingerprint.ts';
import type { TraceIndexer } from './trace-indexer.ts';

export interface LookupOptions {
  readonly log: BlockLog;
  readonly index: TraceIndexer;
  readonly codec: Codec;
  readonly executor: Executor;
}

/** Blocks of one lookup read at a time: with other readers this stays below the thread pool's size (protocol F4). */
const readsAtOnce = 2;
/** Blocks opened in one turn of the event loop, each about 80 us: a trace over thousands of them delays no heartbeat (D4). */
const blocksPerTurn = 16;

/** The trace as OTLP TracesData bytes, from what this node has applied; null when it has no span of it. Rejects with `DamagedError`. */
export async function lookUpTrace(
  traceId: Uint8Array,
  { log, index, codec, executor }: LookupOptions,
): Promise<Uint8Array | null> {
  const fingerprint = fingerprintOf(traceId);
  const blocks = await index.lookup(fingerprint);
  const slices: Uint8Array[] = [];
  const readBlock = async (block: LogIndex): Promise<void> => {
    const entry = await log.read(block);
    slices.push(...new BlockReader(entry.payload, codec).slicesOf(fingerprint));
  };
  for (let at = 0; at < blocks.length; at += readsAtOnce) {
    // Blocks in memory are read without a wait, so nothing else would have its turn.
    if (at > 0 && at % blocksPerTurn === 0) await executor.nextTurn();
    await Promise.all(blocks.slice(at, at + readsAtOnce).map(readBlock));
  }
  try {
    const trace = await executor.run(mergingTrace(slices, traceId));
    return trace.length === 0 ? null : trace;
  } catch (error) {
    if (error instanceof WireError) throw new DamagedError('a stored span', error.message, { cause: error });
    throw error;
  }
}
