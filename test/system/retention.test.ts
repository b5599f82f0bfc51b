/**
 * Retention on real disks: space comes back while writes go on, readers race the trims, nodes come back to a log that begins
 * after what they lack, and every command works on one that was trimmed.
 */
import { execFile } from 'node:child_process';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { TestCluster, type TestClusterOptions } from '../support/cluster.ts';
import { cutAnswers } from '../support/expiry.ts';
import { smallExport, type SmallExport } from '../support/otlp-workload.ts';
import { eventually, type QuorateClient } from '../support/quorate-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { Traffic } from '../support/traffic.ts';

const quorate = join(import.meta.dirname, '../../bin/quorate');
const MB = 1_000_000;
const patience = { timeoutMs: 120_000 };

function run(...words: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(quorate, [...words], (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err }),
    );
  });
}

async function start(options: TestClusterOptions): Promise<TestCluster> {
  const cluster = await TestCluster.start(options);
  onTestFinished(async () => cluster.stop());
  return cluster;
}

/** What the files of a store take, as `du` counts it. A file that goes while it is counted takes nothing. */
function spaceOf(directory: string): number {
  return readdirSync(directory)
    .map((file) => statSync(join(directory, file), { throwIfNoEntry: false })?.blocks ?? 0)
    .reduce((sum, blocks) => sum + blocks * 512, 0);
}

/** Exports that do not compress, one after the other, and what the newest of them must be found by. */
class Writer {
  readonly #random: SeededRandom;
  readonly #cluster: TestCluster;
  readonly sent: SmallExport[] = [];

  constructor(cluster: TestCluster, seed: number) {
    this.#cluster = cluster;
    this.#random = new SeededRandom(seed);
  }

  /** Through these nodes in turn, until all are acknowledged. */
  async write(count: number, noiseBytes: number, through = this.#cluster.clients): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      const client = through[n % through.length] as QuorateClient;
      const made = smallExport(this.#random, { spans: 1, noiseBytes });
      await eventually('an ack', async () => (await client.export(made.body)).outcome === 'ok', patience);
      this.sent.push(made);
    }
  }

  /** Small ones, until it is so. The store must do it beside writes, and not only after them. */
  async writeUntil(what: string, isSo: () => Promise<boolean>, through = this.#cluster.clients): Promise<void> {
    await eventually(
      what,
      async () => {
        await this.write(4, 1_000, through);
        return isSo();
      },
      patience,
    );
  }

  /** Each of these nodes has the newest `count` exports, whole. */
  async expectNewest(count: number, clients = this.#cluster.clients): Promise<void> {
    for (const client of clients) {
      for (const { traceId, spanIds } of this.sent.slice(-count)) {
        const found = await eventually('an answer', async () => client.lookUp(traceId).catch(() => undefined));
        expect({ by: client.id, ...found }).toEqual({ by: client.id, spanIds, expired: false });
      }
    }
  }
}

const trimmedTo = async (client: QuorateClient): Promise<number> => (await client.cluster())?.retention.trimmedTo ?? 0;

/** All of these have dropped entries above `index`. */
async function allTrimmed(clients: readonly QuorateClient[], index: number): Promise<boolean> {
  return (await Promise.all(clients.map(trimmedTo))).every((end) => end > index);
}

async function expectEqual(cluster: TestCluster, nodes: number): Promise<void> {
  const [first] = cluster.clients as [QuorateClient];
  let verdict = await run('verify', '--url', first.url);
  // A trim that spreads meanwhile is no difference, but may keep it from comparing.
  for (let tries = 0; verdict.code !== 0 && tries < 3; tries += 1) verdict = await run('verify', '--url', first.url);
  expect(verdict.out).toMatch(new RegExp(`^${nodes} nodes at entry \\d+: equal\\.`));
  expect(verdict.code).toBe(0);
}

test('space comes back while writes go on: six times what is kept is written, and no disk holds it', async () => {
  const cluster = await start({ settings: { QUORATE_RETENTION_BYTES: '8MB' } });
  const writer = new Writer(cluster, 1);
  let highest = 0;
  for (let round = 0; round < 6; round += 1) {
    const before = await trimmedTo(cluster.client('n1'));
    await writer.write(96, 256 * 1024);
    // LevelDB's own log of what is not in tables yet comes on top, 16 MiB and what one step deletes.
    await writer.writeUntil('space', async () => {
      const spaces = cluster.nodes.map(({ data }) => spaceOf(join(data, 'log')));
      highest = Math.max(highest, ...spaces);
      return spaces.every((bytes) => bytes < 40 * MB) && (await allTrimmed(cluster.clients, before));
    });
    for (const { data } of cluster.nodes) expect(spaceOf(join(data, 'index'))).toBeLessThan(16 * MB);
    await writer.expectNewest(20);
  }
  expect(writer.sent.filter(({ body }) => body.length > 256 * 1024)).toHaveLength(576);
  // It was not all in memory, and it was not there and gone within one look.
  expect(highest).toBeGreaterThan(8 * MB);
  expect((await run('cluster', 'status', '--url', cluster.client('n2').url)).out).toMatch(
    /^retention: 8MB; what came up to .* has expired \(entry \d+\)$/m,
  );
  await expectEqual(cluster, 3);
});

test('readers race the trims, also of nodes that are killed at one: an answer is whole, or says what has expired', async () => {
  const retentionMs = 15_000;
  const cluster = await start({ settings: { QUORATE_RETENTION: `${retentionMs / 1_000}s` } });
  const traffic = new Traffic(cluster, 21, { retentionMs });
  traffic.start();
  const moreTrims = async (count: number, through: readonly QuorateClient[]): Promise<void> => {
    for (let n = 0; n < count; n += 1) {
      const before = Math.max(...(await Promise.all(through.map(trimmedTo))));
      await eventually('a trim', async () => allTrimmed(through, before), patience);
    }
  };
  await moreTrims(4, cluster.clients);
  // Nobody was away: whoever asked had an answer.
  expect(traffic.unanswered.filter((why) => !why.includes('answered 503'))).toEqual([]);
  const cut = cutAnswers(traffic.recorder.history());
  expect(cut).toBeGreaterThan(0);
  for (const role of ['leader', 'follower']) {
    const { id: leader } = await cluster.leader();
    const victim = role === 'leader' ? leader : (cluster.others(leader)[0]?.id ?? '');
    await moreTrims(1, [cluster.client(victim)]);
    await cluster.node(victim).kill('SIGKILL');
    await traffic.moreAcks(20, cluster.others(victim).map(({ id }) => id));
    await cluster.node(victim).start();
    await moreTrims(1, cluster.clients);
  }
  const counts = await traffic.settle();
  expect(counts.acked).toBeGreaterThan(200);
  expect(traffic.unanswered.filter((why) => / answered 5(?!03)/.test(why))).toEqual([]);
  await expectEqual(cluster, 3);
});
