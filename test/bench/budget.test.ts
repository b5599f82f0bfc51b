/** The budget table out of a made-up run: verdicts at the bar and beside it, absent figures, and how it is printed. */
import { describe, expect, test } from 'vitest';
import { budgetRows, figure } from '../../bench/budget.ts';
import type { BudgetRow } from '../../bench/budget.ts';
import type { ContenderName } from '../../bench/contender.ts';
import type { LoadResult } from '../../bench/load-messages.ts';
import type { Phase } from '../../bench/phases.ts';
import { render } from '../../bench/report.ts';
import type { BenchResult } from '../../bench/result.ts';
import { loads, peaks } from '../../bench/rounds.ts';
import { table } from '../../bench/table.ts';

const MB = 1e6;
const noLatency = { count: 0, p50: Number.NaN, p99: Number.NaN, max: Number.NaN };

function phase(
  name: string,
  of: ContenderName,
  round: number,
  figures: Omit<Partial<Phase>, 'load'> & { load?: Partial<LoadResult> } = {},
): Phase {
  const load: LoadResult = {
    spansPerSecond: 1_000,
    bytesPerSecond: 10 * MB,
    spansAcked: 1_000,
    bytesAcked: 283_000,
    ack: { count: 10, p50: 2, p99: 4, max: 5 },
    acks: [],
    lookup: noLatency,
    lookupsWrong: 0,
    refused: {},
    retries: {},
    errors: {},
    skipped: 0,
    generatorCores: 0.25,
    ...figures.load,
  };
  return {
    name,
    of,
    round,
    cpuUsPerSpan: 5,
    cpuCores: 1,
    cpuSharePerServer: {},
    leaderLoopDelayP99Ms: 3,
    memoryMiB: { n1: 100 },
    writtenBytes: 0,
    idleOtherCores: 0.01,
    elections: 0,
    ...figures,
    load,
  };
}

/** A run of one round; `ours` and `theirs` change the phase that `name` names. */
function run(name = '', ours: Parameters<typeof phase>[3] = {}, theirs: Parameters<typeof phase>[3] = {}): BenchResult {
  const names = [...peaks.map(loads.peak), loads.half, loads.serial, loads.halfEtcd, loads.largeRead];
  return {
    commit: 'abc',
    startedAt: '2026-01-01T00:00:00.000Z',
    machine: {
      cpus: 2,
      cpuModel: 'a CPU',
      memoryMiB: 1_024,
      kernel: '6',
      node: 'v24',
      fileSystem: 'ext4',
      loadAverage: 0,
    },
    nodes: 3,
    rounds: 1,
    seconds: 1,
    bytesPerSpan: 283,
    spansPerBatch: 512,
    load: {
      phases: names.flatMap((each) => [
        phase(each, 'Quorate', 1, each === name ? ours : {}),
        phase(each, 'etcd', 1, each === name ? theirs : {}),
      ]),
      disk: [[{ bytes: 24 * 1024, p50Ms: 1, p99Ms: 2, bytesPerSecond: 20 * MB }]],
      halfOfEtcdBytesPerSecond: 5 * MB,
      etcdDisk: [{ storedShare: 2, writtenShare: 3 }],
      largeTraceReads: [],
    },
  };
}

function row(result: BenchResult, what: string): BudgetRow {
  const found = budgetRows(result).find((each) => each.what.startsWith(what));
  if (found === undefined) throw new Error(`there is no row ${what}`);
  return found;
}

