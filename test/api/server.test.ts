/** The HTTP server against clients that do not behave. */
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { Readable } from 'node:stream';
import Fastify, { type FastifyInstance } from 'fastify';
import { expect, test } from 'vitest';
import { bytesOf } from '../../src/api/request-body.ts';
import { closeServer } from '../../src/api/server.ts';
import { realClock } from '../../src/platform/real/clock.ts';

async function everything(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

/** A server with one request on it whose body never ends. */
async function withEndlessRequest(): Promise<{ server: FastifyInstance; reading: Promise<unknown> }> {
  const server = Fastify({ forceCloseConnections: 'idle' });
  const { promise: started, resolve: start } = Promise.withResolvers<{ readonly body: Promise<Uint8Array[]> }>();
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  server.route({
    method: 'POST',
    url: '/',
    handler: (request) => {
      const body = everything(bytesOf(request.raw));
      start({ body });
      return body;
    },
  });
  await server.listen({ host: '127.0.0.1', port: 0 });
  const socket = connect((server.server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write('POST / HTTP/1.1\r\nhost: n1\r\ncontent-type: a/b\r\ncontent-length: 9\r\n\r\nx');
  const { body } = await started;
  return { server, reading: body.catch((error: unknown) => error) };
}

test('a stop does not wait for ever for a body that never ends', async () => {
  const { server, reading } = await withEndlessRequest();
  const connections = { endSilent: () => undefined, endAll: () => server.server.closeAllConnections() };
  await closeServer(server, { connections, clock: realClock, patienceMs: 50 });
  expect(await reading).toMatchObject({ code: 'bad-request' });
});

test('a body cut off by its client is no failure of this node', async () => {
  const stream = new Readable({ read: () => undefined });
  const body = everything(bytesOf(stream));
  stream.destroy(new Error('aborted'));
  await expect(body).rejects.toMatchObject({ code: 'bad-request', message: expect.stringContaining('send it again') });
});
