/** OTLP and health over gRPC as grpc-js speaks it: a client that shares nothing with the server under test. */
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';

const asIs = (bytes: Buffer): Buffer => bytes;

export interface GrpcAnswer {
  /** 0 is OK. */
  readonly code: number;
  readonly message: string;
  /** The response; empty without one. */
  readonly body: Buffer;
  /** `grpc-status-details-bin`; empty without one. */
  readonly details: Buffer;
}

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly gzip?: boolean;
}

export class GrpcClient {
  readonly #client: Client;

  /** @param address `HOST:PORT`. */
  constructor(address: string, { gzip = false } = {}) {
    this.#client = new Client(address, credentials.createInsecure(), {
      'grpc.default_compression_algorithm': gzip ? 2 : 0,
      'grpc.max_send_message_length': -1,
      // Each client has a connection of its own.
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  export(body: Buffer, options: CallOptions = {}): Promise<GrpcAnswer> {
    return this.call('/opentelemetry.proto.collector.trace.v1.TraceService/Export', body, options);
  }

  /** One unary call. Resolves with any status. */
  call(path: string, body: Buffer, { timeoutMs = 10_000 }: CallOptions = {}): Promise<GrpcAnswer> {
    return new Promise((resolve) => {
      const done = (error: ServiceError | null, response?: Buffer): void => {
        const [details] = error?.metadata.get('grpc-status-details-bin') ?? [];
        resolve({
          code: error?.code ?? 0,
          message: error?.details ?? '',
          body: response ?? Buffer.alloc(0),
          details: Buffer.isBuffer(details) ? details : Buffer.alloc(0),
        });
      };
      const deadline = Date.now() + timeoutMs;
      this.#client.makeUnaryRequest(path, asIs, asIs, body, new Metadata(), { deadline }, done);
    });
  }

  /** The first `count` messages of a server-streaming call; `meanwhile` runs after each. */
  watch(path: string, body: Buffer, count: number, meanwhile: (seen: number) => void): Promise<Buffer[]> {
    return new Promise((resolve, reject) => {
      const seen: Buffer[] = [];
      const call = this.#client.makeServerStreamRequest(path, asIs, asIs, body);
      call.on('data', (message: Buffer) => {
        seen.push(message);
        meanwhile(seen.length);
        if (seen.length < count) return;
        call.cancel();
        resolve(seen);
      });
      call.on('error', (error: ServiceError) => {
        if (seen.length < count) reject(error);
      });
    });
  }

  close(): void {
    this.#client.close();
  }
}
