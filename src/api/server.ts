/** The HTTP face of a node (design 4): which plugin serves what, and how errors become answers. */
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { errorCodes, errorOf, QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import type { TraceStore } from '../traces/trace-store.ts';
import { clusterRoutes } from './cluster-routes.ts';
import { healthRoutes } from './health-routes.ts';
import { metricsRoutes } from './metrics-routes.ts';
import { otlpRoutes } from './otlp-routes.ts';
import { traceRoutes } from './trace-routes.ts';

export interface ApiOptions {
  readonly store: TraceStore;
  readonly logger: Logger;
}

/** What a client is told to wait before it sends the same again, in seconds. */
export const retryAfterSeconds = 1;

/** An HTTP server over `store`, not yet listening. */
export async function createServer(options: ApiOptions): Promise<FastifyInstance> {
  const server = Fastify({
    bodyLimit: limits.requestBytesMax,
    requestTimeout: limits.requestTimeoutMs,
    // Exporters keep connections; a stop must not wait for them.
    forceCloseConnections: 'idle',
    routerOptions: { ignoreTrailingSlash: true },
  });
  server.setErrorHandler((error, _request, reply) => sendError(reply, error, options.logger));
  server.setNotFoundHandler((request, reply) =>
    sendError(reply, new QuorateError('not-found', `there is nothing at ${request.method} ${request.url}`), options.logger),
  );
  await server.register(otlpRoutes, options);
  await server.register(traceRoutes, options);
  await server.register(clusterRoutes, options);
  await server.register(healthRoutes, options);
  await server.register(metricsRoutes, options);
  return server;
}

/** Any failure as one of ours. What nobody foresaw is logged whole and told as `internal`. */
export function asQuorateError(thrown: unknown, logger: Logger): QuorateError {
  if (thrown instanceof QuorateError) return thrown;
  const error = errorOf(thrown);
  const status = (thrown as { statusCode?: unknown }).statusCode;
  if (status === 413) return new QuorateError('too-large', error.message);
  if (typeof status === 'number' && status >= 400 && status < 500) return new QuorateError('bad-request', error.message);
  logger.error({ error: error.stack }, 'a request failed unexpectedly');
  return new QuorateError('internal', 'this node failed unexpectedly; its log says why');
}

export function sendError(reply: FastifyReply, thrown: unknown, logger: Logger): FastifyReply {
  const { code, message } = asQuorateError(thrown, logger);
  if (errorCodes[code].retryable) void reply.header('retry-after', retryAfterSeconds);
  return reply.code(errorCodes[code].http).type('application/json').send({ error: { code, message } });
}
