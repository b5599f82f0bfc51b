/** JSON made and read by the main thread or by the other one: nobody can tell which, unless it fails. */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Worker } from 'node:worker_threads';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, describe, expect, test } from 'vitest';
import type { ToWorker, WorkerData } from '../../src/api/json-messages.ts';
import { JsonWork } from '../../src/api/json-work.ts';
import { traceRoutes } from '../../src/api/trace-routes.ts';
import { limits } from '../../src/limits.ts';
import { silentLogger } from '../../src/logger.ts';
import { exportFromJson, JsonError } from '../../src/otlp/json-decode.ts';
import { tracesToJson } from '../../src/otlp/json-encode.ts';
import { openRealExecutor } from '../../src/platform/real/executor.ts';
import { asIndex } from '../../src/raft/core/types.ts';
import type { TraceStore } from '../../src/traces/trace-store.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { eventually } from '../support/quorate-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const random = new SeededRandom(3);
const tracesOf = (spans: number): Uint8Array => new Uint8Array(smallExport(random, { spans }).body);
const small = tracesOf(20);
const large = tracesOf(30_000);
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

/** A clock whose timers fire when they are told to. */
const looks = {
  fires: new Set<() => void>(),
  after(_delayMs: number, fire: () => void): () => void {
    this.fires.add(fire);
    return () => this.fires.delete(fire);
  },
  fire(): void {
    const due = [...this.fires];
    this.fires.clear();
    for (const fire of due) fire();
  },
};
afterEach(() => looks.fires.clear());

const failures: string[] = [];
const logger = { ...silentLogger, error: (_fields: object, sentence: string) => failures.push(sentence) };

function jsonWork(workerUrl?: URL): JsonWork {
  failures.length = 0;
  const work = new JsonWork({
    clock: looks,
    executor: openRealExecutor(),
    logger,
    ...(workerUrl === undefined ? {} : { workerUrl }),
  });
  opened.push(work);
  return work;
}

const failing = (): JsonWork => jsonWork(new URL('failing-json-worker.ts', import.meta.url));

/** From now on, how many JSON threads were started. */
function countingThreads(): () => number {
  let started = 0;
  const count = (worker: Worker): void => void (started += Number(worker.threadName === 'json'));
  process.on('worker', count);
  opened.push({ close: async () => process.off('worker', count) });
  return () => started;
}

/** The text, and in how many chunks it came: 0 for a string. */
async function textOf(encoded: string | AsyncIterable<Uint8Array>): Promise<{ text: string; chunks: number }> {
  if (typeof encoded === 'string') return { text: encoded, chunks: 0 };
  const chunks: Uint8Array[] = [];
  for await (const chunk of encoded) chunks.push(chunk);
  return { text: Buffer.concat(chunks).toString('utf8'), chunks: chunks.length };
}

/** `nice` of each thread of this process that has another than its main thread. */
function niceOfOthers(): number[] {
  const niceOf = (thread: string): number => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
  };
  const own = niceOf(String(process.pid));
  return readdirSync('/proc/self/task')
    .map((thread) => niceOf(thread) - own)
    .filter((nice) => nice !== 0);
}

test.runIf(process.platform === 'linux')(
  'who makes JSON stands behind the others for a CPU, who reads it does not',
  async () => {
    const work = jsonWork();
    const body = new TextEncoder().encode(tracesToJson(large));
    await work.decode(body, { anyValueDepthMax: limits.anyValueDepthMax });
    expect(niceOfOthers()).toEqual([]);
    await textOf(await work.encode(large.slice()));
    expect(niceOfOthers()).toEqual([limits.jsonNice]);
  },
);

