/** `/api/v1/cluster`: the cluster as this node sees it, and what operators may change in it. Any node takes it. */
import type { FastifyInstance } from 'fastify';
import { QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { asNodeId, type NodeId, nodeIdOf } from '../raft/core/types.ts';
import type { ApiOptions } from './api-options.ts';

export async function clusterRoutes(server: FastifyInstance, { store }: ApiOptions): Promise<void> {
  server.get('/api/v1/cluster', async () => {
    const { id, clusterId, ready, waiting, replica, members } = store.status;
    return {
      mode: 'cp',
      id,
      clusterId,
      ready,
      waiting,
      role: replica?.role ?? 'none',
      leader: replica?.leader == null ? null : nodeIdOf(replica.leader),
      term: replica?.term ?? 0,
      commitIndex: replica?.commit ?? 0,
      appliedIndex: replica?.applied ?? 0,
      lastIndex: replica?.last ?? 0,
      /** The index this node promised and lost; it votes by it until it is back (protocol A2). */
      promisedIndex: replica?.lostPromise?.index ?? null,
      members,
    };
  });

  server.post('/api/v1/cluster/leader', { bodyLimit: limits.adminBodyBytesMax }, async ({ body }) =>
    store.transferLeadership(parseSuccessor(body)),
  );
}

/** `{"to": "n2"}`; without a name, or without a body, null: whoever is best able to. */
function parseSuccessor(body: unknown): NodeId | null {
  if (body === undefined) return null;
  const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
  const unknown = isObject ? Object.keys(body).find((name) => name !== 'to') : '';
  if (!isObject || unknown !== undefined)
    throw new QuorateError('bad-request', 'the body must be {"to": "ID"}, or {} for any node that can lead');
  if (!('to' in body)) return null;
  if (typeof body.to === 'string') return asNodeId(body.to);
  throw new QuorateError('bad-request', `to ${JSON.stringify(body.to).slice(0, 64)} is not the id of a node`);
}
