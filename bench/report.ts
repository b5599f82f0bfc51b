/** What a run of the bench found, as text: the budget table, the load matrix, and what both hold under. */
import { budgetRows, figure, writtenRows } from './budget.ts';
import type { BudgetRow } from './budget.ts';
import type { Phase } from './phases.ts';
import type { BenchResult } from './result.ts';
import { peaks } from './rounds.ts';
import { latency, spread } from './statistics.ts';
import type { Spread } from './statistics.ts';
import { table } from './table.ts';

export function render(result: BenchResult): string {
  const lines = [...conditions(result), '', ...budget(result)];
  if (result.matrix !== undefined) lines.push('', ...matrix(result.matrix));
  lines.push('', ...troubles(result));
  return lines.join('\n');
}

function conditions({ machine, load, ...result }: BenchResult): string[] {
  const busy = machine.loadAverage > 0.25 * machine.cpus ? ' (busy with other work: worse than it is)' : '';
  const lines = [
    `${result.nodes} nodes, CP, OTLP/protobuf over HTTP to all of them in turn, ${result.spansPerBatch} spans an export, ` +
      `${result.bytesPerSpan.toFixed(0)} bytes a span; ${result.seconds} s a phase, ${result.rounds} rounds`,
    `commit ${result.commit}, ${result.startedAt}; ${machine.cpus} CPUs (${machine.cpuModel}), shared by servers and generator; ` +
      `${(machine.memoryMiB / 1024).toFixed(0)} GiB; ${machine.fileSystem}; Node ${machine.node}; Linux ${machine.kernel}; ` +
      `load average before the run ${machine.loadAverage.toFixed(1)}${busy}`,
  ];
  if (load === undefined) return lines;
  const sizes = load.disk[0]?.map(({ bytes }) => bytes) ?? [];
  const limits = sizes.map((bytes) => {
    const rounds = load.disk.flat().filter((limit) => limit.bytes === bytes);
    const median = (pick: (limit: (typeof rounds)[number]) => number): number => spread(rounds.map(pick)).median;
    return (
      `${bytes / 1024} KiB ${figure(median(({ p50Ms }) => p50Ms))} / ${figure(median(({ p99Ms }) => p99Ms))} ms ` +
      `(${figure(median(({ bytesPerSecond }) => bytesPerSecond) / 1e6)} MB/s)`
    );
  });
  const idle = (of: string): string =>
    figure(spread(load.phases.filter((phase) => phase.of !== of).map(({ idleOtherCores }) => idleOtherCores)).median);
  const generator = (of: string): string =>
    figure(
      spread(load.phases.filter((phase) => phase.of === of && phase.name.startsWith('peak')).map(coresOfGenerator))
        .median,
    );
  return [
    ...lines,
    `${result.etcd ?? 'etcd'}, 3 members, the same bytes as values of 64 KiB over gRPC to its leader, as many bytes in flight ` +
      `(${peaks.map((inFlight) => `${putsFor(inFlight, result)} puts for ${inFlight} exports`).join(', ')}); ` +
      `half of its peak is ${figure(load.halfOfEtcdBytesPerSecond / 1e6)} MB/s`,
    `append and fdatasync on this disk, alone, p50 / p99: ${limits.join(', ')}`,
    `CPU of the load generator at peak, not counted: ${generator('Quorate')} cores for Quorate, ${generator('etcd')} for etcd; ` +
      `of the one that waits for its turn: ${idle('Quorate')} Quorate, ${idle('etcd')} etcd`,
  ];
}

const coresOfGenerator = ({ load }: Phase): number => load.generatorCores;

function putsFor(
  inFlight: number,
  { bytesPerSpan, spansPerBatch }: Pick<BenchResult, 'bytesPerSpan' | 'spansPerBatch'>,
): number {
  return Math.ceil((inFlight * bytesPerSpan * spansPerBatch) / (64 * 1024));
}

