/** One kind of server as the load generator sees it: requests made ahead, and how one of them is sent. */
import type { Format } from './load-messages.ts';

/** One request as it is sent. */
export interface Message {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  /** OTLP protobuf bytes in it, and the spans in them: a value of etcd may hold a part of one. */
  readonly otlpBytes: number;
  readonly spans: number;
}

export interface Sender {
  readonly bytesPerSpan: number;
  readonly bytesPerRequest: number;
  /** Request number `index`; asked for in rising order. */
  message(index: number, format: Format): Message;
  /** Sends it once, over one of many connections. Resolves with an HTTP status, also for gRPC; rejects when there is none. */
  send(
    message: Message,
    format: Format,
    connection: number,
  ): Promise<{ readonly status: number; readonly body: Buffer }>;
  close(): void;
}

/** HTTP statuses for those of gRPC that a client may answer by sending again. */
export const statusOfGrpc: Readonly<Record<number, number>> = { 0: 200, 8: 429, 14: 503 };
export const exportTimeoutMs = 15_000;
