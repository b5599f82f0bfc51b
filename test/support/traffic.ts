/**
 * Concurrent writers and readers on all nodes of a cluster, everything they do recorded. They know nothing of the
 * faults a test makes meanwhile: a refused connection, a 503 and a timeout are outcomes like others.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { giveBackExpired } from './expiry.ts';
import { checkHistory, HistoryRecorder } from './history.ts';
import type { HistoryCounts } from './history.ts';
import { smallExport } from './otlp-workload.ts';
import { eventually } from './quorate-client.ts';
import type { Found, QuorateClient } from './quorate-client.ts';
import { SeededRandom } from './seeded-random.ts';

/** Traces written and read at a time; each is retired for a new one after so many exports. */
const openTraces = 6;
const exportsPerTrace = 30;
/** So many that it comes in over a few pieces of what is kept, and still on one page. */
const exportsPerCutTrace = 200;
const writersPerNode = 2;
const readersPerNode = 2;
const clientTimeoutMs = 3_000;
const restMsMax = 8;

/** Nodes to write to and read from. */
export interface TrafficTarget {
  readonly ids: readonly string[];
  readonly clients: readonly QuorateClient[];
}

interface OpenTrace {
  readonly id: string;
  readonly begunMs: number;
  exports: number;
}

export interface TrafficOptions {
  /**
   * The nodes keep spans for so long. Traces are longer then, and every second reader looks for one that expires about now; what
   * is lacking must be as old as that, and its answer must say so.
   */
  readonly retentionMs?: number;
}

export class Traffic {
  readonly recorder = new HistoryRecorder(() => performance.now());
  readonly #cluster: TrafficTarget;
  readonly #random: SeededRandom;
  readonly #open: OpenTrace[] = [];
  readonly #traces: OpenTrace[] = [];
  readonly #retentionMs: number;
  readonly #unanswered: string[] = [];
  readonly #acksThrough = new Map<string, number>();
  #running: Promise<void>[] = [];
  #stopped = false;

  constructor(cluster: TrafficTarget, seed: number, { retentionMs = Infinity }: TrafficOptions = {}) {
    this.#cluster = cluster;
    this.#retentionMs = retentionMs;
    this.#random = new SeededRandom(seed);
  }

  /** Starts all writers and readers. */
  start(): void {
    this.#stopped = false;
    this.#running = [];
    for (const client of this.#cluster.clients) this.through(client);
  }

  /** Starts writers and readers of one more node; those of a node that is retired end by themselves. */
  through(client: QuorateClient): void {
    this.#running.push(
      ...Array.from({ length: writersPerNode }, async (_, n) =>
        this.#write(`writer ${n} through ${client.id}`, client),
      ),
      ...Array.from({ length: readersPerNode }, async (_, n) => this.#read(`reader ${n} of ${client.id}`, client)),
    );
  }

  #goesOn({ id }: QuorateClient): boolean {
    return !this.#stopped && this.#cluster.ids.includes(id);
  }

  /** Why reads had no answer, so far. */
  get unanswered(): readonly string[] {
    return this.#unanswered;
  }

