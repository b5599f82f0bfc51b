/** A trace by its id, in one answer or in pages (protocol D4). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { mergeTrace } from '../../src/otlp/trace-merge.ts';
import { walkExport } from '../../src/otlp/walk.ts';
import type { Executor } from '../../src/platform/executor.ts';
import { realClock } from '../../src/platform/real/clock.ts';
import { realCodec } from '../../src/platform/real/codec.ts';
import { openRealExecutor } from '../../src/platform/real/executor.ts';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { asIndex, emptyLog, type Entry, type LogIndex } from '../../src/raft/core/types.ts';
import { BlockBuilder } from '../../src/store/block-builder.ts';
import { encodeBaseRecord } from '../../src/store/base-record.ts';
import { NotInLogError, type Pin } from '../../src/store/block-log.ts';
import { DamagedEntryError, DamagedError } from '../../src/store/damaged.ts';
import { baseKey, entryKey } from '../../src/store/log-keys.ts';
import { LargeLookups } from '../../src/traces/large-lookups.ts';
import { type LookupBudget, type LookupOptions, lookUpTrace, type TracePage } from '../../src/traces/lookup.ts';
import type { TraceRead } from '../../src/traces/trace-reader.ts';
import { keyOf } from '../sim/platform/ordered-bytes.ts';
import { exportOf, spansIn, type SpanText, traceIdOf } from '../store/exports.ts';
import { entryAfter } from '../store/support.ts';
import { freshState, LoneNode, voters } from './lone-node.ts';

const wanted = traceIdOf(1);

const spanOf = (number: number, text = ''): SpanText => ({
  trace: 1,
  resource: 'r',
  scope: 's',
  text: `${number}${text}`,
  startNs: number,
  endNs: number,
});

function payloadOf(spans: readonly SpanText[], counter: number): Uint8Array {
  const request = exportOf(spans);
  const builder = new BlockBuilder({ codec: realCodec, builder: 'ab'.repeat(16), frameRawBytesTarget: 600 });
  builder.add(request, walkExport(request, limits));
  return builder.seal(counter).payload;
}

interface Stored {
  readonly blocks: readonly (readonly SpanText[])[];
  readonly budget: LookupBudget;
  readonly executor?: Executor;
  readonly large?: LargeLookups;
  /** Blocks that cannot be read. */
  readonly damaged?: ReadonlySet<number>;
  readonly beginning?: Beginning;
}

/** Where a log begins, and who holds it there: entries above the least base that is held can be read. */
class Beginning {
  base = asIndex(0);
  readonly held: number[] = [];
  /** Pins taken. */
  taken = 0;

  pin(): Pin {
    const { base } = this;
    this.taken += 1;
    this.held.push(base);
    let released = false;
    return {
      base,
      release: () => {
        if (!released) this.held.splice(this.held.indexOf(base), 1);
        released = true;
      },
    };
  }

  reads(index: LogIndex): boolean {
    return index > Math.min(this.base, ...this.held);
  }
}

/** A log of blocks 10, 20, 30... all of which the index believes to hold the trace. */
function storeOf({ blocks, budget, executor = openRealExecutor(), large, damaged, ...more }: Stored): {
  options: LookupOptions;
  read: LogIndex[];
} {
  const entries = new Map<LogIndex, Entry>();
  const read: LogIndex[] = [];
  const { beginning = new Beginning() } = more;
  for (const [number, spans] of blocks.entries()) {
    const index = asIndex(10 * (number + 1));
    entries.set(index, { ...entryAfter(emptyLog, { payload: payloadOf(spans, number) }), index });
  }
  const options: LookupOptions = {
    index: { lookup: async () => [...entries.keys()] },
    log: {
      pin: () => beginning.pin(),
      read: async (index) => {
        read.push(index);
        if (!beginning.reads(index)) throw new NotInLogError(`entry ${index} is not in the log`);
        const entry = entries.get(index);
        if (entry === undefined || damaged?.has(index) === true)
          throw new DamagedError(`entry ${index}`, 'it is missing');
        return entry;
      },
    },
    clock: realClock,
    codec: realCodec,
    executor,
    large: large ?? new LargeLookups({ clock: realClock, atOnce: 2 }),
    budget,
  };
  return { options, read };
}

const pageOf = (options: LookupOptions, after: number | null = null): Promise<TracePage> =>
  lookUpTrace(
    { traceId: wanted, after: after === null ? null : asIndex(after), untilMs: realClock.monotonicMs() + 5_000 },
    options,
  );

