/**
 * The load generator: a process of its own, so that what it costs is not counted as the servers'. It sends pregenerated
 * exports over kept-alive connections to all nodes and looks acked traces up. Started and told what to do by main.ts.
 */
import { gzipSync } from 'node:zlib';
import { tracesToJson } from '../src/otlp/json-encode.ts';
import { GrpcClient } from '../test/support/grpc-client.ts';
import { HttpClient } from '../test/support/http.ts';
import { OtlpWorkload } from '../test/support/otlp-workload.ts';
import type { Format, FromLoad, Latency, LoadOrder, LoadResult, LoadSetup, ToLoad } from './load-messages.ts';

const exportTimeoutMs = 15_000;
const lookupTimeoutMs = 10_000;
const openLoopWaitingMax = 2_000;
const attemptsMax = 20;

/** One export as it is sent. */
interface Message {
  readonly body: Buffer;
  readonly headers: Record<string, string>;
  /** What it is as OTLP protobuf. */
  readonly protobufBytes: number;
}

const protobuf = { 'content-type': 'application/x-protobuf' } as const;
/** Bodies of the formats that are made ahead. */
const fixedBodies = 32;
/** Each is a connection, as HTTP clients have several. */
const grpcClientsPerNode = 4;
const statusOfGrpc: Readonly<Record<number, number>> = { 0: 200, 8: 429, 14: 503 };

class Load {
  readonly workload: OtlpWorkload;
  readonly #clients: HttpClient[];
  readonly #grpcClients: GrpcClient[];
  readonly #fixed = new Map<Format, Message[]>();
  readonly #acked: number[] = [];
  #next = 0;

  constructor(setup: LoadSetup) {
    this.workload = new OtlpWorkload({ ...setup, startMs: Date.now() });
    this.#clients = setup.nodes.map(({ http }) => new HttpClient(http));
    const connections = Array.from({ length: grpcClientsPerNode }, () => setup.nodes).flat();
    this.#grpcClients = connections.map(({ grpc }) => new GrpcClient(grpc));
  }

  /** Export number `index`. Only those in protobuf are new each time. */
  #message(index: number, format: Format): Message {
    if (format === 'protobuf' || format === 'grpc') {
      const body = this.workload.body(index);
      return { body, headers: protobuf, protobufBytes: body.length };
    }
    let fixed = this.#fixed.get(format);
    if (fixed === undefined) {
      fixed = Array.from({ length: fixedBodies }, (_, n) => encoded(this.workload.body(n), format));
      this.#fixed.set(format, fixed);
    }
    return fixed[index % fixedBodies] as Message;
  }

  /** Sends one message once. Resolves with an HTTP status, also for gRPC, and what came back. */
  async #send(message: Message, format: Format, client: number): Promise<{ status: number; body: Buffer }> {
    if (format === 'grpc') {
      const grpc = this.#grpcClients[client % this.#grpcClients.length] as GrpcClient;
      const { code, body, message: said } = await grpc.export(message.body, { timeoutMs: exportTimeoutMs });
      const status = statusOfGrpc[code];
      if (status === undefined) throw new Error(`gRPC status ${code}: ${said}`);
      return { status, body };
    }
    const http = this.#clients[client % this.#clients.length] as HttpClient;
    const { headers, body } = message;
    return http.send({ method: 'POST', path: '/v1/traces', headers, body, timeoutMs: exportTimeoutMs });
  }

  async run(order: LoadOrder): Promise<LoadResult> {
    const tally = new Tally();
    const startedMs = performance.now();
    const endMs = startedMs + order.seconds * 1_000;
    const work: Promise<void>[] = [];
    // Made before the clock runs.
    this.#message(0, order.format ?? 'protobuf');
    if (order.ingest?.kind === 'closed') {
      for (let n = 0; n < order.ingest.inFlight; n += 1) work.push(this.#sendUntil(endMs, n, order, tally));
    } else if (order.ingest !== undefined) {
      work.push(this.#sendAtRate(order.ingest.exportsPerSecond, startedMs, endMs, order, tally));
    }
    for (let n = 0; n < order.lookupsInFlight; n += 1) work.push(this.#lookUntil(endMs, n, order.lookupPauseMs, tally));
    await Promise.all(work);
    return tally.result(order.seconds);
  }

  async #sendUntil(endMs: number, sender: number, order: LoadOrder, tally: Tally): Promise<void> {
    while (performance.now() < endMs) await this.#export(sender, performance.now(), endMs, order, tally);
  }

  async #sendAtRate(
    perSecond: number,
    startedMs: number,
    endMs: number,
    order: LoadOrder,
    tally: Tally,
  ): Promise<void> {
    const waiting = new Set<Promise<void>>();
    for (let n = 0; ; n += 1) {
      const dueMs = startedMs + (n * 1_000) / perSecond;
      if (dueMs >= endMs) break;
      while (performance.now() < dueMs) await pause(Math.max(1, dueMs - performance.now()));
      if (waiting.size >= openLoopWaitingMax) {
        tally.skipped += 1;
        continue;
      }
      const sent: Promise<void> = this.#export(n, dueMs, endMs, order, tally).finally(() => waiting.delete(sent));
      waiting.add(sent);
    }
    await Promise.all(waiting);
  }

  /** One export until it is acked: a 503, a 429 and a lost connection are answered by sending it again, elsewhere. */
  async #export(sender: number, sinceMs: number, endMs: number, order: LoadOrder, tally: Tally): Promise<void> {
    const { format = 'protobuf', refusalsAreFinal = false } = order;
    const index = this.#next;
    this.#next += 1;
    const message = this.#message(index, format);
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      try {
        const answer = await this.#send(message, format, sender + attempt);
        if (answer.status === 200) {
          // An answer without partial_success: every span was taken.
          if (answer.body.length > 2) tally.failed(`partial success: ${answer.body.toString('latin1')}`);
          tally.acked(sinceMs, endMs, this.workload.spansPerBatch, message.protobufBytes);
          if (format === 'protobuf') this.#acked.push(index);
          return;
        }
        if (answer.status !== 503 && answer.status !== 429) {
          tally.failed(`export answered ${answer.status}: ${answer.body.toString('latin1').slice(0, 200)}`);
          return;
        }
        if (refusalsAreFinal) {
          tally.refused(String(answer.status));
          return;
        }
        tally.retried(String(answer.status));
        await pause(1_000 * Math.random());
      } catch (error) {
        tally.failed(`export: ${sentence(error)}`);
        await pause(50);
      }
    }
    tally.failed(`an export was given up after ${attemptsMax} attempts`);
  }

  async #lookUntil(endMs: number, reader: number, pauseMs: number, tally: Tally): Promise<void> {
    for (let n = reader; performance.now() < endMs; n += 1) {
      const index = this.#acked[Math.floor(Math.random() * this.#acked.length)];
      const client = this.#clients[n % this.#clients.length];
      if (index === undefined || client === undefined) {
        await pause(10);
        continue;
      }
      const { traceId, spanId } = this.workload.ids(index, Math.floor(Math.random() * this.workload.spansPerBatch));
      const sinceMs = performance.now();
      try {
        const path = `/api/v1/traces/${traceId}`;
        const answer = await client.send({
          path,
          headers: { accept: 'application/x-protobuf' },
          timeoutMs: lookupTimeoutMs,
        });
        if (answer.status === 200 && answer.body.includes(spanId)) tally.lookups.push(performance.now() - sinceMs);
        else if (answer.status === 200 || answer.status === 404) tally.lookupsWrong += 1;
        else tally.failed(`lookup answered ${answer.status}: ${answer.body.toString('latin1').slice(0, 200)}`);
      } catch (error) {
        tally.failed(`lookup: ${sentence(error)}`);
      }
      if (pauseMs > 0) await pause(pauseMs);
    }
  }
}