describe('encode', () => {
  test('a little is text, a lot comes in chunks, and both are what tracesToJson makes', async () => {
    const work = jsonWork();
    expect(await textOf(await work.encode(small.slice()))).toEqual({ text: tracesToJson(small), chunks: 0 });
    const { text, chunks } = await textOf(await work.encode(large.slice()));
    expect(text === tracesToJson(large)).toBe(true);
    expect(chunks).toBeGreaterThan(3);
    expect(chunks).toBeLessThanOrEqual(Math.ceil(text.length / limits.jsonChunkBytes));
  });

  test('characters that take several bytes are not cut between chunks', async () => {
    const json = (text: string): Uint8Array =>
      Buffer.from(
        JSON.stringify({
          resourceSpans: [
            { scopeSpans: [{ spans: [{ traceId, spanId: '00000000000000aa', name: text.repeat(100_000) }] }] },
          ],
        }),
      );
    const text = json('日本€');
    const traces = new Uint8Array(exportFromJson(text).request);
    expect((await textOf(await jsonWork().encode(traces))).text === text.toString()).toBe(true);
  });

  test('several at once', async () => {
    const work = jsonWork();
    const texts = await Promise.all([1, 2, 3].map(async () => textOf(await work.encode(large.slice()))));
    for (const { text } of texts) expect(text === tracesToJson(large)).toBe(true);
  });

  test('who leaves early leaves the thread to others', async () => {
    const work = jsonWork();
    for (let n = 0; n < 50; n += 1) {
      const encoded = await work.encode(large.slice());
      if (typeof encoded !== 'string') for await (const chunk of encoded) if (chunk.length > 0) break;
    }
    expect((await textOf(await work.encode(large.slice()))).text === tracesToJson(large)).toBe(true);
  });

  test('damaged bytes are an error of that text alone', async () => {
    const work = jsonWork();
    await expect(textOf(await work.encode(large.slice(0, large.length - 3)))).rejects.toThrow('reaches past the end');
    expect((await textOf(await work.encode(large.slice()))).chunks).toBeGreaterThan(3);
    expect(failures).toEqual([]);
  });

  test('bytes that share their buffer with others leave it to them', async () => {
    const shared = Buffer.concat([Buffer.from('before'), large]);
    const encoded = await jsonWork().encode(shared.subarray(6));
    expect((await textOf(encoded)).text === tracesToJson(large)).toBe(true);
    expect(shared.toString('latin1', 0, 6)).toBe('before');
  });
});

describe('decode', () => {
  const body = (traces: Uint8Array): Uint8Array => Buffer.from(tracesToJson(traces));

  test.each([
    ['small', small],
    ['large', large],
  ])('a %s body is what exportFromJson makes of it', async (_, traces) => {
    const decoded = await jsonWork().decode(body(traces), limits);
    expect(decoded.hint).toBeNull();
    expect(Buffer.compare(decoded.request, exportFromJson(body(traces)).request)).toBe(0);
  });

  test.each([
    ['small', '{"resourceSpans":7}'],
    ['large', `{"resourceSpans":7,"x":"${'x'.repeat(limits.jsonInlineBytesMax)}"}`],
  ])('a mistake in a %s body is a JsonError with the same sentence', async (_, text) => {
    const error: unknown = await jsonWork()
      .decode(Buffer.from(text), limits)
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(JsonError);
    expect(error).toMatchObject({ message: 'resourceSpans: must be an array' });
  });
});

describe('a thread that fails', () => {
  test('rejects what was under way; the next use starts another', async () => {
    const work = failing();
    for (let n = 1; n <= 2; n += 1) {
      const encoded = await work.encode(large.slice());
      await expect(textOf(encoded)).rejects.toThrow('planted failure');
      expect(failures).toHaveLength(n);
    }
    // Not the fault of who sent it, so it may be sent again.
    await expect(work.decode(Buffer.alloc(limits.jsonInlineBytesMax), limits)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('planted failure'),
    });
  });

  test('one that was closed rejects, and none is started after that', async () => {
    const work = jsonWork();
    const encoded = await work.encode(large.slice());
    const decoding = work.decode(Buffer.alloc(limits.jsonInlineBytesMax), limits).catch((thrown: unknown) => thrown);
    await work.close();
    expect(await decoding).toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('the JSON thread is closed'),
    });
    await expect(textOf(encoded)).rejects.toThrow('the JSON thread is closed');
    await expect(work.encode(large.slice())).rejects.toThrow('the node is stopping');
    expect(failures).toEqual([]);
  });
});

