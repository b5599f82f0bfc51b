/** Percentiles of samples, and the median and spread over rounds. Without samples every figure is NaN, never 0. */

/** In the unit of the samples. */
export interface Latency {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** A figure that was measured once a round: `min <= median <= max`. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly rounds: number;
}

/** The smallest sample that at least this share of all samples does not exceed (nearest rank). */
export function percentile(samples: readonly number[], share: number): number {
  return ofSorted(Float64Array.from(samples).toSorted(), share);
}

export function latency(samples: readonly number[]): Latency {
  const sorted = Float64Array.from(samples).toSorted();
  const at = (share: number): number => ofSorted(sorted, share);
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** Rounds that gave no figure (NaN) are left out, and not counted. */
export function spread(rounds: readonly number[]): Spread {
  const sorted = Float64Array.from(rounds.filter(Number.isFinite)).toSorted();
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
  return { median, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN, rounds: sorted.length };
}

/** The spread of ours/theirs, round by round: what disturbs a round disturbs both sides of its ratio. */
export function ratios(ours: readonly number[], theirs: readonly number[]): Spread {
  return spread(ours.map((value, round) => value / (theirs[round] ?? Number.NaN)));
}

function ofSorted(sorted: Float64Array, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
