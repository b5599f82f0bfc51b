/**
 * Concurrent clients of a simulated cluster: writers and readers on all nodes, over a few traces at a time so that they
 * collide. They come in bursts, and always when something has just broken. What they see goes into one history. A client waits
 * no longer than its patience; what it did not hear is unknown.
 */
import { errorOf, QuorateError } from '../../src/errors.ts';
import { mergeTrace } from '../../src/otlp/trace-merge.ts';
import { walkExport } from '../../src/otlp/walk.ts';
import { limits } from '../../src/limits.ts';
import { asIndex, type LogIndex } from '../../src/raft/core/types.ts';
import type { TraceStore } from '../../src/traces/trace-store.ts';
import type { TraceRead } from '../../src/traces/trace-reader.ts';
import type { HistoryRecorder } from '../support/history.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import type { SimProcess } from './platform/process.ts';
import type { SimRandom } from './platform/random.ts';
import type { SimScheduler } from './platform/scheduler.ts';

export interface WorkloadOptions {
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  readonly history: HistoryRecorder;
  /** The running stores; a client picks one and may find it dead a moment later. */
  readonly stores: () => readonly Target[];
  /** A client met what no client may meet. */
  readonly broken: (sentence: string) => void;
  /** A client was told that these spans are stored. */
  readonly acknowledged: (spanIds: readonly string[], node: string) => void;
  /** Those of these spans that a read at this trim point need not show. */
  readonly expired: (spanIds: readonly string[], base: LogIndex) => readonly string[];
  /** A client has ended an operation. */
  readonly note: (operation: ClientOperation) => void;
}

export interface ClientOperation {
  readonly client: string;
  readonly node: string;
  readonly what: 'write' | 'read';
  readonly startMs: number;
  readonly outcome: 'ok' | 'unknown' | 'refused';
}

/** A running node and the store it opened. */
export interface Target {
  readonly id: string;
  readonly store: TraceStore;
  readonly process: SimProcess;
}

/** A whole trace, as a client has put it together. */
interface Answer {
  readonly trace: Uint8Array;
  readonly pages: number;
  /** The highest trim point of its pages. */
  readonly base: LogIndex;
  readonly expired: boolean;
}

/** The deadlines of a write and of a read, and a little: an answer that is not there by then will not come. */
const patienceMs = Math.max(limits.writeDeadlineMs, limits.readDeadlineMs) + 2_000;

/** Exports after which a trace gets no more, and another one begins. */
const exportsPerTrace = 30;
/** Between two operations of a burst, and between two bursts, at most. */
const thinkMsMax = 60;
const restMsMax = 12_000;

export interface ExportRequest {
  readonly trace: string;
  readonly body: Uint8Array;
  readonly spanIds: readonly string[];
}

