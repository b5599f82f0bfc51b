/** What must not start, or must not go on, says so in one sentence that tells what to do, and harms nothing. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LocalCluster } from '../../cluster/local-cluster.ts';
import { LocalNode } from '../../cluster/local-node.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { QuorateClient } from '../support/quorate-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';

let directory: string;
const open: { stop(): Promise<unknown> }[] = [];
const mounts: string[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-refusal-'));
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.stop()));
  for (const path of mounts.splice(0)) execFileSync('umount', [path]);
  rmSync(directory, { recursive: true, force: true });
});

async function startCluster(name = 'cluster'): Promise<LocalCluster> {
  const cluster = await LocalCluster.start({ data: join(directory, name) });
  open.push(cluster);
  return cluster;
}

/** How a node ended by itself, and its last words that are not a line of log. */
async function endOf(node: LocalNode): Promise<{ end: string; sentences: readonly string[] }> {
  open.push(node);
  if (node.process === null) node.spawn();
  const end = await node.ended;
  return { end, sentences: node.lastLines.filter((line) => !line.startsWith('{')) };
}

/** A single-node cluster of its own on ports nobody uses. */
async function lone(data: string): Promise<LocalNode> {
  const { nodes } = await LocalCluster.prepare({ data: join(directory, 'unused'), nodes: 1 });
  const [node] = nodes;
  if (node === undefined) throw new Error('no node');
  return new LocalNode({ ...node.options, data });
}

test('a data directory that is in use', async () => {
  const cluster = await startCluster();
  const { end, sentences } = await endOf(await lone(cluster.node('n1').data));
  expect(end).toBe('exit code 1');
  expect(sentences).toHaveLength(1);
  expect(sentences[0]).toMatch(/in use by another process.*stop it or choose another --data/i);
  expect(await cluster.node('n1').isReady()).toBe(true);
});

test('a port that is taken', async () => {
  const cluster = await startCluster();
  const busy = cluster.node('n1');
  const http = new LocalNode({ ...(await lone(join(directory, 'a'))).options, http: busy.http.replace('http://', '') });
  const first = await endOf(http);
  expect(first).toEqual({
    end: 'exit code 1',
    sentences: [expect.stringMatching(/^--http .* is taken: stop what listens there/)],
  });
  const free = await lone(join(directory, 'b'));
  const peer = new LocalNode({ ...free.options, peer: busy.peer, members: { cluster: `n1=${busy.peer}` } });
  const second = await endOf(peer);
  expect(second).toEqual({
    end: 'exit code 1',
    sentences: [expect.stringMatching(/^--peer .* is taken: stop what listens there/)],
  });
});

test('a node id that is not in --cluster', async () => {
  const node = await lone(join(directory, 'x'));
  const { end, sentences } = await endOf(new LocalNode({ ...node.options, id: 'n9' }));
  expect(end).toBe('exit code 1');
  expect(sentences).toEqual([expect.stringMatching(/--id.*"n9" is not in --cluster/)]);
});

test("another cluster's data: the stray node stops, the others go on", async () => {
  const cluster = await startCluster('ours');
  const other = await startCluster('theirs');
  await other.stop();
  const n3 = cluster.node('n3');
  await n3.stop();
  const { end, sentences } = await endOf(new LocalNode({ ...n3.options, data: other.node('n3').data }));
  expect(end).toBe('exit code 1');
  expect(sentences).toEqual([expect.stringMatching(/belongs to cluster [0-9a-f]{32}.*correct --cluster or --data/)]);
  const client = new QuorateClient({ id: 'n1', url: cluster.node('n1').http });
  expect((await client.export(smallExport(new SeededRandom(1), { spans: 1 }).body)).outcome).toBe('ok');
  await n3.start();
});

test("another node's directory, and a log beside a hard state of another cluster", async () => {
  const cluster = await startCluster('ours');
  const other = await startCluster('theirs');
  await Promise.all([cluster.stop(), other.stop()]);
  const n1 = cluster.node('n1');
  const swapped = await endOf(new LocalNode({ ...n1.options, data: cluster.node('n2').data }));
  expect(swapped).toEqual({
    end: 'exit code 1',
    sentences: [expect.stringMatching(/^--data is the directory of n2, not of n1: correct --id or --data/)],
  });

  cpSync(join(other.node('n1').data, 'hard-state'), join(n1.data, 'hard-state'));
  const mixed = await endOf(n1);
  expect(mixed).toEqual({
    end: 'exit code 1',
    sentences: [
      expect.stringMatching(
        /^the log in --data belongs to cluster .* and its hard state to .*: put back the directory/,
      ),
    ],
  });
});

function mounted(name: string, options: string): string {
  const path = join(directory, name);
  mkdirSync(path);
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]);
  mounts.push(path);
  return path;
}

test('a disk that is full, one that cannot be written, and a file in the place of the directory', async () => {
  const full = mounted('full', 'size=64m');
  expect(() => writeFileSync(join(full, 'foreign'), Buffer.alloc(1 << 27))).toThrow('ENOSPC');
  const onFull = await lone(join(full, 'n1'));
  open.push(onFull);
  onFull.spawn();
  await onFull.waitForLine(
    'the disk is full: this node opens its data once 4.0 MiB are free, by itself; free some space',
  );
  rmSync(join(full, 'foreign'));
  await onFull.waitUntilReady();

  const readOnly = mounted('read-only', 'ro');
  const onReadOnly = await endOf(await lone(join(readOnly, 'n1')));
  expect(onReadOnly).toEqual({
    end: 'exit code 1',
    sentences: [expect.stringMatching(/cannot be written|read-only/i)],
  });

  const file = join(directory, 'file');
  writeFileSync(file, 'not a directory');
  const onFile = await endOf(await lone(file));
  expect(onFile).toEqual({
    end: 'exit code 1',
    sentences: [expect.stringMatching(/is a file.*choose a directory for --data/)],
  });
});

test('two of three emptied: they do not erase the third, and say what helps (protocol B1)', async () => {
  const cluster = await startCluster();
  const clients = cluster.nodes.map(({ id, http }) => new QuorateClient({ id, url: http }));
  const { body, traceId, spanIds } = smallExport(new SeededRandom(2), { spans: 3 });
  expect((await clients[0]?.export(body))?.outcome).toBe('ok');
  await clients[2]?.spanIds(traceId);
  await cluster.stop();
  for (const id of ['n1', 'n2']) renameSync(cluster.node(id).data, `${cluster.node(id).data}.kept`);

  for (const node of cluster.nodes) node.spawn();
  await Promise.all(['n1', 'n2'].map((id) => cluster.node(id).waitForLine('quorate recover')));
  expect(await Promise.all(cluster.nodes.map((node) => node.isReady()))).toEqual([false, false, false]);
  expect((await clients[2]?.spanIds(traceId, 'stale'))?.toSorted()).toEqual(spanIds.toSorted());
  await cluster.stop();

  for (const id of ['n1', 'n2']) {
    rmSync(cluster.node(id).data, { recursive: true });
    renameSync(`${cluster.node(id).data}.kept`, cluster.node(id).data);
  }
  await cluster.startAll();
  for (const client of clients) expect((await client.spanIds(traceId)).toSorted()).toEqual(spanIds.toSorted());
});
