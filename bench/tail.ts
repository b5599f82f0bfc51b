/**
 * `make tail`: why acks are late. Exports at a steady rate, and beside each ack that was late what every node did meanwhile:
 * late turns of its event loop, collections, synced writes, files of LevelDB. Acks that are late together are one episode.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { figure } from './budget.ts';
import { natural, say } from './command-line.ts';
import type { Ack } from './load-messages.ts';
import { spansPerBatch } from './rounds.ts';
import { Stage } from './stage.ts';
import { table } from './table.ts';
import { causes, directoryVariable, type TailEvent } from './tail-watch.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    rate: { type: 'string', default: '31' },
    'late-ms': { type: 'string', default: '25' },
    top: { type: 'string', default: '10' },
    dir: { type: 'string', default: tmpdir() },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`make tail RATE=31, or node bench/tail.ts with:
  --rate 31        MB of OTLP bytes offered a second, to all three nodes in turn
  --seconds 20     of load
  --late-ms 25     an ack that took longer is late
  --top 10         episodes to show, the longest first
  --dir DIR        where the data goes (default: the temp directory)`);
  process.exit(0);
}

const seconds = natural(values, 'seconds');
const lateMs = natural(values, 'late-ms');
const top = natural(values, 'top');
const warmUpSeconds = 5;
/** Late acks that were due so close to one another are late for one reason. */
const sameEpisodeMs = 60;
/** What is shorter is no reason for a late ack. */
const longMs = 8;
const watchWritesMs = 1_500;
const stage = new Stage({ parent: values.dir, nodes: 3 });

interface Episode {
  readonly startMs: number;
  endMs: number;
  lastDueMs: number;
  acks: number;
  longestMs: number;
}

try {
  await tail();
} catch (error) {
  if (!stage.isInterrupted) throw error;
} finally {
  await stage.close();
}

async function tail(): Promise<void> {
  const directory = join(stage.directory, 'tail');
  mkdirSync(directory);
  const quorate = await stage.startQuorate({
    NODE_OPTIONS: `--import ${pathToFileURL(join(import.meta.dirname, 'tail-watch.ts')).href}`,
    [directoryVariable]: directory,
  });
  await quorate.sendBatchesOf(spansPerBatch);
  const order = {
    ingest: { kind: 'open', bytesPerSecond: natural(values, 'rate') * 1e6 },
    lookupsInFlight: 0,
    lookupPauseMs: 0,
    keepsAcks: true,
  } as const;
  say('warm-up');
  await quorate.load({ ...order, seconds: warmUpSeconds });
  say(`${values.rate} MB/s for ${seconds} s`);
  const { ack, acks, errors } = await quorate.load({ ...order, seconds });
  const { leader } = await quorate.whoLeads();
  await delay(watchWritesMs);
  const nodes = quorate.servers.map(({ id }) => ({ id, events: eventsIn(join(directory, `${id}.jsonl`)) }));

  const episodes = episodesOf(acks).toSorted((a, b) => b.longestMs - a.longestMs);
  const late = episodes.reduce((sum, episode) => sum + episode.acks, 0);
  const startMs = Math.min(...acks.map(({ dueMs }) => dueMs));
  console.log(
    `${ack.count} acks: p50 ${figure(ack.p50)} ms, p99 ${figure(ack.p99)}, highest ${figure(ack.max)}; ` +
      `${late} took longer than ${lateMs} ms, in ${episodes.length} episodes; ${leader} leads; errors ${JSON.stringify(errors)}\n`,
  );
  const head = ['at ms', 'late acks', 'longest, ms', ...nodes.map(({ id }) => `${id}: longest of each, ms`)];
  const rows = episodes
    .slice(0, top)
    .map((episode) => [
      figure(episode.startMs - startMs),
      String(episode.acks),
      figure(episode.longestMs),
      ...nodes.map(({ events }) => longestOfEach(during(episode, events))),
    ]);
  console.log(`${table(head, rows).join('\n')}\n`);
  const shares = Object.entries(causes).map(([cause, sentence]) => {
    const nodesIn = episodes.map(
      (episode) => nodes.filter(({ events }) => during(episode, events).some((event) => event.cause === cause)).length,
    );
    return [sentence, ...[1, 2, 3].map((count) => String(nodesIn.filter((those) => those === count).length))];
  });
  console.log(table(['episodes in which a node did so', 'one node', 'two', 'all three'], shares).join('\n'));
}

function eventsIn(path: string): TailEvent[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as TailEvent);
}

function episodesOf(acks: readonly Ack[]): Episode[] {
  const episodes: Episode[] = [];
  for (const { dueMs, atMs } of acks.toSorted((a, b) => a.dueMs - b.dueMs)) {
    const tookMs = atMs - dueMs;
    if (tookMs <= lateMs) continue;
    let episode = episodes.at(-1);
    if (episode === undefined || dueMs - episode.lastDueMs > sameEpisodeMs) {
      episode = { startMs: dueMs, endMs: atMs, lastDueMs: dueMs, acks: 0, longestMs: 0 };
      episodes.push(episode);
    }
    episode.endMs = Math.max(episode.endMs, atMs);
    episode.lastDueMs = dueMs;
    episode.acks += 1;
    episode.longestMs = Math.max(episode.longestMs, tookMs);
  }
  return episodes;
}

/** What lasted long enough to matter; files are made and deleted in no time, and stand for what goes on behind them. */
function during({ startMs, endMs }: Episode, events: readonly TailEvent[]): TailEvent[] {
  return events.filter(
    ({ cause, atMs, forMs }) =>
      atMs + forMs >= startMs - longMs && atMs <= endMs && (cause === 'table' || cause === 'flush' || forMs >= longMs),
  );
}

function longestOfEach(events: readonly TailEvent[]): string {
  const longest = new Map<string, TailEvent>();
  for (const event of events)
    if (event.forMs >= (longest.get(event.cause)?.forMs ?? 0)) longest.set(event.cause, event);
  const parts = [...longest.values()].map(({ cause, forMs, waitedMs }) => {
    if (cause === 'table') return 'table';
    return `${cause} ${figure(forMs)}${waitedMs === undefined ? '' : ` (${figure(waitedMs)} for a CPU)`}`;
  });
  return parts.join(', ');
}
