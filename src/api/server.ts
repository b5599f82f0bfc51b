/** The HTTP face of a node (design 4): which plugin serves what, and how errors become answers. */
import { type IncomingMessage, type RequestListener, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import Fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import { QuorateError } from '../errors.ts';
import { limits as fixedLimits } from '../limits.ts';
import type { Clock } from '../platform/clock.ts';
import type { ApiOptions } from './api-options.ts';
import { sendError } from './answers.ts';
import { clusterRoutes } from './cluster-routes.ts';
import { boundConnections, type Connections } from './connections.ts';
import { healthRoutes } from './health-routes.ts';
import type { Meters } from './meters.ts';
import { LoopDelay } from './loop-delay.ts';
import { metricsRoutes } from './metrics-routes.ts';
import { otlpHttp, takePlainExport } from './otlp-http.ts';
import { traceRoutes } from './trace-routes.ts';

/** How often slow requests are looked for. */
const slowRequestsEveryMs = 1_000;

/** The server and what it takes to end it. */
export interface HttpServer {
  readonly fastify: FastifyInstance;
  /** See `closeServer`. */
  close(): Promise<void>;
}

/** An HTTP server over `store`, not yet listening. */
export async function createServer(options: ApiOptions): Promise<HttpServer> {
  const { limits, logger, meters } = options;
  const server = Fastify({
    // Bodies are read by our own rules, behind admission.
    bodyLimit: Number.MAX_SAFE_INTEGER,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: fixedLimits.idleTimeoutMs,
    connectionTimeout: fixedLimits.idleTimeoutMs,
    http: { headersTimeout: limits.headersTimeoutMs, connectionsCheckingInterval: slowRequestsEveryMs },
    // Exporters keep connections; a stop must not wait for them.
    forceCloseConnections: 'idle',
    routerOptions: { ignoreTrailingSlash: true },
    // A request that comes while the server closes is answered like any other; Fastify's own 503 is no OTLP.
    return503OnClosing: false,
    frameworkErrors: (error, _request, reply) => void sendError(reply, error, logger),
    clientErrorHandler: (error, socket) => answerBrokenRequest(error, socket, meters),
  });
  // A client that closes its side after the request still waits for the answer; Node.js would drop it.
  Object.assign(server.server, { httpAllowHalfOpen: true });
  const connections = boundConnections(server.server, {
    protocol: 'http',
    perSourceMax: limits.connectionsPerSourceMax,
    meters,
  });
  server.setErrorHandler((error, _request, reply) => sendError(reply, error, logger));
  server.setNotFoundHandler((request, reply) =>
    sendError(reply, new QuorateError('no-such-path', `there is nothing at ${request.method} ${request.url}`), logger),
  );
  await server.register(otlpHttp, options);
  await server.register(traceRoutes, options);
  const loopDelay = new LoopDelay(options.clock);
  server.addHook('onClose', async () => loopDelay.close());
  await server.register(clusterRoutes, { ...options, loopDelay });
  await server.register(healthRoutes, options);
  await server.register(metricsRoutes, { ...options, loopDelay });
  let isClosing = false;
  // While it closes, the framework tells clients to let go of their connections.
  goFirst(server, (request, response) => !isClosing && takePlainExport(request, response, options));
  return {
    fastify: server,
    close: async () => {
      isClosing = true;
      await closeServer(server, { connections, clock: options.clock, patienceMs: fixedLimits.stopPatienceMs });
    },
  };
}

/** Requests go to `takes` first, and to the framework when it does not take them. */
function goFirst(
  { server }: FastifyInstance,
  takes: (request: IncomingMessage, response: ServerResponse) => boolean,
): void {
  const listeners = server.listeners('request') as RequestListener[];
  server.removeAllListeners('request');
  server.on('request', (request, response) => {
    if (!takes(request, response)) for (const listener of listeners) listener(request, response);
  });
}

/** What never became a request: too slow, too long headers, or no HTTP at all. */
function answerBrokenRequest(error: Error & { readonly code?: string }, socket: Socket, meters: Meters): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const isSlow = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  if (isSlow) meters.refused({ limit: 'requestTimeoutMs' });
  const status = isSlow ? 408 : error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
}

export interface CloseOptions {
  readonly connections: Connections;
  readonly clock: Clock;
  readonly patienceMs: number;
}

/**
 * Takes no more requests, lets those in flight finish, and after `patienceMs` cuts off what is left: Node.js stops looking
 * after its request timeout when a server closes, so a body that never ends would hold the stop for ever.
 */
export async function closeServer(
  server: FastifyInstance,
  { connections, clock, patienceMs }: CloseOptions,
): Promise<void> {
  const cancel = clock.after(patienceMs, connections.endAll);
  connections.endSilent();
  await server.close();
  cancel();
}
