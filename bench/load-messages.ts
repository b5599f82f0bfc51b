/** What the bench and its load generator, a process of its own, say to one another. */
import type { Latency } from './statistics.ts';

/** How exports are sent. The last two are a fixed set of bodies, sent again and again: making them costs too much. */
export const formats = ['protobuf', 'grpc', 'gzip', 'json'] as const;
export type Format = (typeof formats)[number];

export interface LoadSetup {
  readonly target:
    | {
        readonly kind: 'quorate';
        /** Base URL of each node's HTTP API, and `HOST:PORT` of its gRPC. */
        readonly nodes: readonly { readonly http: string; readonly grpc: string }[];
      }
    /** The same bytes, cut into values. `HOST:PORT` of the member that leads. */
    | { readonly kind: 'etcd'; readonly leader: string };
  readonly batches: number;
  readonly spansPerBatch: number;
  /** Of another setup on the same data it must differ: the same seed makes the same spans. */
  readonly seed: number;
}

/** `closed`: so many requests in flight at any time. `open`: so many bytes begin each second, whatever became of the earlier. */
export type Pace =
  | { readonly kind: 'closed'; readonly inFlight: number }
  | { readonly kind: 'open'; readonly bytesPerSecond: number };

export interface LoadOrder {
  readonly seconds: number;
  /** Absent: no ingest. */
  readonly ingest?: Pace;
  /** Default: protobuf over HTTP. */
  readonly format?: Format;
  /** Which nodes, by their place in the setup, take exports and lookups; default all, in turn. */
  readonly through?: readonly number[];
  /** A 429 or 503 ends an export, which is then counted as refused: what is offered does not depend on what is taken. */
  readonly refusalsAreFinal?: boolean;
  /** Every single ack is wanted. */
  readonly keepsAcks?: boolean;
  /** Lookups in flight at any time, each followed by `lookupPauseMs` of rest. 0: none. */
  readonly lookupsInFlight: number;
  readonly lookupPauseMs: number;
}

/** Of one request, ms since the epoch. */
export interface Ack {
  readonly dueMs: number;
  readonly atMs: number;
}

export interface LoadResult {
  /** Acked in the time asked for, per second. */
  readonly spansPerSecond: number;
  readonly bytesPerSecond: number;
  /** Acked in all, those that landed just after the end included. */
  readonly spansAcked: number;
  readonly bytesAcked: number;
  /** ms from the first send (open loop: when it was due) to the ack. */
  readonly ack: Latency;
  /** Empty unless they were asked for. */
  readonly acks: readonly Ack[];
  /** ms. */
  readonly lookup: Latency;
  /** Answers that were 200 and lacked the span, or 404: acked data not shown. Must be 0. */
  readonly lookupsWrong: number;
  /** Exports refused for good; keys are HTTP statuses. */
  readonly refused: Readonly<Record<string, number>>;
  /** Exports sent again after such an answer; keys are HTTP statuses. */
  readonly retries: Readonly<Record<string, number>>;
  /** Exports and lookups that ended in an error; keys are the sentences. */
  readonly errors: Readonly<Record<string, number>>;
  /** Open loop: exports not begun because too many were waiting. */
  readonly skipped: number;
  /** CPU seconds a second that the generator itself took: on a shared machine the servers lack them. */
  readonly generatorCores: number;
}

export type ToLoad =
  | { readonly kind: 'setup'; readonly setup: LoadSetup }
  | { readonly kind: 'run'; readonly order: LoadOrder };
export type FromLoad =
  | { readonly kind: 'ready'; readonly bytesPerSpan: number; readonly bytesPerRequest: number }
  | { readonly kind: 'result'; readonly result: LoadResult };
