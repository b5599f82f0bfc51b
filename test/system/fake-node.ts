/**
 * Loaded with --import before the command: puts a stand-in for src/node.ts in its place, which serves /readyz and does
 * what the environment variable FAKE says: `fail-start`, `fail-later`, `fail-stop`, `never-stop`, or nothing special.
 */
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { registerHooks } from 'node:module';
import type { NodeConfig } from '../../src/config.ts';
import type { RunningNode } from '../../src/node.ts';

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === '../node.ts' ? { url: import.meta.url, shortCircuit: true } : next(specifier, context),
});

export async function startNode(config: NodeConfig): Promise<RunningNode> {
  const behaviour = process.env['FAKE'];
  if (behaviour === 'fail-start')
    throw new Error('Data directory /x is used by another process:\n stop that one first.');
  process.stdout.write(`id ${config.id} retention ${config.retention.ageMs}\n`);
  // Before it serves: who waits until it is ready has read this line.
  process.stdout.write(`threads ${await poolThreads()}\n`);
  const server = createServer((_request, response) => response.end());
  await new Promise<void>((resolve) => server.listen(config.http.port, config.http.host, resolve));
  return {
    http: config.http,
    grpc: config.grpc,
    peer: config.peer,
    failed: new Promise((resolve) => {
      if (behaviour === 'fail-later') setTimeout(() => resolve(new Error('The disk refused a write: mend it.')), 100);
    }),
    stop: async () => {
      if (behaviour === 'never-stop') await new Promise(() => undefined);
      if (behaviour === 'fail-stop') throw new Error('The log could not be closed.');
      server.close();
    },
  };
}

/** Threads of libuv's pool as the kernel names them; asking starts the pool. */
async function poolThreads(): Promise<number> {
  await readFile('/proc/self/stat');
  const tasks = await readdir('/proc/self/task');
  const names = await Promise.all(tasks.map((task) => readFile(`/proc/self/task/${task}/comm`, 'utf8')));
  return names.filter((name) => name.startsWith('libuv-worker')).length;
}
