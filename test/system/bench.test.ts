/** The bench itself: that etcd really holds the same bytes, and that a run which is broken off leaves nothing behind. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EtcdCluster } from '../../bench/etcd-cluster.ts';
import { EtcdSender, etcdValueBytes } from '../../bench/etcd-sender.ts';
import { OtlpWorkload } from '../support/otlp-workload.ts';

const bench = join(import.meta.dirname, '../../bench/main.ts');
const options = { seed: 3, batches: 4, spansPerBatch: 512, startMs: 1_750_000_000_000 };

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-bench-test-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test('etcd: values are the exports, byte for byte, cut into pieces of 64 KiB, and every member has them', async () => {
  const cluster = await EtcdCluster.start(join(directory, 'etcd'));
  try {
    const { leader } = await cluster.whoLeads();
    const sender = new EtcdSender(new OtlpWorkload(options), cluster.clientAddress(leader));
    const values = 5;
    for (let n = 0; n < values; n += 1) expect((await sender.send(sender.message(n), 'protobuf', n)).status).toBe(200);
    sender.close();
    const workload = new OtlpWorkload(options);
    const expected = Buffer.concat([0, 1, 2].map((n) => workload.body(n))).subarray(0, values * etcdValueBytes);
    for (const { id } of cluster.servers) {
      const response = await fetch(`http://${cluster.clientAddress(id)}/v3/kv/range`, {
        method: 'POST',
        body: JSON.stringify({
          key: base64('span/'),
          range_end: base64('span0'),
          sort_order: 'ASCEND',
          sort_target: 'KEY',
        }),
      });
      const { kvs } = (await response.json()) as { kvs: { value: string }[] };
      expect(kvs).toHaveLength(values);
      expect(Buffer.concat(kvs.map(({ value }) => Buffer.from(value, 'base64'))).equals(expected)).toBe(true);
    }
  } finally {
    await cluster.stop();
  }
  expect(readdirSync(directory)).toEqual([]);
});

test('etcd is missing: one sentence that names the package, and nothing was started', async () => {
  const data = join(directory, 'data');
  mkdirSync(data);
  symlinkSync('/usr/bin/getconf', join(directory, 'getconf'));
  const run = start(['--dir', data], { PATH: directory });
  const [code] = (await once(run.child, 'close')) as [number];
  expect(code).toBe(2);
  expect(run.lines).toEqual([expect.stringMatching(/^etcd is missing: .*etcd-server/)]);
  expect(readdirSync(data)).toEqual([]);
});

test('Ctrl-C in the middle of a round ends every process and removes all data', async () => {
  const run = start(['--dir', directory, '--seconds', '30'], {});
  await run.saw('round 1 of 5: Quorate');
  expect(processesOf(directory)).toHaveLength(6);
  // As a terminal does: to the whole process group.
  process.kill(-(run.child.pid ?? 0), 'SIGINT');
  const [code] = (await once(run.child, 'close')) as [number];
  expect([code, run.lines.filter((line) => line.includes('Error'))]).toEqual([130, []]);
  expect(processesOf(directory)).toEqual([]);
  expect(readdirSync(directory)).toEqual([]);
});

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** Command lines in which the directory stands: servers have it in a flag. */
function processesOf(data: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter((line) => line.includes(data) && !line.includes('bench/main.ts'));
}

function start(args: readonly string[], environment: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, [bench, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, ...environment },
  });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      for (const look of waiting) look();
    });
  }
  const saw = async (text: string): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = (): void => {
      if (lines.some((line) => line.includes(text))) resolve();
    };
    waiting.add(look);
    child.once('close', () => reject(new Error(`the bench ended without "${text}":\n${lines.join('\n')}`)));
    look();
    await promise.finally(() => waiting.delete(look));
  };
  return { child, lines, saw };
}
