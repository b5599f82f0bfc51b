/**
 * Traces that come in over ten exports each, far apart: what a lookup has to gather from ten blocks. They come in groups that
 * share exports, and groups share none: a first lookup in each group finds nothing warm that another one left.
 */
import { walkExport } from '../src/otlp/walk.ts';
import { limits } from '../src/limits.ts';
import { HttpClient } from '../test/support/http.ts';
import { OtlpWorkload } from '../test/support/otlp-workload.ts';
import { SeededRandom } from '../test/support/seeded-random.ts';

const groups = 100;
const tracesPerGroup = 20;
/** Exports, hence blocks, of each trace. */
export const passes = 10;
const spansPerPass = 2;
const timeoutMs = 15_000;
const attemptsMax = 20;

interface SpreadTrace {
  readonly traceId: string;
  readonly spanIds: Buffer[];
}

export class SpreadTraces {
  readonly #workload: OtlpWorkload;
  readonly #groups: readonly (readonly SpreadTrace[])[];
  #passes = 0;

  constructor(seed: number) {
    const random = new SeededRandom(seed);
    const spansPerBatch = tracesPerGroup * spansPerPass;
    this.#workload = new OtlpWorkload({ seed, batches: groups, spansPerBatch, startMs: Date.now() });
    this.#groups = Array.from({ length: groups }, () =>
      Array.from({ length: tracesPerGroup }, () => ({ traceId: random.bytes(16).toString('hex'), spanIds: [] })),
    );
  }

  /** Sends the next spans of every trace, group after group. Resolves with what was acknowledged. */
  async storePass(url: string): Promise<{ spans: number; otlpBytes: number }> {
    const client = new HttpClient(url);
    const acked = { spans: 0, otlpBytes: 0 };
    try {
      for (const [at, group] of this.#groups.entries()) {
        const index = this.#passes * groups + at;
        const body = this.#workload.body(index);
        for (const [span, offset] of walkExport(body, limits).spans.traceIdAt.entries()) {
          const trace = group[Math.floor(span / spansPerPass)] as SpreadTrace;
          body.write(trace.traceId, offset, 'hex');
          trace.spanIds.push(this.#workload.ids(index, span).spanId);
        }
        await send(client, body);
        acked.spans += this.#workload.spansPerBatch;
        acked.otlpBytes += body.length;
      }
    } finally {
      client.close();
    }
    this.#passes += 1;
    return acked;
  }

  /** Trace `nth` of every group. */
  oneOfEachGroup(nth: number): SpreadTrace[] {
    return this.#groups.map((group) => group[nth % tracesPerGroup] as SpreadTrace);
  }
}

/** Looks traces up, one at a time, through each client in turn. Latencies in ms, and how many answers lacked a span. */
export async function lookUp(
  traces: Iterable<SpreadTrace>,
  clients: readonly HttpClient[],
): Promise<{ latenciesMs: number[]; wrong: number }> {
  const latenciesMs: number[] = [];
  let wrong = 0;
  for (const { traceId, spanIds } of traces) {
    const client = clients[latenciesMs.length % clients.length] as HttpClient;
    const sinceMs = performance.now();
    const headers = { accept: 'application/x-protobuf' };
    const { status, body } = await client.send({ path: `/api/v1/traces/${traceId}`, headers, timeoutMs });
    latenciesMs.push(performance.now() - sinceMs);
    if (status !== 200 || !spanIds.every((id) => body.includes(id))) wrong += 1;
  }
  return { latenciesMs, wrong };
}

async function send(client: HttpClient, body: Buffer): Promise<void> {
  const headers = { 'content-type': 'application/x-protobuf' };
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const { status } = await client.send({ method: 'POST', path: '/v1/traces', headers, body, timeoutMs });
    if (status === 200) return;
  }
  throw new Error(`an export of the traces to look up was refused ${attemptsMax} times`);
}
