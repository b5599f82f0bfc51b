/** Randomness, as a seam: election jitter, ids, back-off (protocol I1). */
export interface Random {
  /** A uniform integer in [0, bound). `bound` is at least 1 and at most 2^32. */
  below(bound: number): number;
  /** `length` unpredictable bytes: for incarnations, boot ids and cluster ids. */
  bytes(length: number): Uint8Array;
}
