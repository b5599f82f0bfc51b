/**
 * `GET /api/v1/traces/:traceId`: one trace, linearizable unless the client settles for less. What one answer may hold is
 * bounded: a larger trace comes in pages, and each but the last says where the next one is (protocol D4). Where blocks of it
 * have expired the answer says so (protocol D3).
 */
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { asIndex, type LogIndex } from '../raft/core/types.ts';
import type { Consistency } from '../traces/trace-reader.ts';
import type { ApiOptions } from './api-options.ts';

const protobuf = 'application/x-protobuf';

interface TraceRequest {
  Params: { traceId: string };
  Querystring: { consistency?: unknown; after?: unknown };
}

export async function traceRoutes(
  server: FastifyInstance,
  { store, json }: Pick<ApiOptions, 'store' | 'json'>,
): Promise<void> {
  server.get<TraceRequest>('/api/v1/traces/:traceId', async (request, reply) => {
    const traceId = parseTraceId(request.params.traceId);
    const consistency = parseConsistency(request.query.consistency);
    const after = parseAfter(request.query.after);
    const { trace, applied, next, expired, release } = await store.read(traceId, consistency, { after });
    // Held until the answer is sent, or its client is gone; one that takes nothing must not hold it for ever.
    if (reply.raw.closed) release();
    reply.raw.once('close', release).setTimeout(limits.answerStallMs);
    void reply.headers({
      'quorate-node': store.status.id,
      'quorate-consistency': consistency,
      'quorate-applied-index': String(applied),
    });
    if (trace === null) throw new QuorateError('not-found', `no span of trace ${request.params.traceId} is stored`);
    const wantsJson = !wantsProtobuf(request.headers.accept);
    const body = wantsJson ? await json.encode(trace) : trace;
    if (next !== null) {
      const asked = request.query.consistency === undefined ? '' : `&consistency=${consistency}`;
      const path = `/api/v1/traces/${request.params.traceId}?after=${next}${asked}`;
      void reply.header('link', `<${path}>; rel="next"`);
    }
    const partial = [...(next === null ? [] : ['page']), ...(expired ? ['expired'] : [])];
    if (partial.length > 0) void reply.header('quorate-partial', partial.join(', '));
    void reply.type(wantsJson ? 'application/json' : protobuf);
    // A stream that fails half way destroys the connection: what was cut never looks whole.
    return typeof body === 'string' || body instanceof Uint8Array
      ? reply.send(body)
      : reply.send(Readable.from(body, { objectMode: false }));
  });
}

function parseTraceId(text: string): Uint8Array {
  if (!/^[0-9a-f]{32}$/i.test(text) || /^0+$/.test(text)) {
    throw new QuorateError('bad-request', `"${text.slice(0, 64)}" is not a trace id: 32 hex digits, not all zero`);
  }
  return Buffer.from(text, 'hex');
}

function parseConsistency(value: unknown): Consistency {
  if (value === undefined || value === 'linearizable') return 'linearizable';
  if (value === 'stale') return 'stale';
  throw new QuorateError(
    'bad-request',
    `consistency ${JSON.stringify(value).slice(0, 64)} is not one of linearizable, stale`,
  );
}

/** Where a page begins, as the page before it said: to clients it means nothing, here it is that page's last block. */
function parseAfter(value: unknown): LogIndex | null {
  if (value === undefined) return null;
  const index = typeof value === 'string' && /^[1-9]\d{0,15}$/.test(value) ? Number(value) : Number.NaN;
  if (Number.isSafeInteger(index)) return asIndex(index);
  throw new QuorateError(
    'bad-request',
    `after ${JSON.stringify(value).slice(0, 64)} is not the end of a page: take it from the Link header of the page before`,
  );
}

/** JSON is for people and the default; protobuf goes to who asks for it and not for JSON first. */
function wantsProtobuf(accept: string | undefined): boolean {
  const types = accept?.split(',').map((part) => part.split(';')[0]?.trim().toLowerCase()) ?? [];
  const wanted = types.find(
    (type) => type === 'application/json' || type === protobuf || type === 'application/protobuf',
  );
  return wanted !== undefined && wanted !== 'application/json';
}
