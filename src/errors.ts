/**
 * Everything that can go wrong for a caller, as a closed set: one table from code to HTTP status and to whether sending
 * the same again is safe and sensible (OTLP retries exactly 429, 502, 503 and 504).
 */
export const errorCodes = {
  /** Not acknowledged, may be stored: no majority, no leader, or no answer inside the deadline. */
  unavailable: { http: 503, grpc: 14, retryable: true },
  /** This node cannot serve yet: it waits to be admitted, replays its log or rebuilds its index. */
  'not-ready': { http: 503, grpc: 14, retryable: true },
  /** Stored bytes failed their checksum here, and not in an entry that the others can give back. */
  damaged: { http: 503, grpc: 14, retryable: true },
  /** The disk of this node is nearly full: nothing of it is stored, nor will be. */
  'no-space': { http: 503, grpc: 14, retryable: true },
  /** What was asked for does not fit the state that the cluster is in. */
  conflict: { http: 409, grpc: 9, retryable: false },
  overloaded: { http: 429, grpc: 8, retryable: true },
  'bad-request': { http: 400, grpc: 3, retryable: false },
  'too-large': { http: 413, grpc: 8, retryable: false },
  'unsupported-media-type': { http: 415, grpc: 3, retryable: false },
  /** gRPC alone: a message in an encoding that this node does not know. */
  'unsupported-encoding': { http: 415, grpc: 12, retryable: false },
  'method-not-allowed': { http: 405, grpc: 12, retryable: false },
  /** No such trace. */
  'not-found': { http: 404, grpc: 5, retryable: false },
  /** Nothing is served at this path. */
  'no-such-path': { http: 404, grpc: 5, retryable: false },
  internal: { http: 500, grpc: 13, retryable: false },
} as const;

export type ErrorCode = keyof typeof errorCodes;

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(errorCodes, text);

/** A failure that is answered to the caller with its code and one sentence. */
export class QuorateError extends Error {
  override readonly name = 'QuorateError';
  readonly code: ErrorCode;
  /** The name in `limits` of the bound that was met; null when it was none. */
  readonly limit: string | null;

  constructor(code: ErrorCode, sentence: string, { limit = null }: { readonly limit?: string | null } = {}) {
    super(sentence);
    this.code = code;
    this.limit = limit;
  }
}

export function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
