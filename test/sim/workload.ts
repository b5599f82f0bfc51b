/**
 * Concurrent clients of a simulated cluster: writers and readers on all nodes, over a few traces so that they collide.
 * What they see goes into one history. A client waits no longer than its patience; what it did not hear is unknown.
 */
import { QuorateError } from '../../src/errors.ts';
import { mergeTrace } from '../../src/otlp/trace-merge.ts';
import { walkExport } from '../../src/otlp/walk.ts';
import { limits } from '../../src/limits.ts';
import type { LogIndex } from '../../src/raft/core/types.ts';
import type { TraceRead, TraceStore } from '../../src/traces/trace-store.ts';
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
  /** A node that ran all the time left a client without an answer past its deadline. */
  readonly unanswered: (what: string) => void;
  readonly traces: number;
}

/** A running node and the store it opened. */
export interface Target {
  readonly id: string;
  readonly store: TraceStore;
  readonly process: SimProcess;
}

/** The deadlines of a write and of a read, and a little: an answer that is not there by then will not come. */
const patienceMs = Math.max(limits.writeDeadlineMs, limits.readDeadlineMs) + 2_000;

export class SimWorkload {
  readonly #options: WorkloadOptions;
  readonly #spans: SeededRandom;
  readonly #traces: readonly string[];
  /** Exports of unknown outcome, which clients send again. */
  readonly #unsettled: { trace: string; body: Uint8Array; spanIds: readonly string[] }[] = [];
  #open = true;
  readonly counts = { acked: 0, unknown: 0, refused: 0, reads: 0, failedReads: 0, pagedReads: 0, retried: 0 };

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#spans = new SeededRandom(options.random.below(2 ** 31));
    this.#traces = Array.from({ length: options.traces }, () => smallExport(this.#spans, { spans: 1 }).traceId);
  }

  get traces(): readonly string[] {
    return this.#traces;
  }

  /** Starts a client that goes on until `stop`. */
  startClient(name: string): void {
    const { scheduler, random } = this.#options;
    const next = (): void => {
      scheduler.after(1 + random.below(120), () => {
        if (!this.#open) return;
        const operation = random.below(3) === 0 ? this.#readSome(name) : this.#writeSome(name);
        void operation.then(next);
      });
    };
    next();
  }

  stop(): void {
    this.#open = false;
  }

  async #writeSome(name: string): Promise<void> {
    const target = this.#pick();
    if (target === undefined) return;
    const { random } = this.#options;
    const again = random.below(4) === 0 ? this.#unsettled.shift() : undefined;
    if (again !== undefined) {
      this.counts.retried += 1;
      await this.write(name, target, again);
      return;
    }
    const trace = this.#traces[random.below(this.#traces.length)] ?? '';
    const { body, spanIds } = smallExport(this.#spans, { spans: 1 + random.below(3), traceId: trace });
    await this.write(name, target, { trace, body, spanIds });
  }

  /** One write through one node; true when it was acknowledged. */
  async write(
    name: string,
    target: Target,
    request: { trace: string; body: Uint8Array; spanIds: readonly string[] },
  ): Promise<boolean> {
    const { history } = this.#options;
    const adds = request.spanIds.map((span) => history.add(`${name} through ${target.id}`, request.trace, span));
    const outcome = await this.#withPatience(
      target.store.write(request.body).then(
        () => 'ok' as const,
        (error: unknown) => {
          if (!(error instanceof QuorateError)) throw error;
          return error.code === 'not-ready' ? ('fail' as const) : ('unknown' as const);
        },
      ),
      'unknown' as const,
      target,
    );
    for (const add of adds) add.settle(outcome);
    if (outcome === 'ok') this.counts.acked += 1;
    else if (outcome === 'unknown') this.counts.unknown += 1;
    else this.counts.refused += 1;
    if (outcome === 'unknown') this.#unsettled.push(request);
    return outcome === 'ok';
  }

  async #readSome(name: string): Promise<void> {
    const target = this.#pick();
    if (target === undefined) return;
    const trace = this.#traces[this.#options.random.below(this.#traces.length)] ?? '';
    await this.read(name, target, trace);
  }

  /** One linearizable read; true when it was answered. */
  async read(name: string, target: Target, trace: string): Promise<boolean> {
    const pending = this.#options.history.read(`${name} through ${target.id}`, trace, 'linearizable');
    const answer = await this.#withPatience(
      readPages(target.store, Buffer.from(trace, 'hex')).then(
        (result) => result,
        (error: unknown) => {
          if (!(error instanceof QuorateError)) throw error;
          return null;
        },
      ),
      null,
      target,
    );
    this.counts.reads += 1;
    if (answer === null) {
      this.counts.failedReads += 1;
      return false;
    }
    if (answer.pages > 1) this.counts.pagedReads += 1;
    pending.returned(spanIdsOf(answer.trace));
    return true;
  }

  #pick(): Target | undefined {
    const stores = this.#options.stores();
    return stores[this.#options.random.below(Math.max(1, stores.length))];
  }

  #withPatience<Result>(operation: Promise<Result>, gaveUp: Result, target: Target): Promise<Result> {
    const { scheduler, unanswered } = this.#options;
    const startMs = scheduler.nowMs;
    return new Promise((resolve, reject) => {
      const cancel = scheduler.after(patienceMs, () => {
        if (target.process.ranSince(startMs))
          unanswered(`${target.id} ran all the time and did not answer within ${patienceMs} ms`);
        resolve(gaveUp);
      });
      operation.then((result) => {
        cancel();
        resolve(result);
      }, reject);
    });
  }
}

/**
 * The whole trace, however many pages it comes in. Pages follow the log, so with all that later ones add it is the trace as
 * of the last: still one linearizable read.
 */
async function readPages(store: TraceStore, traceId: Uint8Array): Promise<{ trace: Uint8Array; pages: number }> {
  const pages: Uint8Array[] = [];
  let after: LogIndex | null = null;
  do {
    const page: TraceRead = await store.read(traceId, 'linearizable', { after });
    if (page.trace !== null) pages.push(page.trace);
    page.release();
    after = page.next;
  } while (after !== null);
  return { trace: mergeTrace(pages, traceId), pages: pages.length };
}

/** TracesData and ExportTraceServiceRequest are the same on the wire. */
function spanIdsOf(trace: Uint8Array): string[] {
  const { spanCount, spans } = walkExport(trace, limits);
  return Array.from({ length: spanCount }, (_, span) => {
    const at = spans.spanIdAt[span] ?? 0;
    return Buffer.from(trace.subarray(at, at + 8)).toString('hex');
  });
}
