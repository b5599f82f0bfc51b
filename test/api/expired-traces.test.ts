/** A node whose log was trimmed, over HTTP: answers say what of a trace has expired (protocol D3), and operators what was trimmed. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readTrace } from '../../src/otlp/read-trace.ts';
import { openRealPlatform } from '../../src/platform/real/platform.ts';
import { asIndex } from '../../src/raft/core/types.ts';
import { encodeBaseRecord } from '../../src/store/base-record.ts';
import { BlockLog } from '../../src/store/block-log.ts';
import { baseKey } from '../../src/store/log-keys.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { OneNode } from './one-node.ts';

const random = new SeededRandom(13);
const protobuf = 'application/x-protobuf';

let node: OneNode;
/** Of four blocks, the first of which has expired; of one that has; of one that has not. */
let cut: string;
let gone: string;
let whole: string;
let trimmed: { index: number; timeMs: number };

async function store(traceId?: string): Promise<string> {
  const { traceId: id, body } = smallExport(random, { spans: 1, ...(traceId === undefined ? {} : { traceId }) });
  const answer = await fetch(`${node.url}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': protobuf },
    body: new Uint8Array(body),
  });
  expect(answer.status).toBe(200);
  return id;
}

/** The base record of a stopped node, as a trim up to `index` leaves it. */
async function trim(dataDir: string, index: number): Promise<number> {
  const platform = await openRealPlatform({ dataDir });
  const log = await BlockLog.open({ keyValue: await platform.disk.openKeyValue('log') });
  const { base } = log;
  if (base === null) throw new Error('the log was founded');
  const { term, hash, timeMs } = await log.read(asIndex(index));
  await log.close();
  const keyValue = await platform.disk.openKeyValue('log');
  const record = encodeBaseRecord({ ...base, position: { index: asIndex(index), term, hash }, timeMs });
  await keyValue.batch([{ type: 'put', key: baseKey, value: record }], { sync: true });
  await keyValue.close();
  return timeMs;
}

beforeAll(async () => {
  node = await OneNode.start({ lookupBlocksMax: 2 });
  gone = await store();
  cut = await store();
  const { appliedIndex: index } = (await (await fetch(`${node.url}/api/v1/cluster`)).json()) as {
    appliedIndex: number;
  };
  for (let n = 0; n < 3; n += 1) await store(cut);
  whole = await store();
  await node.end();
  trimmed = { index, timeMs: await trim(node.data, index) };
  node = await OneNode.start({ lookupBlocksMax: 2 }, node.data);
}, 30_000);
afterAll(async () => node.stop());

async function get(path: string): Promise<{ status: number; spans: number; partial: string | null; next: string }> {
  const answer = await fetch(node.url + path, { headers: { accept: protobuf } });
  const body = new Uint8Array(await answer.arrayBuffer());
  return {
    status: answer.status,
    spans: answer.status === 200 ? readTrace(body).length : 0,
    partial: answer.headers.get('quorate-partial'),
    next: /^<([^>]+)>/.exec(answer.headers.get('link') ?? '')?.[1] ?? '',
  };
}

test('a trace of which blocks expired is answered with the rest: one header, two words where it is a page, too', async () => {
  const first = await get(`/api/v1/traces/${cut}`);
  expect(first).toMatchObject({ status: 200, spans: 2, partial: 'page, expired' });
  expect(await get(first.next)).toMatchObject({ status: 200, spans: 1, partial: null, next: '' });
  // Of whoever had a page up to there nothing else has expired.
  expect(await get(`/api/v1/traces/${cut}?after=${trimmed.index}`)).toMatchObject({ spans: 2, partial: 'page' });
});

test('the last page says it alone', async () => {
  const path = `/api/v1/traces/${cut}?after=${trimmed.index - 1}`;
  const { next } = await get(path);
  expect(await get(path)).toMatchObject({ partial: 'page, expired' });
  expect(await get(next)).toMatchObject({ partial: null });
  expect(await get(`/api/v1/traces/${gone}?after=1`)).toMatchObject({ status: 200, spans: 0, partial: 'expired' });
});

test('one of which nothing is left is unknown, and one of which nothing expired is whole', async () => {
  expect(await get(`/api/v1/traces/${gone}`)).toMatchObject({ status: 404, partial: null });
  expect(await get(`/api/v1/traces/${whole}`)).toMatchObject({ status: 200, spans: 1, partial: null });
});

async function expectMetrics(expected: Readonly<Record<string, number>>): Promise<void> {
  const page = await (await fetch(`${node.url}/metrics`)).text();
  for (const [series, value] of Object.entries(expected)) expect(page).toContain(`\nquorate_${series} ${value}\n`);
}

test('operators are told what is kept, what has expired, and of the clock', async () => {
  expect(await (await fetch(`${node.url}/api/v1/cluster`)).json()).toMatchObject({
    retention: { ageMs: null, bytes: null, trimmedTo: trimmed.index, trimmedToMs: trimmed.timeMs },
    clockAlarm: null,
  });
  await expectMetrics({
    log_trimmed_index: trimmed.index,
    log_trimmed_timestamp_seconds: trimmed.timeMs / 1_000,
    retention_age_seconds: 0,
    retention_bytes: 0,
    clock_alarm: 0,
  });
});

test('what a node is told to keep is in its status and metrics', async () => {
  await node.end();
  node = await OneNode.start({ lookupBlocksMax: 2 }, node.data, undefined, { ageMs: 604_800_000, bytes: 50e9 });
  const { retention } = (await (await fetch(`${node.url}/api/v1/cluster`)).json()) as { retention: object };
  expect(retention).toMatchObject({ ageMs: 604_800_000, bytes: 50e9 });
  await expectMetrics({ retention_age_seconds: 604_800, retention_bytes: 50e9 });
});
