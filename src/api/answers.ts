/** How a failure becomes an answer: one place, so that every route tells the same code in the same words. */
import type { FastifyReply } from 'fastify';
import { errorCodes, errorOf, QuorateError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { RpcStatus } from '../otlp/responses.ts';

/** What a client is told to wait before it sends the same again, in seconds. */
export const retryAfterSeconds = 1;

/** Any failure as one of ours. What nobody foresaw is logged whole and told as `internal`. */
export function asQuorateError(thrown: unknown, logger: Logger): QuorateError {
  if (thrown instanceof QuorateError) return thrown;
  const error = errorOf(thrown);
  const status = 'statusCode' in error ? error.statusCode : undefined;
  if (status === 413) return new QuorateError('too-large', error.message);
  if (status === 415) return new QuorateError('unsupported-media-type', error.message);
  if (typeof status === 'number' && status >= 400 && status < 500)
    return new QuorateError('bad-request', error.message);
  logger.error({ error: error.stack }, 'a request failed unexpectedly');
  return new QuorateError('internal', 'this node failed unexpectedly; its log says why');
}

/** What OTLP clients are told, over HTTP and gRPC alike. */
export function rpcStatusOf({ code, message }: QuorateError): RpcStatus {
  const { grpc, retryable } = errorCodes[code];
  return { code: grpc, message, ...(retryable ? { retryAfterSeconds } : {}) };
}

export function sendError(reply: FastifyReply, thrown: unknown, logger: Logger): FastifyReply {
  const { code, message } = asQuorateError(thrown, logger);
  if (errorCodes[code].retryable) void reply.header('retry-after', retryAfterSeconds);
  return reply.code(errorCodes[code].http).type('application/json').send({ error: { code, message } });
}
