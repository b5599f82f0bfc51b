/** The HTTP face of one real node (design 4): what a client sends, and exactly what it is answered. */
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { OneNode } from './one-node.ts';

const random = new SeededRandom(11);
const protobuf = { 'content-type': 'application/x-protobuf' };
const json = { 'content-type': 'application/json' };

let node: OneNode;
let url: string;

beforeAll(async () => {
  node = await OneNode.start();
  ({ url } = node);
});
afterAll(async () => node.stop());

function post(body: Uint8Array | string, headers: Record<string, string>): Promise<Response> {
  return fetch(`${url}/v1/traces`, {
    method: 'POST',
    headers,
    body: typeof body === 'string' ? body : new Uint8Array(body),
  });
}

const exportOf = (traceId: string, spanId: string, rest: object = {}): string =>
  JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [{ traceId, spanId, name: 'a', ...rest }] }] }] });

describe('POST /v1/traces', () => {
  test('protobuf: 200, empty message, same encoding', async () => {
    const answer = await post(smallExport(random, { spans: 3 }).body, protobuf);
    expect([answer.status, answer.headers.get('content-type'), (await answer.arrayBuffer()).byteLength]).toEqual([
      200,
      'application/x-protobuf',
      0,
    ]);
  });

  test('JSON, with parameters and any case of Content-Type: 200 and {}', async () => {
    const answer = await post(exportOf('5b8efff798038103d269b633813fc60c', 'eee19b7ec3c1b174'), {
      'content-type': 'Application/JSON; charset=utf-8',
    });
    expect([answer.status, await answer.json()]).toEqual([200, {}]);
  });

  test('gzip', async () => {
    const { body, traceId } = smallExport(random, { spans: 2 });
    expect((await post(gzipSync(body), { ...protobuf, 'content-encoding': 'gzip' })).status).toBe(200);
    expect((await fetch(`${url}/api/v1/traces/${traceId}`)).status).toBe(200);
  });

  test('an empty request is a success', async () => {
    expect((await post('', protobuf)).status).toBe(200);
    expect(await (await post('{}', json)).json()).toEqual({});
  });

  test('one bad span is rejected alone, by partial_success', async () => {
    const good = { traceId: '00000000000000000000000000000001', spanId: '0000000000000001', name: 'good' };
    const bad = { traceId: '00', spanId: '0000000000000002', name: 'bad' };
    const answer = await post(JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [good, bad] }] }] }), json);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({
      partialSuccess: { rejectedSpans: '1', errorMessage: expect.stringContaining('span 1') },
    });
    expect((await fetch(`${url}/api/v1/traces/${good.traceId}`)).status).toBe(200);
  });

  test.each([
    ['protobuf cut short', () => post(Buffer.from([0x0a, 0x7f, 0x01]), protobuf), 400],
    ['no JSON', () => post('{"resourceSpans":', json), 400],
    ['a wrong type', () => post('{"resourceSpans":7}', json), 400],
    ['not gzip', () => post('plain', { ...protobuf, 'content-encoding': 'gzip' }), 400],
    ['another encoding', () => post('x', { ...protobuf, 'content-encoding': 'br' }), 415],
    ['another type', () => post('x', { 'content-type': 'text/plain' }), 415],
    [
      'too large once inflated',
      () => post(gzipSync(Buffer.alloc(limits.requestBytesMax + 1)), { ...protobuf, 'content-encoding': 'gzip' }),
      413,
    ],
  ] as const)('%s', async (_, send, status) => {
    const answer = await send();
    expect(answer.status).toBe(status);
    const text = Buffer.from(await answer.arrayBuffer()).toString('utf8');
    if (answer.headers.get('content-type')?.includes('json') === true) {
      expect(JSON.parse(text)).toEqual({ code: expect.any(Number), message: expect.any(String) });
    } else {
      // google.rpc.Status: code as field 1, message as field 2.
      expect(text.charCodeAt(0)).toBe(0x08);
      expect(text.charCodeAt(2)).toBe(0x12);
    }
  });

  test('another method: 405', async () => {
    expect((await fetch(`${url}/v1/traces`)).status).toBe(405);
  });
});

