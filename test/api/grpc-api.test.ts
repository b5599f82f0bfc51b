/** The gRPC face of one real node, as grpc-js sees it and as hand-made HTTP/2 does. */
import { once } from 'node:events';
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { encodeReference, referenceObject } from '../otlp/reference.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { eventually } from '../support/quorate-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { OneNode } from './one-node.ts';

const random = new SeededRandom(21);
const exportPath = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
const healthPath = '/grpc.health.v1.Health/';
/** google.rpc.RetryInfo, whatever its delay. */
const retryInfo = 'type.googleapis.com/google.rpc.RetryInfo';

let node: OneNode;
let client: GrpcClient;
beforeAll(async () => {
  node = await OneNode.start();
  client = new GrpcClient(node.grpcAddress);
});
afterAll(async () => {
  client.close();
  await node.stop();
});

describe('Export', () => {
  test('OK, an empty message, and the trace is there', async () => {
    const { body, traceId } = smallExport(random, { spans: 1 });
    expect(await client.export(body)).toMatchObject({ code: 0, body: Buffer.alloc(0) });
    const stored = await fetch(`${node.url}/api/v1/traces/${traceId}`, {
      headers: { accept: 'application/x-protobuf' },
    });
    expect(Buffer.from(await stored.arrayBuffer()).equals(body)).toBe(true);
  });

  test('gzip', async () => {
    const zipping = new GrpcClient(node.grpcAddress, { gzip: true });
    const { body, traceId } = smallExport(random, { spans: 20 });
    expect((await zipping.export(body)).code).toBe(0);
    zipping.close();
    expect((await fetch(`${node.url}/api/v1/traces/${traceId}`)).status).toBe(200);
  });

  test('a bad span is rejected alone', async () => {
    const spans = [
      { traceId: Buffer.alloc(16, 1), spanId: Buffer.alloc(8, 1) },
      { traceId: Buffer.alloc(3, 1), spanId: Buffer.alloc(8, 1) },
    ];
    const body = encodeReference('TracesData', { resourceSpans: [{ scopeSpans: [{ spans }] }] });
    const answer = await client.export(Buffer.from(body));
    expect(answer.code).toBe(0);
    expect(referenceObject('ExportTraceServiceResponse', answer.body)).toEqual({
      partialSuccess: { rejectedSpans: '1', errorMessage: 'span 1: trace id must be 16 bytes, not 3' },
    });
  });

  test('damage is INVALID_ARGUMENT with a Status of the same code', async () => {
    const answer = await client.export(Buffer.from([0x0a, 0x7f, 0x01]));
    expect(answer).toMatchObject({ code: 3, message: expect.stringContaining('damaged') });
    expect(referenceObject('RpcStatus', answer.details)).toEqual({ code: 3, message: answer.message });
  });

  test('too large is RESOURCE_EXHAUSTED without RetryInfo, before or after inflation', async () => {
    const zipping = new GrpcClient(node.grpcAddress, { gzip: true });
    const large = Buffer.alloc(limits.requestBytesMax + 1);
    for (const answer of [await client.export(large), await zipping.export(large)]) {
      expect(answer).toMatchObject({ code: 8 });
      expect(answer.details.includes(retryInfo)).toBe(false);
    }
    zipping.close();
  });

  test('twenty calls at once on one connection', async () => {
    const exports = Array.from({ length: 20 }, () => smallExport(random, { spans: 100 }));
    const answers = await Promise.all(exports.map(async ({ body }) => client.export(body)));
    expect(answers.every(({ code }) => code === 0)).toBe(true);
  });

  test('an unknown method is UNIMPLEMENTED', async () => {
    expect((await client.call('/opentelemetry.proto.collector.logs.v1.LogsService/Export', Buffer.alloc(0))).code).toBe(
      12,
    );
  });

  test('is counted', async () => {
    const before = await node.metric('quorate_otlp_requests_total{protocol="grpc",encoding="protobuf",code="ok"}');
    await client.export(smallExport(random, { spans: 1 }).body);
    expect(await node.metric('quorate_otlp_requests_total{protocol="grpc",encoding="protobuf",code="ok"}')).toBe(
      before + 1,
    );
  });
});