describe('budget: a bar', () => {
  const peak = loads.peak(peaks[0]);

  test('of throughput is a multiple of what etcd did in the same round', () => {
    const four = run(peak, { load: { bytesPerSecond: 40 * MB } });
    expect(row(four, 'CP ingest, 16')).toMatchObject({ ratio: { median: 4 }, holds: true });
    const less = run(peak, { load: { bytesPerSecond: 39.9 * MB } });
    expect(row(less, 'CP ingest, 16')).toMatchObject({ holds: false });
  });

  test('of CPU time is absolute, whatever etcd takes', () => {
    expect(row(run(peak, { cpuUsPerSpan: 6 }, { cpuUsPerSpan: 1 }), 'CPU a span, all nodes')).toMatchObject({
      holds: true,
    });
    expect(row(run(peak, { cpuUsPerSpan: 6.01 }), 'CPU a span, all nodes')).toMatchObject({ holds: false });
  });

  test('of ack latency follows the disk for the median and etcd for the tail', () => {
    const at = (p50: number, p99: number): BenchResult =>
      run(
        loads.halfEtcd,
        { load: { ack: { count: 9, p50, p99, max: p99 } } },
        { load: { ack: { count: 9, p50: 5, p99: 20, max: 20 } } },
      );
    expect(row(at(6, 10), 'ack p50')).toMatchObject({ bar: '<= 6.00 (3 fdatasync + 3)', holds: true });
    expect(row(at(6.1, 10), 'ack p50')).toMatchObject({ holds: false });
    expect(row(at(6, 10), 'ack p99')).toMatchObject({ ratio: { median: 0.5 }, holds: true });
    expect(row(at(6, 10.1), 'ack p99')).toMatchObject({ holds: false });
  });

  test('of memory is for the largest node in the worst phase, in MB', () => {
    const { ours } = row(run(loads.half, { memoryMiB: { n1: 10, n2: 250 } }), 'memory');
    expect(ours?.median).toBeCloseTo(262.1, 1);
  });

  test('that a run has no figure for never holds, and says why', () => {
    const { load: _, ...none } = run();
    for (const each of budgetRows(none)) {
      expect(each).not.toHaveProperty('holds');
      expect(each.note, each.what).toBeTruthy();
    }
  });

  test('of a store too small for it says so', () => {
    const storage = {
      spans: 2_000_000,
      otlpBytes: 1_000,
      storedBytes: [250, 250, 240],
      writtenBytes: [500, 500, 500],
      memoryMiB: [1],
      warm: [{ count: 1, p50: 1, p99: 2, max: 2 }],
      cold: [],
      lookupsWrong: 0,
      elections: 0,
      restartMs: { clean: [400], killed: [1_400] },
    };
    const result = { ...run(), storage };
    expect(row(result, 'lookup p50, warm, 2.0 M')).toMatchObject({
      holds: true,
      note: 'the bar is meant for 10 M spans',
    });
    expect(row(result, 'lookup p99, cold')).not.toHaveProperty('holds');
    expect(row(result, 'restart to ready, killed')).toMatchObject({ holds: false });
    expect(row(result, 'stored bytes')).toMatchObject({ ours: { median: 25 }, holds: true });
    expect(row(result, 'bytes written')).toMatchObject({ ours: { median: 2 }, holds: true });
  });

  test('of failover fails with one acked span missing, however fast it was', () => {
    const failover = {
      rounds: [{ noticedMs: 1, electedMs: 2, terms: 1 }],
      firstAckMs: [300, 500],
      missing: 1,
      spans: 10,
    };
    expect(row({ ...run(), failover }, 'leader killed')).toMatchObject({ holds: false, ours: { median: 500 } });
    expect(row({ ...run(), failover: { ...failover, missing: 0 } }, 'leader killed')).toMatchObject({ holds: true });
  });
});

describe('report', () => {
  test('elections, errors and what was not shown stand beside the figures', () => {
    const troubled = run(
      loads.half,
      { elections: 1, load: { lookupsWrong: 2, errors: { 'it broke': 3 }, retries: { 503: 4 }, skipped: 5 } },
      { elections: 6 },
    );
    const text = render(troubled);
    expect(text).toContain('elections under load        Quorate 1, etcd 6');
    expect(text).toContain('errors                      3 x Quorate: it broke');
    expect(text).toContain('sent again after            4 x Quorate: 503');
    expect(text).toContain('acked but not shown         2 of ');
    expect(text).toContain('open loop fell behind       5 requests not begun');
  });

  test('a machine that was busy before the run is called so', () => {
    const quiet = run();
    expect(render(quiet)).not.toContain('busy');
    expect(render({ ...quiet, machine: { ...quiet.machine, loadAverage: 1 } })).toContain('busy with other work');
  });

  test('AP has no figures', () => {
    const lines = render(run())
      .split('\n')
      .filter((line) => line.startsWith('AP:'));
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line).toMatch(/AP mode does not exist yet$/);
  });
});

test('figures have three digits, and none behind the point from 100 on', () => {
  expect([1.234, 12.34, 123.4, 12_345, Number.NaN].map(figure)).toEqual(['1.23', '12.3', '123', '12,345', '-']);
});

test('table: names to the left, figures to the right, prose to the left', () => {
  const rows = [
    ['a name', '1', 'why'],
    ['b', '1,000', ''],
  ];
  expect(table(['', 'MB/s', ''], rows, 2)).toEqual(['          MB/s', 'a name       1   why', 'b        1,000']);
});
