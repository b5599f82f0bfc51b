/**
 * A foreign file fills the disk of the leader, under load (protocol A5, G3): acknowledgements stop there and go on elsewhere,
 * reads go on everywhere, and when the file is gone the node takes data again, by itself. Needs the right to mount a tmpfs.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { LocalCluster } from '../../cluster/local-cluster.ts';
import type { LocalNode } from '../../cluster/local-node.ts';
import { HttpClient } from '../support/http.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { agreedLeader, eventually, QuorateClient } from '../support/quorate-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { Traffic } from '../support/traffic.ts';

const MiB = 2 ** 20;
/** With it the marks are 32 MiB for data and 16 MiB for the reserve, and the ballast has 16 MiB. */
const diskMiB = 256;
const ballastBytes = 16 * MiB;
const victim = 'n1';
const others = ['n2', 'n3'];

/** Three nodes, the first on a small disk of its own, and whoever starts a node again that has ended. */
class Stage {
  readonly directory = mkdtempSync(join(tmpdir(), 'quorate-full-disk-'));
  /** How the victim ended each time, without being told to. */
  readonly ends: string[] = [];
  readonly lines: string[] = [];
  readonly #disk = join(this.directory, victim);
  #cluster: LocalCluster | null = null;
  #clients: QuorateClient[] = [];
  #mounted = false;
  #stopped = false;

