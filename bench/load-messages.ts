/** What the bench and its load generator, a process of its own, say to one another. */

/** How exports are sent. The last three are a fixed set of bodies, sent again and again: making them costs too much. */
export const formats = ['protobuf', 'grpc', 'gzip', 'json'] as const;
export type Format = (typeof formats)[number];

export interface LoadSetup {
  /** Base URL of each node's HTTP API, and `HOST:PORT` of its gRPC. */
  readonly nodes: readonly { readonly http: string; readonly grpc: string }[];
  readonly batches: number;
  readonly spansPerBatch: number;
  readonly seed: number;
}

/** `closed`: so many exports in flight at any time. `open`: so many begin each second, whatever became of the earlier. */
export type Pace =
  | { readonly kind: 'closed'; readonly inFlight: number }
  | { readonly kind: 'open'; readonly exportsPerSecond: number };

export interface LoadOrder {
  readonly seconds: number;
  /** Absent: no ingest. */
  readonly ingest?: Pace;
  /** Default: protobuf over HTTP. */
  readonly format?: Format;
  /** A 429 or 503 ends an export, which is then counted as refused: what is offered does not depend on what is taken. */
  readonly refusalsAreFinal?: boolean;
  /** Lookups in flight at any time, each followed by `lookupPauseMs` of rest. 0: none. */
  readonly lookupsInFlight: number;
  readonly lookupPauseMs: number;
}

/** ms. */
export interface Latency {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface LoadResult {
  /** Acked in the time asked for, per second. */
  readonly spansPerSecond: number;
  readonly bytesPerSecond: number;
  /** Acked in all, those that landed just after the end included. */
  readonly spansAcked: number;
  readonly bytesAcked: number;
  /** First send (open loop: when it was due) to ack. */
  readonly ack: Latency;
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
}

export type ToLoad =
  | { readonly kind: 'setup'; readonly setup: LoadSetup }
  | { readonly kind: 'run'; readonly order: LoadOrder };
export type FromLoad =
  | { readonly kind: 'ready'; readonly bytesPerSpan: number }
  | { readonly kind: 'result'; readonly result: LoadResult };
