/**
 * The corruption table (protocol A3, A4, F3), row by row: three nodes under load, one of them stopped, damaged and started
 * again. In every row nothing that was acknowledged is lost, no ready node answers with anything wrong or smaller, the others
 * serve meanwhile, and the damaged node does what the row says and nothing else.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { LocalCluster } from '../../cluster/local-cluster.ts';
import type { LocalNode } from '../../cluster/local-node.ts';
import { limits } from '../../src/limits.ts';
import { fingerprintOf } from '../../src/store/fingerprint.ts';
import { bucketCount, bucketOf } from '../../src/store/postings.ts';
import { smallExport, type SmallExport } from '../support/otlp-workload.ts';
import { eventually, QuorateClient } from '../support/quorate-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { Traffic } from '../support/traffic.ts';
import { corruptionRows, type CorruptionRow, type Outcome } from './corruption/rows.ts';

const victim = 'n3';
const others = ['n1', 'n2'];
const restMs = 30;
/** How often it may end before it ends in a sentence, or not any more. */
const crashesMax = 4;

let directory: string;
/** All spans of the traces that every row begins with. */
const stored = new Map<string, Set<string>>();

/** Nodes on copies of directories, with a client each. */
class Stage {
  readonly cluster: LocalCluster;
  readonly clients: readonly QuorateClient[];
  readonly lines: string[];

  private constructor(cluster: LocalCluster, lines: string[]) {
    this.cluster = cluster;
    this.lines = lines;
    this.clients = cluster.nodes.map(({ id, http }) => new QuorateClient({ id, url: http }));
  }

  static async prepare(data: string): Promise<Stage> {
    const lines: string[] = [];
    const onLine = (id: string, line: string): unknown => id === victim && lines.push(line);
    return new Stage(await LocalCluster.prepare({ data, onLine }), lines);
  }

  get ids(): readonly string[] {
    return this.clients.map(({ id }) => id);
  }

  get victim(): LocalNode {
    return this.cluster.node(victim);
  }

  client(id: string): QuorateClient {
    const found = this.clients.find((client) => client.id === id);
    if (found === undefined) throw new Error(`there is no node ${id}`);
    return found;
  }

  async start(ids: readonly string[]): Promise<void> {
    await Promise.all(ids.map((id) => this.cluster.node(id).start()));
  }

  async stop(): Promise<void> {
    for (const client of this.clients) client.close();
    await this.cluster.stop();
  }
}

/** Writes `count` exports one after the other through each of the nodes; one of `noteEvery` is of a trace that will be read. */
async function fill(stage: Stage, ids: readonly string[], count: number, noteEvery = 5): Promise<void> {
  const write = async (id: string): Promise<void> => {
    const random = new SeededRandom(stored.size + count + Number(id.slice(1)));
    for (let written = 0; written < count; written += 1) {
      // Traces that nobody reads, so that a flush of the index is larger than a block of LevelDB's log.
      const bodies = Array.from({ length: 4 }, () => smallExport(random, { spans: 1 }).body);
      const noted = written % noteEvery === 0 ? exportOfStored(random) : null;
      if (noted !== null) bodies.push(noted.body);
      const { outcome, why } = await stage.client(id).export(Buffer.concat(bodies));
      if (outcome !== 'ok') throw new Error(`${id}: ${why}`);
      const spans = stored.get(noted?.traceId ?? '');
      for (const span of noted?.spanIds ?? []) spans?.add(span);
    }
  };
  await Promise.all(ids.map(write));
}

/** One trace for each bucket of the index, so that who reads them all reads every part of it. */
function exportOfStored(random: SeededRandom): SmallExport {
  const traceId = stored.size < bucketCount ? idOfNewBucket(random) : random.pick([...stored.keys()]);
  if (!stored.has(traceId)) stored.set(traceId, new Set());
  return smallExport(random, { spans: 2, traceId });
}

function idOfNewBucket(random: SeededRandom): string {
  const bucket = (id: string): number => bucketOf(fingerprintOf(Buffer.from(id, 'hex')));
  const taken = new Set([...stored.keys()].map(bucket));
  for (;;) {
    const { traceId } = smallExport(random, { spans: 1 });
    if (!taken.has(bucket(traceId))) return traceId;
  }
}

