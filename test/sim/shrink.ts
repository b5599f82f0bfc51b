/**
 * Makes a failing seed small: leaves out faults, and ends earlier, as long as the same rule still breaks. What is left is
 * mostly what it takes.
 */
import { simulate, SimulationFailure, type SimulationOptions } from './simulation.ts';

export interface Shrunk {
  readonly options: SimulationOptions;
  readonly failure: SimulationFailure;
  /** Runs it took. */
  readonly runs: number;
}

export interface ShrinkLimits {
  readonly runsMax: number;
  readonly wallMsMax: number;
}

/** The rule that broke: the letter and number its sentence begins with. */
const ruleOf = ({ verdict }: SimulationFailure): string => /^[A-Z]\d+/.exec(verdict)?.[0] ?? verdict.slice(0, 40);

export async function shrink(
  options: SimulationOptions,
  failure: SimulationFailure,
  limits: ShrinkLimits,
): Promise<Shrunk> {
  const startMs = performance.now();
  let best = { options, failure };
  let runs = 0;
  /** Runs a smaller variant; true when it breaks the same rule, and is the best so far. */
  const fails = async (smaller: SimulationOptions): Promise<boolean> => {
    if (runs >= limits.runsMax || performance.now() - startMs > limits.wallMsMax) return false;
    runs += 1;
    try {
      await simulate(smaller);
      return false;
    } catch (error) {
      if (!(error instanceof SimulationFailure) || ruleOf(error) !== ruleOf(failure)) return false;
      best = { options: smaller, failure: error };
      return true;
    }
  };

  for (const share of [0.1, 0.25, 0.5, 0.75]) {
    if (await fails({ ...options, faultMs: Math.round(failure.timeMs * share) })) break;
  }
  // Often none of them matters, or one alone.
  for (const only of [[], ...best.failure.faultNumbers.map((number) => [number])]) {
    if (await fails({ ...best.options, only })) return { ...best, runs };
  }
  // Halves first, then quarters, down to single faults: what is not needed mostly goes in large pieces.
  for (let pieces = 2; best.failure.faultNumbers.length > 0;) {
    let kept = best.failure.faultNumbers;
    const size = Math.ceil(kept.length / pieces);
    let dropped = false;
    for (let at = 0; at < kept.length;) {
      const only = kept.toSpliced(at, size);
      if (await fails({ ...best.options, only })) {
        kept = only;
        dropped = true;
      } else at += size;
    }
    if (size === 1 && !dropped) break;
    pieces = Math.max(1, Math.min(best.failure.faultNumbers.length, dropped ? pieces : pieces * 2));
  }
  return { ...best, runs };
}

/** The command that runs it again. */
export function commandOf({ seed, nodes, faultMs, only }: SimulationOptions): string {
  return [
    `make sim SEED=${seed}`,
    ...(nodes === undefined ? [] : [`NODES=${nodes}`]),
    ...(faultMs === undefined ? [] : [`FAULT_MS=${faultMs}`]),
    ...(only === undefined ? [] : [`ONLY=${only.join(',') || 'none'}`]),
  ].join(' ');
}
