/**
 * The gRPC face of a node: OTLP `TraceService/Export` and the standard health service, on HTTP/2 without TLS.
 */
import { once } from 'node:events';
import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { QuorateError } from '../errors.ts';
import { limits as fixedLimits } from '../limits.ts';
import { exportResponse } from '../otlp/responses.ts';
import { asQuorateError, rpcStatusOf } from './answers.ts';
import type { ApiOptions } from './api-options.ts';
import { boundConnections } from './connections.ts';
import { answerCall, failCall, readMessageHead, timeoutMsOf } from './grpc-framing.ts';
import { checkHealth, type HealthOptions, type Watch, watchHealth } from './grpc-health.ts';
import { type Body, bytesOf, codingNames, codingOf, readBody } from './request-body.ts';

const KiB = 1024;
const traceService = 'opentelemetry.proto.collector.trace.v1.TraceService';
const paths = {
  export: `/${traceService}/Export`,
  check: '/grpc.health.v1.Health/Check',
  watch: '/grpc.health.v1.Health/Watch',
} as const;
const acceptedEncodings = `identity, ${codingNames}`;
const deadlineExceeded = 4;
/** A health request holds a name. */
const healthRequestBytesMax = 4 * KiB;
/** What a client may send of one call, and on one connection, before any of it was read. */
const streamWindowBytes = 256 * KiB;
const connectionWindowBytes = 1024 * KiB;

/** The server and what it takes to end it. */
export interface GrpcServer {
  readonly server: Http2Server;
  /** Takes no more calls, lets those in flight finish, and cuts off what is left after `stopPatienceMs`. */
  close(): Promise<void>;
}

/** A gRPC server over the same door as HTTP, not yet listening. */
export function createGrpcServer(options: ApiOptions): GrpcServer {
  const { clock, limits, meters } = options;
  const watches = new Set<Watch>();
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer({
    settings: { maxConcurrentStreams: fixedLimits.streamsPerConnectionMax, initialWindowSize: streamWindowBytes },
  });
  const connections = boundConnections(server, {
    protocol: 'grpc',
    perSourceMax: limits.connectionsPerSourceMax,
    meters,
  });
  server.on('session', (session: ServerHttp2Session) => {
    sessions.add(session);
    session.setLocalWindowSize(connectionWindowBytes);
    session.setTimeout(fixedLimits.idleTimeoutMs, () => session.close());
    session.once('close', () => sessions.delete(session));
  });
  // A connection that breaks is its client's affair.
  server.on('sessionError', () => undefined);
  server.on('stream', (stream, headers) => {
    if (isGrpc(headers)) void new Call(stream, headers, { ...options, watches }).serve();
    else refuseWeb(stream);
  });
  return {
    server,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      connections.endSilent();
      for (const watch of watches) watch.end();
      for (const session of sessions) session.close();
      // Their sockets: a session that was told to close waits for a peer that may have vanished.
      const cancel = clock.after(fixedLimits.stopPatienceMs, connections.endAll);
      await closed;
      cancel();
    },
  };
}

function isGrpc(headers: IncomingHttpHeaders): boolean {
  return /^application\/grpc(?:\+|;|$)/i.test(headers['content-type'] ?? '');
}

/** HTTP/2 that is not gRPC, as gRPC says it is to be answered. OTLP over HTTP has a port of its own. */
function refuseWeb(stream: ServerHttp2Stream): void {
  stream.on('error', () => undefined);
  stream.respond({ ':status': 415, 'content-type': 'text/plain' });
  stream.end('this port speaks gRPC: send OTLP over HTTP to the port of --http\n');
  stream.close(constants.NGHTTP2_NO_ERROR);
  stream.resume();
}

interface CallOptions extends ApiOptions {
  readonly watches: Set<Watch>;
}

