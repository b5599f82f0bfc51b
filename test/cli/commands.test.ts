/** The commands as a user runs them, against a node that answers what each story needs. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';

const quorate = join(import.meta.dirname, '../../bin/quorate');
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}
function run(args: readonly string[], environment: Record<string, string> = {}): Promise<Outcome> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('QUORATE_'));
  const env = { ...Object.fromEntries(inherited), ...environment };
  return new Promise((resolve) => {
    execFile(quorate, args, { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Record<string, string>;
}
let server: Server | undefined;
afterEach(() => server?.close());

/** A node that gives one answer; `asked` holds what it was asked. */
async function nodeAnswering({
  status,
  body,
  headers = {},
}: Answer): Promise<{ url: string; asked: IncomingMessage[] }> {
  const asked: IncomingMessage[] = [];
  server = createServer((request, response) => {
    asked.push(request);
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { url: `http://127.0.0.1:${port}`, asked };
}

const span = { traceId, spanId: 'a1', name: 'GET /', startTimeUnixNano: '1000', endTimeUnixNano: '2000' };
const trace = { resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] };

describe('quorate trace get', () => {
  it('prints a tree, without colours when nobody looks', async () => {
    const { url, asked } = await nodeAnswering({ status: 200, body: trace });
    const { code, stdout, stderr } = await run(['trace', 'get', traceId.toUpperCase(), '--url', url]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('unknown service  GET /');
    expect(stdout).not.toContain('\u001B');
    expect(asked[0]?.url).toBe(`/api/v1/traces/${traceId}?consistency=linearizable`);
    expect(asked[0]?.headers.accept).toBe('application/json');
  });

  it('passes OTLP JSON on as it is, and takes every flag from the environment', async () => {
    const { url, asked } = await nodeAnswering({ status: 200, body: trace });
    const environment = { QUORATE_URL: url, QUORATE_FORMAT: 'json', QUORATE_CONSISTENCY: 'stale' };
    const { code, stdout } = await run(['trace', 'get', traceId], environment);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${JSON.stringify(trace)}\n` });
    expect(asked[0]?.url).toContain('consistency=stale');
  });

  it('an unknown trace', async () => {
    const { url } = await nodeAnswering({
      status: 404,
      body: { error: { code: 'not-found', message: 'no such trace' } },
    });
    expect(await run(['trace', 'get', traceId, '--url', url])).toEqual({
      code: 1,
      stdout: '',
      stderr: `${url} knows no trace ${traceId}.\n`,
    });
  });

  it('no quorum', async () => {
    const body = { error: { code: 'unavailable', message: 'No majority of the cluster answers.' } };
    const { url } = await nodeAnswering({ status: 503, body, headers: { 'retry-after': '2' } });
    expect(await run(['trace', 'get', traceId, '--url', url])).toEqual({
      code: 1,
      stdout: '',
      stderr: `${url} cannot answer now (503: No majority of the cluster answers): try again in 2 s.\n`,
    });
  });

  it('something that is not Quorate', async () => {
    const { url } = await nodeAnswering({ status: 200, body: '<html>' });
    const { code, stderr } = await run(['trace', 'get', traceId, '--url', url]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'The answer is not JSON: is --url a Quorate node?\n' });
  });

  it('nobody there', async () => {
    const { url } = await nodeAnswering({ status: 200, body: trace });
    await new Promise((resolve) => server?.close(resolve));
    const { code, stderr } = await run(['trace', 'get', traceId, '--url', url]);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `Nobody answers at ${url} (connection refused): start a node or name another with --url.\n`,
    });
  });

  it('something that is no trace id is not even asked for', async () => {
    const { code, stderr } = await run(['trace', 'get', 'xyz']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '"xyz" is not a trace id: 32 hex digits.\n' });
  });
});

describe('quorate cluster status', () => {
  const member = { voter: true, connected: true, ready: true, recovering: false };
  const [n1, n2, n3] = [
    {
      ...member,
      id: 'n1',
      peer: 'h1:4319',
      http: 'http://h1:4318',
      role: 'leader',
      appliedIndex: 120,
      matchIndex: 123,
      lagMs: 0,
    },
    {
      ...member,
      id: 'n2',
      peer: 'h2:4319',
      http: null,
      role: 'follower',
      appliedIndex: 9,
      matchIndex: 9,
      lagMs: 40,
      recovering: true,
    },
    {
      ...member,
      id: 'n3',
      peer: 'h3:4319',
      http: null,
      role: 'unknown',
      connected: false,
      ready: false,
      appliedIndex: null,
      matchIndex: 7,
      lagMs: 12_000,
    },
  ];
  const status = {
    mode: 'cp',
    id: 'n1',
    role: 'leader',
    leader: 'n1',
    term: 4,
    commitIndex: 123,
    appliedIndex: 120,
    waiting: null,
  };

  it('prints who leads and how far each member is', async () => {
    const { url, asked } = await nodeAnswering({ status: 200, body: { ...status, members: [n1, n2, n3] } });
    const { code, stdout } = await run(['cluster', 'status', '--url', url]);
    expect(code).toBe(0);
    expect(asked[0]?.url).toBe('/api/v1/cluster');
    expect(`\n${stdout}`).toBe(`
mode cp, leader n1, term 4, commit 123, as n1 sees it

ID  ROLE      STATE          VOTER  PEER     HTTP            APPLIED  MATCH       LAG
n1  leader    ready          yes    h1:4319  http://h1:4318      120    123      0 ms
n2  follower  recovering     yes    h2:4319  -                     9      9     40 ms
n3  unknown   not connected  yes    h3:4319  -                     -      7  12000 ms
`);
  });

  it('a follower does not know how far the others are: the leader is asked', async () => {
    const unknown = { matchIndex: null, lagMs: null };
    const { url, asked } = await nodeAnswering({
      status: 200,
      body: {
        ...status,
        id: 'n2',
        members: [
          { ...n1, ...unknown, http: 'http://127.0.0.1:1' },
          { ...n2, ...unknown },
        ],
      },
    });
    const { code, stdout } = await run(['cluster', 'status', '--url', url]);
    // The leader named here does not answer: what is known is printed all the same.
    expect([code, asked.length]).toEqual([0, 1]);
    expect(stdout).toMatch(/^n2 +follower +recovering +yes +h2:4319 +- +9 +- +-$/m);
  });

  it('without a leader it says why this node is not ready, and ends with exit code 1', async () => {
    const body = { ...status, leader: null, waiting: 'no leader', members: [n1] };
    const { url } = await nodeAnswering({ status: 200, body });
    const { code, stdout } = await run(['cluster', 'status', '--url', url]);
    expect(code).toBe(1);
    expect(stdout).toContain('no leader, term 4, commit 123, as n1 sees it; n1 is not ready: no leader');
  });
});

describe('a mistake on the command line is one sentence and exit code 1', () => {
  it.each([
    [[], /^Say what to do: quorate start, trace get or cluster status; --help tells more\.\n$/],
    [['strat'], /^Did you mean start\?\n$/],
    [['trace'], /^Say what to do with the trace: quorate trace get TRACE_ID\.\n$/],
    [['start', '--id', 'n1', '--joni', 'x'], /^--joni is not a setting; [^\n]*\n$/],
    [['start', '--id', 'n1', '--data', 'x', '--cluster', 'n2=h:1'], /^--id: "n1" is not in --cluster, which has n2\n$/],
    [['start', '--id'], /^--id: "" is not a node id: [^\n]*\n$/],
    [['cluster', 'status', '--format', 'json'], /^--format is not a setting; known are --url\n$/],
  ])('%j', async (args, sentence) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(sentence);
  });

  it('runs from anywhere and through a link', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'quorate-link-'));
    symlinkSync(quorate, join(folder, 'q'));
    const stdout = execFileSync(join(folder, 'q'), ['--version'], { cwd: folder, encoding: 'utf8' });
    rmSync(folder, { recursive: true });
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
