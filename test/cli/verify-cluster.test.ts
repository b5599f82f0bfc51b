/** `quorate verify --url`: what the nodes of a cluster say of themselves, compared. */
import { createServer, type Server } from 'node:http';
import { afterEach, expect, it } from 'vitest';
import { compareCluster, renderVerdict } from '../../src/cli/verify-cluster.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

const memberOf = (http: string | null, at: number) => ({ id: `n${at + 1}`, http, voter: true, learner: false });
/** Named in --cluster, and never a member. */
const stranger = { id: 'n9', http: null, voter: false, learner: false };

const digest = { index: 9, begins: 0, logHash: 'aa', indexDigest: 'bb', references: 5 };
type Answer = typeof digest | { readonly status: number } | null;

/** n1, n2, ... that give these answers, after `refusals` times 503; null does not listen. */
async function cluster(answers: readonly (Answer | readonly Answer[])[], refusals = 0): Promise<string> {
  const urls: (string | null)[] = [];
  for (const one of answers) {
    const turns = Array.isArray(one) ? [...one] : [one];
    let left = refusals;
    const server = createServer((request, response) => {
      const isStatus = request.url === '/api/v1/cluster';
      const refused = !isStatus && left > 0;
      if (!isStatus) left -= 1;
      const answer = isStatus || refused || turns.length === 1 ? turns[0] : turns.shift();
      const body = isStatus
        ? { appliedIndex: 9, members: [...urls.map(memberOf), stranger] }
        : refused
          ? { error: { code: 'not-ready', message: 'not yet' } }
          : answer;
      response.writeHead(refused ? 503 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    urls.push(`http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`);
    if (turns[0] === null) server.close();
    else servers.push(server);
  }
  return urls[0] ?? '';
}

async function faultsOf(
  answers: readonly (Answer | readonly Answer[])[],
  refusals = 0,
  patienceMs?: number,
): Promise<(string | null)[]> {
  const verdict = await compareCluster(await cluster(answers, refusals), patienceMs);
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
  expect(await faultsOf([digest, digest, { ...digest, begins: 4 }], 0, 700)).toEqual([
    null,
    null,
    'it could not be compared: its log begins after entry 4, that of n1 after 0',
  ]);
});

it('a trim that has not reached all of them yet is waited for', async () => {
  const trimmed = { ...digest, begins: 4, indexDigest: 'cc', references: 3 };
  expect(await faultsOf([[digest, digest, trimmed], trimmed, [digest, trimmed]])).toEqual([null, null, null]);
});
