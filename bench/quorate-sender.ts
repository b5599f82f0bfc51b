/** Exports to Quorate's nodes, over HTTP and gRPC, in every format that it takes; and lookups of what was acked. */
import { gzipSync } from 'node:zlib';
import { tracesToJson } from '../src/otlp/json-encode.ts';
import { GrpcClient } from '../test/support/grpc-client.ts';
import { HttpClient } from '../test/support/http.ts';
import type { OtlpWorkload } from '../test/support/otlp-workload.ts';
import type { Format } from './load-messages.ts';
import { exportTimeoutMs, statusOfGrpc } from './sender.ts';
import type { Message, Sender } from './sender.ts';

const lookupTimeoutMs = 10_000;
const protobuf = { 'content-type': 'application/x-protobuf' } as const;
/** Bodies of the formats that are made ahead. */
const fixedBodies = 32;
/** Each is a connection, as HTTP clients have several. */
const grpcClientsPerNode = 4;

export class QuorateSender implements Sender {
  readonly #workload: OtlpWorkload;
  readonly #clients: readonly HttpClient[];
  /** For each node. */
  readonly #grpcClients: readonly (readonly GrpcClient[])[];
  readonly #fixed = new Map<Format, Message[]>();

  constructor(workload: OtlpWorkload, nodes: readonly { readonly http: string; readonly grpc: string }[]) {
    this.#workload = workload;
    this.#clients = nodes.map(({ http }) => new HttpClient(http));
    this.#grpcClients = nodes.map(({ grpc }) => Array.from({ length: grpcClientsPerNode }, () => new GrpcClient(grpc)));
  }

  get bytesPerSpan(): number {
    return this.bytesPerRequest / this.#workload.spansPerBatch;
  }

  get bytesPerRequest(): number {
    return this.#workload.averageBytes;
  }

  /** Only those in protobuf are new each time. */
  message(index: number, format: Format): Message {
    const spans = this.#workload.spansPerBatch;
    if (format === 'protobuf' || format === 'grpc') {
      const body = this.#workload.body(index);
      return { body, headers: protobuf, otlpBytes: body.length, spans };
    }
    let fixed = this.#fixed.get(format);
    if (fixed === undefined) {
      fixed = Array.from({ length: fixedBodies }, (_, n) => encoded(this.#workload.body(n), format, spans));
      this.#fixed.set(format, fixed);
    }
    return fixed[index % fixedBodies] as Message;
  }

  async send(message: Message, format: Format, connection: number): Promise<{ status: number; body: Buffer }> {
    const node = connection % this.#clients.length;
    if (format === 'grpc') {
      const own = this.#grpcClients[node] ?? [];
      const grpc = own[Math.floor(connection / this.#clients.length) % own.length] as GrpcClient;
      const { code, body, message: said } = await grpc.export(message.body, { timeoutMs: exportTimeoutMs });
      const status = statusOfGrpc[code];
      if (status === undefined) throw new Error(`gRPC status ${code}: ${said}`);
      return { status, body };
    }
    const http = this.#clients[node] as HttpClient;
    const { headers, body } = message;
    return http.send({ method: 'POST', path: '/v1/traces', headers, body, timeoutMs: exportTimeoutMs });
  }

  /** The trace as protobuf, of the default consistency. */
  async lookUp(traceId: string, connection: number): Promise<{ status: number; body: Buffer }> {
    const http = this.#clients[connection % this.#clients.length] as HttpClient;
    const headers = { accept: 'application/x-protobuf' };
    return http.send({ path: `/api/v1/traces/${traceId}`, headers, timeoutMs: lookupTimeoutMs });
  }

  close(): void {
    for (const client of this.#clients) client.close();
    for (const client of this.#grpcClients.flat()) client.close();
  }
}

/** `protobuf` as it is sent in another format. */
function encoded(body: Buffer, format: 'gzip' | 'json', spans: number): Message {
  const counted = { otlpBytes: body.length, spans };
  if (format === 'gzip')
    return { body: gzipSync(body), headers: { ...protobuf, 'content-encoding': 'gzip' }, ...counted };
  return { body: Buffer.from(tracesToJson(body)), headers: { 'content-type': 'application/json' }, ...counted };
}
