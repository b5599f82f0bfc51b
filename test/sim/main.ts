/** `make sim SEED=n` replays one seed and prints its events; `SEEDS=n` runs n fresh ones. Exit code 1 at the first violation. */
import { parseArgs } from 'node:util';
import { simulate, type SimulationReport } from './simulation.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    from: { type: 'string' },
    nodes: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
});

function numberOf(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`--${name}: "${text}" is not a whole number from 1 on`);
  return value;
}

const nodes = values.nodes === undefined ? {} : { nodes: numberOf('nodes', values.nodes) };

async function one(seed: number): Promise<void> {
  const trace = values.verbose ? { trace: (line: string) => process.stdout.write(`${line}\n`) } : {};
  const report = await simulate({ seed, ...nodes, ...trace });
  const faults = [...report.faults].map(([name, count]) => `${name} ${count}`).join(', ');
  process.stdout.write(
    `seed ${seed}: ${report.nodes} nodes, ${(report.simulatedMs / 1_000).toFixed(1)} s simulated, ${report.events} events, ` +
      `${report.acked} acked, ${report.unknown} unknown, ${report.reads} reads\nfaults: ${faults}\nreached: ${[...report.marks].join(', ')}\ntrace hash ${report.traceHash}\n`,
  );
}

async function many(count: number, from: number): Promise<void> {
  const started = performance.now();
  const reports: SimulationReport[] = [];
  for (let seed = from; seed < from + count; seed += 1) {
    reports.push(await simulate({ seed, ...nodes }));
    if (reports.length % 20 === 0) process.stderr.write(`${reports.length}/${count} seeds\n`);
  }
  const seconds = (performance.now() - started) / 1_000;
  const simulated = reports.reduce((sum, report) => sum + report.simulatedMs, 0) / 1_000;
  const marks = new Map<string, number>();
  for (const report of reports) for (const mark of report.marks) marks.set(mark, (marks.get(mark) ?? 0) + 1);
  process.stdout.write(
    `${reports.length} seeds from ${from}, ${simulated.toFixed(0)} s simulated in ${seconds.toFixed(0)} s, no violation\n` +
      `reached: ${[...marks].map(([mark, seeds]) => `${mark} ${((100 * seeds) / count).toFixed(0)} %`).join(', ')}\n`,
  );
}

try {
  if (values.seeds === undefined) await one(numberOf('seed', values.seed ?? '1'));
  else
    await many(
      numberOf('seeds', values.seeds),
      values.from === undefined ? Math.floor(Math.random() * 2 ** 31) : numberOf('from', values.from),
    );
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
