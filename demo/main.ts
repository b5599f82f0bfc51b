/**
 * `make demo`: three nodes, the traces of a small shop through the real OpenTelemetry SDK, a leader killed with -9 in
 * mid-stream, and then every acknowledged span looked up on every node. Exit code 0 only if all of them are there.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { styleText } from 'node:util';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { agreedLeader, eventually, QuorateClient } from '../test/support/quorate-client.ts';
import { FailoverExporter } from './failover-exporter.ts';
import type { Ack } from './failover-exporter.ts';
import { Ledger } from './ledger.ts';
import type { Verdict } from './ledger.ts';
import { services, Shop } from './shop.ts';
import type { Order } from './shop.ts';

const ordersPerSecond = 50;
const secondsBeforeKill = 3;
const secondsAfterKill = 4;
const timeLimitMs = 120_000;
const quorate = join(import.meta.dirname, '../bin/quorate');

const directory = mkdtempSync(join(tmpdir(), 'quorate-demo-'));
let cluster: LocalCluster | undefined;
let cleaning: Promise<void> | undefined;

process.once('SIGINT', () => void giveUp('Stopped.'));
process.once('SIGTERM', () => void giveUp('Stopped.'));
const timeLimit = setTimeout(() => void giveUp(`Not done after ${timeLimitMs / 1_000} s; given up.`), timeLimitMs);

try {
  const lost = await demonstrate();
  await cleanUp();
  if (lost === 0) say('', styleText(['green', 'bold'], 'Nothing was lost.'));
  else
    say('', `${styleText(['red', 'bold'], `${lost} spans were lost, repeated or made up.`)} That must never happen.`);
  process.exitCode = lost === 0 ? 0 : 1;
} catch (error) {
  // While cleaning up, whatever was under way fails; the reason has been told then.
  if (cleaning === undefined) await giveUp(error instanceof Error ? error.message : String(error));
}

/** Tells the story as it happens. Returns how many acknowledged spans some node does not show exactly once. */
async function demonstrate(): Promise<number> {
  say('', styleText('bold', 'Three nodes, real spans, and a leader that dies.'), '');
  const started = (cluster = await LocalCluster.prepare({ data: directory }));
  await started.startAll();
  const clients = started.nodes.map(({ id, http }) => new QuorateClient({ id, url: http }));
  const leader = await agreedLeader(clients);
  step('3 nodes started', started.nodes.map(({ id, http }) => `${id} ${dim(http)}`).join('  '));
  step(`${leader.id} leads`, `elected in term ${leader.term}; the other two follow its log`);

  const ledger = new Ledger();
  let killedMs = Infinity;
  let failover: { ms: number; through: string } | undefined;
  const onAck = (ack: Ack): void => {
    ledger.acked(ack);
    const through = clients[ack.node]?.id ?? '';
    // Only an export sent after the kill counts: an earlier one may have been committed before it.
    if (ack.sentMs > killedMs && through !== leader.id) failover ??= { ms: ack.ackedMs - killedMs, through };
  };
  const urls = clients.map(({ url }) => url);
  const exporters = services.map(
    (service, n) => [service, new FailoverExporter({ urls, firstNode: n, onAck })] as const,
  );
  const exporterOf = new Map(exporters);
  const shop = new Shop((service) => {
    const exporter = exporterOf.get(service);
    if (exporter === undefined) throw new Error(`${service} has no exporter`);
    return exporter;
  });
  step('A shop opens', `${services.join(', ')}: ${ordersPerSecond} orders a second, OTLP to all three nodes`);
  await trade(shop, ledger, secondsBeforeKill);
  step(`${count(ledger.spansAcked)} spans acked`, 'each on the disks of two nodes or more before its sender was told');

  killedMs = performance.now();
  await started.node(leader.id).kill('SIGKILL');
  step(`kill -9 ${leader.id}`, 'the leader is gone in mid-stream; the shop stays open', 'red');
  await trade(shop, ledger, secondsAfterKill);
  await shop.flush();
  await Promise.all(exporters.map(async ([, exporter]) => exporter.forceFlush()));
  if (failover === undefined) throw new Error('No span was acknowledged after the leader had been killed.');
  const survivors = clients.filter(({ id }) => id !== leader.id);
  const successor = await agreedLeader(survivors);
  const resent = exporters.reduce((sum, [, exporter]) => sum + exporter.resent, 0);
  step(
    `${failover.ms.toFixed(0)} ms later`,
    `the first ack after the kill, through ${failover.through}; ${successor.id} leads now, term ${successor.term}`,
  );
  step(
    'The shop closes',
    `${count(ledger.spansAcked)} of ${count(ledger.spansSent)} spans acked, ${count(ledger.tracesAcked)} whole traces; ${resent} ${resent === 1 ? 'export' : 'exports'} sent again elsewhere`,
  );
  if (ledger.spansAcked < ledger.spansSent)
    say(`  ${count(ledger.spansSent - ledger.spansAcked)} spans were never acked: their senders know.`);

  let wrong = 0;
  for (const client of survivors) wrong += tell(client.id, await ledger.verify(client), ledger);
  const restartMs = performance.now();
  const revived = started.node(leader.id);
  await revived.start();
  step(
    `${leader.id} is back`,
    `on its own disk, ready after ${((performance.now() - restartMs) / 1_000).toFixed(1)} s`,
  );
  const client = clients.find(({ id }) => id === leader.id);
  if (client === undefined) throw new Error(`${leader.id} has no client`);
  await eventually(`${leader.id} to answer`, async () => client.isReady());
  wrong += tell(client.id, await ledger.verify(client), ledger);
  await showOne(ledger.firstAckedAfter(killedMs), revived.http);
  for (const each of clients) each.close();
  await shop.shutdown();
  return wrong;
}

