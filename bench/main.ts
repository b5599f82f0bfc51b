/**
 * `make bench`: what Quorate takes in, how fast and at what price, on this machine. Three real nodes on a fresh
 * directory, a load generator beside them, one table. Elections, errors and retries during the run are printed with
 * it: a figure that hides them is worth nothing.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve as absolute } from 'node:path';
import { parseArgs } from 'node:util';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { limits } from '../src/limits.ts';
import { formats } from './load-messages.ts';
import type { LoadOrder } from './load-messages.ts';
import { readLargeTrace, storeLargeTrace } from './large-trace.ts';
import { commit, machine, storedBytes, syncCost } from './measure.ts';
import { Generator, runPhase, whoLeads } from './phases.ts';
import type { Phase, Server } from './phases.ts';
import { render } from './report.ts';
import type { BenchResult } from './report.ts';

const usage = `make bench, or node bench/main.ts with:
  --in-flight 16   exports under way at any time in the closed loop
  --seconds 12     length of each phase
  --batch 512      spans an export
  --nodes 3
  --dir DIR        where the data goes (default: the temp directory); must be on the disk to be measured
  --profile DIR    a CPU profile of every server goes there (and slows it down a little)
  --json FILE      where the figures go (default: bench/results/local/)`;

const { values } = parseArgs({
  options: {
    'in-flight': { type: 'string', default: '16' },
    seconds: { type: 'string', default: '12' },
    batch: { type: 'string', default: '512' },
    nodes: { type: 'string', default: '3' },
    dir: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}

const seconds = natural('seconds');
const inFlight = natural('in-flight');
const spansPerBatch = natural('batch');
const nodes = natural('nodes');
const short = Math.min(seconds, 6);
const warmUpSeconds = 4;
const environment: Record<string, string> =
  values.profile === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${absolute(values.profile)}` };
const startedAt = new Date().toISOString();
const idle = { lookupsInFlight: 0, lookupPauseMs: 0 } as const;

const directory = mkdtempSync(join(values.dir, 'quorate-bench-'));
let cluster: LocalCluster | undefined;
const generator = new Generator();
let cleaning: Promise<void> | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void cleanUp().finally(() => process.exit(130)));
}

try {
  const result = await measureAll();
  console.log(`\n${render(result)}`);
  const path = values.json ?? join(import.meta.dirname, 'results', 'local', `${startedAt.replaceAll(':', '')}.json`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(result, null, 2)}\n`);
  console.log(`\nwritten to ${path}`);
} finally {
  await cleanUp();
}

async function measureAll(): Promise<BenchResult> {
  const conditions = { commit: commit(), machine: machine(directory) };
  const fdatasyncIdle = syncCost(directory, 200);
  say(`starting ${nodes} nodes in ${directory}`);
  const started = (cluster = await LocalCluster.prepare({ nodes, data: directory, environment }));
  await started.startAll();
  const servers: Server[] = started.nodes.map(({ id, http, grpc, process: server }) => {
    if (server?.pid === undefined) throw new Error(`${id} did not start`);
    return { id, url: http, grpc, pid: server.pid };
  });
  const addresses = servers.map(({ url, grpc }) => ({ http: url, grpc }));
  await generator.setUp({ nodes: addresses, batches: 96, spansPerBatch, seed: 1 });
  const phases: Phase[] = [];
  const phase = async (name: string, order: LoadOrder): Promise<Phase> => {
    say(name);
    const measured = await runPhase(name, generator, servers, order);
    phases.push(measured);
    return measured;
  };

  const first = await whoLeads(servers);
  const closed = { kind: 'closed', inFlight } as const;
  say('warm-up');
  const warmUp = await generator.run({ seconds: warmUpSeconds, ingest: closed, ...idle });
  const peak = await phase(`peak, ${inFlight} in flight`, { seconds, ingest: closed, ...idle });
  const fdatasyncBetween = syncCost(directory, 100);
  for (const format of formats.filter((other) => other !== 'protobuf')) {
    await phase(`peak as ${format}`, { seconds: short, ingest: closed, format, ...idle });
  }
  const perSecond = peak.load.spansPerSecond / spansPerBatch;
  for (const times of [1, 5]) {
    const offered = { kind: 'open', exportsPerSecond: perSecond * times } as const;
    await phase(`offered ${times} x peak`, { seconds, ingest: offered, refusalsAreFinal: true, ...idle });
  }
  const half = { kind: 'open', exportsPerSecond: perSecond / 2 } as const;
  await phase('half of that, open loop', { seconds, ingest: half, ...idle });
  await phase('the same, with lookups', { seconds, ingest: half, lookupsInFlight: 3, lookupPauseMs: 50 });
  const largeTraceReads = await withLargeTrace(servers, async () => {
    await phase('half, a 100,000-span trace read', { seconds, ingest: half, ...idle });
  });
  await phase('one serial sender', { seconds: short, ingest: { kind: 'closed', inFlight: 1 }, ...idle });
  await phase('lookups alone, 3 at a time', { seconds: short, lookupsInFlight: 3, lookupPauseMs: 0 });
  const last = await whoLeads(servers);

  say('waiting until the stored bytes settle');
  const perNode = await settled(servers.map(({ id }) => join(directory, id)));
  const loads = [warmUp, ...phases.map(({ load }) => load)];
  return {
    ...conditions,
    startedAt,
    nodes,
    spansPerBatch,
    bytesPerSpan: generator.bytesPerSpan,
    warmUpSeconds,
    seconds,
    inFlight,
    fdatasyncIdle,
    fdatasyncBetween,
    phases,
    largeTraceReads,
    stored: {
      otlpBytes: loads.reduce((sum, load) => sum + load.bytesAcked, 0),
      spans: loads.reduce((sum, load) => sum + load.spansAcked, 0),
      bytesPerNode: perNode.all - perNode.ballast,
      ballastBytesPerNode: perNode.ballast,
    },
    leader: last.leader,
    elections: last.term - first.term,
  };
}

/** Runs `body` while the leader is asked for the large trace over and over. How long each read took, in ms. */
async function withLargeTrace(servers: readonly Server[], body: () => Promise<void>): Promise<number[]> {
  const { leader } = await whoLeads(servers);
  const url = servers.find(({ id }) => id === leader)?.url ?? '';
  say('storing a trace of 100,000 spans');
  await storeLargeTrace(url);
  let isOver = false;
  const [took] = await Promise.all([readLargeTrace(url, () => isOver), body().finally(() => (isOver = true))]);
  return took;
}

