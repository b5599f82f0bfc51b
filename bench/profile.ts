/**
 * `make profile`: where the leader's time goes at peak. A flame graph of its main thread as one HTML file, and as text the
 * functions that take most, by group of threads. Profiling costs a little itself: these are shares, not throughput.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { natural, refuse, say } from './command-line.ts';
import { figure } from './budget.ts';
import { callTree, selfTimes } from './cpu-profile.ts';
import { flamePage } from './flame-page.ts';
import { inspectable, profileOf } from './inspector.ts';
import { formats } from './load-messages.ts';
import type { LoadOrder } from './load-messages.ts';
import { commit } from './measure.ts';
import { Stage } from './stage.ts';
import { table } from './table.ts';
import { cpuUsByGroup, nativeProfile } from './thread-groups.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    'in-flight': { type: 'string', default: '16' },
    batch: { type: 'string', default: '512' },
    format: { type: 'string', default: 'protobuf' },
    top: { type: 'string', default: '25' },
    dir: { type: 'string', default: tmpdir() },
    out: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`make profile SECONDS=10, or node bench/profile.ts with:
  --seconds 10       of load, for each of two profiles
  --in-flight 16     exports under way at any time
  --batch 512        spans an export
  --format protobuf  or ${formats.filter((name) => name !== 'protobuf').join(', ')}
  --top 25           functions a table
  --dir DIR          where the data goes (default: the temp directory)
  --out FILE         the flame graph (default: bench/results/local/)`);
  process.exit(0);
}

const seconds = natural(values, 'seconds');
const top = natural(values, 'top');
const format = formats.find((name) => name === values.format) ?? refuse(`--format takes ${formats.join(', ')}.`);
const order: LoadOrder = {
  seconds,
  ingest: { kind: 'closed', inFlight: natural(values, 'in-flight') },
  format,
  lookupsInFlight: 0,
  lookupPauseMs: 0,
};
const warmUpSeconds = 4;
/** Letters: templates of C++ are long. */
const symbolMax = 100;
const root = resolve(import.meta.dirname, '..');
const stage = new Stage({ parent: values.dir, nodes: 3 });

try {
  await profile();
} catch (error) {
  if (!stage.isInterrupted) throw error;
} finally {
  await stage.close();
}

async function profile(): Promise<void> {
  const quorate = await stage.startQuorate(inspectable);
  await quorate.sendBatchesOf(natural(values, 'batch'));
  await quorate.load({ ...order, seconds: warmUpSeconds });
  const { leader } = await quorate.whoLeads();
  const pid = quorate.servers.find(({ id }) => id === leader)?.pid ?? 0;

  say(`${leader} leads; V8's profile of its main thread`);
  const profiled = await profileOf(quorate.cluster.node(leader), async () => {
    await quorate.load(order);
  });
  say('native functions of all its threads');
  const before = cpuUsByGroup(pid);
  const [native, load] = await Promise.all([
    nativeProfile(pid, Math.max(1, seconds - 1), join(stage.directory, 'perf.data')),
    quorate.load(order),
  ]);
  const after = cpuUsByGroup(pid);

  const tree = callTree(profiled, root);
  const title = `The leader's main thread, ${values['in-flight']} exports of ${values.batch} spans in flight as ${format}`;
  const path =
    values.out ?? join(root, 'bench/results/local', `flame-${new Date().toISOString().replaceAll(':', '')}.html`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, flamePage(tree, `${title} (commit ${commit()})`));

  console.log(`${title}; CPU of the leader alone, us for each span acked\n`);
  const groups = [...after].map(([name, us]): [string, number] => [name, us - (before.get(name) ?? 0)]);
  const sum = groups.reduce((all, [, us]) => all + us, 0);
  const perSpan = ([name, us]: [string, number]): string[] => [
    name,
    figure(us / load.spansAcked),
    `${((100 * us) / sum).toFixed(1)} %`,
  ];
  const busiest = groups.filter(([, us]) => us > 0).toSorted((a, b) => b[1] - a[1]);
  print(table(['threads', 'us/span', 'share'], [...busiest, ['all', sum] as [string, number]].map(perSpan)));
  print(
    table(
      ["main thread, V8's profile: function itself", 'share'],
      selfTimes(tree)
        .slice(0, top)
        .map(([name, us]) => [name, `${((100 * us) / tree.totalUs).toFixed(1)} %`]),
    ),
  );
  for (const [group] of busiest) {
    const own = native.filter((sample) => sample.group === group);
    const all = own.reduce((total, { percent }) => total + percent, 0);
    if (all === 0) continue;
    const rows = own
      .slice(0, top)
      .map(({ symbol, percent }) => [symbol.slice(0, symbolMax), `${((100 * percent) / all).toFixed(1)} %`]);
    print(table([`${group}, native functions (perf)`, 'share'], rows));
  }
  if (native.length === 0)
    console.log('native functions: none, perf is missing or may not look (apt-get install linux-perf)\n');
  console.log(`flame graph: ${path}`);
}

function print(lines: readonly string[]): void {
  console.log(`${lines.join('\n')}\n`);
}
