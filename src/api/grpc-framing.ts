/**
 * gRPC over HTTP/2, as far as unary calls go (the gRPC project's PROTOCOL-HTTP2.md): one length-prefixed message in, one
 * out, a status in the trailers.
 *
 * By hand, on Node's own HTTP/2: @grpc/grpc-js hands over a message only when it holds all of it, so a thousand calls of
 * 64 MiB would be in memory before anybody could refuse them (protocol C6; docs/decisions/0001-grpc.md has the figures).
 */
import { Buffer } from 'node:buffer';
import type { ServerHttp2Stream } from 'node:http2';
import { QuorateError } from '../errors.ts';
import { type RpcStatus, statusBody } from '../otlp/responses.ts';

/** One flag byte and four bytes of length stand before each message. */
const prefixBytes = 5;
const compressedFlag = 1;

export interface IncomingMessage {
  readonly isCompressed: boolean;
  /** As it is on the wire, before inflation. */
  readonly length: number;
  /** The message; throws `bad-request` when it is cut, or when more follows: a unary call has one. */
  readonly source: AsyncIterable<Uint8Array>;
}

/** Reads the prefix of the call's message and nothing behind it, but what came along. */
export async function readMessageHead(chunks: AsyncIterator<Uint8Array>): Promise<IncomingMessage> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < prefixBytes) {
    const step = await chunks.next();
    if (step.done === true) throw new QuorateError('bad-request', 'the call ended before its message');
    head = Buffer.concat([head, step.value]);
  }
  const flag = head.readUInt8(0);
  if (flag > compressedFlag)
    throw new QuorateError('bad-request', `a message has flags ${flag}, which gRPC does not know`);
  const length = head.readUInt32BE(1);
  return {
    isCompressed: flag === compressedFlag,
    length,
    source: messageBytes(head.subarray(prefixBytes), chunks, length),
  };
}

async function* messageBytes(
  first: Uint8Array,
  chunks: AsyncIterator<Uint8Array>,
  length: number,
): AsyncGenerator<Uint8Array, void, void> {
  let left = length;
  for (let chunk: Uint8Array | null = first; chunk !== null;) {
    if (chunk.length > left) throw new QuorateError('bad-request', 'the call has more than one message');
    left -= chunk.length;
    if (chunk.length > 0) yield chunk;
    const step = await chunks.next();
    chunk = step.done === true ? null : step.value;
  }
  if (left > 0) throw new QuorateError('bad-request', `the call ended ${left} bytes before the end of its message`);
}

const msPerUnit: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** The ms of a grpc-timeout such as `500m`; null without one. Throws `bad-request` when it is not one. */
export function timeoutMsOf(header: string | string[] | undefined): number | null {
  if (header === undefined) return null;
  const [, digits = '', unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(String(header)) ?? [];
  const ms = msPerUnit[unit];
  if (ms === undefined)
    throw new QuorateError('bad-request', `grpc-timeout ${JSON.stringify(header)} is not a duration`);
  return Math.ceil(Number(digits) * ms);
}

const answerHeaders = { ':status': 200, 'content-type': 'application/grpc+proto' } as const;

/** Whether an answer can still begin: it has not, and the client is there. */
const isOpen = (stream: ServerHttp2Stream): boolean => !stream.destroyed && !stream.closed && !stream.headersSent;

/** Begins an answer of any number of messages, to be ended with the stream. */
export function beginAnswer(stream: ServerHttp2Stream): void {
  if (!isOpen(stream)) return;
  stream.respond(answerHeaders, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
}

/** One message of an answer, with its prefix. */
export function frameOf(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(prefixBytes + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, prefixBytes);
  return frame;
}

/** Answers a unary call with its one message and status OK. False when it was answered before, or nobody is there. */
export function answerCall(stream: ServerHttp2Stream, message: Uint8Array): boolean {
  if (!isOpen(stream)) return false;
  beginAnswer(stream);
  stream.end(frameOf(message));
  return true;
}

/** Ends a call without a message: status, sentence and details in the headers. */
export function failCall(
  stream: ServerHttp2Stream,
  status: RpcStatus,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (!isOpen(stream)) return;
  const details = Buffer.from(statusBody('protobuf', status)).toString('base64').replace(/=+$/, '');
  stream.respond(
    {
      ...answerHeaders,
      ...headers,
      'grpc-status': String(status.code),
      'grpc-message': percentEncoded(status.message),
      'grpc-status-details-bin': details,
    },
    { endStream: true },
  );
}

/** Printable ASCII as it is, all else as %XX of its UTF-8. */
function percentEncoded(text: string): string {
  return text.replaceAll(/[^ -$&-~]+/gu, (part) =>
    Buffer.from(part).toString('hex').toUpperCase().replaceAll(/../g, '%$&'),
  );
}
