/** The bench's one table, beside the conditions it holds under. */
import type { Machine, SyncCost } from './measure.ts';
import type { Phase } from './phases.ts';

export interface BenchResult {
  readonly commit: string;
  readonly startedAt: string;
  readonly machine: Machine;
  readonly nodes: number;
  readonly spansPerBatch: number;
  readonly bytesPerSpan: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  readonly inFlight: number;
  readonly fdatasyncIdle: SyncCost;
  /** With the servers up, between two phases. */
  readonly fdatasyncBetween: SyncCost;
  readonly phases: readonly Phase[];
  /** Of the trace of 100,000 spans, all pages, as JSON; ms. */
  readonly largeTraceReads: readonly number[];
  readonly stored: {
    /** OTLP bytes acked in the whole run, warm-up included. */
    readonly otlpBytes: number;
    readonly spans: number;
    /** Average over the nodes of what their data directories occupy, ballast files left out. */
    readonly bytesPerNode: number;
    readonly ballastBytesPerNode: number;
  };
  readonly leader: string;
  readonly elections: number;
}

/** The table as text. */
export function render(result: BenchResult): string {
  const { machine, stored } = result;
  const rows = result.phases.map((phase) => [
    phase.name,
    phase.load.spansAcked === 0 ? '' : Math.round(phase.load.spansPerSecond).toLocaleString('en'),
    phase.load.spansAcked === 0 ? '' : (phase.load.bytesPerSecond / 1e6).toFixed(1),
    number(phase.cpuUsPerSpan, 1),
    pair(phase.load.ack),
    pair(phase.load.lookup),
    phase.load.ack.count === 0 ? '' : number(phase.leaderLoopDelayP99Ms, 1),
  ]);
  const head = ['', 'spans/s', 'MB/s', 'CPU us/span', 'ack p50 / p99 ms', 'lookup p50 / p99 ms', 'loop p99 ms'];
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, n) => (n === 0 ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0)))
      .join('   ')
      .trimEnd();
  const memory = result.phases.reduce<Record<string, number>>((highest, phase) => {
    for (const [id, mib] of Object.entries(phase.memoryMiB)) highest[id] = Math.max(highest[id] ?? 0, mib);
    return highest;
  }, {});
  const merged = (pick: (phase: Phase) => Readonly<Record<string, number>>): string =>
    Object.entries(
      result.phases.reduce<Record<string, number>>((sum, phase) => {
        for (const [key, count] of Object.entries(pick(phase))) sum[key] = (sum[key] ?? 0) + count;
        return sum;
      }, {}),
    )
      .map(([key, count]) => `${count} x ${key}`)
      .join(', ') || 'none';
  const sum = (pick: (phase: Phase) => number): number =>
    result.phases.reduce((total, phase) => total + pick(phase), 0);
  const share = (100 * stored.bytesPerNode) / stored.otlpBytes;
  return [
    `${result.nodes} nodes, cp, OTLP/protobuf over HTTP to all of them, ${result.spansPerBatch} spans an export, ` +
      `${result.bytesPerSpan.toFixed(0)} bytes a span; ${result.seconds} s a phase after ${result.warmUpSeconds} s of warm-up`,
    `commit ${result.commit}; ${machine.cpus} CPUs (${machine.cpuModel}), shared by servers and generator; ` +
      `${machine.fileSystem}; Node ${machine.node}; Linux ${machine.kernel}; load average before the run ${machine.loadAverage.toFixed(1)}` +
      (machine.loadAverage > 0.5 * machine.cpus ? ' (busy with other work: worse than it is)' : ''),
    `fdatasync after 24 KiB appended, p50 / p99: ${sync(result.fdatasyncIdle)} before, ${sync(result.fdatasyncBetween)} between phases`,
    '',
    line(head),
    ...rows.map(line),
    '',
    `stored per node          ${number(share, 1)} % of the OTLP bytes (${megabytes(stored.bytesPerNode)} of ` +
      `${megabytes(stored.otlpBytes)}, ${stored.spans.toLocaleString('en')} spans, index included` +
      `${stored.ballastBytesPerNode > 0 ? `; a ballast file of ${megabytes(stored.ballastBytesPerNode)} not counted` : ''})`,
    `memory, anonymous + shared, highest  ${Object.entries(memory)
      .map(([id, mib]) => `${id} ${mib.toFixed(0)} MiB`)
      .join(', ')} (${result.leader} leads)`,
    `100,000-span trace read  ${result.largeTraceReads.length} times as JSON from the leader, ` +
      `median ${number((result.largeTraceReads.toSorted((a, b) => a - b)[result.largeTraceReads.length >> 1] ?? Number.NaN) / 1_000, 1)} s`,
    `elections during the run ${result.elections}`,
    `refused for good         ${merged((phase) => phase.load.refused)}`,
    `sent again after         ${merged((phase) => phase.load.retries)}`,
    `errors                   ${merged((phase) => phase.load.errors)}`,
    `acked but not shown      ${sum((phase) => phase.load.lookupsWrong)} of ${sum((phase) => phase.load.lookup.count).toLocaleString('en')} lookups`,
    ...(sum((phase) => phase.load.skipped) > 0
      ? [`open loop fell behind    ${sum((phase) => phase.load.skipped)} exports not begun`]
      : []),
  ].join('\n');
}

function number(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '-';
}

function pair({ count, p50, p99 }: { count: number; p50: number; p99: number }): string {
  return count === 0 ? '' : `${p50.toFixed(1)} / ${p99.toFixed(1)}`;
}

function sync({ p50Ms, p99Ms }: SyncCost): string {
  return `${p50Ms.toFixed(2)} / ${p99Ms.toFixed(2)} ms`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
