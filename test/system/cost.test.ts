/**
 * What an export costs at the disk, in bytes and syncs: counted and not timed, so that a busy machine changes nothing. `make
 * bench` measures what depends on time; this one fails a change that makes every export write more, or write alone.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { storedBytes, writtenBytes } from '../../bench/measure.ts';
import { LocalCluster } from '../../cluster/local-cluster.ts';
import type { LocalNode } from '../../cluster/local-node.ts';
import { kernelSyncs, tracedInto } from '../support/kernel-trace.ts';
import { OtlpWorkload } from '../support/otlp-workload.ts';
import { agreedLeader, QuorateClient } from '../support/quorate-client.ts';

const exports = 64;

/** Of one node, while the exports came in. Bytes are divided by the OTLP bytes, syncs by the exports. */
interface Cost {
  readonly stored: number;
  readonly written: number;
  readonly logSyncs: number;
  readonly hardStateSyncs: number;
}

let oneByOne: readonly Cost[];
let allAtOnce: readonly Cost[];

beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-cost-'));
  const traceOf = (id: string): string => join(directory, `${id}.strace`);
  const cluster = await LocalCluster.start({ data: directory, wrapper: (id) => tracedInto(traceOf(id)) });
  const clients = cluster.nodes.map((node) => new QuorateClient({ id: node.id, url: node.http }));
  const workload = new OtlpWorkload({ seed: 5, batches: exports, spansPerBatch: 512, startMs: 1_750_000_000_000 });
  let sent = 0;

  const exportNext = async (): Promise<number> => {
    const body = workload.body(sent);
    const client = clients[sent % clients.length];
    sent += 1;
    const answer = await client?.export(body);
    expect(answer?.outcome, answer?.why).toBe('ok');
    return body.length;
  };
  const costOf = async (send: () => Promise<number[]>): Promise<() => Cost[]> => {
    const sinceMs = Date.now();
    const before = cluster.nodes.map(onDisk);
    const otlpBytes = (await send()).reduce((sum, bytes) => sum + bytes, 0);
    const after = cluster.nodes.map(onDisk);
    const untilMs = Date.now();
    // The traces are whole only after the nodes have ended.
    return () =>
      cluster.nodes.map(({ id, data }, n) => {
        const syncs = kernelSyncs(traceOf(id)).filter(({ endedMs }) => endedMs >= sinceMs && endedMs < untilMs);
        const of = (part: string): number => syncs.filter(({ path }) => path.startsWith(join(data, part))).length;
        const bytes = (kind: 'stored' | 'written'): number =>
          ((after[n]?.[kind] ?? 0) - (before[n]?.[kind] ?? 0)) / otlpBytes;
        return {
          stored: bytes('stored'),
          written: bytes('written'),
          logSyncs: of('log/') / exports,
          hardStateSyncs: of('hard-state') / exports,
        };
      });
  };

  try {
    await agreedLeader(clients);
    const serial = await costOf(async () => {
      const sizes: number[] = [];
      while (sizes.length < exports) sizes.push(await exportNext());
      return sizes;
    });
    const burst = await costOf(async () => Promise.all(Array.from({ length: exports }, exportNext)));
    await cluster.stop();
    oneByOne = serial();
    allAtOnce = burst();
  } finally {
    for (const client of clients) client.close();
    await cluster.stop();
    rmSync(directory, { recursive: true, force: true });
  }
});

function onDisk(node: LocalNode): { stored: number; written: number } {
  const { all, ballast } = storedBytes(node.data);
  // The process is strace's; the node is its child.
  const pid = node.process?.pid ?? 0;
  const [child = ''] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
  return { stored: all - ballast, written: writtenBytes(Number(child)) };
}

test('cost: an export that comes alone is one sync of the log and one of the hard state, on every node', () => {
  for (const { logSyncs, hardStateSyncs } of oneByOne) {
    // A log file that is full may add one.
    expect(logSyncs).toBeLessThan(1.1);
    expect(hardStateSyncs).toBeLessThan(1.1);
  }
  // A node that lags may write two exports at once; the fastest does not, or nothing was counted here.
  expect(Math.max(...oneByOne.map(({ logSyncs }) => logSyncs))).toBeGreaterThan(0.9);
});

test('cost: exports that come together share their syncs', () => {
  for (const { logSyncs, hardStateSyncs } of allAtOnce) {
    expect(logSyncs).toBeLessThan(0.6);
    expect(hardStateSyncs).toBeLessThan(0.6);
  }
});

test('cost: a quarter of the OTLP bytes is stored, and little more than that is written', () => {
  for (const { stored, written } of oneByOne) {
    expect(stored).toBeLessThan(0.26);
    expect(written).toBeLessThan(0.45);
  }
  for (const { written } of allAtOnce) expect(written).toBeLessThan(0.35);
});