describe('a thread that is not used', () => {
  const read = async (work: JsonWork): Promise<void> => {
    expect((await textOf(await work.encode(large.slice()))).text === tracesToJson(large)).toBe(true);
  };

  test('ends at the second look after its last use; the next use starts another', async () => {
    const work = jsonWork();
    const started = countingThreads();
    await read(work);
    looks.fire();
    await read(work);
    expect(started()).toBe(1);
    looks.fire();
    looks.fire();
    expect(looks.fires.size).toBe(0);
    await read(work);
    expect(started()).toBe(2);
    expect(looks.fires.size).toBe(1);
    expect(failures).toEqual([]);
  });

  test('is one that nobody waits for and that has no text to go on with', async () => {
    const work = jsonWork();
    const encoded = await work.encode(large.slice());
    if (typeof encoded === 'string') throw new Error('not a large one');
    const chunks = encoded[Symbol.asyncIterator]();
    await chunks.next();
    for (let n = 0; n < 3; n += 1) looks.fire();
    const decoding = work.decode(Buffer.from(tracesToJson(large)), limits);
    for (let n = 0; n < 3; n += 1) looks.fire();
    expect(Buffer.compare((await decoding).request, large)).toBe(0);
    expect((await chunks.next()).done).toBe(false);
    await chunks.return?.(undefined);
    // The chunk that was asked for ahead comes first.
    await eventually('its end', async () => {
      looks.fire();
      return looks.fires.size === 0;
    });
    expect(failures).toEqual([]);
  });

  test('is not looked for once the work is closed', async () => {
    const work = jsonWork();
    await read(work);
    await work.close();
    expect(looks.fires.size).toBe(0);
  });
});

test('what a text was made of is freed when it is over, not when somebody collects garbage', async () => {
  const worker = new Worker(new URL('../../src/api/json-worker.ts', import.meta.url), {
    workerData: { nice: 0 } satisfies WorkerData,
  });
  opened.push({ close: () => worker.terminate() });
  const say = (message: ToWorker, buffers: ArrayBuffer[] = []): void => worker.postMessage(message, buffers);
  const external = async (): Promise<number> => (await worker.getHeapStatistics()).external_memory;
  const traces = new Uint8Array(large);
  say({ kind: 'encode', number: 1, text: 1, traces }, [traces.buffer]);
  await once(worker, 'message');
  const before = await external();
  say({ kind: 'forget', text: 1 });
  // It takes one after the other: with the answer to this it has forgotten.
  say({ kind: 'decode', number: 2, body: Buffer.from('{}'), limits });
  await once(worker, 'message');
  expect(await external()).toBeLessThan(before - large.length / 2);
});

describe('as an answer', () => {
  /** The routes over a store that always gives `large`; `released` counts what was let go. */
  async function serving(json: JsonWork): Promise<{ url: string; released: () => number }> {
    let released = 0;
    const store = {
      status: { id: 'n1' },
      read: async () => ({ trace: large.slice(), applied: asIndex(1), next: null, release: () => (released += 1) }),
    };
    const server: FastifyInstance = Fastify({ forceCloseConnections: true });
    await server.register(traceRoutes, { store: store as unknown as TraceStore, json });
    await server.listen({ host: '127.0.0.1', port: 0 });
    opened.push(server);
    const { port } = server.server.address() as AddressInfo;
    return { url: `http://127.0.0.1:${port}/api/v1/traces/${traceId}`, released: () => released };
  }

  test('one that fails half way breaks the connection: it never looks whole', async () => {
    const { url, released } = await serving(failing());
    const answer = await fetch(url);
    expect(answer.status).toBe(200);
    await expect(answer.text()).rejects.toThrow('terminated');
    await eventually('the release', async () => released() === 1);
  });

  test('a client that goes away ends the work and lets the bytes go', async () => {
    const { url, released } = await serving(jsonWork());
    const request = get(url, { agent: false });
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    await once(answer, 'readable');
    expect(released()).toBe(0);
    answer.destroy();
    await eventually('the release', async () => released() === 1);
  });
});