export class SimWorkload {
  readonly #options: WorkloadOptions;
  readonly #spans: SeededRandom;
  /** All of them, the oldest first; the last few still grow. */
  readonly #traces: string[] = [];
  /** The spans that were sent, by trace. */
  readonly #spanIds = new Map<string, string[]>();
  readonly #growing: { id: string; exports: number }[] = [];
  /** Exports of unknown outcome, which clients send again. */
  readonly #unsettled: ExportRequest[] = [];
  /** Rests of clients; called, they end at once. */
  readonly #resting = new Set<() => void>();
  #open = true;
  readonly counts = {
    acked: 0,
    unknown: 0,
    reads: 0,
    pagedReads: 0,
    expiredReads: 0,
    splitExports: 0,
    refusedForSpace: 0,
  };

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#spans = new SeededRandom(options.random.below(2 ** 31));
    const growing = 1 + options.random.below(4);
    for (let n = 0; n < growing; n += 1) this.#growing.push(this.#newTrace());
  }

  get traces(): readonly string[] {
    return this.#traces;
  }

  #newTrace(): { id: string; exports: number } {
    const { traceId: id } = smallExport(this.#spans, { spans: 1 });
    this.#traces.push(id);
    return { id, exports: 0 };
  }

  /** Starts clients that go on until `stop`. */
  start(): void {
    const clients = 2 + this.#options.random.below(4);
    for (let client = 1; client <= clients; client += 1) {
      this.#serve(`client ${client}`).catch((error: unknown) =>
        this.#options.broken(`A2: a client was answered with ${errorOf(error).stack}`),
      );
    }
  }

  async #serve(name: string): Promise<void> {
    const { random } = this.#options;
    while (this.#open) {
      for (let left = 1 + random.below(6); left > 0 && this.#open; left -= 1) {
        await (random.below(3) === 0 ? this.#readSome(name) : this.#writeSome(name));
        await this.#rest(thinkMsMax);
      }
      await this.#rest(restMsMax);
    }
  }

  #rest(longestMs: number): Promise<void> {
    const { scheduler, random } = this.#options;
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        if (this.#resting.delete(end)) resolve();
      };
      const cancel = scheduler.after(1 + random.below(longestMs), end);
      this.#resting.add(end);
    });
  }

  /** Something has just broken: who rests comes back. */
  stir(): void {
    for (const end of this.#resting) end();
  }

  stop(): void {
    this.#open = false;
  }

  async #writeSome(name: string): Promise<void> {
    const target = this.#pick();
    if (target === undefined) return;
    const { random } = this.#options;
    const again = random.below(4) === 0 ? this.#unsettled.shift() : undefined;
    await this.write(name, target, again ?? this.request());
  }

  /** The next export of a growing trace; now and then one that no single block takes. */
  request(): ExportRequest {
    const { random } = this.#options;
    const at = random.below(this.#growing.length);
    const growing = this.#growing[at] ?? this.#newTrace();
    growing.exports += 1;
    if (growing.exports > exportsPerTrace) this.#growing[at] = this.#newTrace();
    const large = random.below(24) === 0;
    const spans = large ? 30 + random.below(60) : 1 + random.below(3);
    const { body, spanIds } = smallExport(this.#spans, { spans, traceId: growing.id });
    return { trace: growing.id, body, spanIds };
  }

  /** One write through one node; true when it was acknowledged. */
  async write(name: string, target: Target, request: ExportRequest): Promise<boolean> {
    const { history, scheduler, acknowledged, note } = this.#options;
    const startMs = scheduler.nowMs;
    const sent = this.#spanIds.get(request.trace) ?? [];
    this.#spanIds.set(request.trace, sent);
    sent.push(...request.spanIds.filter((spanId) => !sent.includes(spanId)));
    const adds = request.spanIds.map((span) => history.add(`${name} through ${target.id}`, request.trace, span));
    const outcome = await this.#withPatience(
      target.store.write(request.body).then(
        () => 'ok' as const,
        (error: unknown) => {
          if (!(error instanceof QuorateError)) throw error;
          if (error.code === 'no-space') this.counts.refusedForSpace += 1;
          return error.code === 'not-ready' || error.code === 'no-space' ? ('fail' as const) : ('unknown' as const);
        },
      ),
      'unknown' as const,
      target,
    );
    for (const add of adds) add.settle(outcome);
    const shown = outcome === 'fail' ? 'refused' : outcome;
    note({ client: name, node: target.id, what: 'write', startMs, outcome: shown });
    if (outcome === 'ok') {
      this.counts.acked += 1;
      if (request.spanIds.length >= 30) this.counts.splitExports += 1;
      acknowledged(request.spanIds, target.id);
    } else if (outcome === 'unknown') {
      this.counts.unknown += 1;
      this.#unsettled.push(request);
    }
    return outcome === 'ok';
  }

  async #readSome(name: string): Promise<void> {
    const target = this.#pick();
    if (target === undefined) return;
    const { random } = this.#options;
    // Mostly what still grows; now and then one from long ago, whose blocks nobody has in memory.
    const trace =
      random.below(6) === 0
        ? this.#traces[random.below(this.#traces.length)]
        : this.#growing[random.below(this.#growing.length)]?.id;
    if (trace !== undefined) await this.read(name, target, trace);
  }

  /** One linearizable read; true when it was answered. */
  async read(name: string, target: Target, trace: string): Promise<boolean> {
    const { history, scheduler, note } = this.#options;
    const startMs = scheduler.nowMs;
    const pending = history.read(`${name} through ${target.id}`, trace, 'linearizable');
    const answer = await this.#readPages(target, Buffer.from(trace, 'hex'));
    this.counts.reads += 1;
    note({
      client: name,
      node: target.id,
      what: 'read',
      startMs,
      outcome: answer === null ? 'refused' : 'ok',
    });
    if (answer === null) return false;
    if (answer.pages > 1) this.counts.pagedReads += 1;
    pending.returned(this.#withExpired(trace, answer, target));
    return true;
  }

  /** What the read would have shown had nothing expired: all of that was committed before the trim point that it took (protocol D3). */
  #withExpired(trace: string, { trace: bytes, base, expired }: Answer, target: Target): string[] {
    const shown = spanIdsOf(bytes);
    const gone = base === 0 ? [] : this.#options.expired(this.#spanIds.get(trace) ?? [], base);
    if (expired) this.counts.expiredReads += 1;
    if (expired && gone.length === 0)
      this.#options.broken(`R6: ${target.id} says that part of ${trace} has expired, but none of it has`);
    return [...shown, ...gone.filter((spanId) => !shown.includes(spanId))];
  }

  /**
   * The whole trace, however many pages it comes in; null when it was refused. Pages follow the log, so with all that later
   * ones add it is the trace as of the last: still one linearizable read.
   */
  async #readPages(target: Target, traceId: Uint8Array): Promise<Answer | null> {
    const pages: Uint8Array[] = [];
    let after: LogIndex | null = null;
    let base = asIndex(0);
    let expired = false;
    do {
      const page: TraceRead | null = await this.#withPatience(
        target.store.read(traceId, 'linearizable', { after }).catch((error: unknown) => {
          if (!(error instanceof QuorateError)) throw error;
          return null;
        }),
        null,
        target,
      );
      if (page === null) return null;
      if (page.trace !== null) pages.push(page.trace);
      page.release();
      after = page.next;
      base = asIndex(Math.max(base, page.base));
      expired ||= page.expired;
    } while (after !== null);
    return { trace: mergeTrace(pages, traceId), pages: pages.length, base, expired };
  }

  #pick(): Target | undefined {
    const stores = this.#options.stores();
    return stores[this.#options.random.below(Math.max(1, stores.length))];
  }

  #withPatience<Result>(operation: Promise<Result>, gaveUp: Result, target: Target): Promise<Result> {
    const { scheduler, broken } = this.#options;
    const startMs = scheduler.nowMs;
    return new Promise((resolve, reject) => {
      const cancel = scheduler.after(patienceMs, () => {
        if (target.process.ranSince(startMs))
          broken(`L2: ${target.id} ran all the time and did not answer within ${patienceMs} ms`);
        resolve(gaveUp);
      });
      operation.then(
        (result) => {
          // What a process does behind its own death, nobody sees.
          if (!target.process.alive) return;
          cancel();
          resolve(result);
        },
        (error: unknown) => {
          if (target.process.alive) reject(errorOf(error));
        },
      );
    });
  }
}

/** TracesData and ExportTraceServiceRequest are the same on the wire. */
function spanIdsOf(trace: Uint8Array): string[] {
  const { spanCount, spans } = walkExport(trace, limits);
  return Array.from({ length: spanCount }, (_, span) => {
    const at = spans.spanIdAt[span] ?? 0;
    return Buffer.from(trace.subarray(at, at + 8)).toString('hex');
  });
}