describe('GET /api/v1/traces/:traceId', () => {
  const traceId = 'abcdefabcdefabcdefabcdefabcdef01';
  beforeAll(async () => {
    const span = exportOf(traceId, '00000000000000aa', {
      startTimeUnixNano: '18446744073709551615',
      attributes: [{ key: 'n', value: { intValue: '9007199254740993' } }],
    });
    expect((await post(span, json)).status).toBe(200);
    expect((await post(span, json)).status).toBe(200);
  });

  test('OTLP JSON, exact beyond 2^53, a retried export once', async () => {
    const answer = await fetch(`${url}/api/v1/traces/${traceId.toUpperCase()}`);
    expect(answer.headers.get('quorate-node')).toBe('n1');
    expect(answer.headers.get('quorate-consistency')).toBe('linearizable');
    expect(Number(answer.headers.get('quorate-applied-index'))).toBeGreaterThan(1);
    expect(await answer.json()).toEqual({
      resourceSpans: [
        {
          scopeSpans: [
            {
              spans: [
                {
                  traceId,
                  spanId: '00000000000000aa',
                  name: 'a',
                  startTimeUnixNano: '18446744073709551615',
                  attributes: [{ key: 'n', value: { intValue: '9007199254740993' } }],
                },
              ],
            },
          ],
        },
      ],
    });
  });

  test('protobuf by Accept, the bytes that were sent', async () => {
    const { body, traceId: sent } = smallExport(random, { spans: 1 });
    await post(body, protobuf);
    const answer = await fetch(`${url}/api/v1/traces/${sent}`, { headers: { accept: 'application/x-protobuf' } });
    expect(answer.headers.get('content-type')).toBe('application/x-protobuf');
    expect(Buffer.from(await answer.arrayBuffer()).equals(body)).toBe(true);
  });

  test('stale, when asked for', async () => {
    const answer = await fetch(`${url}/api/v1/traces/${traceId}?consistency=stale`);
    expect([answer.status, answer.headers.get('quorate-consistency')]).toEqual([200, 'stale']);
  });

  test.each([
    ['unknown', '/api/v1/traces/00000000000000000000000000000fff', 404, 'not-found'],
    ['a bad id', '/api/v1/traces/xyz', 400, 'bad-request'],
    ['an id of zeros', `/api/v1/traces/${'0'.repeat(32)}`, 400, 'bad-request'],
    ['a lease (bug R4)', `/api/v1/traces/${traceId}?consistency=lease`, 400, 'bad-request'],
    ['a wrong consistency', `/api/v1/traces/${traceId}?consistency=maybe`, 400, 'bad-request'],
    ['no such route', '/api/v9', 404, 'no-such-path'],
  ])('%s', async (_, path, status, code) => {
    const answer = await fetch(url + path);
    expect(answer.status).toBe(status);
    expect(await answer.json()).toEqual({ error: { code, message: expect.any(String) } });
  });
});

describe('/api/v1/cluster/members', () => {
  const add = (body?: string): Promise<Response> =>
    fetch(`${url}/api/v1/cluster/members`, { method: 'POST', ...(body === undefined ? {} : { body, headers: json }) });
  const remove = (path: string): Promise<Response> =>
    fetch(`${url}/api/v1/cluster/members/${path}`, { method: 'DELETE' });

  test.each([
    ['a node that never came', () => add('{"id":"n9"}'), 409, 'conflict', /^n9 has not come to the leader/],
    ['a member', () => add('{"id":"n1"}'), 409, 'conflict', 'n1 is a member already'],
    ['no id', () => add('{}'), 400, 'bad-request', 'id null is not the id of a node'],
    ['a wrong id', () => add('{"id":"n 1"}'), 400, 'bad-request', 'id "n 1" is not the id of a node'],
    ['a wrong one to replace', () => add('{"id":"n9","replaces":7}'), 400, 'bad-request', /^replaces 7 is not/],
    [
      'a wrong index',
      () => add('{"id":"n9","configurationIndex":-1}'),
      400,
      'bad-request',
      /^configurationIndex is not/,
    ],
    ['something else', () => add('{"id":"n9","voter":true}'), 400, 'bad-request', /^the body must be/],
    ['a list', () => add('["n9"]'), 400, 'bad-request', /^the body must be/],
    ['no body', () => add(), 400, 'bad-request', /^the body must be/],
    ['the last voter, removed', () => remove('n1'), 409, 'conflict', /^n1 is the last voter/],
    ['nobody, removed', () => remove('n9'), 409, 'conflict', 'n9 is no member'],
    ['at another configuration', () => remove('n1?configurationIndex=5'), 409, 'conflict', /^the members were changed/],
    ['at none', () => remove('n1?configurationIndex=x'), 400, 'bad-request', /^configurationIndex is not/],
    ['a wrong id, removed', () => remove('n%201'), 400, 'bad-request', /is not the id of a node$/],
  ])('%s', async (_, ask, status, code, message) => {
    const answer = await ask();
    expect([answer.status, await answer.json()]).toEqual([
      status,
      { error: { code, message: typeof message === 'string' ? message : expect.stringMatching(message) } },
    ]);
  });
});

