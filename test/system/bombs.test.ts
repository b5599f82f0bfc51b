/**
 * Requests made to hurt, eight at a time, against the leader of three real nodes: its memory stays within its bound, it goes
 * on leading, and what others send and ask meanwhile is answered.
 */
import { readFileSync } from 'node:fs';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { exportOf, spanFields } from '../otlp/bytes.ts';
import { TestCluster } from '../support/cluster.ts';
import { metric } from '../support/metrics.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { bytesField, messageField } from '../support/protobuf-writer.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const MiB = 1 << 20;
const atOnce = 8;
const rounds = 2;
/**
 * What a node may hold beside the admission budget: the process itself, blocks on their way, and what the collector of
 * garbage has not come to yet, which is as much again.
 */
const memoryBytesMax = 300 * MiB + 2 * limits.admissionBytesMax;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.start();
});
afterAll(async () => cluster.stop());

const repeated = (text: string | Uint8Array, bytes: number): Buffer => Buffer.alloc(bytes, text);
const jsonAround = (spans: string): string => `{"resourceSpans":[{"scopeSpans":[{"spans":[${spans}]}]}]}`;
const almostAll = 60 * MiB;

/** A 4xx is as good an answer as a 200: what matters is that there is one, and what it costs. */
const bombs: [string, Record<string, string>, () => Buffer][] = [
  ['gzip of 1 GiB of zeros', { 'content-encoding': 'gzip' }, () => gzipSync(Buffer.alloc(1024 * MiB))],
  ['zstd of 1 GiB of zeros', { 'content-encoding': 'zstd' }, () => zstdCompressSync(Buffer.alloc(1024 * MiB))],
  [
    'gzip of empty spans',
    { 'content-encoding': 'gzip' },
    () => gzipSync(nestedSpans(repeated(Buffer.of(0x12, 0), almostAll))),
  ],
  ['60 MiB of empty spans', {}, () => nestedSpans(repeated(Buffer.of(0x12, 0), almostAll))],
  ['60 MiB of empty resources', {}, () => repeated(Buffer.of(0x0a, 0), almostAll)],
  [
    '60 MiB of unknown varints in a span',
    {},
    () => Buffer.from(exportOf(spanFields(repeated(Buffer.of(0x50, 1), almostAll)))),
  ],
  [
    '4 MiB of empty attributes in each span',
    {},
    () =>
      Buffer.from(
        exportOf(...Array.from({ length: 14 }, () => spanFields(repeated(Buffer.of(0x4a, 0), 4 * MiB - 100)))),
      ),
  ],
  ['60 MiB of unknown fields', {}, () => repeated(Buffer.of(0x50, 1), almostAll)],
  ['60 MiB of [', { 'content-type': 'application/json' }, () => repeated('[', almostAll)],
  [
    '60 MiB of [ in an unknown field',
    { 'content-type': 'application/json' },
    () => Buffer.from(`{"x":${'['.repeat(almostAll)}`),
  ],
  [
    '60 MiB of empty objects as spans',
    { 'content-type': 'application/json' },
    () => Buffer.from(jsonAround(`{}${',{}'.repeat(20 * MiB)}`)),
  ],
  [
    '60 MiB of JSON attributes',
    { 'content-type': 'application/json' },
    () => Buffer.from(jsonAround(`{"attributes":[{}${',{}'.repeat(20 * MiB)}]}`)),
  ],
  [
    '60 MiB of one JSON string',
    { 'content-type': 'application/json' },
    () => Buffer.from(jsonAround(`{"name":"${'\\u0041'.repeat(10 * MiB)}"}`)),
  ],
];

function nestedSpans(spans: Uint8Array): Buffer {
  return messageField(1, [bytesField(2, spans)]);
}

test.each(bombs)('%s', { timeout: 120_000 }, async (name, headers, make) => {
  const leader = await cluster.leader();
  const node = cluster.node(leader.id);
  const body = new Uint8Array(make());
  await metric(node.http, 'quorate_event_loop_delay_p99_seconds');
  let highest = 0;
  const sampling = setInterval(() => (highest = Math.max(highest, anonymousBytes(node.process?.pid ?? 0))), 20);
  const statuses = new Map<number, number>();
  const send = async (): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      const answer = await fetch(`${node.http}/v1/traces`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-protobuf', ...headers },
        body,
      });
      await answer.arrayBuffer();
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    }
  };
  const throwing = Promise.all(Array.from({ length: atOnce }, send));
  // Meanwhile others send through another node and read through the third.
  const [through, from] = cluster.others(leader.id);
  const random = new SeededRandom(7);
  for (let n = 0; n < 5; n += 1) {
    const { body: good, traceId, spanIds } = smallExport(random, { spans: 2 });
    expect(await through?.export(good)).toMatchObject({ outcome: 'ok' });
    expect((await from?.spanIds(traceId))?.toSorted()).toEqual([...spanIds].toSorted());
  }
  await throwing;
  clearInterval(sampling);
  const delay = await metric(node.http, 'quorate_event_loop_delay_p99_seconds');
  const answers = [...statuses].map(([status, times]) => `${times} x ${status}`).join(', ');
  console.log(
    `${name}: ${answers}; at most ${(highest / MiB).toFixed(0)} MiB; loop delay p99 ${(delay * 1e3).toFixed(0)} ms`,
  );
  expect([...statuses.keys()].filter((status) => ![200, 400, 413, 429].includes(status))).toEqual([]);
  expect(await cluster.leader()).toEqual(leader);
  expect(highest).toBeLessThan(memoryBytesMax);
});

/** Anonymous and shared memory of a process; LevelDB's mapped files are the kernel's to take back. */
function anonymousBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  return (kib('RssAnon') + kib('RssShmem')) * 1024;
}