/** Follows the pages to the last one. */
async function allPages(options: LookupOptions): Promise<TracePage[]> {
  const pages: TracePage[] = [];
  let after: LogIndex | null = null;
  do {
    const page = await pageOf(options, after);
    page.release();
    pages.push(page);
    after = page.next;
  } while (after !== null);
  return pages;
}

const textsIn = ({ trace }: TracePage): string[] => spansIn(trace ?? new Uint8Array(0)).map(({ text }) => text);
const manyBytes = Number.POSITIVE_INFINITY;

describe('pages', () => {
  // Few different spans, so that the same one stands in several blocks; trace 2 only shares the fingerprint, as it were.
  const anySpan = fc.record({ number: fc.nat(12), trace: fc.constantFrom(1, 1, 1, 2), long: fc.boolean() });
  const anyBlocks = fc.array(fc.array(anySpan, { minLength: 1, maxLength: 12 }), { maxLength: 40 });

  test('joined, they are the whole trace, whatever the budget', async () => {
    await fc.assert(
      fc.asyncProperty(anyBlocks, fc.integer({ min: 0, max: 9 }), fc.nat(4_000), async (drawn, blocksMax, bytesMax) => {
        const blocks = drawn.map((block) =>
          block.map(({ number, trace, long }) => ({ ...spanOf(number, long ? 'y'.repeat(300) : ''), trace })),
        );
        const { options } = storeOf({ blocks, budget: { blocksMax, bytesMax } });
        const pages = await allPages(options);
        const joined = mergeTrace(
          pages.map(({ trace }) => trace ?? new Uint8Array(0)),
          wanted,
        );
        expect(joined).toEqual(mergeTrace(blocks.map(exportOf), wanted));
        const isKnown = blocks.flat().some(({ trace }) => trace === 1);
        expect(pages[0]?.trace === null).toBe(!isKnown && pages.length === 1);
        for (const { trace } of pages.slice(1)) expect(trace).not.toBeNull();
        expect(pages.length).toBeLessThanOrEqual(Math.max(1, blocks.length));
      }),
      { numRuns: 150 },
    );
  });

  test('by blocks: each ends with the last block it holds, and no block behind it is read', async () => {
    const { options, read } = storeOf({
      blocks: [1, 2, 3, 4, 5].map((number) => [spanOf(number)]),
      budget: { blocksMax: 2, bytesMax: manyBytes },
    });
    const first = await pageOf(options);
    expect([textsIn(first), first.next, read]).toEqual([['1', '2'], 20, [10, 20]]);
    const second = await pageOf(options, 20);
    expect([textsIn(second), second.next]).toEqual([['3', '4'], 40]);
    const last = await pageOf(options, 40);
    expect([textsIn(last), last.next]).toEqual([['5'], null]);
  });

  test('by bytes: the block that reaches the budget is whole, and at least one comes', async () => {
    const long = 'z'.repeat(500);
    const { options } = storeOf({
      blocks: [
        [1, 2, 3],
        [4, 5, 6],
        [7, 8, 9],
      ].map((numbers) => numbers.map((number) => spanOf(number, long))),
      budget: { blocksMax: 100, bytesMax: 2_000 },
    });
    const pages = await allPages(options);
    expect(pages.map((page) => textsIn(page).map((text) => text[0]))).toEqual([
      ['1', '2', '3', '4', '5', '6'],
      ['7', '8', '9'],
    ]);
  });

  test('exactly as many blocks as the budget are no page', async () => {
    const { options } = storeOf({ blocks: [[spanOf(1)], [spanOf(2)]], budget: { blocksMax: 2, bytesMax: manyBytes } });
    expect(await pageOf(options)).toMatchObject({ next: null });
  });

  test('a span sent twice stands on both of its pages, and once in one', async () => {
    const blocks = [[spanOf(1)], [spanOf(1)], [spanOf(1)]];
    const { options } = storeOf({ blocks, budget: { blocksMax: 2, bytesMax: manyBytes } });
    expect((await allPages(options)).map(textsIn)).toEqual([['1'], ['1']]);
  });
});

