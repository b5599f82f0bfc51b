/**
 * Exports on their way into blocks (design 2, protocol C3, F4). An export is checked whole before anything of it is proposed.
 * Exports that arrive together share a block: while one proposal is in flight the next block fills, and it leaves when the
 * earlier one lands or it is full. There is no timer.
 */
import { QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { SpanFault, SpanLimits } from '../otlp/span-fault.ts';
import { walkExport, type WalkedExport, walkingExport } from '../otlp/walk.ts';
import { WireError } from '../otlp/wire.ts';
import type { Clock } from '../platform/clock.ts';
import type { Codec } from '../platform/codec.ts';
import type { Executor } from '../platform/executor.ts';
import type { ProposalOutcome } from '../raft/proposals.ts';
import { BlockBuilder } from '../store/block-builder.ts';

export interface IngestOptions {
  readonly clock: Clock;
  readonly codec: Codec;
  readonly executor: Executor;
  /** Makes block ids unique: 32 hex digits, new at every start of the process. */
  readonly builder: string;
  readonly propose: (blockId: string, payload: Uint8Array) => Promise<ProposalOutcome>;
  readonly limits: SpanLimits;
  readonly blockRawBytesTarget?: number;
  /** The error for a write whose outcome is unknown. */
  readonly unavailable: () => QuorateError;
}

/** What became of the spans of an acknowledged export. */
export interface WriteResult {
  readonly accepted: number;
  readonly rejected: number;
  /** Why the first rejected span was rejected; null without any. */
  readonly firstReason: string | null;
  readonly byFault: ReadonlyMap<SpanFault, number>;
}

interface Waiting {
  readonly sinceMs: number;
  readonly request: Uint8Array;
  readonly walked: WalkedExport;
  /** Spans that are in a block already. */
  taken: number;
  /** Blocks that hold a part of this export and are not settled. */
  unsettled: number;
  outcome: ProposalOutcome;
  /** Told to the client already: at its deadline, whatever becomes of its blocks. */
  answered: boolean;
  readonly answer: (outcome: ProposalOutcome) => void;
}

/** Exports built per turn of the event loop: loop delay follows this (protocol F4). */
const exportsPerTurn = 4;
/** Walked without a pause: about half a millisecond. */
const walkedAtOnceBytes = 256 * 1024;
/** About 2 ms of compression. */
const sealedAtOnceBytes = 512 * 1024;

export class Ingest {
  readonly #options: IngestOptions;
  readonly #queue: Waiting[] = [];
  #builder: BlockBuilder;
  /** One that was sealed, for the next block. */
  #spare: BlockBuilder | null = null;
  /** Exports with spans in the block that is filling. */
  #inBlock = new Set<Waiting>();
  #inFlight = 0;
  #counter = 0;
  #running = false;

  constructor(options: IngestOptions) {
    this.#options = options;
    this.#builder = this.#newBuilder();
  }

  #newBuilder(): BlockBuilder {
    const spare = this.#spare;
    this.#spare = null;
    if (spare !== null) return spare;
    const { codec, builder, blockRawBytesTarget } = this.#options;
    return new BlockBuilder({ codec, builder, ...(blockRawBytesTarget === undefined ? {} : { blockRawBytesTarget }) });
  }

  /**
   * Stores an ExportTraceServiceRequest. Resolves once all its accepted spans are committed. Rejects with `bad-request` and
   * changes nothing when the request is damaged; with `unavailable` when the outcome is unknown, at the write deadline at
   * the latest, however long the queue is.
   */
  async write(request: Uint8Array): Promise<WriteResult> {
    const walked = await this.#walk(request);
    const { spanCount, rejected } = walked;
    if (spanCount > 0 && (await this.#store(request, walked)) === 'unknown') throw this.#options.unavailable();
    const { count, firstReason, byFault } = rejected;
    return { accepted: spanCount, rejected: count, firstReason, byFault };
  }

  /**
   * Whether exports already wait so long that another one had better not come: it would be read and checked, and then find
   * its deadline passed. Refusing at the door keeps what is taken inside its deadline, however much is offered.
   */
  get isBehind(): boolean {
    const longest = this.#queue[0];
    return longest !== undefined && this.#options.clock.monotonicMs() - longest.sinceMs > limits.queueWaitMsMax;
  }

  /** Exports that are not wholly in a block yet. */
  get waiting(): number {
    return this.#queue.length;
  }

  #store(request: Uint8Array, walked: WalkedExport): Promise<ProposalOutcome> {
    return new Promise((resolve) => {
      const cancelDeadline = this.#options.clock.after(limits.writeDeadlineMs, () => {
        // What is not in a block yet never will be; the rest may still be committed.
        const place = this.#queue.indexOf(waiting);
        if (place >= 0) this.#queue.splice(place, 1);
        waiting.answer('unknown');
      });
      const waiting: Waiting = {
        sinceMs: this.#options.clock.monotonicMs(),
        request,
        walked,
        taken: 0,
        unsettled: 0,
        outcome: 'committed',
        answered: false,
        answer: (outcome) => {
          if (waiting.answered) return;
          waiting.answered = true;
          cancelDeadline();
          resolve(outcome);
        },
      };
      this.#queue.push(waiting);
      void this.#run();
    });
  }

  async #walk(request: Uint8Array): Promise<WalkedExport> {
    const spanLimits = this.#options.limits;
    try {
      if (request.length <= walkedAtOnceBytes) return walkExport(request, spanLimits);
      return await this.#options.executor.run(walkingExport(request, spanLimits));
    } catch (error) {
      if (error instanceof WireError) throw new QuorateError('bad-request', `the request is damaged: ${error.message}`);
      throw error;
    }
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    // Lets exports that arrived in the same turn share the block.
    await this.#options.executor.nextTurn();
    while (this.#queue.length > 0 && this.#hasRoom) {
      for (let built = 0; built < exportsPerTurn && this.#hasRoom; built += 1) {
        const waiting = this.#queue[0];
        if (waiting === undefined) break;
        this.#build(waiting);
        if (waiting.taken === waiting.walked.spanCount) this.#queue.shift();
      }
      if (this.#inFlight === 0) this.#send();
      if (this.#queue.length === 0) break;
      await this.#options.executor.nextTurn();
    }
    this.#running = false;
  }

  get #hasRoom(): boolean {
    return this.#inFlight < limits.blocksInFlightMax;
  }

  #build(waiting: Waiting): void {
    const before = waiting.taken;
    waiting.taken = this.#builder.add(waiting.request, waiting.walked, before);
    if (waiting.taken > before) {
      this.#inBlock.add(waiting);
      waiting.unsettled += 1;
    }
    if (waiting.taken < waiting.walked.spanCount) this.#send();
  }

  #send(): void {
    if (this.#builder.isEmpty) return;
    const builder = this.#builder;
    const exports = this.#inBlock;
    this.#builder = this.#newBuilder();
    this.#inBlock = new Set();
    this.#inFlight += 1;
    void this.#propose(builder).then((outcome) => {
      this.#inFlight -= 1;
      for (const waiting of exports) this.#settle(waiting, outcome);
      if (this.#inFlight === 0) this.#send();
      if (this.#queue.length > 0) void this.#run();
    });
  }

  /** Compressing a large block takes many milliseconds: it is made in slices (protocol F4). */
  async #propose(builder: BlockBuilder): Promise<ProposalOutcome> {
    const { executor, propose } = this.#options;
    this.#counter += 1;
    const counter = this.#counter;
    const { id, payload } =
      builder.rawBytes <= sealedAtOnceBytes ? builder.seal(counter) : await executor.run(builder.sealing(counter));
    if (builder.reuse()) this.#spare = builder;
    return propose(id, payload);
  }

  #settle(waiting: Waiting, outcome: ProposalOutcome): void {
    waiting.unsettled -= 1;
    if (outcome === 'unknown') waiting.outcome = outcome;
    if (waiting.unsettled > 0 || waiting.taken < waiting.walked.spanCount) return;
    waiting.answer(waiting.outcome);
  }
}