/** Three stopped nodes: the log and the index of each have a table and a write-ahead log, that of the index several flushes. */
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-corruption-'));
  const stage = await Stage.prepare(join(directory, 'before'));
  try {
    const all = [...others, victim];
    await stage.start(all);
    // All of the traces, for the window of the index that becomes its largest table.
    await fill(stage, all, Math.ceil(bucketCount / all.length), 1);
    await stage.cluster.stop();
    await stage.start(all);
    await fill(stage, all, 20);
    await stage.victim.stop();
    cpSync(stage.victim.data, join(directory, 'earlier'), { recursive: true });
    await stage.start([victim]);
    await fill(stage, all, Math.ceil((2.2 * limits.indexFlushEntries) / all.length));
    await stage.victim.stop();
    await fill(stage, others, 50);
  } finally {
    await stage.stop();
  }
}, 300_000);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Reads what is stored through any node, again and again; what it answers must be all of it. */
class Reader {
  readonly faults: string[] = [];
  readonly #stage: Stage;
  #stopped = false;
  readonly #running: Promise<void>[];

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#running = stage.clients.map((client, n) => this.#read(client, new SeededRandom(n)));
  }

  async #read(client: QuorateClient, random: SeededRandom): Promise<void> {
    while (!this.#stopped) {
      const trace = random.pick([...stored.keys()]);
      const spans = await client.spanIds(trace).catch(() => null);
      if (spans !== null) this.#judge(client, trace, spans);
      await delay(restMs);
    }
  }

  #judge({ id }: QuorateClient, trace: string, spans: readonly string[]): void {
    const whole = stored.get(trace) ?? new Set();
    if (spans.length !== whole.size || !spans.every((span) => whole.has(span)))
      this.faults.push(`${id} answered ${spans.length} of ${whole.size} spans of ${trace}`);
  }

  /** Every trace through these nodes, which must answer in the end. */
  async readAll(ids: readonly string[]): Promise<void> {
    await Promise.all(ids.map(async (id) => this.#readAllFrom(this.#stage.client(id))));
  }

  async #readAllFrom(client: QuorateClient): Promise<void> {
    for (const trace of stored.keys()) {
      const spans = await eventually(`${trace} from ${client.id}`, () => client.spanIds(trace).catch(() => undefined));
      this.#judge(client, trace, spans);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }
}

const signs: readonly (readonly [Outcome, RegExp])[] = [
  ['repaired', /a damaged entry of the log was repaired/],
  ['recovering', /recovering from the other nodes, voting by the promise/],
  ['rebuilt', /the index is rebuilt from the log/],
  ['new incarnation', /is a new incarnation and no longer a voter/],
];

/** What the damaged node came to. */
function outcomesOf(stage: Stage, end: string | null): readonly Outcome[] {
  const seen = signs.flatMap(([outcome, sign]) => (stage.lines.some((line) => sign.test(line)) ? [outcome] : []));
  if (end === 'exit code 1') return [...seen, 'refuses'];
  if (end !== null) throw new Error(`${victim} ended with ${end}:\n${stage.lines.join('\n')}`);
  return seen.length === 0 ? ['no trace'] : seen;
}

async function damaged(row: CorruptionRow): Promise<void> {
  const data = mkdtempSync(join(directory, 'row-'));
  cpSync(join(directory, 'before'), data, { recursive: true });
  const earlier = { itself: join(directory, 'earlier'), other: join(directory, 'before', 'n1') };
  const stage = await Stage.prepare(data);
  onTestFinished(async () => {
    await stage.stop();
    rmSync(data, { recursive: true });
  });
  if (row.remembered === true) {
    await stage.start(stage.ids);
    await eventually('a leader', async () => (await stage.client('n1').cluster())?.leader);
    await stage.victim.stop();
    stage.lines.length = 0;
  } else await stage.start(others);
  row.inflict(stage.victim.data, earlier);

  const traffic = new Traffic(stage, 1);
  traffic.start();
  const reader = new Reader(stage);
  await traffic.moreAcks(20, others);
  let end: string | null = null;
  const spawn = (startsLeft: number): void => {
    stage.victim.spawn();
    void stage.victim.ended.then((how) => {
      if (how === 'SIGABRT' && startsLeft > 0) spawn(startsLeft - 1);
      else end = how;
    });
  };
  spawn(row.mayCrash === true ? crashesMax : 0);
  await eventually(`the end of what ${victim} makes of it`, async () => end ?? stage.victim.isReady(), {
    timeoutMs: 60_000,
  });
  const serving = end === null ? stage.ids : others;
  await traffic.moreAcks(20, others);
  if (serving.length > others.length) await traffic.moreAcks(20, [victim]);
  await reader.readAll(serving);
  await reader.stop();
  await traffic.settle(serving);
  expect(reader.faults).toEqual([]);
  expect(outcomesOf(stage, end), stage.lines.join('\n')).toEqual(row.outcomes);
  for (const sentence of row.says) expect(stage.lines.join('\n')).toContain(sentence);
}

test.each(corruptionRows)('$part: $damage: $outcomes', damaged);
