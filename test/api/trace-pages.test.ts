/** Large traces over HTTP: pages and what they say of one another, streamed JSON, clients that go away (protocol D4). */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { tracesToJson } from '../../src/otlp/json-encode.ts';
import { readTrace } from '../../src/otlp/read-trace.ts';
import { mergeTrace } from '../../src/otlp/trace-merge.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { OneNode } from './one-node.ts';

const random = new SeededRandom(12);
const protobuf = 'application/x-protobuf';
const blocksMax = 40;

let node: OneNode;
let url: string;

beforeAll(async () => {
  node = await OneNode.start({ lookupBlocksMax: blocksMax });
  ({ url } = node);
});
afterAll(async () => node.stop());

/** Stores a trace in so many exports, each a block of its own: they are sent one after the other. */
async function store(exports: number, spans: number): Promise<{ traceId: string; bodies: Uint8Array[] }> {
  const { traceId } = smallExport(random, { spans: 1 });
  const bodies: Uint8Array[] = [];
  for (let sent = 0; sent < exports; sent += 1) {
    const { body } = smallExport(random, { spans, traceId });
    bodies.push(body);
    const headers = { 'content-type': protobuf };
    const answer = await fetch(`${url}/v1/traces`, { method: 'POST', headers, body: new Uint8Array(body) });
    expect(answer.status).toBe(200);
  }
  return { traceId, bodies };
}

const nextOf = (answer: Response): string | undefined =>
  /^<([^>]+)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1];

describe('pages', () => {
  let traceId: string;
  let whole: Uint8Array;
  beforeAll(async () => {
    const stored = await store(2 * blocksMax + 5, 2);
    traceId = stored.traceId;
    whole = mergeTrace(stored.bodies, Buffer.from(traceId, 'hex'));
  });

  test.each([
    ['', ''],
    ['?consistency=stale', '&consistency=stale'],
    ['?consistency=linearizable', '&consistency=linearizable'],
  ])('each but the last says where the next one is, and keeps "%s"', async (query, kept) => {
    const pages: Uint8Array[] = [];
    const partial: (string | null)[] = [];
    for (let path: string | undefined = `/api/v1/traces/${traceId}${query}`; path !== undefined;) {
      const answer: Response = await fetch(url + path, { headers: { accept: protobuf } });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('quorate-consistency')).toBe(query.includes('stale') ? 'stale' : 'linearizable');
      pages.push(new Uint8Array(await answer.arrayBuffer()));
      partial.push(answer.headers.get('quorate-partial'));
      path = nextOf(answer);
      expect(answer.headers.has('link')).toBe(path !== undefined);
      if (path !== undefined) expect(path).toMatch(new RegExp(`^/api/v1/traces/${traceId}\\?after=\\d+${kept}$`));
    }
    expect(partial).toEqual(['page', 'page', null]);
    expect(pages.map((page) => readTrace(page).length)).toEqual([2 * blocksMax, 2 * blocksMax, 10]);
    expect(Buffer.compare(mergeTrace(pages, Buffer.from(traceId, 'hex')), whole)).toBe(0);
  });

  test('JSON comes in the same pages', async () => {
    const answer = await fetch(`${url}/api/v1/traces/${traceId}`);
    expect(answer.headers.get('quorate-partial')).toBe('page');
    const page = await fetch(`${url}/api/v1/traces/${traceId}`, { headers: { accept: protobuf } });
    expect(await answer.text()).toBe(tracesToJson(new Uint8Array(await page.arrayBuffer())));
  });

  test('behind the last block: 200 and nothing, in both encodings', async () => {
    const path = `${url}/api/v1/traces/${traceId}?after=9007199254740991`;
    const json = await fetch(path);
    expect([json.status, await json.text(), json.headers.has('quorate-partial')]).toEqual([200, '{}', false]);
    const bytes = await fetch(path, { headers: { accept: protobuf } });
    expect([bytes.status, (await bytes.arrayBuffer()).byteLength]).toEqual([200, 0]);
  });

  test.each(['', '0', '-1', '1.5', '1e3', '9007199254740992', '99999999999999999', 'x', '7&after=8'])(
    'after=%s is no end of a page: 400',
    async (after) => {
      const answer = await fetch(`${url}/api/v1/traces/${traceId}?after=${after}`);
      expect(answer.status).toBe(400);
      expect(await answer.json()).toEqual({
        error: {
          code: 'bad-request',
          message: expect.stringContaining('take it from the Link header of the page before'),
        },
      });
    },
  );
});

describe('a large trace', () => {
  let traceId: string;
  let whole: Uint8Array;
  beforeAll(async () => {
    const stored = await store(blocksMax, 2_500);
    traceId = stored.traceId;
    whole = mergeTrace(stored.bodies, Buffer.from(traceId, 'hex'));
    expect(whole.length).toBeGreaterThan(4 * limits.largeLookupBytes);
  }, 60_000);

  /** A client that asks for the trace and takes only its beginning. */
  async function begin(accept: string): Promise<IncomingMessage> {
    const request = get(`${url}/api/v1/traces/${traceId}`, { agent: false, headers: { accept } });
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    answer.on('error', () => undefined);
    await once(answer, 'readable');
    return answer;
  }

  test('streamed as JSON it is the same text', async () => {
    const answer = await fetch(`${url}/api/v1/traces/${traceId}`);
    expect([answer.headers.get('content-type'), answer.headers.has('content-length')]).toEqual([
      'application/json',
      false,
    ]);
    expect((await answer.text()) === tracesToJson(whole)).toBe(true);
  });

  test.each(['application/json', protobuf])(
    'clients that stop reading %s hold the places of large lookups until they go away',
    async (accept) => {
      const idle: IncomingMessage[] = [];
      for (let n = 0; n < limits.largeLookupsAtOnce; n += 1) idle.push(await begin(accept));
      let third: number | null = null;
      const waiting = fetch(`${url}/api/v1/traces/${traceId}`, { headers: { accept: protobuf } }).then(
        async (answer) => {
          third = answer.status;
          return Buffer.from(await answer.arrayBuffer());
        },
      );
      // A small one is answered meanwhile; a linearizable round later the third had every chance.
      const small = await store(1, 1);
      for (let n = 0; n < 20; n += 1) {
        expect((await fetch(`${url}/api/v1/traces/${small.traceId}`)).status).toBe(200);
      }
      expect(third).toBeNull();
      for (const answer of idle) answer.destroy();
      expect((await waiting).equals(whole)).toBe(true);
    },
    20_000,
  );
});
