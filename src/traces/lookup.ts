/**
 * A trace by its id: which blocks hold it, the frames that hold it, its spans merged into one answer.
 * A block that cannot be read is an error, never a smaller answer.
 *
 * What one answer may take is bounded (protocol D4): blocks are visited in the order of the log, and where the budget ends
 * before they do, the answer is a page that names its last block; the next page goes on behind it. A block is never cut.
 *
 * Where the log begins is decided once, at the start (protocol D3): blocks at or below that have expired, and the page says
 * so; those above can be read to the end. Only a base that came from elsewhere can take them away: then it begins again.
 */
import { QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { mergingTrace } from '../otlp/trace-merge.ts';
import { WireError } from '../otlp/wire.ts';
import type { Clock } from '../platform/clock.ts';
import type { Codec } from '../platform/codec.ts';
import type { Executor } from '../platform/executor.ts';
import type { Entry, LogIndex } from '../raft/core/types.ts';
import { BlockReader } from '../store/block-reader.ts';
import { type BlockLog, NotInLogError } from '../store/block-log.ts';
import { DamagedEntryError, DamagedError } from '../store/damaged.ts';
import { type Fingerprint, fingerprintOf } from '../store/fingerprint.ts';
import type { LargeLookups } from './large-lookups.ts';

/** What is behind one answer at most; at least one block. */
export interface LookupBudget {
  readonly blocksMax: number;
  /** Bytes of the trace's spans; the block that reaches it is still in the answer. */
  readonly bytesMax: number;
}

export interface LookupOptions {
  readonly log: Pick<BlockLog, 'read' | 'pin'>;
  readonly index: { readonly lookup: (fingerprint: Fingerprint) => Promise<LogIndex[]> };
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly codec: Codec;
  readonly executor: Executor;
  readonly large: LargeLookups;
  readonly budget: LookupBudget;
}

export interface LookupRequest {
  readonly traceId: Uint8Array;
  /** The last block of the page before; null for the first page. */
  readonly after: LogIndex | null;
  /** A lookup that waits for its turn, or begins again, gives up at this monotonic time. */
  readonly untilMs: number;
}

export interface TracePage {
  /** TracesData bytes, the caller's own. null when no span of the trace is stored; of a later page, empty bytes say that nothing was left. */
  readonly trace: Uint8Array | null;
  /** The last block of this page when more follow, else null. */
  readonly next: LogIndex | null;
  /** Where the log began for this page: blocks at or below it were left out. */
  readonly base: LogIndex;
  /** Blocks behind `after` that held spans of the trace, or of another with its fingerprint, have expired. */
  readonly expired: boolean;
  /** To be called once `trace` is no longer held: a large one takes the place of others. */
  readonly release: () => void;
}

/** Blocks of one lookup that are read side by side. */
const readsAtOnce = 4;
/** Blocks, and their bytes, that are read before they are opened: a turn of the event loop is lost for each batch. */
const batchBlocksMax = 16;
const batchBytesMax = 2 * 1024 * 1024;

/**
 * One page of the trace, from what this node has applied. Rejects with `DamagedError`, or with `unavailable` when it is large
 * and others were, up to the deadline.
 */
export async function lookUpTrace(request: LookupRequest, options: LookupOptions): Promise<TracePage> {
  const { log, clock } = options;
  let pin = log.pin();
  try {
    for (;;) {
      try {
        return await lookUpAbove(pin.base, request, options);
      } catch (error) {
        const renewed = log.pin();
        const { base } = pin;
        pin.release();
        pin = renewed;
        if (!isTrimmed(error, base, renewed.base)) throw error;
        if (clock.monotonicMs() >= request.untilMs)
          throw new QuorateError('unavailable', 'blocks of the trace expired while it was read: ask again');
      }
    }
  } finally {
    pin.release();
  }
}

/** A block cannot be read because it is no longer in the log, which began at `before` and begins at `base` now. */
function isTrimmed(error: unknown, before: LogIndex, base: LogIndex): boolean {
  if (error instanceof DamagedEntryError) return error.index > before && error.index <= base;
  return error instanceof NotInLogError && base > before;
}

async function lookUpAbove(base: LogIndex, request: LookupRequest, options: LookupOptions): Promise<TracePage> {
  const fingerprint = fingerprintOf(request.traceId);
  const { after } = request;
  const wanted = (await options.index.lookup(fingerprint)).filter((block) => block > (after ?? 0));
  const blocks = wanted.filter((block) => block > base);
  const expired = blocks.length < wanted.length;
  return { ...(await new Lookup({ request, options, fingerprint, blocks }).page()), base, expired };
}

interface LookupParts {
  readonly request: LookupRequest;
  readonly options: LookupOptions;
  readonly fingerprint: Fingerprint;
  /** Ascending. */
  readonly blocks: readonly LogIndex[];
}

class Lookup {
  readonly #parts: LookupParts;
  /** TracesData messages with the spans of the blocks visited. */
  #slices: Uint8Array[] = [];
  #bytes = 0;
  #visited = 0;
  /** Gives back the room of a large lookup; null while this is a small one. */
  #leave: (() => void) | null = null;

  constructor(parts: LookupParts) {
    this.#parts = parts;
  }

  async page(): Promise<Omit<TracePage, 'base' | 'expired'>> {
    try {
      let trace: Uint8Array | null = null;
      while (trace === null) trace = await this.#run(this.#opening(await this.#readBatch()));
      const { blocks, request } = this.#parts;
      const next = this.#isAtEnd ? null : (blocks[this.#visited - 1] ?? null);
      const isUnknown = trace.length === 0 && next === null && request.after === null;
      return { trace: isUnknown ? null : trace, next, release: () => this.#leave?.() };
    } catch (error) {
      this.#leave?.();
      if (error instanceof WireError) throw new DamagedError('a stored span', error.message, { cause: error });
      throw error;
    }
  }

  get #isAtEnd(): boolean {
    return this.#visited === this.#parts.blocks.length;
  }

  get #isFull(): boolean {
    const { blocksMax, bytesMax } = this.#parts.options.budget;
    return this.#visited >= Math.max(1, blocksMax) || this.#bytes >= Math.max(1, bytesMax);
  }

  /** The next blocks. Those in memory are read without a wait. */
  async #readBatch(): Promise<Entry[]> {
    const { blocks, options } = this.#parts;
    const end = Math.min(blocks.length, Math.max(1, options.budget.blocksMax), this.#visited + batchBlocksMax);
    const entries: Entry[] = [];
    let bytes = 0;
    for (let at = this.#visited; at < end && bytes < batchBytesMax; at += readsAtOnce) {
      const read = await Promise.all(
        blocks.slice(at, Math.min(at + readsAtOnce, end)).map((block) => options.log.read(block)),
      );
      entries.push(...read);
      bytes += read.reduce((sum, { payload }) => sum + payload.length, 0);
    }
    return entries;
  }

  /**
   * Opens the blocks of a batch, as far as the budget goes, pausing after each frame. Gives the merged trace once no more
   * blocks are needed, else null. A fingerprint can be shared: an answer without spans is none while there are blocks to visit.
   */
  *#opening(batch: readonly Entry[]): Generator<void, Uint8Array | null, void> {
    const { request, options, fingerprint } = this.#parts;
    for (const { payload } of batch) {
      if (this.#isFull) break;
      for (const slice of new BlockReader(payload, options.codec).slicesOf(fingerprint)) {
        if (slice !== null) {
          this.#slices.push(slice);
          this.#bytes += slice.length;
        }
        yield;
      }
      this.#visited += 1;
    }
    if (!this.#isFull && !this.#isAtEnd) return null;
    const trace = yield* mergingTrace(this.#slices, request.traceId);
    this.#slices = [];
    this.#bytes = 0;
    return trace.length > 0 || this.#isAtEnd || this.#isFull ? trace : null;
  }

  /** Drives `job` in turns of the event loop; where it becomes large, it first waits for its place among the large ones. */
  async #run<Result>(job: Iterator<void, Result, void>): Promise<Result> {
    const { executor, large } = this.#parts.options;
    const step = await executor.run(this.#untilLarge(job));
    if (step.done === true) return step.value;
    this.#leave = await large.enter(this.#parts.request.untilMs);
    return executor.run(job);
  }

  *#untilLarge<Result>(job: Iterator<void, Result, void>): Generator<void, IteratorResult<void, Result>, void> {
    for (;;) {
      const step = job.next();
      const mustWait = this.#leave === null && this.#bytes > limits.largeLookupBytes;
      if (step.done === true || mustWait) return step;
      yield;
    }
  }
}