describe('nothing found', () => {
  const other = { ...spanOf(1), trace: 2 };

  test('no block: unknown', async () => {
    const { options } = storeOf({ blocks: [], budget: { blocksMax: 2, bytesMax: manyBytes } });
    expect(await pageOf(options)).toMatchObject({ trace: null, next: null });
  });

  test('blocks of another trace with the same fingerprint: the lookup goes on while the budget of blocks lasts', async () => {
    const builtFor = (blocks: SpanText[][], blocksMax: number): LookupOptions =>
      storeOf({ blocks, budget: { blocksMax, bytesMax: 1 } }).options;
    expect(await pageOf(builtFor([[other], [other], [other]], 9))).toMatchObject({ trace: null, next: null });
    const used = await pageOf(builtFor([[other], [other], [other], [spanOf(4)]], 2));
    expect([used.trace, used.next]).toEqual([new Uint8Array(0), 20]);
  });

  test('behind a page that had something it is an empty page, not an unknown trace', async () => {
    const { options } = storeOf({ blocks: [[spanOf(1)], [other]], budget: { blocksMax: 1, bytesMax: manyBytes } });
    expect((await allPages(options)).map(({ trace }) => trace?.length === 0)).toEqual([false, true]);
    expect(await pageOf(options, 999)).toMatchObject({ trace: new Uint8Array(0), next: null });
  });
});

describe('a log whose beginning has expired', () => {
  const blocks = [1, 2, 3, 4].map((number) => [spanOf(number)]);
  const budget = { blocksMax: 2, bytesMax: manyBytes };

  test('gives what is left, says so on the page before which it expired, and reads nothing of what is gone', async () => {
    const beginning = new Beginning();
    beginning.base = asIndex(20);
    const { options, read } = storeOf({ blocks, budget: { ...budget, blocksMax: 1 }, beginning });
    const pages = await allPages(options);
    expect(pages.map((page) => [...textsIn(page), page.next, page.expired])).toEqual([
      ['3', 30, true],
      ['4', null, false],
    ]);
    expect(read).toEqual([30, 40]);
    // Between two pages another block expired.
    beginning.base = asIndex(30);
    expect(await pageOf(options, 10)).toMatchObject({ next: null, expired: true });
    expect(await pageOf(options, 30)).toMatchObject({ next: null, expired: false });
    expect(beginning.held).toEqual([]);
  });

  test('of which nothing is left is an unknown trace, and behind a page an empty one', async () => {
    const beginning = new Beginning();
    beginning.base = asIndex(40);
    const { options } = storeOf({ blocks, budget, beginning });
    expect(await pageOf(options)).toMatchObject({ trace: null, next: null, expired: true });
    expect(await pageOf(options, 20)).toMatchObject({ trace: new Uint8Array(0), next: null, expired: true });
    const other = storeOf({ blocks: [], budget, beginning });
    expect(await pageOf(other.options)).toMatchObject({ trace: null, expired: false });
  });

  test('is where it was when the lookup began: what expires meanwhile is read', async () => {
    const beginning = new Beginning();
    const { options } = storeOf({ blocks, budget, beginning });
    const { log } = options;
    const trimming: LookupOptions['log'] = {
      ...log,
      read: (index) => {
        beginning.base = asIndex(30);
        return log.read(index);
      },
    };
    const page = await pageOf({ ...options, log: trimming });
    expect([textsIn(page), page.next, page.expired]).toEqual([['1', '2'], 20, false]);
    expect([beginning.held, beginning.taken]).toEqual([[], 1]);
  });

  test('is let go by a lookup that fails, also before it has read anything', async () => {
    const beginning = new Beginning();
    const { options } = storeOf({ blocks, budget, damaged: new Set([20]), beginning });
    await expect(pageOf(options)).rejects.toBeInstanceOf(DamagedError);
    const lookup = async (): Promise<never> => Promise.reject(new Error('no index'));
    await expect(pageOf({ ...options, index: { lookup } })).rejects.toThrow('no index');
    expect(beginning.held).toEqual([]);
  });

  /** A base that comes from another node takes away what was pinned: `fail` is what a read of it meets. */
  function replacing(
    fail: (index: LogIndex) => Error,
    bases: readonly number[],
  ): { options: LookupOptions; beginning: Beginning } {
    const beginning = new Beginning();
    const { options } = storeOf({ blocks, budget, beginning });
    const { log } = options;
    const read = async (index: LogIndex): Promise<Entry> => {
      // Each attempt begins with a pin.
      const next = bases[beginning.taken - 1] ?? 0;
      if (index <= next) beginning.base = asIndex(next);
      if (index <= beginning.base) throw fail(index);
      return log.read(index);
    };
    return { options: { ...options, log: { ...log, read } }, beginning };
  }
  const missing = (index: LogIndex): Error => new NotInLogError(`entry ${index} is not in the log`);
  const damaged = (index: LogIndex): Error => new DamagedEntryError(index, 'it is missing');

  test.each([
    ['not in the log', missing],
    ['damaged', damaged],
  ])('moves under the lookup and what is read is %s: it begins again', async (_, fail) => {
    const { options, beginning } = replacing(fail, [10, 30]);
    const page = await pageOf(options);
    expect([textsIn(page), page.next, page.expired]).toEqual([['4'], null, true]);
    expect([beginning.held, beginning.taken]).toEqual([[], 3]);
  });

  test('a block above it that is missing or damaged is an error, however the log begins', async () => {
    const beginning = new Beginning();
    const { options } = storeOf({ blocks, budget, beginning });
    for (const [fail, base] of [
      [damaged, 10],
      [missing, 0],
    ] as const) {
      const read = async (index: LogIndex): Promise<Entry> => {
        beginning.base = asIndex(Math.max(beginning.base, base));
        throw fail(asIndex(Math.max(index, 20)));
      };
      beginning.base = asIndex(0);
      await expect(pageOf({ ...options, log: { ...options.log, read } })).rejects.toThrow(fail(asIndex(20)).message);
    }
    expect(beginning.held).toEqual([]);
  });

  test('that moves again and again is unavailable at the deadline', async () => {
    const { options, beginning } = replacing(missing, [10, 20, 30, 40]);
    let nowMs = 0;
    const clock = { monotonicMs: () => (nowMs += 10) };
    const asked = lookUpTrace({ traceId: wanted, after: null, untilMs: 25 }, { ...options, clock });
    await expect(asked).rejects.toMatchObject({ code: 'unavailable' });
    expect([nowMs, beginning.base, beginning.held]).toEqual([30, 30, []]);
  });
});

