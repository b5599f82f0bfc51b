/** `/livez`: the process answers. `/readyz`: it can serve linearizable reads and writes; else 503 and why not. */
import type { FastifyInstance } from 'fastify';
import type { ApiOptions } from './api-options.ts';

export async function healthRoutes(server: FastifyInstance, { store }: ApiOptions): Promise<void> {
  server.get('/livez', async () => ({ alive: true }));
  server.get('/readyz', async (_request, reply) => {
    const { ready, waiting } = store.status;
    return reply.code(ready ? 200 : 503).send({ ready, waiting });
  });
}
