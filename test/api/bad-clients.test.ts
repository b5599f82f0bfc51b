/**
 * Everything that broken and hostile clients send, and exactly what they are answered: a table of inputs and answers, then
 * clients that are slow, half closed or gone. After each the node still takes a span, and good spans of the same request are
 * kept where OTLP says so.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { attributeOf, exportOf, nestedAnyValue } from '../otlp/bytes.ts';
import { referenceObject } from '../otlp/reference.ts';
import { bytesField, fixed64Field, messageField, varintField } from '../support/protobuf-writer.ts';
import { eventually } from '../support/quorate-client.ts';
import { OneNode } from './one-node.ts';

let node: OneNode;
let count = 0;
beforeAll(async () => {
  node = await OneNode.start();
});
afterAll(async () => node.stop());
afterEach(async () => {
  const answer = await post({ 'content-type': 'application/json' }, jsonOf([goodJson(newId())]));
  expect(answer.status, 'the node still takes spans').toBe(200);
});

/** A trace id that no other span of this file has. */
function newId(): string {
  count += 1;
  return count.toString(16).padStart(31, '0').padStart(32, 'c');
}
const spanId = '0102030405060708';
const goodSpan = (traceId: string, ...more: Uint8Array[]): Buffer =>
  Buffer.concat([bytesField(1, Buffer.from(traceId, 'hex')), bytesField(2, Buffer.from(spanId, 'hex')), ...more]);
const goodJson = (traceId: string, rest: object = {}): object => ({ traceId, spanId, name: 'good', ...rest });
const jsonOf = (spans: readonly object[], scope: object = {}): string =>
  JSON.stringify({ resourceSpans: [{ scopeSpans: [{ ...scope, spans }] }] });

async function post(headers: Record<string, string>, body: Uint8Array | string): Promise<Response> {
  return fetch(`${node.url}/v1/traces`, { method: 'POST', headers, body: new Uint8Array(Buffer.from(body)) });
}

