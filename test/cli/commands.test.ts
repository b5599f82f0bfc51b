/** The commands as a user runs them, against a node that answers what each story needs. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { version } from '../../src/version.ts';
import { afterEach, describe, expect, it } from 'vitest';
import { exportOf } from '../otlp/bytes.ts';
import { bytesField, fixed64Field } from '../support/protobuf-writer.ts';

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
  /** Bytes and text go out as they are, all else as JSON. */
  readonly body: unknown;
  readonly headers?: Record<string, string>;
}
let server: Server | undefined;
afterEach(() => server?.close());

/** A node that gives these answers, the last one again and again; `asked` holds what it was asked, `bodies` what came with it. */
async function nodeAnswering(
  ...answers: Answer[]
): Promise<{ url: string; asked: IncomingMessage[]; bodies: string[] }> {
  const asked: IncomingMessage[] = [];
  const bodies: string[] = [];
  server = createServer((request, response) => {
    const {
      status,
      body,
      headers = {},
    } = answers[Math.min(asked.length, answers.length - 1)] ?? { status: 500, body: '' };
    asked.push(request);
    request.setEncoding('utf8').on('data', (text: string) => bodies.push(text));
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { url: `http://127.0.0.1:${port}`, asked, bodies };
}

const spanOf = (number: number): Uint8Array =>
  Buffer.concat([
    bytesField(1, Buffer.from(traceId, 'hex')),
    bytesField(2, Buffer.from(`a1a2a3a4a5a6a7a${number}`, 'hex')),
    bytesField(5, `GET /${number}`),
    fixed64Field(7, BigInt(1_000 + number)),
    fixed64Field(8, 2_000n),
  ]);
const jsonOf = (number: number): object => ({
  traceId,
  spanId: `a1a2a3a4a5a6a7a${number}`,
  name: `GET /${number}`,
  startTimeUnixNano: String(1_000 + number),
  endTimeUnixNano: '2000',
});
const traceOf = (...numbers: number[]): object => ({
  resourceSpans: [{ scopeSpans: [{ spans: numbers.map(jsonOf) }] }],
});

/** A page that holds these spans, and says where the next one is. */
function page(numbers: readonly number[], next?: string, partial = next === undefined ? undefined : 'page'): Answer {
  const rest = {
    ...(partial === undefined ? {} : { 'quorate-partial': partial }),
    ...(next === undefined ? {} : { link: `<${next}>; rel="next"` }),
  };
  const body = numbers.length === 0 ? new Uint8Array(0) : exportOf(...numbers.map(spanOf));
  return { status: 200, body, headers: { 'content-type': 'application/x-protobuf', ...rest } };
}

describe('quorate trace get', () => {
  it('prints a tree, without colours when nobody looks', async () => {
    const { url, asked } = await nodeAnswering(page([1]));
    const { code, stdout, stderr } = await run(['trace', 'get', traceId.toUpperCase(), '--url', url]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('unknown service  GET /1');
    expect(stdout).not.toContain('\u001B');
    expect(asked[0]?.url).toBe(`/api/v1/traces/${traceId}?consistency=linearizable`);
    expect(asked).toHaveLength(1);
  });

  it('prints OTLP JSON, and takes every flag from the environment', async () => {
    const { url, asked } = await nodeAnswering(page([1]));
    const environment = { QUORATE_URL: url, QUORATE_FORMAT: 'json', QUORATE_CONSISTENCY: 'stale' };
    const { code, stdout } = await run(['trace', 'get', traceId], environment);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${JSON.stringify(traceOf(1))}\n` });
    expect(asked[0]?.url).toContain('consistency=stale');
  });

  it('joins the pages of a large trace in order, a span that stands on two of them once', async () => {
    const path = `/api/v1/traces/${traceId}?after=`;
    const { url, asked } = await nodeAnswering(page([3, 2], `${path}7`), page([], `${path}9`), page([1, 2]));
    const { code, stdout } = await run(['trace', 'get', traceId, '--url', url, '--format', 'json']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${JSON.stringify(traceOf(1, 2, 3))}\n` });
    expect(asked.map((request) => request.url).slice(1)).toEqual([`${path}7`, `${path}9`]);
  });

  it.each([
    ['the first', ['page, expired', 'page', undefined]],
    ['one in the middle', ['page', 'page,expired', undefined]],
    ['the last', ['page', 'page', 'expired']],
  ])('joins the pages of a trace part of which expired, and says so: before %s', async (_, partial) => {
    const path = `/api/v1/traces/${traceId}?after=`;
    const answers = [
      page([1], `${path}7`, partial[0]),
      page([2], `${path}9`, partial[1]),
      page([3], undefined, partial[2]),
    ];
    const sentence = 'A part of this trace has expired: these are the spans that are left.\n';
    const json = await nodeAnswering(...answers);
    expect(await run(['trace', 'get', traceId, '--url', json.url, '--format', 'json'])).toEqual({
      code: 0,
      stdout: `${JSON.stringify(traceOf(1, 2, 3))}\n`,
      stderr: sentence,
    });
    server?.close();
    const tree = await nodeAnswering(...answers);
    const { code, stdout, stderr } = await run(['trace', 'get', traceId, '--url', tree.url]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('GET /3');
    expect(stdout.endsWith(`\n\n${sentence}`)).toBe(true);
  });

  it('a trace that has expired but for empty pages is unknown', async () => {
    const { url } = await nodeAnswering(page([], undefined, 'expired'));
    const { code, stderr } = await run(['trace', 'get', traceId, '--url', url]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: `${url} knows no trace ${traceId}.\n` });
  });

  it('prints nothing of a trace one page of which fails', async () => {
    const body = { error: { code: 'damaged', message: 'entry 9 of the log is damaged: ask another node' } };
    const next = `/api/v1/traces/${traceId}?after=7`;
    const { url } = await nodeAnswering(page([1], next), { status: 503, body, headers: { 'retry-after': '1' } });
    expect(await run(['trace', 'get', traceId, '--url', url, '--format', 'json'])).toEqual({
      code: 1,
      stdout: '',
      stderr: `${url} cannot answer now (503: entry 9 of the log is damaged: ask another node): try again in 1 s.\n`,
    });
  });

  it.each([
    ['does not say where the next page is', undefined],
    ['names the page it just gave', `/api/v1/traces/${traceId}?after=7`],
    ['has no next page, for what expired', undefined, 'page, expired'],
  ])('a node that %s is not followed for ever, nor believed', async (_, next, partial = 'page') => {
    const { url } = await nodeAnswering(page([1], next, partial));
    const { code, stdout, stderr } = await run(['trace', 'get', traceId, '--url', url]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^http\S+ gave page \d of the trace and not where the next one is: ask another node\.\n$/);
  });

  it('pages with nothing on them are an unknown trace', async () => {
    const { url } = await nodeAnswering(page([], `/api/v1/traces/${traceId}?after=7`), page([]));
    const { code, stderr } = await run(['trace', 'get', traceId, '--url', url]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: `${url} knows no trace ${traceId}.\n` });
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
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `${url} did not answer with a trace: is it a Quorate node?\n`,
    });
  });

  it('nobody there', async () => {
    const { url } = await nodeAnswering(page([1]));
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
  const member = { voter: true, learner: false, replaces: null, connected: true, ready: true, recovering: false };
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
    joint: false,
    applicants: [],
  };

  it('prints who leads and how far each member is', async () => {
    const health = {
      disk: { freeBytes: 1.5 * 2 ** 30, totalBytes: 36 * 2 ** 30, level: 'low' },
      logWrites: { syncP50Ms: 1.26, queueP50Ms: 0.2 },
      queues: { exports: 3, blocks: 1 },
      eventLoopDelayP99Ms: 12.4,
      lastHandOver: { from: 'n3', to: 'n1', why: 'slow disk', atMs: Date.UTC(2026, 10, 25, 10) },
    };
    const members = [{ ...n1, version: '0.2.0' }, { ...n2, version: '0.1.0' }, n3];
    const { url, asked } = await nodeAnswering({
      status: 200,
      body: { ...status, ...health, formatLevel: 1, members },
    });
    const { code, stdout } = await run(['cluster', 'status', '--url', url]);
    expect(code).toBe(0);
    expect(asked[0]?.url).toBe('/api/v1/cluster');
    expect(`\n${stdout}`).toBe(`
mode cp, leader n1, term 4, commit 123, format level 1, as n1 sees it

ID  ROLE      STATE          VOTER  PEER     APPLIED  MATCH       LAG
n1  leader    ready          yes    h1:4319      120    123      0 ms
n2  follower  recovering     yes    h2:4319        9      9     40 ms
n3  unknown   not connected  yes    h3:4319        -      7  12000 ms

ID  HTTP            TERM   WRITE    WAIT  FREE              LOOP  EXPORTS  BLOCKS
n1  http://h1:4318     4  1.3 ms  0.2 ms  1.5 GiB 4 % low  12 ms        3       1
n2  -                  -       -       -  -                    -        -       -
n3  -                  -       -       -  -                    -        -       -

versions: n1 0.2.0, n2 0.1.0

last hand-over: n3 to n1, 2026-11-25T10:00:00.000Z (slow disk)
`);
  });

  it('fits 100 columns, however bad things are', async () => {
    const http = 'http://127.0.0.1:14318';
    const worst = { role: 'follower', peer: '127.0.0.1:14319', connected: false, voter: false, learner: true };
    const members = ['n1', 'n2'].map((id) => ({
      ...n1,
      ...worst,
      id,
      http,
      replaces: 'n3',
      appliedIndex: 1e7,
      matchIndex: 1e7,
      lagMs: 99_999,
    }));
    const health = {
      disk: { freeBytes: 1_023 * 2 ** 30, totalBytes: 2_000 * 2 ** 30, level: 'reserve' },
      logWrites: { syncP50Ms: 10_000, queueP50Ms: 10_000 },
      queues: { exports: 99_999, blocks: 4 },
      eventLoopDelayP99Ms: 1_000,
    };
    const body = { ...status, ...health, term: 99_999, commitIndex: 1e7, members };
    const { url } = await nodeAnswering({ status: 200, body });
    const { stdout } = await run(['cluster', 'status', '--url', url]);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(stdout).toContain('learner for n3, 100 %');
  });

  it('shows what is kept, what has expired, and whose clock is wrong', async () => {
    const retention = { ageMs: 604_800_000, bytes: 50e9, trimmedTo: 0, trimmedToMs: null };
    const trimmed = { ...retention, trimmedTo: 70, trimmedToMs: Date.UTC(2026, 10, 25, 10) };
    const other = await nodeAnswering({ status: 200, body: { ...status, id: 'n2', retention, members: [] } });
    const first = server;
    const members = [n1, { ...n2, http: other.url }];
    const show = async (body: object): Promise<string> => {
      const { url } = await nodeAnswering({ status: 200, body: { ...status, members, ...body } });
      const { stdout } = await run(['cluster', 'status', '--url', url]);
      server?.close();
      return stdout;
    };
    const expired = 'what came up to 2026-11-25T10:00:00.000Z has expired (entry 70)';
    expect(await show({ retention: trimmed })).toMatch(`\n\nretention: 7d, 50GB; ${expired}\n`);
    expect(
      await show({ retention: { ...trimmed, ageMs: null, bytes: null }, clockAlarm: 'its clock is wrong' }),
    ).toMatch(
      `\n\nretention: n1 for ever; n2 7d, 50GB (give all nodes the same: the leader goes by its own); ${expired}\n\n` +
        'clock alarm on n1: its clock is wrong\n',
    );
    expect(await show({ members: [n1], retention })).toContain('\n\nretention: 7d, 50GB; nothing has expired\n');
    const kept = { ageMs: null, bytes: null, trimmedTo: 0, trimmedToMs: null };
    expect(await show({ members: [n1], retention: kept, clockAlarm: null })).not.toMatch(/retention|alarm/);
    server = first;
  });

  it('asks each node how it does itself', async () => {
    const disk = { freeBytes: 7 * 2 ** 20, totalBytes: 70 * 2 ** 20, level: 'ample' };
    const other = await nodeAnswering({ status: 200, body: { ...status, id: 'n2', disk, members: [] } });
    const members = [n1, { ...n2, http: other.url }];
    const { url } = await nodeAnswering({ status: 200, body: { ...status, members } });
    const { stdout } = await run(['cluster', 'status', '--url', url]);
    expect(stdout).toMatch(/^n2 +http:\S+ +4 +- +- +7 MiB 10 %/m);
  });

  it('shows who is catching up, for whom, who waits to be added, and that a change is under way', async () => {
    const learner = { ...n2, voter: false, learner: true };
    const members = [n1, learner, { ...learner, id: 'n4', replaces: 'n3' }, { ...n3, voter: false }];
    const body = { ...status, joint: true, members, applicants: [{ id: 'n9', peer: 'h9:4319' }] };
    const { url } = await nodeAnswering({ status: 200, body });
    const { stdout } = await run(['cluster', 'status', '--url', url]);
    expect(stdout).toContain('as n1 sees it; a change of the members is under way\n');
    expect(stdout).toMatch(/^n2 +follower +recovering +learner, 7 % +h2:4319/m);
    expect(stdout).toMatch(/^n4 +follower +recovering +learner for n3, 7 % +h2:4319/m);
    expect(stdout).toMatch(/^n3 +unknown +not connected +no +h3:4319/m);
    expect(stdout).toMatch(/\nn9 at h9:4319 waits to be added: quorate cluster add n9\n$/);
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
    expect(stdout).toMatch(/^n2 +follower +recovering +yes +h2:4319 +9 +- +-$/m);
  });

  it('without a leader it says why this node is not ready, and ends with exit code 1', async () => {
    const body = { ...status, leader: null, waiting: 'no leader', members: [n1] };
    const { url } = await nodeAnswering({ status: 200, body });
    const { code, stdout } = await run(['cluster', 'status', '--url', url]);
    expect(code).toBe(1);
    expect(stdout).toContain('no leader, term 4, commit 123, as n1 sees it; n1 is not ready: no leader');
  });
});