/** One call, from its headers to its status. */
class Call {
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #path: string;
  /** What the client sends. */
  readonly #chunks: AsyncGenerator<Uint8Array, void, void>;
  readonly #options: CallOptions;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, options: CallOptions) {
    this.#stream = stream;
    this.#headers = headers;
    this.#path = headers[':path'] ?? '';
    this.#options = options;
    this.#chunks = bytesOf(stream);
    stream.on('error', () => undefined);
  }

  async serve(): Promise<void> {
    const { clock, limits } = this.#options;
    const stream = this.#stream;
    let cancelDeadline = (): void => undefined;
    // A message that does not arrive is given up like a body over HTTP; a client's own deadline may be earlier.
    const cancelReading = clock.after(limits.requestTimeoutMs, () => {
      this.#options.meters.refused({ limit: 'requestTimeoutMs' });
      stream.close(constants.NGHTTP2_CANCEL);
    });
    stream.once('end', cancelReading);
    stream.once('close', () => {
      cancelReading();
      cancelDeadline();
    });
    try {
      const timeoutMs = timeoutMsOf(this.#headers['grpc-timeout']);
      if (timeoutMs !== null) cancelDeadline = clock.after(timeoutMs, () => this.#missDeadline());
      await this.#dispatch();
    } catch (error) {
      this.#fail(error);
    }
    if (stream.readableEnded || !stream.writableEnded) return;
    // The rest of what was refused is not wanted; the answer still goes out. A stream with bytes that nobody read never ends.
    await this.#chunks.return();
    stream.close(constants.NGHTTP2_NO_ERROR);
    stream.resume();
  }

  async #dispatch(): Promise<void> {
    const { clock, store } = this.#options;
    const health: HealthOptions = { clock, isReady: () => store.ready, services: [traceService] };
    switch (this.#path) {
      case paths.export:
        return this.#export();
      case paths.check:
        answerCall(this.#stream, checkHealth(await this.#smallMessage(), health));
        return;
      case paths.watch:
        return this.#watch(health);
      default:
        throw new QuorateError('method-not-allowed', `there is no method ${this.#path.slice(0, 200)}`);
    }
  }

  async #export(): Promise<void> {
    const { intake, meters } = this.#options;
    const body = await this.#body();
    const acknowledgement = await intake.take({ protocol: 'grpc', encoding: 'protobuf', body });
    const isAnswered = answerCall(this.#stream, exportResponse('protobuf', acknowledgement));
    if (isAnswered) meters.answered('grpc', 'protobuf', acknowledgement.rejectedSpans === 0 ? 'ok' : 'partial');
  }

  /** The call's message, of which nothing but its head is read. */
  async #body(): Promise<Body> {
    const { isCompressed, length, source } = await readMessageHead(this.#chunks);
    if (!isCompressed) return { source, coding: null, announcedBytes: length };
    const name = this.#headers['grpc-encoding'];
    const coding = codingOf(typeof name === 'string' ? name : undefined);
    // A message that says it is compressed, and not how, is none that can be read.
    if (coding === undefined || coding === null) {
      throw new QuorateError('unsupported-encoding', `grpc-encoding must be one of ${codingNames}`);
    }
    return { source, coding, announcedBytes: length };
  }

  async #smallMessage(): Promise<Uint8Array> {
    const limits = { requestBytesMax: healthRequestBytesMax, inflationRatioMax: 1 };
    return (await readBody(await this.#body(), limits, () => true)).bytes;
  }

  #fail(thrown: unknown): void {
    const { logger, meters } = this.#options;
    const error = asQuorateError(thrown, logger);
    if (this.#path === paths.export && !this.#stream.headersSent) {
      meters.answered('grpc', 'protobuf', error.code);
      meters.refused(error);
    }
    failCall(this.#stream, rpcStatusOf(error), { 'grpc-accept-encoding': acceptedEncodings });
  }

  async #watch(health: HealthOptions): Promise<void> {
    const { watches } = this.#options;
    const watch = watchHealth(this.#stream, await this.#smallMessage(), health);
    watches.add(watch);
    this.#stream.once('close', () => watches.delete(watch));
  }

  #missDeadline(): void {
    if (this.#path === paths.export) this.#options.meters.answered('grpc', 'protobuf', 'deadline-exceeded');
    failCall(this.#stream, { code: deadlineExceeded, message: 'the deadline of the call has passed' });
  }
}
