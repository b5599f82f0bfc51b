/** `GET /api/v1/traces/:traceId`: one trace, linearizable unless the client settles for less. */
import type { FastifyInstance } from 'fastify';
import { QuorateError } from '../errors.ts';
import { encodingJson } from '../otlp/json-encode.ts';
import type { Consistency } from '../traces/trace-store.ts';
import type { ApiOptions } from './api-options.ts';

const protobuf = 'application/x-protobuf';

export async function traceRoutes(server: FastifyInstance, { store, executor }: ApiOptions): Promise<void> {
  server.get<{ Params: { traceId: string }; Querystring: { consistency?: string } }>(
    '/api/v1/traces/:traceId',
    async (request, reply) => {
      const traceId = parseTraceId(request.params.traceId);
      const consistency = parseConsistency(request.query.consistency);
      const { trace, applied } = await store.read(traceId, consistency);
      void reply.headers({
        'quorate-node': store.status.id,
        'quorate-consistency': consistency,
        'quorate-applied-index': String(applied),
      });
      if (trace === null) throw new QuorateError('not-found', `no span of trace ${request.params.traceId} is stored`);
      if (wantsProtobuf(request.headers.accept)) return reply.type(protobuf).send(trace);
      return reply.type('application/json').send(await executor.run(encodingJson(trace)));
    },
  );
}

function parseTraceId(text: string): Uint8Array {
  if (!/^[0-9a-f]{32}$/i.test(text) || /^0+$/.test(text)) {
    throw new QuorateError('bad-request', `"${text.slice(0, 64)}" is not a trace id: 32 hex digits, not all zero`);
  }
  return Buffer.from(text, 'hex');
}

function parseConsistency(text: string | undefined): Consistency {
  if (text === undefined || text === 'linearizable') return 'linearizable';
  if (text === 'stale') return 'stale';
  throw new QuorateError('bad-request', `consistency "${text.slice(0, 64)}" is not one of linearizable, stale`);
}

/** JSON is for people and the default; protobuf goes to who asks for it and not for JSON first. */
function wantsProtobuf(accept: string | undefined): boolean {
  const types = accept?.split(',').map((part) => part.split(';')[0]?.trim().toLowerCase()) ?? [];
  const wanted = types.find(
    (type) => type === 'application/json' || type === protobuf || type === 'application/protobuf',
  );
  return wanted !== undefined && wanted !== 'application/json';
}
