/** `GET /api/v1/cluster`: the cluster as this node sees it. */
import type { FastifyInstance } from 'fastify';
import { nodeIdOf } from '../raft/core/types.ts';
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
}
