/** `quorate verify --url`: what the nodes of a cluster say of themselves, compared. */
import { createServer, type Server } from 'node:http';
import { afterEach, expect, it } from 'vitest';
import { compareCluster, renderVerdict } from '../../src/cli/verify-cluster.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

const digest = { index: 9, begins: 0, logHash: 'aa', indexDigest: 'bb', references: 5 };
type Answer = typeof digest | { readonly status: number } | null;

/** n1, n2, ... that give these answers, after `refusals` times 503; null does not listen. */
async function cluster(answers: readonly Answer[], refusals = 0): Promise<string> {
  const urls: (string | null)[] = [];
  for (const answer of answers) {
    let left = refusals;
    const server = createServer((request, response) => {
      const isStatus = request.url === '/api/v1/cluster';
      const refused = !isStatus && left > 0;
      if (!isStatus) left -= 1;
      const body = isStatus
        ? { appliedIndex: 9, members: urls.map((http, at) => ({ id: `n${at + 1}`, http })) }
        : refused
          ? { error: { code: 'not-ready', message: 'not yet' } }
          : answer;
      response.writeHead(refused ? 503 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    urls.push(`http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`);
    if (answer === null) server.close();
    else servers.push(server);
  }
  return urls[0] ?? '';
}

async function faultsOf(answers: readonly Answer[], refusals = 0): Promise<(string | null)[]> {
  const verdict = await compareCluster(await cluster(answers, refusals));
  const faults = verdict.nodes.map(({ fault }) => fault);
  expect(verdict.sound).toBe(faults.every((fault) => fault === null));
  expect(renderVerdict(verdict)).toContain(verdict.sound ? 'entry 9: equal.' : 'entry 9: not equal.');
  return faults;
}

it('equal nodes, also where one is behind at first', async () => {
  expect(await faultsOf([digest, digest, digest])).toEqual([null, null, null]);
  expect(await faultsOf([digest, digest, digest], 1)).toEqual([null, null, null]);
});

it('one that differs, in its log or in its index', async () => {
  expect(await faultsOf([{ ...digest, logHash: 'cc' }, digest, digest])).toEqual([
    'its log differs from that of n2: stop it and run `quorate verify --data` there',
    null,
    null,
  ]);
  for (const other of [{ indexDigest: 'cc' }, { references: 6 }])
    expect(await faultsOf([digest, { ...digest, ...other }, digest])).toEqual([
      null,
      'its index differs from that of n1: stop it and run `quorate reindex` there',
      null,
    ]);
});

it('one that could not be compared is a fault', async () => {
  expect(await faultsOf([digest, null, digest])).toEqual([
    null,
    expect.stringMatching(/^n2 could not be compared: Nobody answers/),
    null,
  ]);
  expect(await faultsOf([digest, digest, { ...digest, begins: 4 }])).toEqual([
    null,
    null,
    'it could not be compared: its log begins after entry 4, that of n1 after 0',
  ]);
});
