/**
 * The same OTLP bytes put into etcd as values of 64 KiB. What makes it cheap for etcd: gRPC and not the JSON gateway, whose
 * base64 etcd would have to undo; straight to the member that leads, so that none forwards; rising keys; no lease, no compare.
 */
import { GrpcClient } from '../test/support/grpc-client.ts';
import type { OtlpWorkload } from '../test/support/otlp-workload.ts';
import { bytesField } from '../test/support/protobuf-writer.ts';
import { exportTimeoutMs, statusOfGrpc } from './sender.ts';
import type { Message, Sender } from './sender.ts';

export const etcdValueBytes = 64 * 1024;
const connections = 4;

export class EtcdSender implements Sender {
  readonly bytesPerSpan: number;
  readonly bytesPerRequest = etcdValueBytes;
  readonly #workload: OtlpWorkload;
  readonly #clients: readonly GrpcClient[];
  #rest = Buffer.alloc(0);
  #exports = 0;

  constructor(workload: OtlpWorkload, leader: string) {
    this.#workload = workload;
    this.bytesPerSpan = workload.averageBytes / workload.spansPerBatch;
    this.#clients = Array.from({ length: connections }, () => new GrpcClient(leader));
  }

  message(index: number): Message {
    while (this.#rest.length < etcdValueBytes) {
      this.#rest = Buffer.concat([this.#rest, this.#workload.body(this.#exports)]);
      this.#exports += 1;
    }
    const value = this.#rest.subarray(0, etcdValueBytes);
    this.#rest = this.#rest.subarray(etcdValueBytes);
    return {
      body: Buffer.concat([bytesField(1, `span/${String(index).padStart(12, '0')}`), bytesField(2, value)]),
      headers: {},
      otlpBytes: etcdValueBytes,
      spans: etcdValueBytes / this.bytesPerSpan,
    };
  }

  async send(message: Message, _format: unknown, connection: number): Promise<{ status: number; body: Buffer }> {
    const client = this.#clients[connection % connections] as GrpcClient;
    const answer = await client.call('/etcdserverpb.KV/Put', message.body, { timeoutMs: exportTimeoutMs });
    const status = statusOfGrpc[answer.code];
    if (status === undefined) throw new Error(`etcd answered gRPC status ${answer.code}: ${answer.message}`);
    // A PutResponse has a header; that of an export is empty unless something was refused.
    return { status, body: Buffer.alloc(0) };
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}
