/**
 * Many seeds, one after another or on several processes at a time, and what came of them in sum. Stops handing out seeds at
 * the first failure.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type CoverageMark, coverageMarks, simulate, SimulationFailure, type SimulationReport } from './simulation.ts';

export interface CampaignOptions {
  readonly from: number;
  /** Seeds at most. */
  readonly seeds: number;
  /** No seed is begun after this, ms from the start. */
  readonly forMs: number;
  /** Processes; 1 runs the seeds in this one. */
  readonly jobs: number;
  readonly nodes?: number;
  /** Aborted: no further seed is begun. */
  readonly stop?: AbortSignal;
  /** Told now and then how far it is. */
  readonly progress: (totals: CampaignTotals) => void;
}

/** What a worker tells of one seed. */
export type SeedOutcome =
  | {
      readonly ok: true;
      readonly seed: number;
      readonly simulatedMs: number;
      readonly acked: number;
      readonly reads: number;
      readonly marks: readonly CoverageMark[];
      readonly faults: readonly (readonly [name: string, count: number])[];
    }
  | { readonly ok: false; readonly seed: number; readonly message: string };

export interface CampaignTotals {
  seeds: number;
  simulatedMs: number;
  acked: number;
  reads: number;
  wallMs: number;
  /** Seeds that reached each mark. */
  readonly marks: Map<CoverageMark, number>;
  readonly faults: Map<string, number>;
  readonly failures: { readonly seed: number; readonly message: string }[];
}

/** Share of seeds that must reach each mark, or the faults went blunt. */
export const markShareMin = 0.05;

export async function runSeed(seed: number, nodes?: number): Promise<SeedOutcome> {
  try {
    const report = await simulate({ seed, ...(nodes === undefined ? {} : { nodes }) });
    return outcomeOf(report);
  } catch (error) {
    if (!(error instanceof SimulationFailure)) throw error;
    return { ok: false, seed, message: error.message };
  }
}

function outcomeOf({ seed, simulatedMs, acked, reads, marks, faults }: SimulationReport): SeedOutcome {
  return { ok: true, seed, simulatedMs, acked, reads, marks: [...marks], faults: [...faults] };
}

export async function runCampaign(options: CampaignOptions): Promise<CampaignTotals> {
  const startMs = performance.now();
  const totals: CampaignTotals = {
    seeds: 0,
    simulatedMs: 0,
    acked: 0,
    reads: 0,
    wallMs: 0,
    marks: new Map(coverageMarks.map((mark) => [mark, 0])),
    faults: new Map(),
    failures: [],
  };
  let next = options.from;
  const take = (): number | null => {
    totals.wallMs = performance.now() - startMs;
    const enough = next >= options.from + options.seeds || totals.wallMs >= options.forMs;
    const over = enough || totals.failures.length > 0 || options.stop?.aborted === true;
    return over ? null : next++;
  };
  const took = (outcome: SeedOutcome): void => {
    add(totals, outcome);
    totals.wallMs = performance.now() - startMs;
    options.progress(totals);
  };
  if (options.jobs === 1) {
    for (let seed = take(); seed !== null; seed = take()) took(await runSeed(seed, options.nodes));
  } else {
    await Promise.all(Array.from({ length: options.jobs }, () => runWorker(options, take, took)));
  }
  return totals;
}

function add(totals: CampaignTotals, outcome: SeedOutcome): void {
  totals.seeds += 1;
  if (!outcome.ok) {
    totals.failures.push(outcome);
    return;
  }
  totals.simulatedMs += outcome.simulatedMs;
  totals.acked += outcome.acked;
  totals.reads += outcome.reads;
  for (const mark of outcome.marks) totals.marks.set(mark, (totals.marks.get(mark) ?? 0) + 1);
  for (const [fault, count] of outcome.faults) totals.faults.set(fault, (totals.faults.get(fault) ?? 0) + count);
}

/** One process, which gets a seed at a time until there are none. */
async function runWorker(
  options: CampaignOptions,
  take: () => number | null,
  took: (outcome: SeedOutcome) => void,
): Promise<void> {
  const worker: ChildProcess = fork(join(import.meta.dirname, 'worker.ts'), [], {
    env: { ...process.env, SIM_NODES: options.nodes === undefined ? '' : String(options.nodes) },
  });
  const ended = once(worker, 'exit').then(([code]: unknown[]) => {
    if (code !== 0) throw new Error(`a worker of the simulator ended with code ${String(code)}`);
  });
  const give = (): void => {
    const seed = take();
    if (seed === null) worker.disconnect();
    else worker.send(seed);
  };
  worker.on('message', (outcome: SeedOutcome) => {
    took(outcome);
    give();
  });
  give();
  await ended;
}

/** Marks that too few seeds reached; only a few dozen seeds say something about that. */
export function bluntMarks({ seeds, marks }: CampaignTotals): CoverageMark[] {
  return seeds < 100 ? [] : coverageMarks.filter((mark) => (marks.get(mark) ?? 0) < seeds * markShareMin);
}

export function describeTotals(totals: CampaignTotals, from: number): string {
  const { seeds, simulatedMs, wallMs, acked, reads, marks, faults, failures } = totals;
  const verdict = failures.length === 0 ? 'no violation' : `${failures.length} failed`;
  const hours = simulatedMs / 3_600_000;
  const share = (mark: CoverageMark): string => `${mark} ${((100 * (marks.get(mark) ?? 0)) / seeds).toFixed(0)} %`;
  const brought = [...faults].toSorted(([, left], [, right]) => right - left);
  const total = brought.reduce((sum, [, count]) => sum + count, 0);
  return [
    `${seeds} seeds from ${from}, ${hours.toFixed(2)} simulated hours in ${(wallMs / 1_000).toFixed(0)} s ` +
      `(${((1_000 * seeds) / wallMs).toFixed(2)} seeds/s), ${acked} writes acknowledged, ${reads} reads, ` +
      verdict,
    `reached by: ${coverageMarks.map(share).join(', ')}`,
    `${total} faults: ${brought.map(([name, count]) => `${name} ${count}`).join(', ')}`,
  ].join('\n');
}