test('blocks are read side by side, four at a time', async () => {
  const together = async (count: number, text: string): Promise<number[]> => {
    const { options } = storeOf({
      blocks: Array.from({ length: count }, (_, number) => [spanOf(number, text)]),
      budget: { blocksMax: 100, bytesMax: manyBytes },
    });
    const batches: number[] = [];
    let underWay = 0;
    const read = async (index: LogIndex): Promise<Entry> => {
      underWay += 1;
      if (underWay === 1) batches.push(0);
      batches[batches.length - 1] = underWay;
      const entry = await options.log.read(index);
      await new Promise((resolve) => setImmediate(resolve));
      underWay -= 1;
      return entry;
    };
    await pageOf({ ...options, log: { ...options.log, read } });
    return batches;
  };
  expect(await together(10, '')).toEqual([4, 4, 2]);
});

test('a block that cannot be read fails the page it is on, and no other', async () => {
  const { options } = storeOf({
    blocks: [1, 2, 3, 4].map((number) => [spanOf(number)]),
    budget: { blocksMax: 2, bytesMax: manyBytes },
    damaged: new Set([40]),
  });
  expect(textsIn(await pageOf(options))).toEqual(['1', '2']);
  await expect(pageOf(options, 20)).rejects.toBeInstanceOf(DamagedError);
});

test('a hot trace is opened a frame at a time and merged in short steps', async () => {
  const real = openRealExecutor();
  let steps = 0;
  const counting: Executor = {
    nextTurn: () => real.nextTurn(),
    run: (job) =>
      real.run({
        next: () => {
          steps += 1;
          return job.next();
        },
      }),
  };
  const blocks = Array.from({ length: 50 }, (_, block) =>
    Array.from({ length: 40 }, (_span, number) => spanOf(block * 40 + number, 'y'.repeat(100))),
  );
  const { options } = storeOf({ blocks, executor: counting, budget: { blocksMax: 100, bytesMax: manyBytes } });
  expect(textsIn(await pageOf(options))).toHaveLength(2_000);
  // Frames of 600 bytes hold three of these spans.
  expect(steps).toBeGreaterThan(50 * 12);
});

describe('large lookups', () => {
  const large = (atOnce: number): LargeLookups => new LargeLookups({ clock: realClock, atOnce });
  const budget = { blocksMax: 100, bytesMax: manyBytes };
  const manySpans = [0, 1, 2].map((block) =>
    Array.from({ length: 700 }, (_, number) => spanOf(block * 700 + number, 'y'.repeat(900))),
  );

  test('wait for one another until the answer is let go, small ones do not', async () => {
    const gate = large(1);
    const { options } = storeOf({ blocks: manySpans, budget, large: gate });
    const small = storeOf({ blocks: [[spanOf(1)]], budget, large: gate });
    const first = await pageOf(options);
    let second: TracePage | null = null;
    const waiting = pageOf(options).then((page) => (second = page));
    for (let n = 0; n < 20; n += 1) expect(textsIn(await pageOf(small.options))).toEqual(['1']);
    expect(second).toBeNull();
    first.release();
    const { trace } = await waiting;
    expect(Buffer.compare(trace ?? new Uint8Array(0), first.trace ?? new Uint8Array(0))).toBe(0);
    expect(trace?.length).toBeGreaterThan(limits.largeLookupBytes);
  });

  test('one that does not get its turn is unavailable at its deadline; one that fails lets others in', async () => {
    const gate = large(1);
    const { options } = storeOf({ blocks: manySpans, budget, large: gate, damaged: new Set([30]) });
    await expect(pageOf(options)).rejects.toBeInstanceOf(DamagedError);
    const { options: whole } = storeOf({ blocks: manySpans, budget, large: gate });
    const held = await pageOf(whole);
    const request = { traceId: wanted, after: null, untilMs: realClock.monotonicMs() + 50 };
    await expect(lookUpTrace(request, whole)).rejects.toMatchObject({ code: 'unavailable' });
    held.release();
    expect((await pageOf(whole)).next).toBeNull();
  });
});