  /** Exports acked through these nodes so far. */
  acks(ids: readonly string[] = this.#cluster.ids): number {
    return ids.reduce((sum, id) => sum + (this.#acksThrough.get(id) ?? 0), 0);
  }

  /** Resolves when `more` exports have been acked, from now on, through these nodes: the cluster is at work. */
  async moreAcks(more: number, ids: readonly string[] = this.#cluster.ids): Promise<void> {
    const enough = this.acks(ids) + more;
    await eventually(`${more} more acks through ${ids.join(', ')}`, async () => this.acks(ids) >= enough, {
      timeoutMs: 40_000,
    });
  }

  /** Lets every operation under way end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  /**
   * Stops, reads every trace once more through every one of these nodes, and checks all that was seen. They must be up.
   * Throws the explanation, and where the history was kept, when it is not linearizable.
   */
  async settle(ids: readonly string[] = this.#cluster.ids): Promise<HistoryCounts> {
    await this.readAll(ids);
    return this.check();
  }

  /** The same without the check. */
  async readAll(ids: readonly string[] = this.#cluster.ids): Promise<void> {
    await this.stop();
    const clients = this.#cluster.clients.filter(({ id }) => ids.includes(id));
    await Promise.all(
      clients.map(async (client) => {
        for (const { id } of this.#traces) {
          const read = this.recorder.read(`last reader of ${client.id}`, id, 'linearizable');
          // A freshly started node may still answer 503; a settled cluster must not go on doing so.
          const ask = async (): Promise<Found | undefined> => client.lookUp(id).catch(() => undefined);
          const { spanIds, expired } = await eventually(`an answer of ${client.id}`, ask);
          read.returned(spanIds, expired);
        }
      }),
    );
  }

  /** Checks all that was seen until now. */
  check(): HistoryCounts {
    const history = giveBackExpired(this.recorder.history(), this.#retentionMs);
    const verdict = checkHistory(history);
    if (verdict.ok) return verdict;
    const path = join(mkdtempSync(join(tmpdir(), 'quorate-history-')), 'history.json');
    writeFileSync(path, JSON.stringify({ verdict, history }, null, 1));
    throw new Error(`${verdict.explanation}\n(the whole history: ${path})`);
  }

  async #write(name: string, client: QuorateClient): Promise<void> {
    while (this.#goesOn(client)) {
      const trace = this.#pickTrace();
      const sent = smallExport(this.#random, { spans: this.#random.between(1, 3), traceId: trace.id });
      trace.exports += 1;
      // A retry is sent through any node, as applications do: the spans must not appear twice.
      let through = client;
      for (let attempt = 0; attempt < 3 && !this.#stopped; attempt += 1) {
        const adds = sent.spanIds.map((id) => this.recorder.add(name, trace.id, id));
        const { outcome } = await through.export(sent.body, clientTimeoutMs);
        for (const add of adds) add.settle(outcome);
        if (outcome === 'ok') {
          this.#acksThrough.set(through.id, (this.#acksThrough.get(through.id) ?? 0) + 1);
          break;
        }
        await delay(this.#random.below(40));
        if (outcome === 'unknown') through = this.#random.pick(this.#cluster.clients);
      }
      await delay(this.#random.below(restMsMax));
    }
  }

  async #read(name: string, client: QuorateClient): Promise<void> {
    while (this.#goesOn(client)) {
      const trace = this.#pickTraceToRead().id;
      const consistency = this.#random.below(5) === 0 ? 'stale' : 'linearizable';
      const read = this.recorder.read(name, trace, consistency);
      try {
        const { spanIds, expired } = await client.lookUp(trace, consistency, clientTimeoutMs);
        read.returned(spanIds, expired);
      } catch (error) {
        // A read without an answer says nothing.
        this.#unanswered.push(error instanceof Error ? error.message : String(error));
        await delay(this.#random.below(40));
      }
      await delay(this.#random.below(restMsMax));
    }
  }

  /** Mostly what is being written, sometimes what was written long ago, or expires. */
  #pickTraceToRead(): OpenTrace {
    if (Number.isFinite(this.#retentionMs) && this.#random.below(2) === 0) {
      const nowMs = performance.now();
      const edge = this.#traces.filter(({ begunMs }) => {
        const ageMs = nowMs - begunMs;
        return ageMs > this.#retentionMs && ageMs < 2 * this.#retentionMs;
      });
      if (edge.length > 0) return this.#random.pick(edge);
    }
    const old = this.#random.below(8) === 0 && this.#traces.length > 0;
    return old ? this.#random.pick(this.#traces) : this.#pickTrace();
  }

  #pickTrace(): OpenTrace {
    const at = this.#random.below(openTraces);
    const open = this.#open[at];
    const exportsMax = Number.isFinite(this.#retentionMs) ? exportsPerCutTrace : exportsPerTrace;
    if (open !== undefined && open.exports < exportsMax) return open;
    const fresh = { id: this.#random.bytes(16).toString('hex'), begunMs: performance.now(), exports: 0 };
    this.#open[at] = fresh;
    this.#traces.push(fresh);
    return fresh;
  }
}