/** Average stored bytes, once the index had time to be flushed and nothing moved for three seconds; a minute at most. */
async function settled(directories: readonly string[]): Promise<{ all: number; ballast: number }> {
  const measure = (): { all: number; ballast: number } => {
    const each = directories.map(storedBytes);
    const average = (pick: (one: { all: number; ballast: number }) => number): number =>
      each.reduce((sum, one) => sum + pick(one), 0) / each.length;
    return { all: average((one) => one.all), ballast: average((one) => one.ballast) };
  };
  const earliestMs = performance.now() + limits.indexFlushMs + 1_000;
  const latestMs = performance.now() + 60_000;
  let before = measure();
  let quietSince = performance.now();
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const now = measure();
    if (now.all !== before.all) quietSince = performance.now();
    before = now;
    const quiet = performance.now() - quietSince > 3_000 && performance.now() > earliestMs;
    if (quiet || performance.now() > latestMs) return now;
  }
}

async function cleanUp(): Promise<void> {
  cleaning ??= (async () => {
    generator.stop();
    await cluster?.stop();
    rmSync(directory, { recursive: true, force: true });
  })();
  await cleaning;
}

function natural(name: 'seconds' | 'in-flight' | 'batch' | 'nodes'): number {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  return refuse(`--${name} must be a natural number, not ${values[name]}.`);
}

function refuse(sentence: string): never {
  console.error(sentence);
  process.exit(2);
}

function say(what: string): void {
  console.error(`- ${what}`);
}