describe('quorate cluster transfer', () => {
  const answer = { status: 200, body: { leader: 'n2', term: 5 } };

  it.each([
    [['--to', 'n2'], '{"to":"n2"}'],
    [[], '{}'],
  ])('%j: asks the node that is named, whoever leads, and prints who does then', async (args, sent) => {
    const { url, asked, bodies } = await nodeAnswering(answer);
    const { code, stdout, stderr } = await run(['cluster', 'transfer', '--url', url, ...args]);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'n2 leads term 5\n', stderr: '' });
    expect([asked[0]?.method, asked[0]?.url, asked[0]?.headers['content-type']]).toEqual([
      'POST',
      '/api/v1/cluster/leader',
      'application/json',
    ]);
    expect(bodies).toEqual([sent]);
  });

  it('says so when somebody else was elected', async () => {
    const { url } = await nodeAnswering(answer);
    const { code, stdout, stderr } = await run(['cluster', 'transfer', '--url', url, '--to', 'n3']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe('n3 did not take over: n2 leads term 5. Ask again.\n');
  });

  it('a refusal is one sentence', async () => {
    const body = { error: { code: 'conflict', message: 'n2 leads already' } };
    const { url } = await nodeAnswering({ status: 409, body });
    const { code, stderr } = await run(['cluster', 'transfer', '--url', url, '--to', 'n2']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: `${url} answered 409: n2 leads already\n` });
  });
});

