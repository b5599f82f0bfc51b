/**
 * `POST /v1/traces`: OTLP over HTTP, protobuf and JSON (trace-field-notes 2). Answers in the encoding of the request, errors
 * as google.rpc.Status.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { errorCodes, QuorateError } from '../errors.ts';
import { contentTypeOf, exportResponse, type OtlpEncoding, statusBody } from '../otlp/responses.ts';
import { asQuorateError, retryAfterSeconds, rpcStatusOf } from './answers.ts';
import type { ApiOptions } from './api-options.ts';
import { bytesOf, codingNames, codingOf } from './request-body.ts';

const gzipAsync = promisify(gzip);
/** A shorter answer gets no shorter. */
const gzipBytesMin = 150;

export async function otlpHttp(server: FastifyInstance, options: ApiOptions): Promise<void> {
  const { intake, meters, limits } = options;

  // The body stays a stream: it is read after admission, and by our own rules.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  server.setErrorHandler(async (thrown, request, reply) => answerError(thrown, request, reply, options));

  server.all('/v1/traces', async (request, reply) => {
    if (request.method !== 'POST') {
      void reply.header('allow', 'POST');
      throw new QuorateError('method-not-allowed', 'spans are sent with POST');
    }
    const encoding = encodingOf(request);
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
        body: { source: bytesOf(request.raw), coding, announcedBytes: announcedBytes(request) },
      });
      meters.answered('http', encoding, acknowledgement.rejectedSpans === 0 ? 'ok' : 'partial');
      return await answer(request, reply.code(200), encoding, exportResponse(encoding, acknowledgement));
    } catch (error) {
      drain(request, limits.requestBytesMax);
      throw error;
    }
  });

  // The other signals of OTLP, and whatever else is sent to where exporters send.
  server.all('/v1/*', (request) => {
    throw new QuorateError('no-such-path', `there is nothing at ${request.url}: this is a store of traces alone`);
  });
}

async function answerError(
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  { logger, meters }: ApiOptions,
): Promise<FastifyReply> {
  const error = asQuorateError(thrown, logger);
  const { http, retryable } = errorCodes[error.code];
  const encoding = encodingOf(request);
  meters.answered('http', encoding ?? 'unknown', error.code);
  meters.refused(error);
  if (retryable) void reply.header('retry-after', retryAfterSeconds);
  return answer(request, reply.code(http), encoding ?? 'json', statusBody(encoding ?? 'json', rpcStatusOf(error)));
}

function encodingOf(request: FastifyRequest): OtlpEncoding | null {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type === 'application/x-protobuf') return 'protobuf';
  return type === 'application/json' ? 'json' : null;
}

function announcedBytes({ headers }: FastifyRequest): number | null {
  const length = headers['content-length'];
  return length === undefined ? null : Number(length);
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  encoding: OtlpEncoding,
  body: Uint8Array,
): Promise<FastifyReply> {
  void reply.type(contentTypeOf(encoding));
  if (body.length < gzipBytesMin || !acceptsGzip(request.headers['accept-encoding'])) return reply.send(body);
  return reply.header('content-encoding', 'gzip').send(await gzipAsync(body));
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
function drain({ raw }: FastifyRequest, bytesMax: number): void {
  let bytes = 0;
  raw.on('error', () => undefined);
  raw.on('data', (chunk: Uint8Array) => {
    bytes += chunk.length;
    if (bytes > bytesMax) raw.destroy();
  });
}
