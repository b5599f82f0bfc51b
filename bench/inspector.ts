/** A CPU profile of a node that runs, over V8's inspector, which the node opens on loopback when it gets SIGUSR1. */
import { once } from 'node:events';
import type { LocalNode } from '../cluster/local-node.ts';
import type { CpuProfile } from './cpu-profile.ts';

/** Of a node that is to be profiled: any free port, not the one that another node has. */
export const inspectable = { NODE_OPTIONS: '--inspect-port=127.0.0.1:0' } as const;

/** Profiles the node's main thread while `body` runs. */
export async function profileOf(node: LocalNode, body: () => Promise<void>): Promise<CpuProfile> {
  const line = node.waitForLine('Debugger listening on ');
  await node.kill('SIGUSR1');
  const url = /ws:\S+/.exec(await line)?.[0] ?? '';
  const socket = new WebSocket(url);
  await once(socket, 'open');
  try {
    await ask(socket, 1, 'Profiler.enable');
    await ask(socket, 2, 'Profiler.setSamplingInterval', { interval: 500 });
    await ask(socket, 3, 'Profiler.start');
    await body();
    const { profile } = (await ask(socket, 4, 'Profiler.stop')) as { profile: CpuProfile };
    return profile;
  } finally {
    socket.close();
  }
}

async function ask(socket: WebSocket, id: number, method: string, params = {}): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const onMessage = ({ data }: { data: unknown }): void => {
    const answer = JSON.parse(String(data)) as { id?: number; result?: unknown; error?: { message: string } };
    if (answer.id !== id) return;
    if (answer.error === undefined) resolve(answer.result);
    else reject(new Error(`the inspector refused ${method}: ${answer.error.message}`));
  };
  const onClose = (): void => reject(new Error(`the inspector closed before it answered ${method}`));
  socket.addEventListener('message', onMessage);
  socket.addEventListener('close', onClose);
  socket.send(JSON.stringify({ id, method, params }));
  try {
    return await promise;
  } finally {
    socket.removeEventListener('message', onMessage);
    socket.removeEventListener('close', onClose);
  }
}
