/**
 * A store with many spans in it: what they occupy, what was written for it, how fast a trace of ten blocks is found, warm
 * and cold, and how long a node takes to come back.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { LocalNode } from '../cluster/local-node.ts';
import { limits } from '../src/limits.ts';
import { HttpClient } from '../test/support/http.ts';
import { dropPageCache, memoryMiB, storedBytes, writtenBytes } from './measure.ts';
import type { QuorateContender } from './quorate-contender.ts';
import { peaks, spansPerBatch } from './rounds.ts';
import { lookUp, passes, SpreadTraces } from './spread-traces.ts';
import { latency } from './statistics.ts';
import type { Latency } from './statistics.ts';

export interface StorageOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** At least so many spans are stored before anything is looked up. */
  readonly spans: number;
  readonly say: (what: string) => void;
}

export interface StorageResult {
  readonly spans: number;
  readonly otlpBytes: number;
  /** Of each node, ballast files left out. */
  readonly storedBytes: readonly number[];
  /** By each node, since it was new. */
  readonly writtenBytes: readonly number[];
  /** Of each node, after all had settled. */
  readonly memoryMiB: readonly number[];
  /** Once a round. */
  readonly warm: readonly Latency[];
  /** Once a round; none where the page cache may not be dropped. */
  readonly cold: readonly Latency[];
  readonly lookupsWrong: number;
  /** Leaders that came while the store was filled. Must be 0. */
  readonly elections: number;
  /** From the start of the process to its first 200 on /readyz, once a round. */
  readonly restartMs: { readonly clean: readonly number[]; readonly killed: readonly number[] };
}

const spreadSeed = 977;
const fillSeconds = 2;
const readyPollMs = 5;
const readyPatienceMs = 120_000;
const settledForMs = 3_000;
const settlePatienceMs = 60_000;
/** In front of a kill, so that there is a tail of the log that is in no index yet. */
const tailSeconds = 2;

const order = {
  seconds: fillSeconds,
  ingest: { kind: 'closed', inFlight: peaks[0] },
  lookupsInFlight: 0,
  lookupPauseMs: 0,
} as const;

export async function measureStorage(quorate: QuorateContender, options: StorageOptions): Promise<StorageResult> {
  const { rounds, seconds, say } = options;
  const { cluster } = quorate;
  await quorate.sendBatchesOf(spansPerBatch);
  const traces = new SpreadTraces(spreadSeed);
  const first = await quorate.whoLeads();
  await fill(quorate, traces, options);
  const elections = (await quorate.whoLeads()).term - first.term;

  say('waiting until the stored bytes settle');
  const stored = await settled(cluster.nodes.map(({ data }) => data));
  const { spans, otlpBytes } = quorate.acked;
  const written = quorate.servers.map(({ pid }) => writtenBytes(pid));
  const memory = quorate.servers.map(({ pid }) => memoryMiB(pid));

  say(`lookups of traces over ${passes} blocks, ${spans.toLocaleString('en')} spans stored`);
  const warm: Latency[] = [];
  let lookupsWrong = 0;
  const look = async (chosen: Iterable<ReturnType<typeof traces.oneOfEachGroup>[number]>): Promise<Latency> => {
    const clients = cluster.nodes.map(({ http }) => new HttpClient(http));
    const { latenciesMs, wrong } = await lookUp(chosen, clients).finally(() => {
      for (const client of clients) client.close();
    });
    lookupsWrong += wrong;
    return latency(latenciesMs);
  };
  // Whatever a lookup touches, each node has touched once.
  for (let n = 0; n < cluster.nodes.length; n += 1) await look(rotated(traces.oneOfEachGroup(0), n));
  for (let round = 0; round < rounds; round += 1) warm.push(await look(forSeconds(seconds, traces.oneOfEachGroup(0))));

  const restartMs = { clean: [] as number[], killed: [] as number[] };
  const cold: Latency[] = [];
  let mayDrop = true;
  for (let round = 0; round < rounds; round += 1) {
    const node = cluster.nodes[round % cluster.nodes.length] as LocalNode;
    say(`round ${round + 1} of ${rounds}: ${node.id} stopped and started, killed and started`);
    await node.stop();
    restartMs.clean.push(await timeToReady(node));
    await quorate.load({ ...order, seconds: tailSeconds });
    await node.kill('SIGKILL');
    restartMs.killed.push(await timeToReady(node));
    if (!mayDrop) continue;
    say(`round ${round + 1} of ${rounds}: cold lookups`);
    await Promise.all(cluster.nodes.map(async (each) => each.stop()));
    mayDrop = await dropPageCache();
    await cluster.startAll();
    // Trace 0 of each group is warm, somewhere.
    if (mayDrop) cold.push(await look(traces.oneOfEachGroup(round + 1)));
  }
  return {
    spans,
    otlpBytes,
    storedBytes: stored,
    writtenBytes: written,
    memoryMiB: memory,
    warm,
    cold,
    lookupsWrong,
    elections,
    restartMs,
  };
}

/** Sends until enough is stored; the traces to look up come in at ten moments over all of that time. */
async function fill(quorate: QuorateContender, traces: SpreadTraces, { spans, say }: StorageOptions): Promise<void> {
  const already = quorate.acked.spans;
  const [first] = quorate.cluster.nodes;
  for (let pass = 1; pass <= passes; pass += 1) {
    const [, stored] = await Promise.all([quorate.load(order), traces.storePass(first?.http ?? '')]);
    quorate.count(stored);
    while (quorate.acked.spans < already + ((spans - already) * pass) / passes) await quorate.load(order);
    say(`${quorate.acked.spans.toLocaleString('en')} spans stored`);
  }
}

function rotated<T>(items: readonly T[], by: number): T[] {
  return [...items.slice(by), ...items.slice(0, by)];
}

/** Over and over, until the time is up. */
function* forSeconds<T>(seconds: number, items: readonly T[]): Generator<T> {
  const endMs = performance.now() + seconds * 1_000;
  for (;;) {
    for (const item of items) {
      if (performance.now() > endMs) return;
      yield item;
    }
  }
}

/** Starts it and asks until it serves; ms. */
async function timeToReady(node: LocalNode): Promise<number> {
  const startedMs = performance.now();
  node.spawn();
  while (!(await node.isReady())) {
    if (performance.now() - startedMs > readyPatienceMs) throw new Error(`${node.id} was not ready after two minutes`);
    await delay(readyPollMs);
  }
  return performance.now() - startedMs;
}

/** Stored bytes, once the index had time to be flushed and nothing moved for three seconds; a minute at most. */
async function settled(directories: readonly string[]): Promise<number[]> {
  const measure = (): number[] =>
    directories.map((directory) => {
      const { all, ballast } = storedBytes(directory);
      return all - ballast;
    });
  const earliestMs = performance.now() + limits.indexFlushMs + 1_000;
  const latestMs = performance.now() + settlePatienceMs;
  let before = measure();
  let quietSince = performance.now();
  for (;;) {
    await delay(500);
    const now = measure();
    if (now.join() !== before.join()) quietSince = performance.now();
    before = now;
    const quiet = performance.now() - quietSince > settledForMs && performance.now() > earliestMs;
    if (quiet || performance.now() > latestMs) return now;
  }
}