describe('quorate cluster add, replace and remove', () => {
  const settled = { configurationIndex: 9, voters: ['n1', 'n2', 'n3'], learners: ['n4'] };

  it.each([
    [['add', 'n4'], 'POST', '/api/v1/cluster/members', ['{"id":"n4"}'], 'n4 was added'],
    [
      ['replace', 'n3', 'n4'],
      'POST',
      '/api/v1/cluster/members',
      ['{"id":"n4","replaces":"n3"}'],
      'n4 was added and takes the place of n3',
    ],
    [['remove', 'n4'], 'DELETE', '/api/v1/cluster/members/n4', [], 'n4 was removed'],
  ])('%j', async (args, method, path, sent, said) => {
    const { url, asked, bodies } = await nodeAnswering({ status: 200, body: settled });
    const { code, stdout, stderr } = await run(['cluster', ...args, '--url', url]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe(`${said}; voters: n1, n2, n3, catching up: n4\n`);
    expect([asked[0]?.method, asked[0]?.url, bodies]).toEqual([method, path, sent]);
  });

  it('a refusal is one sentence', async () => {
    const body = { error: { code: 'conflict', message: 'n4 is no member' } };
    const { url } = await nodeAnswering({ status: 409, body });
    const { code, stderr } = await run(['cluster', 'remove', 'n4', '--url', url]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: `${url} answered 409: n4 is no member\n` });
  });
});