describe('POST /api/v1/cluster/leader', () => {
  const ask = (body?: string): Promise<Response> =>
    fetch(`${url}/api/v1/cluster/leader`, { method: 'POST', ...(body === undefined ? {} : { body, headers: json }) });

  test.each([
    ['the leader itself', '{"to":"n1"}', 409, 'conflict', 'n1 leads already'],
    ['anybody, where there is nobody', '{}', 409, 'conflict', /^no other voter is connected/],
    ['nobody in particular, without a body', undefined, 409, 'conflict', /^no other voter is connected/],
    ['a node that there is not', '{"to":"n9"}', 400, 'bad-request', 'there is no node n9: the members are n1'],
    ['no id', '{"to":7}', 400, 'bad-request', 'to 7 is not the id of a node'],
    ['something else', '{"leader":"n1"}', 400, 'bad-request', /^the body must be/],
    ['a list', '["n1"]', 400, 'bad-request', /^the body must be/],
    ['null', 'null', 400, 'bad-request', /^the body must be/],
    ['no JSON', '{"to":', 400, 'bad-request', /JSON/],
    ['more than a body holds', `{"to":"${'n'.repeat(limits.adminBodyBytesMax)}"}`, 413, 'too-large', /./],
  ])('%s', async (_, body, status, code, message) => {
    const answer = await ask(body);
    expect([answer.status, await answer.json()]).toEqual([
      status,
      { error: { code, message: typeof message === 'string' ? message : expect.stringMatching(message) } },
    ]);
  });
});

describe('operations', () => {
  test('what an operator is told of disk, queues and lead', async () => {
    const { body } = smallExport(new SeededRandom(77), { spans: 1 });
    await fetch(`${url}/v1/traces`, { method: 'POST', headers: { 'content-type': 'application/x-protobuf' }, body });
    const cluster = (await (await fetch(`${url}/api/v1/cluster`)).json()) as Record<string, unknown>;
    expect(cluster).toMatchObject({
      disk: { level: 'ample', freeBytes: expect.any(Number), totalBytes: expect.any(Number) },
      logWrites: { syncP50Ms: expect.any(Number), queueP50Ms: expect.any(Number) },
      queues: { exports: 0, blocks: 0, logBytes: 0 },
      eventLoopDelayP99Ms: expect.any(Number),
      lastHandOver: null,
    });
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const valueOf = (series: string): number => Number(metrics.match(new RegExp(`^quorate_${series} (.+)$`, 'm'))?.[1]);
    for (const series of ['disk_free_bytes', 'disk_total_bytes', 'disk_low_mark_bytes', 'log_writes_total'])
      expect(valueOf(series), series).toBeGreaterThan(0);
    for (const series of ['log_sync_p50_seconds', 'log_sync_p99_seconds'])
      expect(valueOf(series), series).toBeGreaterThan(0);
    for (const series of ['log_queue_p99_seconds', 'disk_space_level', 'exports_queued', 'log_staged_bytes'])
      expect(valueOf(series), series).toBeGreaterThanOrEqual(0);
    expect(metrics).toMatch(/^quorate_member_match_index\{member="n1"\} [1-9]/m);
    expect(metrics).toMatch(/^quorate_last_hand_over_timestamp_seconds\{why="slow disk"\} 0$/m);
  });

  test('cluster, health and metrics', async () => {
    const cluster = (await (await fetch(`${url}/api/v1/cluster`)).json()) as Record<string, unknown>;
    expect(cluster).toMatchObject({
      mode: 'cp',
      id: 'n1',
      role: 'leader',
      leader: 'n1',
      members: [{ id: 'n1', voter: true, lagMs: 0 }],
    });
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    for (const series of ['is_leader 1', 'log_entries_damaged 0', 'log_entries_repaired_total 0'])
      expect(metrics).toContain(`\nquorate_${series}\n`);
  });
});
