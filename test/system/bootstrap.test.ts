/** `cluster/bootstrap` as a process: what it prints, how it ends. The nodes are stand-ins (fake-node.ts). */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Bootstrap, freeBase } from './bootstrap-process.ts';

const loader = join(import.meta.dirname, 'fake-node.ts');

let bootstrap: Bootstrap | undefined;
afterEach(() => bootstrap?.stop());

function start(args: readonly string[], environment: Record<string, string> = {}): Bootstrap {
  return (bootstrap = new Bootstrap(args, { NODE_OPTIONS: `--import=${loader}`, ...environment }));
}

describe('cluster/bootstrap', () => {
  it('starts three nodes, prints where they are, prefixes their logs, and stops them on Ctrl-C', async () => {
    const base = await freeBase();
    const running = start(['--base-port', String(base), '--data', '/nowhere']);
    await running.printed(/The cluster serves/);
    const table = running.text.split('\n').filter((line) => line.includes('/v1/traces'));
    expect(table.map((line) => line.split(/ +/))).toEqual(
      [1, 2, 3].map((n) => {
        const [grpc, http, peer] = [0, 1, 2].map((above) => `127.0.0.1:${base + 10 * (n - 1) + above}`);
        return [`n${n}`, `http://${grpc}`, `http://${http}/v1/traces`, `http://${http}`, peer, `/nowhere/n${n}`];
      }),
    );
    expect(running.text).toMatch(/^n2 \| threads \d+$/m);
    const nodes = running.nodes;
    expect(nodes).toHaveLength(3);
    running.process.kill('SIGINT');
    expect(await running.ended).toBe(0);
    expect(running.text).toMatch(/All nodes stopped\.\n$/);
    for (const pid of nodes) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });

  it('reports a node that dies and keeps the others', async () => {
    const running = start(['--nodes', '4', '--base-port', String(await freeBase())]);
    await running.printed(/The cluster serves/);
    const [first = 0, ...others] = running.nodes;
    process.kill(first, 'SIGKILL');
    await running.printed(/n1 stopped by itself \(SIGKILL\); its last lines:\n.*threads/s);
    expect(running.nodes).toEqual(others);
    running.process.kill('SIGTERM');
    expect(await running.ended).toBe(0);
  });

  it('ends when no node is left', async () => {
    const running = start(['--base-port', String(await freeBase())], { FAKE: 'fail-later' });
    expect(await running.ended).toBe(1);
    expect(running.text).toContain('The disk refused a write');
  });

  it('names the node that did not start, shows what it said, and leaves nothing running', async () => {
    const running = start(['--base-port', String(await freeBase())], { FAKE: 'fail-start' });
    expect(await running.ended).toBe(1);
    expect(running.text).toMatch(
      /n\d stopped before it was ready \(exit code 1\); its last lines:\n.*Data directory \/x is used/s,
    );
  });

  it('a taken port is one sentence', async () => {
    const base = await freeBase();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(base + 12, '127.0.0.1', resolve));
    const running = start(['--base-port', String(base)]);
    expect(await running.ended).toBe(1);
    expect(running.text).toBe(
      `Port ${base + 12} (peer of n2) is taken: stop what uses it or choose another --base-port.\n`,
    );
    server.close();
  });

  it('the data of a cluster of another size is one sentence', async () => {
    const data = mkdtempSync(join(tmpdir(), 'quorate-size-'));
    for (const id of ['n1', 'n2', 'n3']) mkdirSync(join(data, id));
    const running = start(['--nodes', '5', '--data', data, '--base-port', String(await freeBase())]);
    expect(await running.ended).toBe(1);
    expect(running.text).toBe(`${data} holds a cluster of 3: start it with --nodes 3, or choose another --data.\n`);
    rmSync(data, { recursive: true });
  });

  it('its nodes take the settings of our environment, but for those that tell them apart', async () => {
    const settings = {
      QUORATE_RETENTION: '90m',
      QUORATE_ID: 'x',
      QUORATE_JOIN: '127.0.0.1:1',
      QUORATE_HTTP: '127.0.0.1:1',
    };
    const running = start(['--base-port', String(await freeBase())], settings);
    await running.printed(/The cluster serves/);
    for (const id of ['n1', 'n2', 'n3']) expect(running.text).toContain(`${id} | id ${id} retention 5400000\n`);
  });

  it('a setting that is wrong is the sentence of the node that refuses it', async () => {
    const running = start(['--base-port', String(await freeBase())], { QUORATE_RETENTION: '7 weeks' });
    expect(await running.ended).toBe(1);
    expect(running.text).toMatch(/n\d stopped before it was ready[^]*QUORATE_RETENTION/);
  });

  it.each([
    [['--nodes', '2'], '--nodes: "2" is not a whole number from 3 to 5.\n'],
    [['--nodes', 'three'], '--nodes: "three" is not a whole number from 3 to 5.\n'],
    [['--base-port', '65530'], '--base-port: "65530" is not a whole number from 1 to 65505.\n'],
    [['--docker'], 'Unknown argument: docker\n'],
  ])('refuses %j', async (args, sentence) => {
    const running = start(args);
    expect(await running.ended).toBe(1);
    expect(running.text).toBe(sentence);
  });
});
