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
import { smallExport, type SmallExport, wideExport } from '../support/otlp-workload.ts';
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
      await this.send(smallExport(this.#random, { spans: 1, noiseBytes }), through);
    }
  }

  async send(made: SmallExport, through = this.#cluster.clients): Promise<void> {
    const client = through[this.sent.length % through.length] as QuorateClient;
    await eventually('an ack', async () => (await client.export(made.body)).outcome === 'ok', patience);
    this.sent.push(made);
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

test('space comes back while writes go on, also after kill -9 at a trim: far more is written than any disk holds', async () => {
  const cluster = await start({ settings: { QUORATE_RETENTION_BYTES: '8MB' } });
  const writer = new Writer(cluster, 1);
  let highest = 0;
  for (let round = 0; round < 6; round += 1) {
    const before = await trimmedTo(cluster.client('n1'));
    await writer.write(96, 256 * 1024);
    // Every second time a node ends in the middle of it: it has its new beginning, and not deleted what stands below.
    const victim = round % 2 === 1 ? cluster.ids[(round - 1) / 2] : undefined;
    if (victim !== undefined) {
      await eventually('a trim', async () => allTrimmed([cluster.client(victim)], before), patience);
      await cluster.node(victim).kill('SIGKILL');
      await cluster.node(victim).start();
    }
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

test('the index gives its space back, too: of 20 MB and more that are written to it, no disk holds half', async () => {
  const cluster = await start({ settings: { QUORATE_RETENTION_BYTES: '8MB' } });
  const random = new SeededRandom(4);
  const writer = new Writer(cluster, 5);
  for (let round = 0; round < 6; round += 1) {
    const before = await trimmedTo(cluster.client('n1'));
    // Some 7 bytes for each trace.
    for (let n = 0; n < 120; n += 1) await writer.send(wideExport(random, 4_000));
    await writer.writeUntil('space', async () => {
      const spaces = cluster.nodes.map(({ data }) => spaceOf(join(data, 'index')));
      return spaces.every((bytes) => bytes < 10 * MB) && (await allTrimmed(cluster.clients, before));
    });
    await writer.expectNewest(20);
  }
});

test('readers race the trims, also of nodes that are killed at one: an answer is whole, or says what has expired', async () => {
  // Longer than a killed node is away: one that came back to a base above its log would not know what had expired.
  const retentionMs = 20_000;
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
  expect(cutAnswers(traffic.recorder.history())).toBeGreaterThan(0);
  for (const role of ['leader', 'follower']) {
    const { id: leader } = await cluster.leader();
    const victim = role === 'leader' ? leader : (cluster.others(leader)[0]?.id ?? '');
    await moreTrims(1, [cluster.client(victim)]);
    await cluster.node(victim).kill('SIGKILL');
    await traffic.moreAcks(
      20,
      cluster.others(victim).map(({ id }) => id),
    );
    await cluster.node(victim).start();
    await moreTrims(1, cluster.clients);
  }
  const counts = await traffic.settle();
  expect(counts.acked).toBeGreaterThan(200);
  // For want of a leader, and for nothing that expired.
  const excused =
    /answered 503: \{"error":\{"code":"(unavailable|not-ready)","message":"(?!blocks of the trace expired)/;
  expect(traffic.unanswered.filter((why) => / answered | gave a /.test(why) && !excused.test(why))).toEqual([]);
  await expectEqual(cluster, 3);
});

/** Each export takes a 24th of a window, and a window is the least piece that goes: of what is kept, this much is there for certain. */
const kept = { settings: { QUORATE_RETENTION_BYTES: '4MB' }, noiseBytes: 48 * 1024, newest: 40 } as const;

/** Writes until these nodes have dropped entries that they had not before. */
async function trim(writer: Writer, through: readonly QuorateClient[], above?: number): Promise<void> {
  const end = above ?? Math.max(...(await Promise.all(through.map(trimmedTo))));
  await writer.write(120, kept.noiseBytes, through);
  await writer.writeUntil(`a trim above entry ${end}`, async () => allTrimmed(through, end), through);
  // The newest that are there for certain are of one size again.
  await writer.write(kept.newest, kept.noiseBytes, through);
}

/** Ends a node that comes back to a base above its log right when its disk has that. */
async function startAndKill(cluster: TestCluster, id: string): Promise<void> {
  await cluster.node(id).start({ ready: false });
  await cluster.node(id).waitForLine('the log was trimmed');
  await cluster.node(id).kill('SIGKILL');
}

async function change(asked: QuorateClient, body: object): Promise<void> {
  await eventually(`the change ${JSON.stringify(body)}`, async () => {
    const { status, answer } = await asked.admin('POST', '/api/v1/cluster/members', body);
    return status === 200 || JSON.stringify(answer).includes('is a member already');
  });
}

test(
  'nodes behind the base: away, wiped, replaced, added; then all at once, killed, verified and indexed anew',
  { timeout: 600_000 },
  async () => {
    const cluster = await start({ settings: kept.settings });
    const writer = new Writer(cluster, 2);
    await trim(writer, cluster.clients);

    const awayAt = (await cluster.client('n3').cluster())?.appliedIndex ?? 0;
    await cluster.node('n3').kill('SIGKILL');
    await trim(writer, cluster.others('n3'), awayAt);
    await startAndKill(cluster, 'n3');
    await cluster.node('n3').start();
    expect(await trimmedTo(cluster.client('n3'))).toBeGreaterThan(awayAt);
    await writer.expectNewest(kept.newest);

    await cluster.node('n2').stop();
    rmSync(cluster.node('n2').data, { recursive: true });
    await startAndKill(cluster, 'n2');
    await cluster.node('n2').start();
    await trim(writer, cluster.clients);
    await writer.expectNewest(kept.newest);
    await expectEqual(cluster, 3);

    const n4 = await cluster.newcomer('n4');
    await change(cluster.client('n2'), { id: 'n4', replaces: 'n3' });
    await cluster.node('n4').waitUntilReady();
    await eventually('n3 is no member', async () => !(await cluster.node('n3').isReady()));
    await cluster.retire('n3');
    const n5 = await cluster.newcomer('n5');
    await change(n4, { id: 'n5' });
    await cluster.node('n5').waitUntilReady();
    for (const client of [n4, n5]) expect(await trimmedTo(client)).toBeGreaterThan(awayAt);
    await trim(writer, cluster.clients);
    await writer.expectNewest(kept.newest);
    await expectEqual(cluster, 4);

    await Promise.all(cluster.nodes.map(async (node) => node.kill('SIGKILL')));
    await Promise.all(cluster.ids.map(async (id) => cluster.node(id).start()));
    await writer.expectNewest(kept.newest);
    await trim(writer, cluster.clients);

    const { data } = cluster.node('n1');
    await cluster.node('n1').stop();
    expect(await run('verify', '--data', data)).toMatchObject({ code: 0, err: '' });
    expect(await run('reindex', '--data', data)).toMatchObject({ code: 0 });
    expect(await run('verify', '--data', data)).toMatchObject({ code: 0, err: '' });
    await cluster.node('n1').start();
    await writer.expectNewest(kept.newest);
    await trim(writer, cluster.clients);
    await writer.expectNewest(kept.newest);
    await expectEqual(cluster, 4);
  },
);

test('a lost quorum is recovered from a trimmed log, and trimming goes on', { timeout: 600_000 }, async () => {
  const cluster = await start({ settings: kept.settings });
  const writer = new Writer(cluster, 3);
  await trim(writer, cluster.clients);
  await writer.expectNewest(kept.newest);
  const before = await trimmedTo(cluster.client('n1'));
  const members = cluster.nodes.map(({ id, peer }) => `${id}=${peer}`).join(',');
  const { data } = cluster.node('n1');
  await Promise.all(cluster.nodes.map(async (node) => node.kill('SIGKILL')));
  for (const id of ['n2', 'n3']) rmSync(cluster.node(id).data, { recursive: true });

  const done = await run('recover', '--data', data, '--cluster', members, '--yes');
  expect(done.out).toMatch(/^n1 is the only voter of cluster /m);
  await cluster.node('n1').start();
  // The index of the old cluster was thrown away, and made again from where the log begins.
  await cluster.node('n1').stop();
  expect(await run('verify', '--data', data)).toMatchObject({ code: 0, err: '' });
  await cluster.node('n1').start();
  await cluster.retire('n2');
  await cluster.retire('n3');
  const first = cluster.client('n1');
  expect(await trimmedTo(first)).toBeGreaterThanOrEqual(before);
  await writer.expectNewest(kept.newest);
  await trim(writer, [first]);
  await trim(writer, [first]);
  for (const id of ['n4', 'n5']) {
    await cluster.newcomer(id);
    await change(first, { id });
    await cluster.node(id).waitUntilReady();
  }
  await trim(writer, cluster.clients);
  await writer.expectNewest(kept.newest);
  await expectEqual(cluster, 3);
});
