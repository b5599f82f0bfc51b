/** `quorate start` as a process: how it ends, and what it says then. The node itself is a stand-in (fake-node.ts). */
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { LocalNode } from '../../cluster/local-node.ts';
import { limits } from '../../src/limits.ts';

const loader = join(import.meta.dirname, 'fake-node.ts');

let node: LocalNode | undefined;
afterEach(() => node?.kill('SIGKILL'));

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function prepare(fake: string): Promise<LocalNode> {
  const http = `127.0.0.1:${await freePort()}`;
  const environment = { FAKE: fake, NODE_OPTIONS: `--import=${loader}` };
  node = new LocalNode({
    id: 'n1',
    data: '/nowhere',
    http,
    grpc: '127.0.0.1:2',
    peer: '127.0.0.1:1',
    members: { cluster: 'n1=127.0.0.1:1' },
    environment,
  });
  return node;
}
const sentences = ({ lastLines }: LocalNode): readonly string[] => lastLines.filter((line) => !line.startsWith('{'));

describe('quorate start', () => {
  it('SIGTERM: finishes what is in flight, exit code 0', async () => {
    const running = await prepare('well-behaved');
    await running.start();
    expect(await running.stop()).toBe('exit code 0');
    expect(running.lastLines.join('\n')).toContain('"msg":"stopped"');
  });

  it('SIGINT does the same', async () => {
    const running = await prepare('well-behaved');
    await running.start();
    await running.kill('SIGINT');
    expect(await running.ended).toBe('exit code 0');
  });

  it('a second signal ends it at once, exit code 1', async () => {
    const running = await prepare('never-stop');
    await running.start();
    await running.kill('SIGTERM');
    await running.waitForLine('stopping');
    await running.kill('SIGTERM');
    expect(await running.ended).toBe('exit code 1');
  });

  it('a start that fails is one sentence on one line, exit code 1', async () => {
    const running = await prepare('fail-start');
    running.spawn();
    expect(await running.ended).toBe('exit code 1');
    expect(sentences(running)).toEqual(['Data directory /x is used by another process: stop that one first.']);
  });

  it('a node that cannot go on says why, exit code 1', async () => {
    const running = await prepare('fail-later');
    await running.start();
    expect(await running.ended).toBe('exit code 1');
    expect(sentences(running)).toContain('The disk refused a write: mend it.');
  });

  it('a stop that fails is not a clean one', async () => {
    const running = await prepare('fail-stop');
    await running.start();
    expect(await running.stop()).toBe('exit code 1');
  });

  it('sets the size of the thread pool before anything uses it', async () => {
    const running = await prepare('well-behaved');
    await running.start();
    expect(await running.waitForLine('threads ')).toBe(`threads ${limits.threadPoolSize}`);
  });
});

describe('a local node', () => {
  it('that stops before it is ready is named, with its last lines', async () => {
    const running = await prepare('fail-start');
    await expect(running.start()).rejects.toThrow(
      /^n1 stopped before it was ready \(exit code 1\); its last lines:\n[^]*Data directory \/x is used/,
    );
  });

  it('that never gets ready is given up at the deadline, and is still there to look at', async () => {
    const running = await prepare('well-behaved');
    running.spawn();
    await running.waitForLine('threads');
    await running.kill('SIGSTOP');
    await expect(running.waitUntilReady(100)).rejects.toThrow('n1 was not ready after 0.1 s');
    expect(running.process).not.toBeNull();
    expect(await running.stop()).toBe('exit code 0');
  });

  it('is told from one that died by itself', async () => {
    const deaths: string[] = [];
    const running = await prepare('fail-later');
    const other = new LocalNode({ ...running.options, onDeath: (dead, end) => deaths.push(`${dead.id}: ${end}`) });
    node = other;
    await other.start();
    await other.ended;
    await other.start();
    await other.kill('SIGKILL');
    expect(deaths).toEqual(['n1: exit code 1']);
  });
});
