/**
 * `POST /v1/traces`: OTLP over HTTP, protobuf and JSON (trace-field-notes 2). Answers in the encoding of the request, errors
 * as google.rpc.Status.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { errorCodes, QuorateError } from '../errors.ts';
import { contentTypeOf, exportResponse, type OtlpEncoding, statusBody } from '../otlp/responses.ts';
import { asQuorateError, retryAfterSeconds, rpcStatusOf } from './answers.ts';
import type { ApiOptions } from './api-options.ts';
import { type Body, bytesOf, codingNames, codingOf, type Coding, fillFrom } from './request-body.ts';

const gzipAsync = promisify(gzip);
/** A shorter answer gets no shorter. */
const gzipBytesMin = 150;

export async function otlpHttp(server: FastifyInstance, options: ApiOptions): Promise<void> {
  const { intake, meters, limits } = options;

  // The body stays a stream: it is read after admission, and by our own rules.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  server.setErrorHandler(async (thrown, request, reply) =>
    send(reply, await errorAnswer(thrown, request.headers, options)),
  );

  server.all('/v1/traces', async (request, reply) => {
    if (request.method !== 'POST') {
      void reply.header('allow', 'POST');
      throw new QuorateError('method-not-allowed', 'spans are sent with POST');
    }
    const encoding = encodingOf(request.headers);
    if (encoding === null) {
      throw new QuorateError(
        'unsupported-media-type',
        'Content-Type must be application/x-protobuf or application/json',
      );
    }
    const coding = codingOf(request.headers['content-encoding']);
    if (coding === undefined) {
      void reply.header('accept-encoding', codingNames);
      throw new QuorateError('unsupported-media-type', `Content-Encoding must be one of ${codingNames}, or none`);
    }
    try {
      const acknowledgement = await intake.take({
        protocol: 'http',
        encoding,
        body: bodyOf(request.raw, coding),
      });
      meters.answered('http', encoding, acknowledgement.rejectedSpans === 0 ? 'ok' : 'partial');
      const answer = await answerOf(request.headers, encoding, exportResponse(encoding, acknowledgement));
      return await send(reply, { status: 200, ...answer });
    } catch (error) {
      drain(request.raw, limits.requestBytesMax);
      throw error;
    }
  });

  // The other signals of OTLP, and whatever else is sent to where exporters send.
  server.all('/v1/*', (request) => {
    throw new QuorateError('no-such-path', `there is nothing at ${request.url}: this is a store of traces alone`);
  });
}

/**
 * Exports as nearly every exporter sends them: protobuf, not compressed, their length announced. They pass by the framework,
 * which would cost as much as walking them. True when the request was taken; any other goes to the route, which answers alike.
 */
export function takePlainExport(request: IncomingMessage, response: ServerResponse, options: ApiOptions): boolean {
  const { method, url, headers } = request;
  const isPlain =
    method === 'POST' &&
    url === '/v1/traces' &&
    headers['content-type'] === contentTypeOf('protobuf') &&
    headers['content-encoding'] === undefined &&
    headers['content-length'] !== undefined;
  if (isPlain) void answerPlainExport(request, response, options);
  return isPlain;
}

async function answerPlainExport(
  request: IncomingMessage,
  response: ServerResponse,
  options: ApiOptions,
): Promise<void> {
  const { intake, meters, limits } = options;
  const { headers } = request;
  try {
    const acknowledgement = await intake.take({ protocol: 'http', encoding: 'protobuf', body: bodyOf(request, null) });
    meters.answered('http', 'protobuf', acknowledgement.rejectedSpans === 0 ? 'ok' : 'partial');
    write(response, {
      status: 200,
      ...(await answerOf(headers, 'protobuf', exportResponse('protobuf', acknowledgement))),
    });
  } catch (error) {
    drain(request, limits.requestBytesMax);
    write(response, await errorAnswer(error, headers, options));
  }
}

function send(reply: FastifyReply, { status, headers, body }: AnswerWithStatus): FastifyReply {
  return reply.code(status).headers(headers).send(body);
}

interface Answer {
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: Uint8Array;
}
type AnswerWithStatus = Answer & { readonly status: number };

function write(response: ServerResponse, { status, headers, body }: AnswerWithStatus): void {
  response.writeHead(status, { ...headers, 'content-length': body.length });
  response.end(body);
}

async function errorAnswer(
  thrown: unknown,
  headers: IncomingHttpHeaders,
  { logger, meters }: ApiOptions,
): Promise<AnswerWithStatus> {
  const error = asQuorateError(thrown, logger);
  const { http, retryable } = errorCodes[error.code];
  const known = encodingOf(headers);
  const encoding = known ?? 'json';
  meters.answered('http', known ?? 'unknown', error.code);
  meters.refused(error);
  const answer = await answerOf(headers, encoding, statusBody(encoding, rpcStatusOf(error)));
  const retry = retryable ? { 'retry-after': retryAfterSeconds } : {};
  return { status: http, headers: { ...answer.headers, ...retry }, body: answer.body };
}

function encodingOf(headers: IncomingHttpHeaders): OtlpEncoding | null {
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type === 'application/x-protobuf') return 'protobuf';
  return type === 'application/json' ? 'json' : null;
}

function bodyOf(request: IncomingMessage, coding: Coding): Body {
  const length = request.headers['content-length'];
  return {
    source: bytesOf(request),
    coding,
    announcedBytes: length === undefined ? null : Number(length),
    fill: (buffer) => fillFrom(request, buffer),
  };
}

async function answerOf(headers: IncomingHttpHeaders, encoding: OtlpEncoding, body: Uint8Array): Promise<Answer> {
  const type = { 'content-type': contentTypeOf(encoding) };
  if (body.length < gzipBytesMin || !acceptsGzip(headers['accept-encoding'])) return { headers: type, body };
  return { headers: { ...type, 'content-encoding': 'gzip' }, body: await gzipAsync(body) };
}

/** Whether an Accept-Encoding names gzip, or anything, and does not refuse it with q=0. */
function acceptsGzip(header: string | string[] | undefined): boolean {
  const offers = String(header ?? '')
    .toLowerCase()
    .split(',')
    .map((offer) => offer.replaceAll(' ', ''));
  const named = offers.find((offer) => /^(x-)?gzip(;|$)/.test(offer)) ?? offers.find((offer) => /^\*(;|$)/.test(offer));
  return named !== undefined && !/;q=0(\.0*)?$/.test(named);
}

/**
 * Lets a body that was refused run out, so that its client comes to read the answer; one that goes on beyond what any
 * request may have is cut off.
 */
function drain(request: IncomingMessage, bytesMax: number): void {
  let bytes = 0;
  request.on('error', () => undefined);
  request.on('data', (chunk: Uint8Array) => {
    bytes += chunk.length;
    if (bytes > bytesMax) request.destroy();
  });
}