  async start(): Promise<void> {
    mkdirSync(this.#disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskMiB}m`, 'tmpfs', this.#disk]);
    this.#mounted = true;
    const onDeath = (node: LocalNode, end: string): void => {
      this.ends.push(`${node.id}: ${end}`);
      setTimeout(() => !this.#stopped && node.process === null && node.spawn(), 200);
    };
    const onLine = (id: string, line: string): unknown => id === victim && this.lines.push(line);
    this.#cluster = await LocalCluster.prepare({ data: this.directory, onDeath, onLine });
    this.#clients = this.#cluster.nodes.map(({ id, http }) => new QuorateClient({ id, url: http }));
    await this.#cluster.startAll();
    await eventually('the ballast', async () => this.ballast === ballastBytes, { timeoutMs: 60_000 });
  }

  get ids(): readonly string[] {
    return [victim, ...others];
  }

  get clients(): readonly QuorateClient[] {
    return this.#clients;
  }

  client(id: string): QuorateClient {
    const found = this.#clients.find((client) => client.id === id);
    if (found === undefined) throw new Error(`there is no node ${id}`);
    return found;
  }

  get victim(): LocalNode {
    if (this.#cluster === null) throw new Error('it is not started');
    return this.#cluster.node(victim);
  }

  get ballast(): number {
    const path = join(this.victim.data, 'ballast');
    // Real bytes, not a hole.
    return existsSync(path) ? Math.min(statSync(path).size, statSync(path).blocks * 512) : 0;
  }

  async makeLeader(): Promise<void> {
    await eventually(`${victim} to lead`, async () => {
      await this.client('n2').admin('POST', '/api/v1/cluster/leader', { to: victim });
      return (await agreedLeader(this.#clients)).id === victim;
    });
  }

  /**
   * Fills it to the last byte until the victim ends of that. It looks at its space now and then, and writes no more once it has
   * seen that there is none: the file is deleted then, and comes back in the middle of its writes.
   */
  async fillUntilItEnds(): Promise<void> {
    await eventually(
      `${victim} to meet the end of its disk in a write`,
      async () => {
        const ended = this.victim.ended.then(() => true);
        this.fillTo(0);
        const write = async (): Promise<void> => {
          while ((await this.exportThroughVictim())?.status === 200);
        };
        const refused = Promise.all(Array.from({ length: 8 }, write)).then(async () => delay(1_000, false));
        if (await Promise.race([ended, refused])) return true;
        this.removeForeignFiles();
        await eventually('it to take data again', async () => (await this.exportThroughVictim())?.status === 200);
        return false;
      },
      { timeoutMs: 120_000 },
    );
  }

  /** A foreign file that leaves so much free. At once: nobody sees it grow. */
  fillTo(freeBytes: number): void {
    const { bavail, bsize } = statfsSync(this.#disk);
    const path = join(this.#disk, `foreign-${Date.now()}`);
    // The node writes meanwhile: what cannot be had any more is not needed.
    for (let bytes = bavail * bsize - freeBytes; bytes > 0; bytes -= 64 * 1024) {
      try {
        execFileSync('fallocate', ['-l', `${bytes}`, path], { stdio: 'ignore' });
        return;
      } catch {
        rmSync(path, { force: true });
      }
    }
  }

  removeForeignFiles(): void {
    execFileSync('find', [this.#disk, '-maxdepth', '1', '-name', 'foreign-*', '-delete']);
  }

  /** The status of an export through the victim, and what it says; null when nobody answers. */
  async exportThroughVictim(): Promise<{ status: number; retryAfter: string | undefined; text: string } | null> {
    const http = new HttpClient(this.victim.http);
    const { body } = smallExport(new SeededRandom(Date.now()), { spans: 1 });
    const headers = { 'content-type': 'application/x-protobuf' };
    try {
      const answer = await http.send({ method: 'POST', path: '/v1/traces', headers, body, timeoutMs: 8_000 });
      const retryAfter = answer.headers['retry-after'];
      return { status: answer.status, retryAfter, text: answer.body.toString('latin1') };
    } catch {
      return null;
    } finally {
      http.close();
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    try {
      for (const client of this.#clients) client.close();
      await this.#cluster?.stop();
    } finally {
      if (this.#mounted) execFileSync('umount', [this.#disk]);
      rmSync(this.directory, { recursive: true, force: true });
    }
  }
}

async function startStage(): Promise<Stage> {
  const stage = new Stage();
  onTestFinished(async () => stage.stop());
  await stage.start();
  return stage;
}

/** The victim refuses data, for want of space, in words. */
async function refusesData(stage: Stage): Promise<void> {
  const answer = await eventually('a refusal for want of space', async () => {
    const said = await stage.exportThroughVictim();
    return said?.text.includes('free some space') === true && said;
  });
  expect(answer).toMatchObject({ status: 503, retryAfter: '1' });
  expect(answer.text).toMatch(/the disk has \S+ MiB free \(\S+ %\), and data is taken from \S+ MiB on/);
}

test('filled below 5 %: the leader makes room and refuses data, reads go on; with space it takes data again', async () => {
  const stage = await startStage();
  const traffic = new Traffic(stage, 1);
  traffic.start();
  await stage.makeLeader();
  await traffic.moreAcks(50);
  stage.fillTo(24 * MiB);
  await refusesData(stage);
  const rest = others.map((id) => stage.client(id));
  expect(others).toContain((await eventually('another leader', async () => agreedLeader(rest))).id);
  await traffic.moreAcks(100, others);

  const { body, traceId, spanIds } = smallExport(new SeededRandom(7), { spans: 3 });
  expect((await stage.client('n2').export(body)).outcome).toBe('ok');
  expect((await stage.client(victim).spanIds(traceId)).toSorted()).toEqual(spanIds.toSorted());
  await refusesData(stage);

  stage.removeForeignFiles();
  await traffic.moreAcks(50, [victim]);
  await stage.makeLeader();
  await traffic.moreAcks(100);
  await traffic.settle();
  expect(stage.ends).toEqual([]);
}, 300_000);

test('filled to the last byte, twice: no crash loop, nothing lost, and with space it comes back by itself', async () => {
  const stage = await startStage();
  const traffic = new Traffic(stage, 2);
  traffic.start();
  await stage.makeLeader();
  await traffic.moreAcks(50);
  const { body, traceId, spanIds } = smallExport(new SeededRandom(8), { spans: 3 });
  expect((await stage.client(victim).export(body)).outcome).toBe('ok');
  await stage.fillUntilItEnds();
  await traffic.moreAcks(100, others);
  await refusesData(stage);
  // It ended, was started again, and opened what it has with its ballast.
  const ends = stage.ends.length;
  expect(ends).toBeGreaterThan(0);
  expect(stage.lines.join('\n')).toMatch(/could not be written; the disk is full/);
  expect(stage.lines.join('\n')).toContain('its ballast is deleted');
  await traffic.moreAcks(200, others);
  expect(stage.ends).toHaveLength(ends);
  for (const end of stage.ends) expect(end).toBe('n1: exit code 1');
  // What it has, it gives, though it lives on its ballast.
  expect((await stage.client(victim).spanIds(traceId, 'stale')).toSorted()).toEqual(spanIds.toSorted());

  // Now that space, too; and the process is killed: it cannot be opened any more.
  stage.fillTo(0);
  await stage.victim.kill('SIGKILL');
  if (stage.ballast > 0) rmSync(join(stage.victim.data, 'ballast'));
  stage.fillTo(0);
  stage.victim.spawn();
  await stage.victim.waitForLine('this node opens its data once');
  await traffic.moreAcks(200, others);
  await delay(3_000);
  expect(stage.ends).toHaveLength(ends);
  expect(stage.victim.process).not.toBeNull();

  stage.removeForeignFiles();
  await stage.victim.waitUntilReady();
  await traffic.moreAcks(50, [victim]);
  await traffic.settle();
  expect(stage.ends).toHaveLength(ends);
  await eventually('the ballast again', async () => stage.ballast === ballastBytes, { timeoutMs: 60_000 });
}, 300_000);

test('a node that waits for space stops when it is told to', async () => {
  const stage = await startStage();
  await stage.victim.stop();
  rmSync(join(stage.victim.data, 'ballast'));
  stage.fillTo(0);
  stage.victim.spawn();
  await stage.victim.waitForLine('this node opens its data once');
  expect(await stage.victim.stop()).toBe('exit code 0');
}, 300_000);