test('a full admission budget is RESOURCE_EXHAUSTED with RetryInfo', async () => {
  const small = await OneNode.start({ requestBytesMax: 1 << 20, admissionBytesMax: 1.5 * (1 << 20) });
  const blocking = new Http2(small.grpcAddress);
  const other = new GrpcClient(small.grpcAddress);
  // Two calls announce a mebibyte each and send none of it: there is room for one.
  const half = blocking.begin({ 'content-type': 'application/grpc' });
  half.write(prefix(0, 1 << 20));
  await eventually('the first to be admitted', async () => (await small.metric('quorate_admitted_bytes')) === 1 << 20);
  const refused = await other.export(Buffer.alloc(1 << 20));
  expect(refused).toMatchObject({ code: 8, message: expect.stringContaining('later') });
  expect(refused.details.includes(retryInfo)).toBe(true);
  expect(await small.metric('quorate_limits_met_total{limit="admissionBytesMax"}')).toBe(1);
  half.close();
  await eventually('the room to be free', async () => (await small.metric('quorate_admitted_bytes')) === 0);
  expect((await other.export(smallExport(random, { spans: 1 }).body)).code).toBe(0);
  blocking.close();
  other.close();
  await small.stop();
});

describe('health', () => {
  const service = (name: string): Buffer => Buffer.from([0x0a, name.length, ...Buffer.from(name)]);
  const serving = Buffer.from([8, 1]);

  test('Check: serving for the node and the service, NOT_FOUND for another', async () => {
    expect((await client.call(`${healthPath}Check`, Buffer.alloc(0))).body).toEqual(serving);
    const ours = service('opentelemetry.proto.collector.trace.v1.TraceService');
    expect((await client.call(`${healthPath}Check`, ours)).body).toEqual(serving);
    expect((await client.call(`${healthPath}Check`, service('other'))).code).toBe(5);
  });

  test('Watch: the status now, SERVICE_UNKNOWN for another', async () => {
    const watch = async (body: Buffer): Promise<Buffer[]> =>
      client.watch(`${healthPath}Watch`, body, 1, () => undefined);
    expect(await watch(Buffer.alloc(0))).toEqual([serving]);
    expect(await watch(service('other'))).toEqual([Buffer.from([8, 3])]);
  });
});

/** An HTTP/2 client without manners. */
class Http2 {
  readonly session: ClientHttp2Session;
  constructor(address: string) {
    this.session = connect(`http://${address}`);
    this.session.on('error', () => undefined);
  }

  begin(headers: Record<string, string>) {
    const stream = this.session.request({ ':method': 'POST', ':path': exportPath, te: 'trailers', ...headers });
    stream.on('error', () => undefined);
    return stream;
  }

  /** Sends one whole request and resolves with its headers, trailers among them, and body. */
  async send(
    headers: Record<string, string>,
    body: Uint8Array,
  ): Promise<{ headers: IncomingHttpHeaders; body: Buffer }> {
    const stream = this.begin(headers);
    let answer: IncomingHttpHeaders = {};
    stream.on('response', (received: IncomingHttpHeaders) => (answer = { ...answer, ...received }));
    stream.on('trailers', (received: IncomingHttpHeaders) => (answer = { ...answer, ...received }));
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.end(body);
    await once(stream, 'close');
    return { headers: answer, body: Buffer.concat(parts) };
  }

  close(): void {
    this.session.destroy();
  }
}

