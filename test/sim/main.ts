/**
 * `make sim SEED=n` runs one seed again; `SEEDS=n` or `FOR=seconds` runs many fresh ones; `PLANT=id` puts a known bug back.
 * Exit code 1 at a violation, which is then made small, when a coverage mark was hardly reached, or a bug not noticed.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { bluntMarks, type CampaignTotals, describeTotals, markShareMin, runCampaign } from './campaign.ts';
import { plantedBugs } from './plants.ts';
import { replant } from './replant.ts';
import { commandOf, shrink } from './shrink.ts';
import { simulate, SimulationFailure, type SimulationOptions } from './simulation.ts';
import { drawTimeline } from './timeline/timeline.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    seconds: { type: 'string' },
    from: { type: 'string' },
    jobs: { type: 'string' },
    nodes: { type: 'string' },
    'fault-ms': { type: 'string' },
    only: { type: 'string' },
    timeline: { type: 'string' },
    plant: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
  },
});

function numberOf(name: keyof typeof values): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`--${name}: "${text}" is not a whole number from 1 on`);
  return value;
}

const nodes = numberOf('nodes');
const shrinkLimits = { runsMax: 300, wallMsMax: 120_000 };
const progressEveryMs = 5_000;

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One seed, with all that there is to see of it. */
async function one(seed: number): Promise<boolean> {
  const faultMs = numberOf('fault-ms');
  const options: SimulationOptions = {
    seed,
    ...(nodes === undefined ? {} : { nodes }),
    ...(faultMs === undefined ? {} : { faultMs }),
    ...(values.only === undefined ? {} : { only: values.only.split(',') }),
  };
  const seen = { keepEvents: values.timeline !== undefined, ...(values.verbose ? { trace: print } : {}) };
  try {
    const report = await simulate({ ...options, ...seen });
    if (values.timeline !== undefined) writeFileSync(values.timeline, drawTimeline({ seed, events: report.events }));
    const faults = [...report.faults].map(([name, count]) => `${name} ${count}`).join(', ');
    print(
      `seed ${seed}: ${report.nodes} nodes, ${(report.simulatedMs / 1_000).toFixed(1)} s simulated, ${report.steps} steps, ` +
        `${report.acked} acked, ${report.unknown} unknown, ${report.reads} reads\nfaults: ${faults}\n` +
        `reached: ${[...report.marks].join(', ')}\ntrace hash ${report.traceHash}`,
    );
    return true;
  } catch (error) {
    if (!(error instanceof SimulationFailure)) throw error;
    if (values.timeline !== undefined)
      writeFileSync(values.timeline, drawTimeline({ seed, events: error.events, verdict: error.verdict }));
    await explain(options, error);
    return false;
  }
}

/** Prints a failure, and the smallest variant of it that could be found. */
async function explain(options: SimulationOptions, failure: SimulationFailure): Promise<void> {
  print(failure.message);
  if (values['no-shrink']) return;
  process.stderr.write('making it smaller...\n');
  const shrunk = await shrink(options, failure, shrinkLimits);
  print(
    `\nafter ${shrunk.runs} runs, the smallest that breaks the same rule, with ${shrunk.failure.faultNumbers.length} of ${failure.faultNumbers.length} faults:\n` +
      `  ${commandOf(shrunk.options)}\n${shrunk.failure.message}\n` +
      `every step of it: VERBOSE=1; as a picture: TIMELINE=file.html`,
  );
}

async function many(): Promise<boolean> {
  const from = numberOf('from') ?? Math.floor(Math.random() * 2 ** 31);
  const seconds = numberOf('seconds');
  const seeds = numberOf('seeds') ?? Infinity;
  const jobs = numberOf('jobs') ?? Math.min(availableParallelism(), seeds);
  let toldMs = 0;
  const progress = ({ seeds: done, simulatedMs, wallMs, failures }: CampaignTotals): void => {
    if (wallMs - toldMs < progressEveryMs) return;
    toldMs = wallMs;
    const aim = Number.isFinite(seeds) ? `/${seeds}` : '';
    process.stderr.write(
      `${done}${aim} seeds, ${((1_000 * done) / wallMs).toFixed(2)} a second, ` +
        `${(simulatedMs / 3_600_000).toFixed(2)} simulated hours, ${failures.length} failed\n`,
    );
  };
  const stop = new AbortController();
  process.once('SIGINT', () => {
    process.stderr.write('finishing the seeds under way; Ctrl-C again ends at once\n');
    stop.abort();
  });
  const totals = await runCampaign({
    from,
    stop: stop.signal,
    seeds,
    jobs,
    forMs: seconds === undefined ? Infinity : 1_000 * seconds,
    progress,
    ...(nodes === undefined ? {} : { nodes }),
  });
  print(describeTotals(totals, from));
  const [failed] = totals.failures;
  if (failed !== undefined) {
    await one(failed.seed);
    return false;
  }
  const blunt = bluntMarks(totals);
  if (blunt.length > 0) print(`fewer than ${100 * markShareMin} % of the seeds reached: ${blunt.join(', ')}`);
  return blunt.length === 0;
}

/** A known bug, put back: true when it is noticed by the check that is there for it. */
async function plant(id: string): Promise<boolean> {
  const bug = plantedBugs.find((planted) => planted.id === id);
  if (bug === undefined)
    throw new Error(`no bug is called "${id}"; there are:\n${plantedBugs.map((each) => `  ${each.id}`).join('\n')}`);
  const { caught, verdict, output } = await replant(bug);
  print(caught ? `${bug.name}: caught\n${verdict}` : `${bug.name}: NOT caught within ${bug.seeds} seeds\n${output}`);
  return caught;
}

async function run(): Promise<boolean> {
  if (values.plant !== undefined) return plant(values.plant);
  return values.seeds === undefined && values.seconds === undefined ? one(numberOf('seed') ?? 1) : many();
}

try {
  process.exitCode = (await run()) ? 0 : 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
