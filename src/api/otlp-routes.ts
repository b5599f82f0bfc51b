/** `POST /v1/traces`: OTLP over HTTP, protobuf and JSON (trace-field-notes 2). Answers in the encoding of the request. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { errorCodes, QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { exportFromJson, JsonError } from '../otlp/json-decode.ts';
import { contentTypeOf, exportResponse, type OtlpEncoding, statusBody } from '../otlp/responses.ts';
import { Admission } from './admission.ts';
import { inflate, isCompressed, readBody } from './request-body.ts';
import { asQuorateError, retryAfterSeconds } from './answers.ts';
import type { ApiOptions } from './api-options.ts';

export async function otlpRoutes(server: FastifyInstance, { store, logger }: ApiOptions): Promise<void> {
  const admission = new Admission(limits.admissionBytesMax);

  // The body stays a stream: it is read after admission, and by our own rules.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', (_request, payload, done) => done(null, payload));

  server.setErrorHandler((thrown, request, reply) => {
    const { code, message } = asQuorateError(thrown, logger);
    const { http, grpc, retryable } = errorCodes[code];
    const encoding = encodingOf(request) ?? 'json';
    if (retryable) void reply.header('retry-after', retryAfterSeconds);
    return answer(reply.code(http), encoding, statusBody(encoding, { code: grpc, message }));
  });

  server.post('/v1/traces', async (request, reply) => {
    const encoding = encodingOf(request);
    if (encoding === null) {
      throw new QuorateError(
        'unsupported-media-type',
        'Content-Type must be application/x-protobuf or application/json',
      );
    }
    const reservation = admission.admit(expectedBytes(request));
    if (reservation === null) {
      throw new QuorateError('overloaded', 'this node is taking in as much as it may: send it again later');
    }
    try {
      const coding = request.headers['content-encoding'];
      const bytesMax = isCompressed(coding) ? limits.compressedBytesMax : limits.requestBytesMax;
      const received = await readBody(request.raw, bytesMax, reservation.grow);
      const body = await inflate(received, coding, reservation.grow);
      const { rejected, firstReason } = await store.write(encoding === 'json' ? fromJson(body) : body);
      return await answer(
        reply.code(200),
        encoding,
        exportResponse(encoding, { rejectedSpans: rejected, message: firstReason ?? '' }),
      );
    } finally {
      reservation.release();
    }
  });

  server.route({
    method: ['GET', 'PUT', 'DELETE', 'PATCH'],
    url: '/v1/traces',
    handler: () => {
      throw new QuorateError('method-not-allowed', 'spans are sent with POST');
    },
  });
}

function encodingOf(request: FastifyRequest): OtlpEncoding | null {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type === 'application/x-protobuf') return 'protobuf';
  return type === 'application/json' ? 'json' : null;
}

/** What a request announces, or a mebibyte when it does not say. */
function expectedBytes(request: FastifyRequest): number {
  const length = Number(request.headers['content-length'] ?? 1024 * 1024);
  return Math.min(Number.isFinite(length) ? length : 0, limits.requestBytesMax);
}

function fromJson(body: Uint8Array): Uint8Array {
  try {
    return exportFromJson(body).request;
  } catch (error) {
    if (error instanceof JsonError) throw new QuorateError('bad-request', error.message);
    throw error;
  }
}

function answer(reply: FastifyReply, encoding: OtlpEncoding, body: Uint8Array | string): FastifyReply {
  return reply.type(contentTypeOf(encoding)).send(body);
}