function prefix(flag: number, length: number): Buffer {
  const bytes = Buffer.alloc(5, flag);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

describe('calls that grpc-js would not make', () => {
  let http2: Http2;
  beforeAll(() => {
    http2 = new Http2(node.grpcAddress);
  });
  afterAll(() => http2.close());

  const { body } = smallExport(new SeededRandom(22), { spans: 1 });
  const framed = Buffer.concat([prefix(0, body.length), body]);
  const grpc = { 'content-type': 'application/grpc' };
  const packed = (compressed: Uint8Array): Buffer => Buffer.concat([prefix(1, compressed.length), compressed]);
  const calls: [string, Record<string, string>, Uint8Array, string, string][] = [
    ['gzip', { ...grpc, 'grpc-encoding': 'gzip' }, packed(gzipSync(body)), '0', ''],
    ['deflate', { ...grpc, 'grpc-encoding': 'deflate' }, packed(deflateSync(body)), '0', ''],
    ['zstd', { ...grpc, 'grpc-encoding': 'zstd' }, packed(zstdCompressSync(body)), '0', ''],
    ['an encoding that is not used', { ...grpc, 'grpc-encoding': 'snappy' }, framed, '0', ''],
    ['one span', { 'content-type': 'Application/gRPC+proto' }, framed, '0', ''],
    ['a message cut short', grpc, framed.subarray(0, -1), '3', 'before the end'],
    ['a prefix cut short', grpc, framed.subarray(0, 3), '3', 'before its message'],
    ['no message', grpc, Buffer.alloc(0), '3', 'before its message'],
    ['two messages', grpc, Buffer.concat([framed, framed]), '3', 'more than one'],
    ['an unknown flag', grpc, prefix(2, 0), '3', 'flags 2'],
    ['compressed, but not how', grpc, prefix(1, 0), '12', 'grpc-encoding'],
    ['an unknown encoding', { ...grpc, 'grpc-encoding': 'snappy' }, prefix(1, 0), '12', 'grpc-encoding'],
    [
      'not gzip',
      { ...grpc, 'grpc-encoding': 'gzip' },
      Buffer.concat([prefix(1, 5), Buffer.from('plain')]),
      '3',
      'gzip',
    ],
    ['a length of 4 GiB', grpc, prefix(0, 0xffff_ffff), '8', 'larger than'],
    ['a timeout that is none', { ...grpc, 'grpc-timeout': 'soon' }, framed, '3', 'grpc-timeout'],
    ['a timeout of nothing', { ...grpc, 'grpc-timeout': '0n' }, framed, '4', 'deadline'],
  ];
  test.each(calls)('%s', async (_, headers, sent, status, sentence) => {
    const answer = await http2.send(headers, sent);
    expect([answer.headers[':status'], answer.headers['grpc-status']]).toEqual([200, status]);
    expect(decodeURIComponent(String(answer.headers['grpc-message'] ?? ''))).toContain(sentence);
  });

  test('a large body that is refused does not stop the connection', async () => {
    const stream = http2.begin(grpc);
    stream.write(prefix(0, 0xffff_ffff));
    stream.write(Buffer.alloc(200_000));
    await once(stream, 'close');
    expect((await http2.send(grpc, framed)).headers['grpc-status']).toBe('0');
  });

  test('a client that goes away in the middle of its message gives its room back', async () => {
    const stream = http2.begin(grpc);
    stream.write(prefix(0, 1_000_000));
    await eventually('admission', async () => (await node.metric('quorate_admitted_bytes')) === 1_000_000);
    stream.close(8);
    await eventually('the room to be free', async () => (await node.metric('quorate_admitted_bytes')) === 0);
  });

  test('HTTP/2 that is not gRPC is told so, however much it sends', async () => {
    const web = { 'content-type': 'application/x-protobuf', ':path': '/v1/traces' };
    for (const sent of [body, Buffer.alloc(300_000)]) {
      const answer = await http2.send(web, sent);
      expect([answer.headers[':status'], answer.body.toString()]).toEqual([415, expect.stringContaining('gRPC')]);
    }
    expect((await http2.send(grpc, framed)).headers['grpc-status']).toBe('0');
  });
});

test('a message that does not come in time is given up', async () => {
  const impatient = await OneNode.start({ headersTimeoutMs: 100, requestTimeoutMs: 200 });
  const http2 = new Http2(impatient.grpcAddress);
  const stream = http2.begin({ 'content-type': 'application/grpc' });
  stream.write(prefix(0, 100));
  await once(stream, 'close');
  await eventually('the room to be free', async () => (await impatient.metric('quorate_admitted_bytes')) === 0);
  expect(await impatient.metric('quorate_limits_met_total{limit="requestTimeoutMs"}')).toBe(1);
  http2.close();
  await impatient.stop();
});

test('a stop lets a call in flight finish and ends idle connections', async () => {
  const stopping = await OneNode.start();
  const http2 = new Http2(stopping.grpcAddress);
  const { body } = smallExport(random, { spans: 1 });
  const stream = http2.begin({ 'content-type': 'application/grpc' });
  const trailers = once(stream, 'trailers');
  stream.write(prefix(0, body.length));
  await eventually('admission', async () => (await stopping.metric('quorate_admitted_bytes')) === body.length);
  const stopped = stopping.stop();
  stream.end(body);
  stream.resume();
  expect((await trailers)[0]).toMatchObject({ 'grpc-status': '0' });
  await stopped;
});

describe('a stop is not held up', () => {
  /** Stops the node and says whether that took less than the patience for requests in flight. */
  async function stopsAtOnce(node_: OneNode): Promise<boolean> {
    let isLate = false;
    const late = setTimeout(() => (isLate = true), limits.stopPatienceMs - 1_000);
    await node_.stop();
    clearTimeout(late);
    return !isLate;
  }

  test('by a Watch: it is told, and ended', async () => {
    const watched = await OneNode.start();
    const http2 = new Http2(watched.grpcAddress);
    const stream = http2.begin({ 'content-type': 'application/grpc', ':path': `${healthPath}Watch` });
    const received: Buffer[] = [];
    stream.on('data', (part: Buffer) => received.push(part));
    stream.end(prefix(0, 0));
    await once(stream, 'data');
    expect(await stopsAtOnce(watched)).toBe(true);
    expect(Buffer.concat(received)).toEqual(
      Buffer.concat([prefix(0, 2), Buffer.of(8, 1), prefix(0, 2), Buffer.of(8, 2)]),
    );
    http2.close();
  });

  test('by connections that say nothing', async () => {
    const quiet = await OneNode.start();
    const sockets = [quiet.node.grpc.port, quiet.node.http.port].map((port) => connectTcp(port, '127.0.0.1'));
    await Promise.all(sockets.map(async (socket) => once(socket, 'connect')));
    expect(await stopsAtOnce(quiet)).toBe(true);
    for (const socket of sockets) socket.destroy();
  });

  test('for longer than its patience by a peer that has vanished', async () => {
    const left = await OneNode.start();
    const socket = connectTcp({ port: left.node.grpc.port, host: '127.0.0.1', allowHalfOpen: true });
    // Enough of HTTP/2 for a session, and then it neither reads nor closes.
    socket.write(
      Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from('000000040000000000', 'hex')]),
    );
    await eventually('the session', async () => (await left.metric('quorate_connections{protocol="grpc"}')) === 1);
    socket.pause();
    await left.stop();
    socket.destroy();
  });
});

test('calls that are refused leave no connection behind', async () => {
  const before = await node.metric('quorate_connections{protocol="grpc"}');
  for (let n = 0; n < 20; n += 1) {
    const http2 = new Http2(node.grpcAddress);
    const stream = http2.begin({ 'content-type': n % 2 === 0 ? 'application/grpc' : 'application/json' });
    stream.write(prefix(0, 0xffff_ffff));
    stream.write(Buffer.alloc(20_000));
    await Promise.race([once(stream, 'response'), once(stream, 'close')]);
    http2.close();
  }
  await eventually(
    'the connections to be gone',
    async () => (await node.metric('quorate_connections{protocol="grpc"}')) === before,
  );
});