async function isStored(traceId: string): Promise<boolean> {
  return (await fetch(`${node.url}/api/v1/traces/${traceId}`)).status === 200;
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const inSpan = (traceId: string, ...more: Uint8Array[]): Uint8Array => exportOf(goodSpan(traceId, ...more));
const protobuf = { 'content-type': 'application/x-protobuf' };
const json = { 'content-type': 'application/json' };

describe('structural damage: 400, and nothing of the request is stored', () => {
  const rows: [string, (good: string) => Uint8Array][] = [
    ['a truncated varint', (good) => inSpan(good, hex('30 80'))],
    ['an overlong varint', (good) => inSpan(good, hex('30 ffffffffffffffffffff01'))],
    ['a varint of more than 64 bits', (good) => inSpan(good, hex('30 ffffffffffffffffff7f'))],
    ['a tag of more than 32 bits', (good) => inSpan(good, hex('ffffffffff01 00'))],
    ['a wrong wire type', (good) => inSpan(good, varintField(5, 7))],
    ['wire type 6', (good) => inSpan(good, hex('2e'))],
    ['wire type 7', (good) => inSpan(good, hex('2f'))],
    ['field 0', (good) => inSpan(good, hex('02 00'))],
    ['a length past the end of its message', (good) => inSpan(good, hex('2a 7f 61'))],
    ['a length of 4 GiB', (good) => inSpan(good, hex('2a ffffffff0f'))],
    ['a length that reaches into the next span', (good) => exportOf(hex('2a 10'), goodSpan(good))],
    ['a fixed64 cut off', (good) => inSpan(good, hex('39 0102'))],
    ['an attribute cut off', (good) => inSpan(good, bytesField(9, hex('0a 05 61')))],
    ['a group that does not end', (good) => inSpan(good, hex('a301 0801'))],
    ['the end of no group', (good) => inSpan(good, hex('a401'))],
    [
      '101 groups in one another',
      (good) => inSpan(good, Buffer.alloc(202, hex('a301')), Buffer.alloc(202, hex('a401'))),
    ],
    [
      'one group of 100,000 fields',
      (good) => inSpan(good, hex('a301'), Buffer.alloc(200_000, hex('0801')), hex('a401')),
    ],
    ['JSON called protobuf', (good) => Buffer.from(jsonOf([goodJson(good)]))],
    ['the last byte missing', (good) => inSpan(good, bytesField(5, 'name')).subarray(0, -1)],
  ];
  test.each(rows)('%s', async (_, body) => {
    const good = newId();
    const answer = await post(protobuf, body(good));
    expect([answer.status, answer.headers.get('content-type')]).toEqual([400, 'application/x-protobuf']);
    expect(referenceObject('RpcStatus', Buffer.from(await answer.arrayBuffer()))).toEqual({
      code: 3,
      message: expect.stringMatching(/^the request is damaged: .+ \(at byte \d+\)$/),
    });
    expect(await isStored(good)).toBe(false);
  });

  test('groups within bounds are an unknown field', async () => {
    const good = newId();
    expect((await post(protobuf, inSpan(good, hex('a301 0801 a301 a401 a401')))).status).toBe(200);
    expect(await isStored(good)).toBe(true);
  });
});

describe('a fault of one span: 200, that span is named and rejected, the others are kept', () => {
  const ids = (traceId: Uint8Array, ownId: Uint8Array): Buffer =>
    Buffer.concat([bytesField(1, traceId), bytesField(2, ownId)]);
  const span = (...more: Uint8Array[]): Buffer => goodSpan(newId(), ...more);
  const many = (times: number, one: Uint8Array): Buffer => Buffer.concat(Array.from({ length: times }, () => one));
  const attribute = attributeOf(bytesField(1, 'v'));
  const rows: [string, () => Uint8Array, string][] = [
    ['no ids', () => Buffer.alloc(0), 'trace id must be 16 bytes, not 0'],
    ['a trace id of 15 bytes', () => ids(Buffer.alloc(15, 1), Buffer.alloc(8, 1)), 'trace id must be 16 bytes, not 15'],
    ['a trace id of zeros', () => ids(Buffer.alloc(16), Buffer.alloc(8, 1)), 'trace id must not be all zero'],
    ['a span id of 9 bytes', () => ids(Buffer.alloc(16, 1), Buffer.alloc(9, 1)), 'span id must be 8 bytes, not 9'],
    ['a span id of zeros', () => ids(Buffer.alloc(16, 1), Buffer.alloc(8)), 'span id must not be all zero'],
    ['a list 10,000 deep', () => span(attributeOf(nestedAnyValue(10_000, 'list'))), 'deeper than 32'],
    ['a map 10,000 deep', () => span(attributeOf(nestedAnyValue(10_000, 'map'))), 'deeper than 32'],
    ['33 groups in one another', () => span(many(33, hex('a301')), many(33, hex('a401'))), 'deeper than 32'],
    ['100,000 attributes', () => span(many(100_000, attribute)), 'at most 1280 attributes'],
    ['100,000 events', () => span(many(100_000, bytesField(11, ''))), 'at most 1280 events'],
    ['100,000 links', () => span(many(100_000, bytesField(13, ''))), 'at most 1280 links'],
    ['a key of 2 KiB', () => span(messageField(9, [bytesField(1, 'k'.repeat(2_048))])), 'at most 1024 bytes'],
    ['a value of 2 MiB', () => span(attributeOf(bytesField(1, 'v'.repeat(2 << 20)))), 'at most 1048576 bytes'],
    ['a name of 5 MiB', () => span(bytesField(5, 'n'.repeat(5 << 20))), 'at most 4194304 bytes'],
  ];
  test.each(rows)('%s', async (_, bad, sentence) => {
    const [before, after] = [newId(), newId()];
    const answer = await post(protobuf, exportOf(goodSpan(before), bad(), goodSpan(after)));
    expect(answer.status).toBe(200);
    expect(referenceObject('ExportTraceServiceResponse', Buffer.from(await answer.arrayBuffer()))).toEqual({
      partialSuccess: { rejectedSpans: '1', errorMessage: expect.stringMatching(`^span 1: .*${sentence}`) },
    });
    expect([await isStored(before), await isStored(after)]).toEqual([true, true]);
  });

  test('each reason is counted', async () => {
    expect(await node.metric('quorate_otlp_spans_rejected_total{reason="trace-id"}')).toBe(3);
    expect(await node.metric('quorate_otlp_spans_rejected_total{reason="attributes"}')).toBe(1);
    expect(await node.metric('quorate_otlp_spans_rejected_total{reason="depth"}')).toBe(3);
  });
});

describe('what is odd and legal: 200', () => {
  test('bytes that are no UTF-8 in a protobuf string come back as they were', async () => {
    const good = newId();
    const body = inSpan(good, bytesField(5, hex('ff fe 61')));
    expect((await post(protobuf, body)).status).toBe(200);
    const stored = await fetch(`${node.url}/api/v1/traces/${good}`, { headers: { accept: 'application/x-protobuf' } });
    expect(Buffer.from(await stored.arrayBuffer()).equals(body)).toBe(true);
  });

  test('an end before its start, an unknown kind, an empty attribute value, a key twice', async () => {
    const good = newId();
    const odd = [fixed64Field(7, 9n), fixed64Field(8, 1n), varintField(6, 99), bytesField(9, ''), attributeOf(hex(''))];
    expect((await post(protobuf, inSpan(good, ...odd, ...odd))).status).toBe(200);
    expect(await isStored(good)).toBe(true);
  });

  test('several members of gzip, and of parts of one message each', async () => {
    const good = newId();
    const body = inSpan(good);
    const members = [body.subarray(0, 9), body.subarray(9)].map((part) => gzipSync(part));
    const answer = await post({ ...protobuf, 'content-encoding': 'gzip' }, Buffer.concat(members));
    expect([answer.status, await isStored(good)]).toEqual([200, true]);
  });

  test.each([
    ['gzip', gzipSync],
    ['GZip', gzipSync],
    [' x-gzip ', gzipSync],
    ['deflate', deflateSync],
    ['zlib', deflateSync],
    ['zstd', zstdCompressSync],
    ['identity', (bytes: Uint8Array) => Buffer.from(bytes)],
  ] as const)('Content-Encoding "%s"', async (name, compress) => {
    const good = newId();
    expect((await post({ ...protobuf, 'content-encoding': name }, compress(inSpan(good)))).status).toBe(200);
    expect(await isStored(good)).toBe(true);
  });
});

describe('whole requests that are refused', () => {
  const gzip = { ...protobuf, 'content-encoding': 'gzip' };
  const zstd = { ...protobuf, 'content-encoding': 'zstd' };
  const zeros = Buffer.alloc(200 << 20);
  const rows: [string, Record<string, string>, () => Uint8Array | string, number, string][] = [
    ['a gzip bomb', gzip, () => gzipSync(zeros), 413, 'inflates to more than 100 times'],
    ['a zstd bomb', zstd, () => zstdCompressSync(zeros), 413, 'inflates to more than 100 times'],
    ['65 MiB', protobuf, () => zeros.subarray(0, 65 << 20), 413, 'larger than 67108864 bytes'],
    ['gzip that is none', gzip, () => inSpan(newId()), 400, 'not valid gzip'],
    ['gzip of gzip', gzip, () => gzipSync(gzipSync(inSpan(newId()))), 400, 'damaged'],
    ['gzip cut short', gzip, () => gzipSync(inSpan(newId())).subarray(0, -9), 400, 'not valid gzip'],
    ['an unknown coding', { ...protobuf, 'content-encoding': 'br' }, () => 'x', 415, 'gzip, deflate, zstd'],
    ['two codings', { ...protobuf, 'content-encoding': 'gzip, gzip' }, () => 'x', 415, 'gzip, deflate, zstd'],
    ['a coding of Object.prototype', { ...protobuf, 'content-encoding': 'constructor' }, () => 'x', 415, 'zstd'],
  ];
  test.each(rows)('%s', async (_, headers, body, status, sentence) => {
    const answer = await post(headers, body());
    expect([answer.status, answer.headers.get('content-type')]).toEqual([status, 'application/x-protobuf']);
    const { message } = referenceObject('RpcStatus', Buffer.from(await answer.arrayBuffer()));
    expect(message).toContain(sentence);
    expect(answer.headers.get('accept-encoding')).toBe(status === 415 ? 'gzip, deflate, zstd' : null);
  });

  test.each([
    ['no Content-Type', '', 415],
    ['text', 'text/plain', 415],
    ['half a type', 'application/', 415],
    ['a form', 'multipart/form-data; boundary=x', 415],
  ])('%s', async (_, type, status) => {
    const answer = await rawRequest(
      `POST /v1/traces HTTP/1.1\r\nhost: n1\r\n${type === '' ? '' : `content-type: ${type}\r\n`}content-length: 1\r\n\r\nx`,
    );
    expect(answer).toContain(`HTTP/1.1 ${status} `);
    expect(answer).toContain('"code":3');
  });

  test.each(['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'])('%s is 405 and names POST', async (method) => {
    const answer = await fetch(`${node.url}/v1/traces`, { method });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST']);
  });

  test.each(['/v1/metrics', '/v1/logs', '/v1/trace'])('%s is 404 with a Status', async (path) => {
    const answer = await fetch(node.url + path, { method: 'POST', headers: json, body: '{}' });
    expect([answer.status, await answer.json()]).toEqual([404, { code: 5, message: expect.stringContaining(path) }]);
  });

  test('an answer is gzipped when that is asked for and worth it', async () => {
    const request = (accept: string): Promise<Response> =>
      fetch(`${node.url}/v1/${'x'.repeat(200)}`, { method: 'POST', headers: { ...json, 'accept-encoding': accept } });
    expect((await request('gzip;q=0')).headers.get('content-encoding')).toBeNull();
    const answer = await request('deflate, gzip;q=0.5');
    // The client has inflated it.
    expect([answer.headers.get('content-encoding'), await answer.json()]).toMatchObject(['gzip', { code: 5 }]);
  });
});

describe('JSON', () => {
  const refused: [string, string, string][] = [
    ['cut short', '{"resourceSpans":[', 'JSON'],
    ['nothing', '', 'JSON'],
    ['two documents', '{}{}', 'JSON'],
    ['a list', '[]', 'must be an object'],
    ['a string for a list', '{"resourceSpans":"x"}', 'resourceSpans'],
    ['an object for a list', '{"resourceSpans":{"length":1}}', 'resourceSpans'],
    ['a number for a string', jsonOf([{ name: 7 }]), 'name'],
    ['an object for a string', jsonOf([{ name: {} }]), 'name'],
    ['a boolean for an enum', jsonOf([{ kind: true }]), 'kind'],
    ['a name for an enum', jsonOf([{ kind: 'SPAN_KIND_SERVER' }]), 'kind'],
    ['a fraction for an integer', jsonOf([{ startTimeUnixNano: 1.5 }]), 'startTimeUnixNano'],
    ['an integer of 65 bits', jsonOf([{ startTimeUnixNano: '18446744073709551616' }]), 'startTimeUnixNano'],
    ['a negative time', jsonOf([{ startTimeUnixNano: '-1' }]), 'startTimeUnixNano'],
    ['a span that is null', '{"resourceSpans":[{"scopeSpans":[{"spans":[null]}]}]}', 'spans[0]'],
    ['two values in one', jsonOf([{ attributes: [{ key: 'k', value: { intValue: 1, boolValue: true } }] }]), 'value'],
    ['a parent that is no hex', jsonOf([{ parentSpanId: 'xyz' }]), 'parentSpanId'],
  ];
  test.each(refused)('%s: 400 and the path', async (_, body, path) => {
    const answer = await post(json, body);
    expect([answer.status, await answer.json()]).toEqual([400, { code: 3, message: expect.stringContaining(path) }]);
  });

  test('bytes that are no UTF-8: 400', async () => {
    expect((await post(json, Buffer.concat([Buffer.from('{"a":"'), hex('ff'), Buffer.from('"}')]))).status).toBe(400);
  });

  const deepValue = (depth: number): string => `${'{"arrayValue":{"values":['.repeat(depth)}${']}}'.repeat(depth)}`;
  const taken: [string, (bad: string, good: string) => string, number][] = [
    [
      'a value 10,000 deep',
      (bad, good) => spansText(bad, `"attributes":[{"key":"k","value":${deepValue(10_000)}}]`, good),
      1,
    ],
    [
      '100,000 attributes',
      (bad, good) =>
        spansText(bad, `"attributes":[${'{"key":"k","value":{"intValue":"1"}},'.repeat(99_999)}{"key":"k"}]`, good),
      1,
    ],
    [
      'an unknown field 10,000 deep',
      (bad, good) => spansText(bad, `"x":${'['.repeat(10_000)}${']'.repeat(10_000)}`, good),
      0,
    ],
    [
      '__proto__ and constructor',
      (bad, good) => spansText(bad, '"__proto__":{"name":"x"},"constructor":null', good),
      0,
    ],
    ['null is the default', (bad, good) => spansText(bad, '"name":null,"attributes":null,"status":null', good), 0],
  ];
  function spansText(bad: string, more: string, good: string): string {
    return `{"resourceSpans":[{"scopeSpans":[{"spans":[
      {"traceId":"${bad}","spanId":"${spanId}",${more}},{"traceId":"${good.toUpperCase()}","spanId":"${spanId}"}]}]}]}`;
  }
  test.each(taken)('%s', async (_, body, rejected) => {
    const [bad, good] = [newId(), newId()];
    const answer = await post(json, body(bad, good));
    const { partialSuccess } = (await answer.json()) as { partialSuccess?: { rejectedSpans: string } };
    expect([answer.status, partialSuccess?.rejectedSpans ?? '0']).toEqual([200, String(rejected)]);
    expect([await isStored(bad), await isStored(good)]).toEqual([rejected === 0, true]);
    expect(({} as { name?: string }).name).toBeUndefined();
  });
});

describe('JSON that means something else than it says', () => {
  test('ids in base64: the span is rejected, and why', async () => {
    const answer = await post(json, jsonOf([{ traceId: 'AQIDBAUGBwgJCgsMDQ4PEA==', spanId }]));
    expect([answer.status, await answer.json()]).toEqual([
      200,
      {
        partialSuccess: {
          rejectedSpans: '1',
          errorMessage:
            'span 0: trace id must be 16 bytes, not 0; resourceSpans[0].scopeSpans[0].spans[0].traceId: ' +
            'must be 32 hex digits; ids are not base64 in OTLP JSON',
        },
      },
    ]);
  });

  test('a name in snake_case is ignored, as every unknown one, but with a warning', async () => {
    const good = newId();
    const answer = await post(json, jsonOf([goodJson(good, { start_time_unix_nano: '7' })]));
    expect([answer.status, await answer.json(), await isStored(good)]).toEqual([
      200,
      { partialSuccess: { errorMessage: expect.stringContaining('startTimeUnixNano, not start_time_unix_nano') } },
      true,
    ]);
  });
});

/** Sends bytes as they are and resolves with everything that comes back until the other side closes. */
async function rawRequest(...parts: (string | Buffer)[]): Promise<string> {
  const socket = connect({ port: node.node.http.port, host: '127.0.0.1', allowHalfOpen: true });
  const answer = receiveAll(socket);
  for (const part of parts) socket.write(part);
  // A half-closed connection: nothing more will come, but the answer is still wanted.
  socket.end();
  return answer;
}

async function receiveAll(socket: Socket): Promise<string> {
  const received: Buffer[] = [];
  socket.on('data', (chunk) => received.push(chunk));
  socket.on('error', () => undefined);
  await once(socket, 'close');
  return Buffer.concat(received).toString('latin1');
}

describe('connections', () => {
  test('half closed after the request: it is answered', async () => {
    const good = newId();
    const body = inSpan(good);
    const head = `POST /v1/traces HTTP/1.1\r\nhost: n1\r\ncontent-type: application/x-protobuf\r\ncontent-length: ${body.length}\r\n\r\n`;
    expect(await rawRequest(head, Buffer.from(body))).toContain('HTTP/1.1 200 OK');
    expect(await isStored(good)).toBe(true);
  });

  test('half closed in the middle of the body: nothing is stored, no room is kept', async () => {
    const good = newId();
    const body = inSpan(good);
    const head = `POST /v1/traces HTTP/1.1\r\nhost: n1\r\ncontent-type: application/x-protobuf\r\ncontent-length: ${body.length}\r\n\r\n`;
    const answer = await rawRequest(head, Buffer.from(body.subarray(0, -1)));
    expect(answer).not.toContain('200 OK');
    await eventually('the room to be free', async () => (await node.metric('quorate_admitted_bytes')) === 0);
    expect(await isStored(good)).toBe(false);
  });

  test('a refused body that goes on still lets its client read why', async () => {
    const huge = limits.requestBytesMax * 10;
    const head = `POST /v1/traces HTTP/1.1\r\nhost: n1\r\ncontent-type: application/json\r\ncontent-length: ${huge}\r\n\r\n`;
    const answer = await rawRequest(head, Buffer.alloc(1 << 20, ' '));
    expect(answer).toContain('HTTP/1.1 413 ');
    expect(answer).toContain('"code":8');
  });

  test('a body that grows too large is refused in the middle, and the connection goes on behind it', async () => {
    const small = await OneNode.start({ requestBytesMax: 100_000 });
    const chunk = `${(30_000).toString(16)}\r\n${' '.repeat(30_000)}\r\n`;
    const head = 'POST /v1/traces HTTP/1.1\r\nhost: n1\r\ncontent-type: application/json\r\n';
    const socket = connect(small.node.http.port, '127.0.0.1');
    const answers = receiveAll(socket);
    socket.write(`${head}transfer-encoding: chunked\r\n\r\n`);
    for (let sent = 0; sent < 7; sent += 1) {
      socket.write(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.end(`0\r\n\r\n${head}content-length: 2\r\n\r\n{}`);
    expect(await answers).toMatch(/^HTTP\/1.1 413 .*HTTP\/1.1 200 /s);
    await small.stop();
  });

  test.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const)(
    'a %s bomb whose client falls silent in the middle is answered all the same',
    async (coding, compress) => {
      const bomb = compress(Buffer.alloc(200 << 20));
      const socket = connect(node.node.http.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(
        `POST /v1/traces HTTP/1.1\r\nhost: n1\r\ncontent-type: application/json\r\ncontent-encoding: ${coding}\r\n` +
          `content-length: ${bomb.length + 1}\r\n\r\n`,
      );
      socket.write(bomb);
      const [answer] = (await once(socket, 'data')) as [Buffer];
      expect(answer.toString()).toContain('HTTP/1.1 413 ');
      socket.destroy();
      await eventually('the room to be free', async () => (await node.metric('quorate_admitted_bytes')) === 0);
    },
  );

  test('no HTTP at all, and headers without end: 400 and 431', async () => {
    expect(await rawRequest('\u0000\u0001\u0002\r\n\r\n')).toContain('HTTP/1.1 400 ');
    expect(await rawRequest(`GET / HTTP/1.1\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`)).toContain('HTTP/1.1 431 ');
  });

  test('requests behind one another on one connection are all answered', async () => {
    const one = (id: string): string => {
      const body = jsonOf([goodJson(id)]);
      return `POST /v1/traces HTTP/1.1\r\nhost: n1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    };
    const answer = await rawRequest(one(newId()) + one(newId()) + one(newId()));
    expect(answer.split('HTTP/1.1 200 OK')).toHaveLength(4);
  });
});

describe('bounds of time and number', () => {
  test('headers or a body that do not come: 408, and the room is free again', async () => {
    const impatient = await OneNode.start({ headersTimeoutMs: 100, requestTimeoutMs: 200 });
    const { port } = impatient.node.http;
    const headless = connect(port, '127.0.0.1');
    const bodiless = connect(port, '127.0.0.1');
    const answers = Promise.all([receiveAll(headless), receiveAll(bodiless)]);
    headless.write('POST /v1/traces HTTP/1.1\r\nhost: ');
    bodiless.write(
      'POST /v1/traces HTTP/1.1\r\nhost: n1\r\ncontent-type: a/b\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{',
    );
    for (const answer of await answers) expect(answer).toContain(' 408 ');
    expect(await impatient.metric('quorate_limits_met_total{limit="requestTimeoutMs"}')).toBe(2);
    expect(await impatient.metric('quorate_admitted_bytes')).toBe(0);
    await impatient.stop();
  });

  test('one address holds no more than its connections; when one closes there is room', async () => {
    const few = await OneNode.start({ connectionsPerSourceMax: 8 });
    const sockets = Array.from({ length: 12 }, () => connect(few.node.http.port, '127.0.0.1'));
    let closed = 0;
    for (const socket of sockets) {
      socket.on('error', () => undefined);
      socket.on('close', () => (closed += 1));
    }
    // fetch has held one of the eight since the start.
    await eventually('the others to be closed', async () => closed >= 4);
    for (const socket of sockets) socket.destroy();
    expect(
      await eventually('room', async () =>
        few.metric('quorate_limits_met_total{limit="connectionsPerSourceMax"}').catch(() => false),
      ),
    ).toBeGreaterThanOrEqual(4);
    await few.stop();
  });

  test('over the admission budget: 429 with Retry-After and RetryInfo, before the body is read', async () => {
    const small = await OneNode.start({ requestBytesMax: 1 << 20, admissionBytesMax: 1.5 * (1 << 20) });
    const head = `POST /v1/traces HTTP/1.1\r\nhost: n1\r\ncontent-type: application/json\r\ncontent-length: ${1 << 20}\r\n\r\n`;
    const first = connect(small.node.http.port, '127.0.0.1');
    first.on('error', () => undefined);
    first.write(head);
    await eventually(
      'the first to be admitted',
      async () => (await small.metric('quorate_admitted_bytes')) === 1 << 20,
    );
    const second = connect(small.node.http.port, '127.0.0.1');
    second.write(head);
    const [answer] = (await once(second, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 429 .*\r\nretry-after: 1\r\n/s);
    expect(answer.toString()).toContain('"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1s"');
    second.destroy();
    first.destroy();
    await eventually('the room to be free', async () => (await small.metric('quorate_admitted_bytes')) === 0);
    await small.stop();
  });
});
