/**
 * Acknowledged means synced, seen at the kernel. kill -9 cannot show a missing sync, because the page cache survives it:
 * so each node runs under strace, and between the start and the acknowledgement of every write a majority of nodes must
 * have synced first its log, then its hard state. With `sync: true` taken out of any one place the same check fails.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LocalCluster } from '../../cluster/local-cluster.ts';
import { kernelSyncs, type KernelSync, tracedInto } from '../support/kernel-trace.ts';
import { smallExport } from '../support/otlp-workload.ts';
import type { Plant } from '../support/plant.ts';
import { QuorateClient } from '../support/quorate-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const writes = 12;
const plantLoader = join(import.meta.dirname, '../support/plant.ts');

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-sync-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Run {
  /** Before the first node started, and when all were ready. */
  readonly foundedMs: readonly [number, number];
  readonly acks: readonly { readonly startMs: number; readonly endMs: number }[];
  readonly stoppedMs: number;
  readonly syncs: readonly (readonly KernelSync[])[];
}

async function run(plant?: Plant): Promise<Run> {
  const traceOf = (id: string): string => join(directory, `${id}.strace`);
  const startedMs = Date.now();
  const cluster = await LocalCluster.start({
    data: directory,
    wrapper: (id) => tracedInto(traceOf(id)),
    ...(plant === undefined
      ? {}
      : { environment: { PLANT: JSON.stringify(plant), NODE_OPTIONS: `--import=${plantLoader}` } }),
  });
  const readyMs = Date.now();
  const acks: { startMs: number; endMs: number }[] = [];
  try {
    const clients = cluster.nodes.map((node) => new QuorateClient({ id: node.id, url: node.http }));
    const random = new SeededRandom(7);
    for (let n = 0; n < writes; n += 1) {
      const client = clients[n % clients.length];
      const startMs = Date.now();
      const answer = await client?.export(smallExport(random, { spans: 2 }).body);
      expect(answer?.outcome, answer?.why).toBe('ok');
      acks.push({ startMs, endMs: Date.now() + 1 });
    }
  } finally {
    await cluster.stop();
  }
  return {
    foundedMs: [startedMs, readyMs],
    acks,
    stoppedMs: acks.at(-1)?.endMs ?? readyMs,
    syncs: cluster.nodes.map(({ id }) => kernelSyncs(traceOf(id))),
  };
}

const isLog = ({ path }: KernelSync): boolean => /\/log\/\d+\.log$/.test(path);
const isHardState = ({ path }: KernelSync): boolean => path.endsWith('/hard-state');

/** Nodes that synced their log and after it their hard state within [startMs, endMs]. */
function nodesThatSynced({ syncs }: Run, { startMs, endMs }: { startMs: number; endMs: number }): number {
  return syncs.filter((node) => {
    const within = node.filter((sync) => sync.endedMs >= startMs && sync.endedMs <= endMs);
    const log = within.find(isLog);
    return log !== undefined && within.some((sync) => isHardState(sync) && sync.endedMs > log.endedMs);
  }).length;
}

/** What a run did not sync, in words; empty when all is well. */
function faults(result: Run): string[] {
  const missing = result.acks.flatMap((ack, n) =>
    nodesThatSynced(result, ack) >= 2 ? [] : [`write ${n} was acknowledged before a majority synced`],
  );
  const [from, to] = result.foundedMs;
  result.syncs.forEach((node, n) => {
    if (!node.some((sync) => isLog(sync) && sync.endedMs >= from && sync.endedMs <= to))
      missing.push(`node ${n + 1} was ready before it synced its founding record`);
    if (!node.some((sync) => /\/index\/\d+\.log$/.test(sync.path)))
      missing.push(`node ${n + 1} never synced its index`);
  });
  return missing;
}

test('every acknowledgement comes after a majority synced log and hard state', async () => {
  expect(faults(await run())).toEqual([]);
});

const dropped: [string, Plant][] = [
  [
    'the log',
    {
      file: 'src/store/block-log.ts',
      find: 'batch(operations, { sync: true })',
      replace: 'batch(operations, { sync: false })',
    },
  ],
  [
    'the index',
    {
      file: 'src/store/trace-index.ts',
      find: '.batch(operations, { sync: true })',
      replace: '.batch(operations, { sync: false })',
    },
  ],
  [
    'the hard state',
    {
      file: 'src/platform/real/slot-file.ts',
      find: 'constants.O_RDWR | constants.O_DSYNC',
      replace: 'constants.O_RDWR',
    },
  ],
];
test.each(dropped)('without the sync of %s the check fails', async (_, plant) => {
  expect(faults(await run(plant))).not.toEqual([]);
});
