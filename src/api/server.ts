/** The HTTP face of a node (design 4): which plugin serves what, and how errors become answers. */
import Fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import { QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Clock } from '../platform/clock.ts';
import type { ApiOptions } from './api-options.ts';
import { sendError } from './answers.ts';
import { clusterRoutes } from './cluster-routes.ts';
import { healthRoutes } from './health-routes.ts';
import { metricsRoutes } from './metrics-routes.ts';
import { otlpRoutes } from './otlp-routes.ts';
import { traceRoutes } from './trace-routes.ts';

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
    sendError(
      reply,
      new QuorateError('no-such-path', `there is nothing at ${request.method} ${request.url}`),
      options.logger,
    ),
  );
  await server.register(otlpRoutes, options);
  await server.register(traceRoutes, options);
  await server.register(clusterRoutes, options);
  await server.register(healthRoutes, options);
  await server.register(metricsRoutes, options);
  return server;
}

/**
 * Takes no more requests, lets those in flight finish, and after `patienceMs` cuts off what is left: Node.js stops looking
 * after its request timeout when a server closes, so a body that never ends would hold the stop for ever.
 */
export async function closeServer(
  server: FastifyInstance,
  clock: Clock,
  patienceMs: number = limits.stopPatienceMs,
): Promise<void> {
  const cancel = clock.after(patienceMs, () => server.server.closeAllConnections());
  await server.close();
  cancel();
}
