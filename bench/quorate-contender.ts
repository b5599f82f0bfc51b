/** Quorate's nodes under the bench, and the sum of what they acknowledged. */
import type { LocalCluster } from '../cluster/local-cluster.ts';
import { HttpClient } from '../test/support/http.ts';
import { metric } from '../test/support/metrics.ts';
import type { Contender } from './contender.ts';
import { Generator } from './generator.ts';
import type { LoadOrder, LoadResult } from './load-messages.ts';

/** So many spans are made ahead, in batches of whatever size: some 14 MB. */
const spansAhead = 49_152;
const batchesAheadMax = 4_096;
const batchesAheadMin = 16;
const seedFrom = 1_000;

export class QuorateContender implements Contender {
  readonly name = 'Quorate';
  readonly generator = new Generator();
  readonly cluster: LocalCluster;
  #spans = 0;
  #otlpBytes = 0;
  #setUps = 0;

  constructor(cluster: LocalCluster) {
    this.cluster = cluster;
  }

  /** From now on the generator sends batches of this size, of spans that were never sent before. */
  async sendBatchesOf(spansPerBatch: number): Promise<void> {
    this.#setUps += 1;
    const batches = Math.min(batchesAheadMax, Math.max(batchesAheadMin, Math.round(spansAhead / spansPerBatch)));
    const nodes = this.cluster.nodes.map(({ http, grpc }) => ({ http, grpc }));
    await this.generator.setUp({
      target: { kind: 'quorate', nodes },
      batches,
      spansPerBatch,
      seed: seedFrom + this.#setUps,
    });
  }

  /** Everything that was acknowledged since the cluster is new, whoever sent it. */
  get acked(): { spans: number; otlpBytes: number } {
    return { spans: this.#spans, otlpBytes: this.#otlpBytes };
  }

  count({ spans, otlpBytes }: { readonly spans: number; readonly otlpBytes: number }): void {
    this.#spans += spans;
    this.#otlpBytes += otlpBytes;
  }

  /** As the generator sends, under no measurement. */
  async load(order: LoadOrder): Promise<LoadResult> {
    const result = await this.generator.run(order);
    this.count({ spans: result.spansAcked, otlpBytes: result.bytesAcked });
    return result;
  }

  get servers(): { id: string; pid: number }[] {
    return this.cluster.nodes.map(({ id, process: server }) => {
      if (server?.pid === undefined) throw new Error(`${id} does not run`);
      return { id, pid: server.pid };
    });
  }

  async whoLeads(): Promise<{ term: number; leader: string }> {
    const views = await Promise.all(
      this.cluster.nodes.map(async ({ http }) => {
        const client = new HttpClient(http);
        try {
          const { body } = await client.send({ path: '/api/v1/cluster', timeoutMs: 5_000 });
          const { term, leader } = JSON.parse(body.toString('utf8')) as { term: number; leader: string | null };
          return { term, leader: leader ?? '' };
        } finally {
          client.close();
        }
      }),
    );
    return views.toSorted((a, b) => b.term - a.term)[0] ?? { term: 0, leader: '' };
  }

  async takeLoopDelayP99Ms(id: string): Promise<number> {
    return 1_000 * (await metric(this.cluster.node(id).http, 'quorate_event_loop_delay_p99_seconds'));
  }
}