function budget(result: BenchResult): string[] {
  const verdict = (row: BudgetRow): string => (row.holds === undefined ? '' : row.holds ? 'holds' : 'MISSED');
  const rows = [...budgetRows(result), ...writtenRows(result)].map((row) => [
    row.what,
    row.unit,
    row.bar,
    middle(row.ours),
    range(row.ours),
    middle(row.theirs),
    range(row.theirs),
    middle(row.ratio),
    range(row.ratio),
    verdict(row),
    row.note ?? '',
  ]);
  return table(['', '', 'bar', 'Quorate', 'min..max', 'etcd', 'min..max', 'ratio', 'min..max', '', ''], rows, 10);
}

function matrix(phases: readonly Phase[]): string[] {
  const head = [
    'load',
    'spans/s',
    'MB/s',
    'CPU us/span',
    'ack p50 / p99 ms',
    'lookup p50 / p99 ms',
    'loop p99 ms',
    'cores',
    'busiest node',
  ];
  const rows = phases.map((phase) => {
    const { load } = phase;
    const none = load.spansAcked === 0;
    return [
      phase.name,
      none ? '' : Math.round(load.spansPerSecond).toLocaleString('en'),
      none ? '' : figure(load.bytesPerSecond / 1e6),
      none ? '' : figure(phase.cpuUsPerSpan),
      pair(load.ack),
      pair(load.lookup),
      figure(phase.leaderLoopDelayP99Ms),
      `${figure(phase.cpuCores)} + ${figure(load.generatorCores)}`,
      `${(100 * Math.max(...Object.values(phase.cpuSharePerServer))).toFixed(0)} %`,
    ];
  });
  return table(head, rows);
}

/** What must be nothing: a figure that hides it is worth nothing. */
function troubles({ load, matrix: cells = [], storage }: BenchResult): string[] {
  const phases = [...(load?.phases ?? []), ...cells];
  const sum = (pick: (phase: Phase) => number, of = phases): number =>
    of.reduce((total, phase) => total + pick(phase), 0);
  const elections = (name: string): number =>
    sum(
      ({ elections: came }) => came,
      phases.filter((phase) => phase.of === name),
    );
  const counted = (pick: (phase: Phase) => Readonly<Record<string, number>>): string => {
    const all: Record<string, number> = {};
    for (const { of, ...phase } of phases) {
      for (const [key, count] of Object.entries(pick({ of, ...phase })))
        all[`${of}: ${key}`] = (all[`${of}: ${key}`] ?? 0) + count;
    }
    return (
      Object.entries(all)
        .map(([key, count]) => `${count} x ${key}`)
        .join(', ') || 'none'
    );
  };
  const lookups =
    sum((phase) => phase.load.lookup.count) + (storage?.warm ?? []).reduce((all, { count }) => all + count, 0);
  const wrong = sum((phase) => phase.load.lookupsWrong) + (storage?.lookupsWrong ?? 0);
  const large = latency(load?.largeTraceReads ?? []);
  return [
    `elections under load        Quorate ${elections('Quorate') + (storage?.elections ?? 0)}, etcd ${elections('etcd')}`,
    `sent again after            ${counted((phase) => phase.load.retries)}`,
    `refused for good            ${counted((phase) => phase.load.refused)}`,
    `errors                      ${counted((phase) => phase.load.errors)}`,
    `acked but not shown         ${wrong} of ${lookups.toLocaleString('en')} lookups`,
    `open loop fell behind       ${sum((phase) => phase.load.skipped)} requests not begun`,
    ...(load === undefined
      ? []
      : [`100,000-span trace as JSON  read ${large.count} times, median ${figure(large.p50 / 1_000)} s`]),
  ];
}

function middle(of: Spread | undefined): string {
  return of === undefined || of.rounds === 0 ? '' : figure(of.median);
}

function range(of: Spread | undefined): string {
  return of === undefined || of.rounds < 2 ? '' : `${figure(of.min)}..${figure(of.max)}`;
}

function pair({ count, p50, p99 }: { count: number; p50: number; p99: number }): string {
  return count === 0 ? '' : `${figure(p50)} / ${figure(p99)}`;
}
