/**
 * `make bench`: every budget of the design, measured on this machine in one run beside a three-node etcd. Whatever goes wrong
 * meanwhile, elections, errors and retries, is printed with the figures: without it they are worth nothing.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { natural, refuse, say } from './command-line.ts';
import { etcdVersion } from './etcd-cluster.ts';
import { killLeaders } from './kill-leaders.ts';
import { measureMatrix } from './matrix.ts';
import { commit, machine } from './measure.ts';
import { render } from './report.ts';
import { parts } from './result.ts';
import type { BenchResult, Part } from './result.ts';
import { compare, spansPerBatch } from './rounds.ts';
import { Stage } from './stage.ts';
import { measureStorage } from './storage.ts';

const usage = `make bench ROUNDS=5 SECONDS=10 ONLY=load,matrix, or node bench/main.ts with:
  --rounds 5        alternating rounds, Quorate, etcd, Quorate, etcd, of every row
  --seconds 10      length of each phase; of those of the load matrix half of that
  --only PARTS      of ${parts.join(',')}; the default is all
  --spans 2000000   at least so many are stored before anything is looked up or restarted
  --kills 10        leaders to kill
  --nodes 3
  --dir DIR         where the data goes (default: the temp directory); must be on the disk to be measured
  --json FILE       where the figures go (default: bench/results/local/), the text beside them`;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '10' },
    only: { type: 'string', default: parts.join() },
    spans: { type: 'string', default: '2000000' },
    kills: { type: 'string', default: '10' },
    nodes: { type: 'string', default: '3' },
    dir: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}

const rounds = natural(values, 'rounds');
const seconds = natural(values, 'seconds');
const spans = natural(values, 'spans');
const kills = natural(values, 'kills');
const nodes = natural(values, 'nodes');
const asked = values.only.split(',').map((name) => parts.find((part) => part === name) ?? noPart(name));
const has = (part: Part): boolean => asked.includes(part);
const startedAt = new Date().toISOString();
const version = has('load') ? etcdIfThere() : undefined;
const stage = new Stage({ parent: values.dir, nodes });

try {
  const result = await measure();
  const text = render(result);
  console.log(`\n${text}`);
  const path = values.json ?? join(import.meta.dirname, 'results', 'local', `${startedAt.replaceAll(':', '')}.json`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(path.replace(/(\.json)?$/, '.txt'), `${text}\n`);
  console.log(`\nwritten to ${path}, and the text beside it`);
} catch (error) {
  if (!stage.isInterrupted) throw error;
} finally {
  await stage.close();
}

async function measure(): Promise<BenchResult> {
  const conditions = { commit: commit(), startedAt, machine: machine(stage.directory) };
  say(`starting ${nodes} nodes in ${stage.directory}`);
  const quorate = await stage.startQuorate();
  const options = { rounds, seconds, spans, say };
  await quorate.sendBatchesOf(spansPerBatch);
  const { bytesPerSpan } = quorate.generator;
  const load = has('load') ? await compare(stage, quorate, options) : undefined;
  const storage = has('storage') ? await measureStorage(quorate, options) : undefined;
  const matrix = has('matrix')
    ? await measureMatrix(quorate, { ...options, seconds: Math.ceil(seconds / 2) })
    : undefined;
  const killed = has('failover')
    ? await killLeaders(quorate.cluster, kills, (id) => say(`${id} killed while it led`))
    : undefined;
  return {
    ...conditions,
    ...(version === undefined ? {} : { etcd: version }),
    nodes,
    rounds,
    seconds,
    bytesPerSpan,
    spansPerBatch,
    ...(load === undefined ? {} : { load }),
    ...(storage === undefined ? {} : { storage }),
    ...(matrix === undefined ? {} : { matrix }),
    ...(killed === undefined
      ? {}
      : {
          failover: {
            rounds: killed.rounds.map(({ noticedMs, electedMs, terms }) => ({ noticedMs, electedMs, terms })),
            firstAckMs: killed.rounds.flatMap(({ firstAckMs }) => [...firstAckMs.values()]),
            missing: killed.missing.length,
            spans: killed.spans,
          },
        }),
  };
}

function etcdIfThere(): string {
  try {
    return etcdVersion();
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function noPart(name: string): never {
  return refuse(`--only takes ${parts.join(', ')}, with commas between, not ${name}.`);
}