/** Orders come in evenly; late ones are made up for at once. */
async function trade(shop: Shop, ledger: Ledger, seconds: number): Promise<void> {
  const startedMs = performance.now();
  for (let n = 0; n < seconds * ordersPerSecond; n += 1) {
    const dueMs = startedMs + (n * 1_000) / ordersPerSecond;
    if (dueMs > performance.now()) await delay(dueMs - performance.now());
    ledger.sent(shop.order());
  }
}

function tell(id: string, { traces, found, missing, repeated, strangers }: Verdict, ledger: Ledger): number {
  const wrong = missing.length + repeated.length + strangers.length;
  const label = `Asked ${id}`;
  if (wrong === 0) {
    step(label, `all ${count(traces)} traces, every one of ${count(found)} acked spans, each once`, 'green');
    return 0;
  }
  const faults = [
    `${missing.length} of ${count(ledger.spansAcked)} acked spans missing ${missing.slice(0, 3).join(' ')}`,
    `${repeated.length} repeated ${repeated.slice(0, 3).join(' ')}`,
    `${strangers.length} nobody sent ${strangers.slice(0, 3).join(' ')}`,
  ];
  step(label, faults.join('; '), 'red');
  return wrong;
}

/** One trace as `quorate trace get` shows it. */
async function showOne(order: Order | undefined, url: string): Promise<void> {
  if (order === undefined) return;
  say('', `One order that was acked after the leader had died:  ${dim(`quorate trace get ${order.traceId}`)}`, '');
  await once(spawn(quorate, ['trace', 'get', order.traceId, '--url', url], { stdio: 'inherit' }), 'exit');
}

async function giveUp(why: string): Promise<void> {
  if (cleaning !== undefined) process.exit(1);
  console.error(`\n${why}`);
  await cleanUp();
  process.exit(1);
}

async function cleanUp(): Promise<void> {
  cleaning ??= (async () => {
    clearTimeout(timeLimit);
    await cluster?.stop();
    rmSync(directory, { recursive: true, force: true });
  })();
  await cleaning;
}

function step(what: string, detail: string, colour: 'cyan' | 'red' | 'green' = 'cyan'): void {
  say(`  ${styleText(colour, what.padEnd(20))} ${detail}`);
}

function say(...lines: readonly string[]): void {
  for (const line of lines) console.log(line);
}

function dim(text: string): string {
  return styleText('dim', text);
}

function count(n: number): string {
  return n.toLocaleString('en');
}
