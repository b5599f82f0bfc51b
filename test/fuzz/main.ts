/**
 * `make fuzz` throws random and damaged messages at pairs of decoders that must agree, for FOR=60 seconds or INPUTS=n
 * inputs each, with a fresh SEED unless one is given, at all targets or TARGET=wire. Exit code 1 with a finding.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Campaign } from './campaign.ts';
import { corpusOf, readInput } from './corpus.ts';
import { grouped, keepFinding, tableOf } from './report.ts';
import { targetNames, type Target, type TargetName } from './target.ts';

/** Loaded when they are run: what one needs takes longer to load than another needs to find something. */
const targets: Readonly<Record<TargetName, () => Promise<Target>>> = {
  wire: async () => (await import('./targets/wire.ts')).wireTarget,
  json: async () => (await import('./targets/json.ts')).jsonTarget,
  merge: async () => (await import('./targets/merge.ts')).mergeTarget,
  frames: async () => (await import('./targets/frames.ts')).framesTarget,
};
/** Of the time for all targets, each one's part: the walk meets what strangers send. */
const shares: Readonly<Record<TargetName, number>> = { wire: 0.5, json: 0.2, merge: 0.15, frames: 0.15 };
/** Inputs between two looks at the clock. */
const inputsAtOnce = 500;

const { values } = parseArgs({
  options: {
    target: { type: 'string', default: 'all' },
    seed: { type: 'string' },
    inputs: { type: 'string' },
    seconds: { type: 'string' },
    replay: { type: 'string' },
    // Kinds of findings after which a target is left alone: there is enough to look at.
    kinds: { type: 'string', default: '8' },
    findings: { type: 'string', default: join(import.meta.dirname, 'findings') },
  },
});

function numberOf(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`--${name}: "${text}" is not a whole number from 1 on`);
  return value;
}

function chosenTargets(): readonly TargetName[] {
  if (values.target === 'all') return targetNames;
  const chosen = targetNames.filter((name) => name === values.target);
  if (chosen.length === 0) throw new Error(`--target: choose one of ${targetNames.join(', ')} or all`);
  return chosen;
}

interface Bounds {
  readonly inputs: number;
  readonly seconds: number;
}

function runOne(campaign: Campaign, { inputs, seconds }: Bounds): number {
  const started = performance.now();
  let shownAt = started;
  for (;;) {
    const now = performance.now();
    const isOver = campaign.isOver || campaign.inputs >= inputs || now - started >= seconds * 1_000;
    if (process.stderr.isTTY && (isOver || now - shownAt > 500)) {
      shownAt = now;
      const rate = grouped(campaign.inputs / ((now - started) / 1_000));
      const progress = `${campaign.target.name}: ${grouped(campaign.inputs)} inputs, ${rate} a second, ${campaign.poolSize} kept`;
      process.stderr.write(`\r\u001B[K${isOver ? '' : progress}`);
    }
    if (isOver) return (now - started) / 1_000;
    campaign.run(Math.min(inputsAtOnce, inputs - campaign.inputs));
  }
}

async function main(): Promise<void> {
  const names = chosenTargets();
  const kindsMax = numberOf('kinds', values.kinds);
  if (values.replay !== undefined) {
    const input = readInput(values.replay);
    const runs = [];
    for (const name of names) {
      const campaign = new Campaign(await targets[name](), { seed: 1, corpus: [], kindsMax });
      campaign.judge(input);
      runs.push({ campaign, seconds: 0 });
    }
    return conclude(runs);
  }
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : numberOf('seed', values.seed);
  const inputs = values.inputs === undefined ? Infinity : numberOf('inputs', values.inputs);
  const seconds =
    values.seconds === undefined ? (values.inputs === undefined ? 60 : Infinity) : numberOf('seconds', values.seconds);
  process.stdout.write(`seed ${seed}\n`);
  const sum = names.reduce((total, name) => total + shares[name], 0);
  const runs = [];
  for (const name of names) {
    const corpus = corpusOf(name).map((file) => file.input);
    const campaign = new Campaign(await targets[name](), { seed, corpus, kindsMax });
    runs.push({ campaign, seconds: runOne(campaign, { inputs, seconds: (seconds * shares[name]) / sum }) });
  }
  conclude(runs);
}

function conclude(runs: readonly { readonly campaign: Campaign; readonly seconds: number }[]): void {
  process.stdout.write(`${tableOf(runs)}\n`);
  for (const { campaign } of runs) {
    for (const finding of campaign.findings) {
      process.stdout.write(`\n${keepFinding(values.findings, campaign.target.name, finding)}\n`);
      process.exitCode = 1;
    }
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
