/**
 * `make failover`: how long writes stand still when the leader is killed. Three real nodes under a small load; kill -9 of the
 * leader; the time until each surviving node acknowledges an export that was begun after the kill; the node is started again;
 * and so on. In the end every span that was acknowledged is asked for on every node: one that is missing fails the run.
 */
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import type { LocalCluster } from '../cluster/local-cluster.ts';
import { natural } from './command-line.ts';
import type { Failover } from './failover-round.ts';
import { killLeaders } from './kill-leaders.ts';
import { machine } from './measure.ts';
import { Stage } from './stage.ts';
import { latency } from './statistics.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    nodes: { type: 'string', default: '3' },
    dir: { type: 'string', default: tmpdir() },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`make failover KILLS=50, or node bench/failover.ts with:
  --kills 50    leaders to kill
  --nodes 3
  --dir DIR     where the data goes (default: the temp directory)
  --verbose     a line for each kill`);
  process.exit(0);
}
const kills = natural(values, 'kills');
const nodes = natural(values, 'nodes');

const stage = new Stage({ parent: values.dir, nodes });
const before = machine(stage.directory);

try {
  process.exitCode = await measure(await stage.startCluster());
} catch (error) {
  if (!stage.isInterrupted) throw error;
} finally {
  await stage.close();
}

async function measure(running: LocalCluster): Promise<number> {
  let kill = 0;
  const { rounds, spans, missing } = await killLeaders(running, kills, (id, round) => {
    kill += 1;
    if (values.verbose) console.log(`kill ${kill} of ${id}: ${line(round)}`);
  });
  console.log(report(rounds, { spans, missing }));
  return missing.length === 0 ? 0 : 1;
}

function line({ firstAckMs, noticedMs, electedMs, terms }: Failover): string {
  const acks = [...firstAckMs].map(([id, ms]) => `${id} acks after ${ms.toFixed(0)} ms`);
  const inTerms = terms === 1 ? '' : ` in ${terms} terms`;
  return `noticed after ${noticedMs.toFixed(0)} ms, elected after ${electedMs.toFixed(0)} ms${inTerms}, ${acks.join(', ')}`;
}

function report(rounds: readonly Failover[], acked: { spans: number; missing: readonly string[] }): string {
  const last = ({ firstAckMs }: Failover): number => Math.max(...firstAckMs.values());
  const rows: readonly [string, readonly number[]][] = [
    ['killed to first ack, through each survivor', rounds.flatMap(({ firstAckMs }) => [...firstAckMs.values()])],
    ['... through the later of them', rounds.map(last)],
    ['ack of the export sent at the kill', rounds.flatMap(({ firstExportMs }) => [...firstExportMs.values()])],
    ['killed to noticed', rounds.map(({ noticedMs }) => noticedMs)],
    ['noticed to elected', rounds.map(({ noticedMs, electedMs }) => electedMs - noticedMs)],
    ['elected to acks through all', rounds.map((round) => last(round) - round.electedMs)],
  ];
  const split = rounds.filter(({ terms }) => terms > 1).length;
  return [
    `${rounds.length} leaders of ${nodes} nodes killed (-9) under load; ${before.cpus} CPUs (${before.cpuModel}), shared by ` +
      `nodes and clients; ${before.fileSystem}; load average before the run ${before.loadAverage.toFixed(1)}`,
    '',
    `${''.padEnd(44)}${['p50', 'p99', 'max'].map((name) => name.padStart(8)).join('')}   ms`,
    ...rows.map(([name, samples]) => `${name.padEnd(44)}${spread(samples)}`),
    '',
    `elections that took more than one term   ${split}`,
    `acked spans missing on some node         ${acked.missing.length} of ${acked.spans.toLocaleString('en')}`,
    ...acked.missing.slice(0, 10).map((span) => `  ${span}`),
  ].join('\n');
}

function spread(samples: readonly number[]): string {
  const { p50, p99, max } = latency(samples);
  return [p50, p99, max].map((ms) => ms.toFixed(0).padStart(8)).join('');
}