class Tally {
  readonly lookups: number[] = [];
  lookupsWrong = 0;
  skipped = 0;
  readonly #acks: number[] = [];
  readonly #refused: Record<string, number> = {};
  readonly #retries: Record<string, number> = {};
  readonly #errors: Record<string, number> = {};
  #spans = 0;
  #bytes = 0;
  #spansInTime = 0;
  #bytesInTime = 0;

  acked(sinceMs: number, endMs: number, spans: number, bytes: number): void {
    const nowMs = performance.now();
    this.#acks.push(nowMs - sinceMs);
    this.#spans += spans;
    this.#bytes += bytes;
    if (nowMs > endMs) return;
    this.#spansInTime += spans;
    this.#bytesInTime += bytes;
  }

  refused(status: string): void {
    this.#refused[status] = (this.#refused[status] ?? 0) + 1;
  }

  retried(status: string): void {
    this.#retries[status] = (this.#retries[status] ?? 0) + 1;
  }

  failed(why: string): void {
    this.#errors[why] = (this.#errors[why] ?? 0) + 1;
  }

  result(seconds: number): LoadResult {
    return {
      spansPerSecond: this.#spansInTime / seconds,
      bytesPerSecond: this.#bytesInTime / seconds,
      spansAcked: this.#spans,
      bytesAcked: this.#bytes,
      ack: latency(this.#acks),
      lookup: latency(this.lookups),
      lookupsWrong: this.lookupsWrong,
      refused: this.#refused,
      retries: this.#retries,
      errors: this.#errors,
      skipped: this.skipped,
    };
  }
}

/** `protobuf` as it is sent in another format. */
function encoded(body: Buffer, format: 'gzip' | 'json'): Message {
  const protobufBytes = body.length;
  if (format === 'gzip')
    return { body: gzipSync(body), headers: { ...protobuf, 'content-encoding': 'gzip' }, protobufBytes };
  return { body: Buffer.from(tracesToJson(body)), headers: { 'content-type': 'application/json' }, protobufBytes };
}

function latency(samples: readonly number[]): Latency {
  const sorted = Float64Array.from(samples).toSorted();
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

async function pause(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, ms);
  await promise;
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function reply(message: FromLoad): void {
  process.send?.(message);
}

let load: Load | undefined;
process.on('disconnect', () => process.exit(1));
process.on('message', (message: ToLoad) => {
  if (message.kind === 'setup') {
    load = new Load(message.setup);
    reply({ kind: 'ready', bytesPerSpan: load.workload.averageBytes / message.setup.spansPerBatch });
    return;
  }
  if (load === undefined) throw new Error('the load generator was told to run before it was set up');
  void load.run(message.order).then((result) => reply({ kind: 'result', result }));
});
