/** Every node stopped and started again in turn, under load: clients that send once more, elsewhere, notice nothing. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { type HttpAnswer, HttpClient } from '../support/http.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { eventually, type QuorateClient } from '../support/quorate-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const writersPerNode = 2;

/** Clients of every node, each of which sends what was not acknowledged once more, to the next node. */
class RetryingClients {
  /** The spans of every acknowledged export, by trace. */
  readonly acked = new Map<string, readonly string[]>();
  /** What was answered to exports that neither of two nodes took. */
  readonly failures: string[] = [];
  retried = 0;
  readonly #cluster: TestCluster;
  readonly #random = new SeededRandom(5);
  #running: readonly Promise<void>[] = [];
  #stopped = false;

  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
  }

  start(): void {
    const { clients } = this.#cluster;
    this.#running = clients.flatMap((first, at) =>
      Array.from({ length: writersPerNode }, async () =>
        this.#write(first, clients[(at + 1) % clients.length] ?? first),
      ),
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async moreAcks(more: number): Promise<void> {
    const enough = this.acked.size + more;
    await eventually(`${more} more acks`, async () => this.acked.size >= enough, { timeoutMs: 60_000 });
  }

  async #write(first: QuorateClient, second: QuorateClient): Promise<void> {
    while (!this.#stopped) {
      const { body, traceId, spanIds } = smallExport(this.#random, { spans: 2 });
      const once = await first.export(body);
      const answer = once.outcome === 'ok' ? once : await second.export(body);
      if (once.outcome !== 'ok') this.retried += 1;
      if (answer.outcome === 'ok') this.acked.set(traceId, spanIds);
      else this.failures.push(`${first.id}: ${once.why}; then ${second.id}: ${answer.why}`);
      await delay(this.#random.below(60));
    }
  }
}

test('a rolling restart of all nodes, the leader among them: no write fails twice, and all that was acked is on every node', async () => {
  const cluster = await TestCluster.start();
  onTestFinished(async () => cluster.stop());
  const clients = new RetryingClients(cluster);
  clients.start();
  await clients.moreAcks(50);
  let handedOver = 0;
  // The leader first: whoever takes over is stopped as leader, too.
  for (const id of await inTurn(cluster)) {
    expect(await cluster.node(id).stop()).toBe('exit code 0');
    if (cluster.node(id).lastLines.some((line) => line.includes('handed the lead over'))) handedOver += 1;
    await clients.moreAcks(30);
    await cluster.node(id).start();
    await clients.moreAcks(30);
  }
  await clients.stop();
  expect(handedOver).toBeGreaterThan(0);
  expect(clients.retried).toBeGreaterThan(0);
  expect(clients.failures).toEqual([]);
  for (const node of cluster.clients) {
    for (const [trace, spans] of clients.acked)
      expect((await node.spanIds(trace)).toSorted()).toEqual([...spans].toSorted());
  }
});

/** The leader, then the others. */
async function inTurn(cluster: TestCluster): Promise<readonly string[]> {
  const leader = await cluster.leader();
  return [leader.id, ...cluster.others(leader.id).map(({ id }) => id)];
}

test('POST /api/v1/cluster/leader to any node makes the named one lead, without a redirect, while clients write', async () => {
  const cluster = await TestCluster.start();
  onTestFinished(async () => cluster.stop());
  const clients = new RetryingClients(cluster);
  clients.start();
  for (const asked of cluster.clients) {
    // On a machine that is too busy somebody may be elected at the same time: then the answer says so, and it is asked again.
    const [before, answer] = await eventually('another leader', async () => {
      const leader = await cluster.leader();
      const { status, body } = await makeLeader(asked.url, cluster.others(leader.id)[0]?.id ?? '');
      return status === 200 && ([leader, JSON.parse(body.toString()) as { leader: string; term: number }] as const);
    });
    expect(answer.leader).toBe(cluster.others(before.id)[0]?.id);
    expect(answer.term).toBeGreaterThan(before.term);
    await clients.moreAcks(20);
  }
  await clients.stop();
  expect(clients.failures).toEqual([]);
});

async function makeLeader(url: string, to: string): Promise<HttpAnswer> {
  const http = new HttpClient(url);
  const body = Buffer.from(JSON.stringify({ to }));
  const headers = { 'content-type': 'application/json' };
  try {
    return await http.send({ method: 'POST', path: '/api/v1/cluster/leader', headers, body, timeoutMs: 10_000 });
  } finally {
    http.close();
  }
}