describe('a mistake on the command line is one sentence and exit code 1', () => {
  it.each([
    [
      [],
      /^Say what to do: quorate start, trace get, cluster status, verify, reindex or recover; --help tells more\.\n$/,
    ],
    [['strat'], /^Did you mean start\?\n$/],
    [['trace'], /^Say what to do with the trace: quorate trace get TRACE_ID\.\n$/],
    [['start', '--id', 'n1', '--joni', 'x'], /^--joni is not a setting; [^\n]*\n$/],
    [['start', '--id', 'n1', '--data', 'x', '--cluster', 'n2=h:1'], /^--id: "n1" is not in --cluster, which has n2\n$/],
    [['start', '--id'], /^--id: "" is not a node id: [^\n]*\n$/],
    [['cluster'], /^Say what to do with the cluster: quorate cluster status, transfer, add, replace or remove\.\n$/],
    [['cluster', 'add'], /^Not enough non-option arguments: got 0, need at least 1\n$/],
    [['cluster', 'transfer', '--to', 'n 2'], /^--to: "n 2" is not a node id: [^\n]*\n$/],
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
    expect(stdout).toBe(`${version}\n`);
  });
});

describe('the memory of a process', () => {
  const settings = ['MALLOC_ARENA_MAX', 'MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_'];
  /** What the process that runs the command was given. */
  const given = async (environment: Record<string, string>): Promise<string | undefined> => {
    const shown = `console.log(${JSON.stringify(settings)}.map((name) => process.env[name]).join(' '))`;
    const options = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(shown)}` };
    return (await run(['--version'], { ...options, ...environment })).stdout.split('\n')[0];
  };

  it('comes from one arena and, where large, from the kernel, unless the user says otherwise', async () => {
    const unset = Object.fromEntries(settings.map((name) => [name, '']));
    expect(await given(unset)).toBe('1 1048576 8388608');
    expect(await given({ ...unset, MALLOC_ARENA_MAX: '4' })).toBe('4 1048576 8388608');
  });
});