describe('a store', () => {
  async function storeWith(blocks: number): Promise<{ node: LoneNode; store: Awaited<ReturnType<LoneNode['open']>> }> {
    const node = new LoneNode();
    const entries: Entry[] = [];
    for (let number = 1; number <= blocks; number += 1) {
      const request = exportOf([spanOf(number)]);
      const builder = new BlockBuilder({ codec: node.machine.platform.codec, builder: 'ab'.repeat(16) });
      builder.add(request, walkExport(request, limits));
      const last = entries.at(-1) ?? emptyLog;
      entries.push(entryAfter(last, { payload: builder.seal(number).payload }));
    }
    const [own] = voters;
    await node.disk(freshState, { voters: own === undefined ? [] : [own], entries });
    const store = await node.open(['n1'], { lookupBlocksMax: 2, lookupBytesMax: manyBytes });
    await node.runFor(2_000);
    return { node, store };
  }

  test.each(['linearizable', 'stale'] as const)(
    'gives pages of a %s read, each at its applied index',
    async (consistency) => {
      const { node, store } = await storeWith(5);
      const texts: string[][] = [];
      for (let after: LogIndex | null = null, more = true; more;) {
        const page: TraceRead = await node.machine.wait(store.read(wanted, consistency, { after }));
        expect(page.applied).toBeGreaterThanOrEqual(5);
        texts.push(textsIn(page));
        after = page.next;
        more = after !== null;
        page.release();
      }
      expect(texts).toEqual([['1', '2'], ['3', '4'], ['5']]);
    },
  );

  test('whose log was trimmed answers with what is left, and says so', async () => {
    const node = new LoneNode();
    const payload = (number: number): Uint8Array => {
      const request = exportOf([spanOf(number)]);
      const builder = new BlockBuilder({ codec: node.machine.platform.codec, builder: 'ab'.repeat(16) });
      builder.add(request, walkExport(request, limits));
      return builder.seal(number).payload;
    };
    const entries: Entry[] = [];
    for (const number of [1, 2, 3]) entries.push(entryAfter(entries.at(-1) ?? emptyLog, { payload: payload(number) }));
    const own = voters.slice(0, 1);
    await node.disk(freshState, { voters: own, entries });
    const before = await node.open(['n1']);
    await node.runFor(2_000);
    // The index is flushed as it closes.
    await node.machine.wait(before.close());
    node.machine.crash('process');
    const trimmed = entries[1];
    if (trimmed === undefined) throw new Error('there are three entries');
    const { index, term, hash, timeMs } = trimmed;
    const base = {
      clusterId: 'c1',
      position: { index, term, hash },
      timeMs,
      configuration: votersOnly(own),
      configurationIndex: emptyLog.index,
    };
    const record = encodeBaseRecord({ ...base, formatLevel: 2 });
    node.machine.disk.keyValue('log').apply([{ key: keyOf(baseKey), value: record }], true);
    const store = await node.open(['n1']);
    await node.runFor(2_000);
    expect(node.failure).toBeNull();
    const page = await node.machine.wait(store.read(wanted, 'linearizable'));
    expect([textsIn(page), page.next, page.expired]).toEqual([['3'], null, true]);
    expect(store.status.retention).toEqual({ ageMs: null, bytes: null, trimmedTo: 2, trimmedToMs: timeMs });
  });

  test('a damaged block on the second page, that nobody brings, is `unavailable`, never an empty page', async () => {
    const { node, store } = await storeWith(5);
    node.machine.disk.flipBit('log', { gte: entryKey(4), lt: entryKey(5) });
    const first = await node.machine.wait(store.read(wanted, 'stale'));
    expect(textsIn(first)).toEqual(['1', '2']);
    await expect(node.machine.wait(store.read(wanted, 'stale', { after: first.next }))).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('is damaged on this node'),
    });
  });
});
