/**
 * The budget table: one row for each bar of the design, made of nothing but what a run measured. A figure that was not
 * measured is absent, and its row says why; it never passes.
 */
import { barProbe } from './disk-limit.ts';
import type { ContenderName } from './contender.ts';
import type { Phase } from './phases.ts';
import type { BenchResult } from './result.ts';
import { loads, peaks } from './rounds.ts';
import type { StorageResult } from './storage.ts';
import { latency, percentile, ratios, spread } from './statistics.ts';
import type { Spread } from './statistics.ts';

export interface BudgetRow {
  readonly what: string;
  readonly unit: string;
  /** As text; empty for a figure that is only reported. */
  readonly bar: string;
  readonly ours?: Spread;
  readonly theirs?: Spread;
  /** Ours / theirs, round by round. */
  readonly ratio?: Spread;
  /** Whether the median is within the bar; absent without a bar or without a figure. */
  readonly holds?: boolean;
  /** Why there is no figure, or what to know of it. */
  readonly note?: string;
}

const MiB = 1024 * 1024;
const noApMode = 'AP mode does not exist yet';
const notRun = 'not measured in this run (ONLY)';
/** The bars for lookups and restart are meant for so many spans. */
const spansOfBar = 10_000_000;

export function budgetRows(result: BenchResult): BudgetRow[] {
  return [
    ...loadRows(result),
    { what: 'AP: ack p50', unit: 'ms', bar: "<= 0.6 x CP's", note: noApMode },
    ...storageRows(result.storage),
    failoverRow(result),
    { what: 'AP: replication lag', unit: 'ms', bar: 'p50 < 50, p99 < 1,000', note: noApMode },
  ];
}

function loadRows({ load }: BenchResult): BudgetRow[] {
  const of = (name: string, contender: ContenderName, pick: (phase: Phase) => number): number[] =>
    (load?.phases ?? []).filter((phase) => phase.name === name && phase.of === contender).map(pick);
  const both = (name: string, pick: (phase: Phase) => number): Pick<BudgetRow, 'ours' | 'theirs' | 'ratio'> => {
    const [ours, theirs] = [of(name, 'Quorate', pick), of(name, 'etcd', pick)];
    return { ours: spread(ours), theirs: spread(theirs), ratio: ratios(ours, theirs) };
  };
  const ours = (name: string, pick: (phase: Phase) => number): Pick<BudgetRow, 'ours'> => ({
    ours: spread(of(name, 'Quorate', pick)),
  });
  const megabytes = (phase: Phase): number => phase.load.bytesPerSecond / 1e6;
  const cpu = (phase: Phase): number => phase.cpuUsPerSpan;
  const loop = (phase: Phase): number => phase.leaderLoopDelayP99Ms;
  const memory = (contender: ContenderName): number[] => {
    const byRound = Map.groupBy(
      (load?.phases ?? []).filter((phase) => phase.of === contender),
      ({ round }) => round,
    );
    return [...byRound.values()].map((phases) =>
      inMegabytes(Math.max(...phases.flatMap(({ memoryMiB }) => Object.values(memoryMiB)))),
    );
  };
  const [inFlight] = peaks;
  const fdatasync = spread(
    (load?.disk ?? [])
      .flat()
      .filter(({ bytes }) => bytes === barProbe)
      .map(({ p50Ms }) => p50Ms),
  );
  const ackBarMs = 3 * fdatasync.median + 3;
  const memories = { ours: memory('Quorate'), theirs: memory('etcd') };
  const rows: BudgetRow[] = [
    ...peaks.map((n): BudgetRow => {
      const figures = both(loads.peak(n), megabytes);
      const holds = isAtLeast(figures.ratio, 4);
      return { what: `CP ingest, ${n} exports in flight`, unit: 'MB/s', bar: '>= 4 x etcd', ...figures, ...holds };
    }),
    within('CPU a span, all nodes, at peak', 'us', 6, both(loads.peak(inFlight), cpu)),
    within('CPU a span, at half of its own peak', 'us', 9, ours(loads.half, cpu)),
    within('CPU a span, one serial writer', 'us', 12, both(loads.serial, cpu)),
    {
      ...within(
        "ack p50 at half of etcd's peak",
        'ms',
        ackBarMs,
        both(loads.halfEtcd, ({ load: { ack } }) => ack.p50),
      ),
      bar: `<= ${figure(ackBarMs)} (3 fdatasync + 3)`,
    },
    ((): BudgetRow => {
      const figures = both(loads.halfEtcd, ({ load: { ack } }) => ack.p99);
      const holds = isAtMost(figures.ratio, 0.5);
      return { what: "ack p99 at half of etcd's peak", unit: 'ms', bar: '<= 0.5 x etcd', ...figures, ...holds };
    })(),
    within("leader's loop delay p99, at peak", 'ms', 25, ours(loads.peak(inFlight), loop)),
    within("leader's loop delay p99, at half load", 'ms', 8, ours(loads.half, loop)),
    within("leader's loop delay p99, half load and a large read", 'ms', 8, ours(loads.largeRead, loop)),
    within('memory of a node, highest', 'MB', 200, {
      ours: spread(memories.ours),
      theirs: spread(memories.theirs),
      ratio: ratios(memories.ours, memories.theirs),
    }),
  ];
  return load === undefined ? rows.map(({ what, unit, bar }) => ({ what, unit, bar, note: notRun })) : rows;
}

function storageRows(storage: StorageResult | undefined): BudgetRow[] {
  const { spans, otlpBytes = Number.NaN, storedBytes = [], writtenBytes = [] } = storage ?? {};
  const millions = spans === undefined ? '' : `, ${(spans / 1e6).toFixed(1)} M spans`;
  const few = spans !== undefined && spans < spansOfBar ? { note: 'the bar is meant for 10 M spans' } : {};
  const warm = storage?.warm ?? [];
  const cold = storage?.cold ?? [];
  const p50 = (rounds: readonly { p50: number }[]): { ours: Spread } => ({
    ours: spread(rounds.map((one) => one.p50)),
  });
  const p99 = (rounds: readonly { p99: number }[]): { ours: Spread } => ({
    ours: spread(rounds.map((one) => one.p99)),
  });
  const perNode = (values: readonly number[]): { ours: Spread } => ({ ours: spread(values) });
  const rows: BudgetRow[] = [
    { ...within(`lookup p50, warm${millions}`, 'ms', 3, p50(warm)), ...few },
    { ...within(`lookup p99, warm${millions}`, 'ms', 15, p99(warm)), ...few },
    {
      ...within(`lookup p99, cold${millions}`, 'ms', 50, p99(cold)),
      ...few,
      ...(cold.length === 0 ? { note: 'needs a user who may write /proc/sys/vm/drop_caches' } : {}),
    },
    within('stored bytes of OTLP bytes, a node', '%', 25, perNode(storedBytes.map((of) => (100 * of) / otlpBytes))),
    within(
      'bytes written for a stored byte, a node',
      'x',
      2.2,
      perNode(storedBytes.map((of, node) => (writtenBytes[node] ?? Number.NaN) / of)),
    ),
    within(`memory of a node at rest${millions}`, 'MB', 200, perNode((storage?.memoryMiB ?? []).map(inMegabytes))),
    { ...within(`restart to ready, stopped${millions}`, 'ms', 1_000, perNode(storage?.restartMs.clean ?? [])), ...few },
    { ...within(`restart to ready, killed${millions}`, 'ms', 1_000, perNode(storage?.restartMs.killed ?? [])), ...few },
  ];
  return storage === undefined ? rows.map(({ what, unit, bar }) => ({ what, unit, bar, note: notRun })) : rows;
}

/** Figures without a bar that show beside the bars what they cost the other one. */
export function writtenRows({ load, storage }: BenchResult): BudgetRow[] {
  const etcd = load?.etcdDisk ?? [];
  const ours = (bytes: readonly number[] | undefined): Spread =>
    spread((bytes ?? []).map((of) => of / (storage?.otlpBytes ?? Number.NaN)));
  return [
    {
      what: 'stored for an OTLP byte, a node',
      unit: 'x',
      bar: '',
      ours: ours(storage?.storedBytes),
      theirs: spread(etcd.map(({ storedShare }) => storedShare)),
    },
    {
      what: 'written for an OTLP byte, a node',
      unit: 'x',
      bar: '',
      ours: ours(storage?.writtenBytes),
      theirs: spread(etcd.map(({ writtenShare }) => writtenShare)),
    },
  ];
}

function failoverRow({ failover }: BenchResult): BudgetRow {
  const row = { what: 'leader killed (-9) to first ack, p99', unit: 'ms', bar: '< 1,000' };
  if (failover === undefined) return { ...row, note: notRun };
  const { p50, p99, max } = latency(failover.firstAckMs);
  const ours = { median: p99, min: percentile(failover.firstAckMs, 0), max, rounds: failover.rounds.length };
  const note = `${failover.rounds.length} kills, p50 ${figure(p50)}; ${failover.missing} of ${failover.spans} acked spans missing`;
  return { ...row, ours, holds: p99 < 1_000 && failover.missing === 0, note };
}

const inMegabytes = (mebibytes: number): number => (mebibytes * MiB) / 1e6;

/** Three digits, or none behind the point. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function within(
  what: string,
  unit: string,
  most: number,
  figures: Pick<BudgetRow, 'ours' | 'theirs' | 'ratio'>,
): BudgetRow {
  return { what, unit, bar: `<= ${most.toLocaleString('en')}`, ...figures, ...isAtMost(figures.ours, most) };
}

function isAtMost(spreadOf: Spread | undefined, most: number): Pick<BudgetRow, 'holds'> {
  return spreadOf === undefined || spreadOf.rounds === 0 ? {} : { holds: spreadOf.median <= most };
}

function isAtLeast(spreadOf: Spread | undefined, least: number): Pick<BudgetRow, 'holds'> {
  return spreadOf === undefined || spreadOf.rounds === 0 ? {} : { holds: spreadOf.median >= least };
}
