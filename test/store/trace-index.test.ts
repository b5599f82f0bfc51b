import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KeyValue } from '../../src/platform/key-value.ts';
import { asHash, asIndex, type EntryHash } from '../../src/raft/core/types.ts';
import { DamagedError } from '../../src/store/damaged.ts';
import { DiskReads } from '../../src/store/disk-reads.ts';
import { type Fingerprint, fingerprintOf } from '../../src/store/fingerprint.ts';
import type { EntryWeight } from '../../src/store/index-window.ts';
import { windowOfKey } from '../../src/store/index-records.ts';
import { TraceIndex, type TraceIndexOptions } from '../../src/store/trace-index.ts';
import { traceIdOf } from './exports.ts';
import { keyOf } from '../sim/platform/ordered-bytes.ts';
import { Machine } from './machine.ts';

const traceOf = (number: number): Fingerprint => fingerprintOf(traceIdOf(number));
const hashAt = (index: number): EntryHash => asHash(index.toString(16).padStart(32, '0'));
/** Entry n has n bytes, a second after the one before. */
const weightAt = (index: number): EntryWeight => ({ bytes: index, timeMs: index * 1_000 });
const small = { windowTraces: 6, flushEntries: 20, flushMs: 1_000, flushWindows: 3 };

/** A log of blocks: the traces of entry 1, entry 2... */
type Blocks = readonly (readonly number[])[];

interface Setup {
  readonly machine: Machine;
  readonly options: TraceIndexOptions;
}

function optionsOn(machine: Machine, changes: Partial<TraceIndexOptions> = {}): TraceIndexOptions {
  const { disk, executor, clock } = machine.platform;
  const openStore = (): Promise<KeyValue> => disk.openKeyValue('index');
  const destroyStore = (): Promise<void> => disk.destroyKeyValue('index');
  return { openStore, destroyStore, executor, clock, clusterId: 'c1', incarnation: 'i1', ...small, ...changes };
}

function setup(seed = 1): Setup {
  const machine = new Machine(seed);
  return { machine, options: optionsOn(machine) };
}

const open = ({ machine, options }: Setup): Promise<TraceIndex> => machine.wait(TraceIndex.open(options));

function applyTo(index: TraceIndex, blocks: Blocks, upTo = blocks.length): void {
  while (index.applied < upTo) {
    const next = asIndex(index.applied + 1);
    index.apply(next, hashAt(next), (blocks[next - 1] ?? []).map(traceOf), weightAt(next));
  }
}

/** What a scan of the log gives. */
function naive(blocks: Blocks, trace: number, upTo = blocks.length): number[] {
  return blocks.slice(0, upTo).flatMap((traces, at) => (traces.includes(trace) ? [at + 1] : []));
}

async function expectAnswers(machine: Machine, index: TraceIndex, blocks: Blocks, upTo = blocks.length): Promise<void> {
  for (let trace = 0; trace <= 25; trace += 1) {
    expect(await machine.wait(index.lookup(traceOf(trace)))).toEqual(naive(blocks, trace, upTo));
  }
}

const anyBlocks = fc.array(fc.array(fc.nat(24), { maxLength: 8 }), { maxLength: 40 });
const someBlocks: Blocks = Array.from({ length: 30 }, (_, at) => [at % 7, at % 11, 24]);

describe('trace index', () => {
  test('answers are those of a scan of the log, whatever is applied, flushed, crashed and opened again', async () => {
    const anySteps = fc.array(
      fc.constantFrom('apply', 'apply', 'apply', 'maybeFlush', 'flush', 'events', 'lookup', 'process', 'power'),
      {
        maxLength: 40,
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(), anyBlocks, anySteps, async (seed, blocks, steps) => {
        const machine = new Machine(seed);
        let index = await open({ machine, options: optionsOn(machine) });
        let flushedAtLeast = 0;
        for (const step of steps) {
          switch (step) {
            case 'apply':
              applyTo(index, blocks, Math.min(blocks.length, index.applied + 3));
              break;
            case 'maybeFlush':
              void index.maybeFlush();
              break;
            case 'flush':
              await machine.wait(index.flush());
              expect(index.flushed?.applied ?? 0).toBe(index.applied);
              break;
            case 'events':
              await machine.events(3);
              break;
            case 'lookup':
              await expectAnswers(machine, index, blocks, index.applied);
              break;
            case 'process':
            case 'power': {
              flushedAtLeast = index.flushed?.applied ?? 0;
              const applied = index.applied;
              machine.crash(step);
              index = await open({ machine, options: optionsOn(machine) });
              expect(index.damaged).toBeNull();
              expect(index.applied).toBeGreaterThanOrEqual(flushedAtLeast);
              expect(index.applied).toBeLessThanOrEqual(applied);
              if (index.flushed !== null)
                expect(index.flushed).toEqual({ applied: index.applied, hash: hashAt(index.applied) });
              break;
            }
            default:
              step satisfies never;
          }
        }
        applyTo(index, blocks);
        await expectAnswers(machine, index, blocks);
        await machine.wait(index.close());
        const reopened = await open({ machine, options: optionsOn(machine) });
        expect(reopened.applied).toBe(blocks.length);
        await expectAnswers(machine, reopened, blocks);
      }),
      { numRuns: 80 },
    );
  });

  test('lookups during a flush miss nothing', async () => {
    const { machine, options } = setup();
    const index = await open({ machine, options });
    applyTo(index, someBlocks, 20);
    const flush = index.flush();
    applyTo(index, someBlocks);
    let flushing = true;
    const over = flush.then(() => (flushing = false));
    let lookups = 0;
    while (flushing) {
      expect(await machine.wait(index.lookup(traceOf(24)))).toEqual(naive(someBlocks, 24));
      lookups += 1;
      await machine.events(1);
    }
    await over;
    expect(lookups).toBeGreaterThan(2);
    await expectAnswers(machine, index, someBlocks);
  });

  test('a lookup on disk waits for its turn, one in memory does not', async () => {
    const { machine, options } = setup();
    const index = await open({ machine, options });
    applyTo(index, someBlocks, 20);
    await machine.wait(index.flush());
    index.apply(asIndex(21), hashAt(21), [traceOf(99)], weightAt(21));
    const reads = new DiskReads(machine.platform.clock, 1).until(Infinity);
    let end = (): void => undefined;
    void reads(() => new Promise<void>((resolve) => (end = resolve)));
    let answer: number[] | null = null;
    void index.lookup(traceOf(24), reads).then((found) => (answer = found));
    expect(await machine.wait(index.lookup(traceOf(99), reads))).toEqual([21]);
    await machine.events(50);
    expect(answer).toBeNull();
    end();
    await machine.events(50);
    expect(answer).toEqual(naive(someBlocks, 24, 20));
  });

  test('a trace that comes more than once in a block is one entry of the answer', async () => {
    const { machine, options } = setup();
    const index = await open({ machine, options });
    index.apply(asIndex(1), hashAt(1), [traceOf(1), traceOf(2), traceOf(1), traceOf(1)], weightAt(1));
    expect(await machine.wait(index.lookup(traceOf(1)))).toEqual([1]);
  });

  test('entries are applied in order, each once', async () => {
    const { machine, options } = setup();
    const index = await open({ machine, options });
    index.apply(asIndex(1), hashAt(1), [], weightAt(1));
    expect(() => index.apply(asIndex(1), hashAt(1), [], weightAt(1))).toThrow('does not follow');
    expect(() => index.apply(asIndex(3), hashAt(3), [], weightAt(3))).toThrow('does not follow');
  });

  test('a flush comes after so many entries, so many full windows, or when a full window has waited', async () => {
    const { machine, options } = setup();
    const index = await open({ machine, options });
    const maybe = (): Promise<boolean> => machine.wait(index.maybeFlush());
    const blockOf = (first: number): number[] => [0, 1, 2, 3, 4, 5].map((offset) => first + offset);
    const applyNext = (traces: number[]): void =>
      index.apply(asIndex(index.applied + 1), hashAt(index.applied + 1), traces.map(traceOf), weightAt(1));

    for (let entry = 1; entry < 20; entry += 1) applyNext([1]);
    expect(await maybe()).toBe(false);
    applyNext([1]);
    expect([await maybe(), index.flushed?.applied]).toEqual([true, 20]);

    applyNext(blockOf(100));
    applyNext(blockOf(200));
    expect(await maybe()).toBe(false);
    applyNext(blockOf(300));
    expect([await maybe(), index.flushed?.applied]).toEqual([true, 23]);

    applyNext(blockOf(400));
    applyNext([9]);
    expect(await maybe()).toBe(false);
    await machine.scheduler.run({ untilMs: machine.scheduler.nowMs + 1_001 });
    // The open window stays: its entry is cheap to replay, and small windows cost every lookup.
    expect([await maybe(), index.flushed?.applied, index.applied]).toEqual([true, 24, 25]);
  });

  test('a full disk costs nothing but memory; once there is space again the flush goes on (protocol A5)', async () => {
    const { machine, options } = setup();
    const index = await open({ machine, options });
    applyTo(index, someBlocks, 10);
    await machine.wait(index.flush());
    applyTo(index, someBlocks, 25);
    machine.disk.fail('index', 'full');
    await expect(machine.wait(index.flush())).rejects.toThrow('full');
    await expectAnswers(machine, index, someBlocks, 25);
    expect(index.flushed?.applied).toBe(10);
    expect(await machine.wait(index.maybeFlush())).toBe(false);
    machine.disk.heal();
    applyTo(index, someBlocks);
    await machine.scheduler.run({ untilMs: machine.scheduler.nowMs + 1_001 });
    expect(await machine.wait(index.maybeFlush())).toBe(true);
    expect(index.flushed?.applied).toBe(30);
    await expectAnswers(machine, index, someBlocks);
    machine.crash('power');
    await expectAnswers(machine, await open({ machine, options: optionsOn(machine) }), someBlocks);
  });

  test.each([
    ['cluster', { clusterId: 'c2' }],
    ['disk', { incarnation: 'i2' }],
  ])('an index of another %s is to be rebuilt (protocol F1)', async (_, changes) => {
    const { machine, options } = setup();
    const index = await open({ machine, options });
    applyTo(index, someBlocks);
    await machine.wait(index.close());
    const other = await open({ machine, options: optionsOn(machine, changes) });
    expect(other.damaged).toContain('another cluster or another disk');
    expect(() => other.apply(asIndex(1), hashAt(1), [], weightAt(1))).toThrow(DamagedError);
    await machine.wait(other.reset());
    applyTo(other, someBlocks);
    await expectAnswers(machine, other, someBlocks);
  });

  test('a reset starts after the given position, and outlives the next opening', async () => {
    const { machine, options } = setup();
    const index = await open({ machine, options });
    applyTo(index, someBlocks);
    await machine.wait(index.flush());
    await machine.wait(index.reset({ applied: asIndex(12), hash: hashAt(12) }));
    applyTo(index, someBlocks);
    await machine.wait(index.close());
    const reopened = await open({ machine, options: optionsOn(machine) });
    const after12 = someBlocks.map((traces, at) => (at < 12 ? [] : traces));
    await expectAnswers(machine, reopened, after12);
  });
});

describe('trace index, damaged', () => {
  const flushedIndex = async (seed: number): Promise<Machine> => {
    const machine = new Machine(seed);
    const index = await open({ machine, options: optionsOn(machine) });
    for (const upTo of [8, 16, 22, 30]) {
      applyTo(index, someBlocks, upTo);
      await machine.wait(index.flush());
    }
    return machine;
  };
  /** True when every answer is whole or an error, and the index says how far it goes. */
  const reopen = async (machine: Machine): Promise<{ index: TraceIndex; errors: number }> => {
    machine.crash('process');
    const index = await open({ machine, options: optionsOn(machine) });
    let errors = 0;
    if (index.damaged !== null) return { index, errors };
    for (let trace = 0; trace <= 25; trace += 1) {
      const answer = await machine.wait(index.lookup(traceOf(trace))).catch((error: unknown) => error);
      if (answer instanceof DamagedError) errors += 1;
      else expect(answer).toEqual(naive(someBlocks, trace, index.applied));
    }
    return { index, errors };
  };

  /** All keys but flush records that a newer one has replaced. */
  const isNeeded = (key: Uint8Array, newest: Uint8Array | undefined): boolean =>
    key.length !== 5 || key[4] !== 2 || Buffer.compare(key, newest ?? key) === 0;

  const isWeight = (key: Uint8Array): boolean => key.length === 6 && key[4] === 0;

  test('a flipped bit is an error of the opening or of the lookup, never a smaller answer', async () => {
    for (let seed = 0; seed < 60; seed += 1) {
      const machine = await flushedIndex(seed);
      const key = machine.disk.flipBit('index')?.keys[0] ?? new Uint8Array(0);
      const newest = machine.disk.entries('index').at(-1)?.[0];
      const { index, errors } = await reopen(machine);
      expect(index.damaged !== null || errors > 0).toBe(isNeeded(key, newest));
    }
  });

  test('flushes lost from the end leave an older index; one lost from the middle is damage (protocol F1)', async () => {
    for (const age of [0, 1, 2, 3]) {
      const machine = await flushedIndex(age);
      machine.disk.vanish('index', age);
      const { index } = await reopen(machine);
      if (age === 0) expect([index.damaged, index.applied]).toEqual([null, 22]);
      else expect(index.damaged).not.toBeNull();
    }
    const machine = await flushedIndex(9);
    machine.disk.cutLog('index', 2);
    const { index } = await reopen(machine);
    expect([index.damaged, index.flushed]).toEqual([null, { applied: 16, hash: hashAt(16) }]);
  });

  test('any missing key is an error, never a smaller answer', async () => {
    const keys = (await flushedIndex(3)).disk.entries('index').map(([key]) => key);
    expect(keys.length).toBeGreaterThan(20);
    for (const key of keys) {
      const machine = await flushedIndex(3);
      const store = await machine.wait(openAlone(machine));
      await machine.wait(store.batch([{ type: 'del', key }], { sync: true }));
      const { index, errors } = await reopen(machine);
      // What a window weighs is looked up in the log again, where it matters.
      if (isWeight(key)) expect(index.windows.filter(({ bytes }) => bytes === null)).toHaveLength(1);
      expect(index.damaged !== null || errors > 0).toBe(isNeeded(key, keys.at(-1)) && !isWeight(key));
    }
  });

  test('every fault of an index is healed by a reset and a replay', async () => {
    for (let seed = 0; seed < 10; seed += 1) {
      const machine = await flushedIndex(seed);
      for (let flips = 0; flips < 5; flips += 1) machine.disk.flipBit('index');
      machine.disk.vanish('index');
      const { index } = await reopen(machine);
      await machine.wait(index.reset());
      applyTo(index, someBlocks);
      await expectAnswers(machine, index, someBlocks);
      await machine.wait(index.close());
    }
  });

  function openAlone(machine: Machine): Promise<KeyValue> {
    machine.crash('process');
    return machine.platform.disk.openKeyValue('index');
  }
});

describe('what two indexes of one log say', () => {
  /** Made from the blocks in windows of so many traces, flushed and opened again after `reopenedAt` of them. */
  async function made(
    blocks: Blocks,
    windowTraces: number,
    reopenedAt = 0,
  ): Promise<{ index: TraceIndex; machine: Machine }> {
    const machine = new Machine(1);
    const cut = { machine, options: optionsOn(machine, { windowTraces }) };
    let index = await open(cut);
    applyTo(index, blocks, reopenedAt);
    await machine.wait(index.close());
    index = await open(cut);
    applyTo(index, blocks);
    return { index, machine };
  }

  test('has one digest, however it is cut into windows, and another where one reference is not there', async () => {
    const digestOf = async (blocks: Blocks, windowTraces: number, reopenedAt = 0): Promise<string> => {
      const { index, machine } = await made(blocks, windowTraces, reopenedAt);
      const digest = await machine.wait(index.digest(asIndex(2), asIndex(25)));
      return `${digest.toString()} ${digest.count}`;
    };
    const whole = await digestOf(someBlocks, 6);
    expect(await digestOf(someBlocks, 1_000)).toBe(whole);
    expect(await digestOf(someBlocks, 9, 17)).toBe(whole);
    const without = (block: number): Blocks =>
      someBlocks.map((traces, at) => (at + 1 === block ? traces.slice(0, -1) : traces));
    for (const block of [3, 10, 25]) expect(await digestOf(without(block), 6, 17)).not.toBe(whole);
    // Below the beginning of the log, and behind the index that is asked for.
    for (const block of [2, 26]) expect(await digestOf(without(block), 6, 17)).toBe(whole);
  });

  test('a block is found through each trace in it, and not through another one, on disk and in memory', async () => {
    const { index, machine } = await made(someBlocks, 6, 17);
    for (const [at, traces] of someBlocks.entries()) {
      const unfound = (more: readonly number[]): Promise<Fingerprint | null> =>
        machine.wait(index.unfound(asIndex(at + 1), [...traces, ...more].map(traceOf)));
      expect(await unfound([])).toBeNull();
      expect(await unfound([77])).toBe(traceOf(77));
    }
  });
});

describe('a trimmed trace index', () => {
  const kept = 2;
  const optionsHere = (machine: Machine): TraceIndexOptions =>
    optionsOn(machine, { expiredWindows: kept, windowTraces: 4 });
  /** What a reader with this base makes of an answer. */
  const above = (base: number, indices: readonly number[]): number[] => indices.filter((index) => index > base);

  async function expectAbove(machine: Machine, index: TraceIndex, blocks: Blocks, base: number): Promise<void> {
    for (let trace = 0; trace <= 25; trace += 1) {
      const answer = await machine.wait(index.lookup(traceOf(trace)));
      const all = naive(blocks, trace, index.applied);
      expect(above(base, answer)).toEqual(above(base, all));
      expect(all).toEqual(expect.arrayContaining(answer));
    }
  }

  /** The windows in the store, whatever its flush record says. */
  const windowsOnDisk = (machine: Machine): number[] => [
    ...new Set(machine.disk.entries('index').map(([key]) => windowOfKey(key))),
  ];

  function expectSound(index: TraceIndex, base: number): void {
    const { windows } = index;
    expect(index.first).toBeLessThanOrEqual(base + 1);
    for (const [at, { first, last }] of windows.entries()) {
      expect(first).toBe(at === 0 ? index.first : (windows[at - 1]?.last ?? 0) + 1);
      expect(last).toBeGreaterThanOrEqual(first);
    }
    expect(windows.at(-1)?.last ?? index.applied).toBe(index.applied);
  }

  const anySteps = fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('apply', 'maybeFlush', 'flush', 'events', 'lookup') }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('process', 'power', 'power', 'weigh') }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('full', 'heal', 'heal', 'reset') }) },
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constantFrom('trim', 'race'), share: fc.integer({ min: 30, max: 100 }) }),
      },
    ),
    { minLength: 20, maxLength: 60, size: 'max' },
  );
  const manyBlocks = fc.array(fc.array(fc.nat(24), { minLength: 1, maxLength: 8 }), { minLength: 60, maxLength: 100 });

  test('says all that is above the base, and nothing wrong, whatever is trimmed, flushed, crashed, full and reset', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), manyBlocks, anySteps, async (seed, blocks, steps) => {
        const machine = new Machine(seed);
        let index = await open({ machine, options: optionsHere(machine) });
        let base = 0;
        const trim = (share: number): void => {
          base = Math.max(base, Math.floor((index.applied * share) / 100));
          index.trimTo(asIndex(base));
        };
        for (const step of steps) {
          switch (step.do) {
            case 'apply':
              applyTo(index, blocks, Math.min(blocks.length, index.applied + 5));
              break;
            case 'flush':
              await machine.wait(index.flush().catch(() => undefined));
              break;
            case 'maybeFlush':
              void index.maybeFlush().catch(() => undefined);
              break;
            case 'events':
              await machine.events(5);
              break;
            case 'weigh':
              for (const { first } of index.windows) index.weigh(first, weightAt(1));
              break;
            case 'trim':
              if ('share' in step) trim(step.share);
              break;
            case 'race': {
              const before = base;
              const asked = [3, 24].map((trace) => index.lookup(traceOf(trace)));
              if ('share' in step) trim(step.share);
              void index.maybeFlush().catch(() => undefined);
              const answers = await machine.wait(Promise.all(asked));
              for (const [at, trace] of [3, 24].entries())
                expect(above(before, answers[at] ?? [])).toEqual(above(before, naive(blocks, trace, index.applied)));
              break;
            }
            case 'lookup':
              await expectAbove(machine, index, blocks, base);
              break;
            case 'full':
              machine.disk.fail('index', 'full');
              break;
            case 'heal':
              machine.disk.heal();
              break;
            case 'reset':
              machine.disk.heal();
              await machine.wait(index.settled());
              await machine.wait(index.reset({ applied: asIndex(base), hash: hashAt(base) }));
              break;
            default: {
              machine.disk.heal();
              const { applied } = index;
              machine.crash(step.do === 'power' ? 'power' : 'process');
              index = await open({ machine, options: optionsHere(machine) });
              expect(index.damaged).toBeNull();
              expect(index.applied).toBeLessThanOrEqual(applied);
              index.trimTo(asIndex(base));
              if (index.applied < base) await machine.wait(index.reset({ applied: asIndex(base), hash: hashAt(base) }));
            }
          }
          expectSound(index, base);
        }
        machine.disk.heal();
        applyTo(index, blocks);
        await expectAbove(machine, index, blocks, base);
        await machine.wait(index.settled());
        await machine.scheduler.run({ untilMs: machine.scheduler.nowMs + 1_001 });
        // What is left over of a full disk may fail one more write of the handle; a later call opens it again.
        await machine.wait(index.flush().catch(() => undefined));
        await machine.wait(index.flush());
        await machine.wait(index.maybeFlush());
        await machine.scheduler.run({ untilMs: machine.scheduler.nowMs + 1_001 });
        // Memory, flush record and disk have come to say the same: nothing that has expired but the newest windows.
        const { windows } = index;
        expect(windows.filter(({ last }) => last <= base).length).toBeLessThanOrEqual(kept);
        expect(windowsOnDisk(machine).length).toBe(windows.length);
        await expectAbove(machine, index, blocks, base);
      }),
      { numRuns: 60 },
    );
  });

  /** Thirty entries in windows of three, all flushed. */
  async function thirty(): Promise<{ machine: Machine; index: TraceIndex; options: TraceIndexOptions }> {
    const machine = new Machine(1);
    const options = { ...optionsHere(machine), windowTraces: 1_000, windowMs: 2_000 };
    const index = await open({ machine, options });
    applyTo(index, someBlocks);
    await machine.wait(index.flush());
    return { machine, index, options };
  }

  test('loses whole windows but the newest of them, from memory, then by its flush record, then from the disk', async () => {
    const { machine, index, options } = await thirty();
    expect(windowsOnDisk(machine)).toHaveLength(10);
    index.trimTo(asIndex(20));
    expect(index.first).toBe(1);
    const flushed = index.maybeFlush();
    await machine.events(1);
    expect(index.first).toBe(13);
    expect(await machine.wait(flushed)).toBe(true);
    await machine.scheduler.run({ untilMs: machine.scheduler.nowMs + 100 });
    expect(windowsOnDisk(machine)).toEqual([4, 5, 6, 7, 8, 9]);
    // The two that stay tell that a part of the trace has expired.
    expect(await machine.wait(index.lookup(traceOf(24)))).toEqual(naive(someBlocks, 24).slice(12));
    expect(await machine.wait(index.maybeFlush())).toBe(false);
    machine.crash('power');
    const reopened = await open({ machine, options: { ...options, ...optionsOn(machine), expiredWindows: kept } });
    expect([reopened.damaged, reopened.first, reopened.applied]).toEqual([null, 13, 30]);
  });

  test('deletes nothing before the record stands that no longer names it', async () => {
    for (let events = 0; events < 40; events += 1) {
      const { machine, index } = await thirty();
      index.trimTo(asIndex(30));
      void index.maybeFlush();
      await machine.events(events);
      machine.crash('power');
      const reopened = await open({ machine, options: optionsHere(machine) });
      expect([reopened.damaged, reopened.applied]).toEqual([null, 30]);
      // What was left of the others goes after the opening.
      await machine.scheduler.run({ untilMs: machine.scheduler.nowMs + 100 });
      expect(windowsOnDisk(machine)).toHaveLength(reopened.windows.length);
    }
  });

  test('lets a digest under way read to its end before the keys go', async () => {
    const { machine, index } = await thirty();
    const whole = await machine.wait(index.digest(asIndex(0), asIndex(30)));
    const digest = index.digest(asIndex(0), asIndex(30));
    index.trimTo(asIndex(30));
    expect(await machine.wait(index.maybeFlush())).toBe(true);
    expect((await machine.wait(digest)).toString()).toBe(whole.toString());
    await machine.scheduler.run({ untilMs: machine.scheduler.nowMs + 100 });
    expect(windowsOnDisk(machine)).toHaveLength(kept);
    await expect(index.digest(asIndex(0), asIndex(30))).rejects.toThrow('begins at entry');
  });

  test('is reset while the disk is being cleaned, and cleaned again after it', async () => {
    for (let events = 0; events < 30; events += 1) {
      const { machine, index } = await thirty();
      index.trimTo(asIndex(30));
      expect(await machine.wait(index.maybeFlush())).toBe(true);
      await machine.events(events);
      await machine.wait(index.reset());
      applyTo(index, someBlocks);
      await machine.wait(index.flush());
      expect(await machine.wait(index.maybeFlush())).toBe(true);
      await machine.scheduler.run({ untilMs: machine.scheduler.nowMs + 100 });
      expect(windowsOnDisk(machine)).toHaveLength(kept);
    }
  });

  test('is not hindered by a full disk: the windows go once there is space', async () => {
    const { machine, index } = await thirty();
    machine.disk.fail('index', 'full');
    index.trimTo(asIndex(20));
    await expect(machine.wait(index.maybeFlush())).rejects.toThrow('full');
    await expectAbove(machine, index, someBlocks, 20);
    expect(await machine.wait(index.maybeFlush())).toBe(false);
    machine.disk.heal();
    await machine.scheduler.run({ untilMs: machine.scheduler.nowMs + 1_001 });
    expect(await machine.wait(index.maybeFlush())).toBe(true);
    await machine.scheduler.run({ untilMs: machine.scheduler.nowMs + 100 });
    expect(windowsOnDisk(machine)).toEqual([4, 5, 6, 7, 8, 9]);
    await expectAbove(machine, index, someBlocks, 20);
  });

  test('a window ends before it would span more time, and once it holds so many bytes', async () => {
    const machine = new Machine(1);
    const spans = async (changes: Partial<TraceIndexOptions>): Promise<number[][]> => {
      const index = await open({ machine, options: optionsOn(machine, { windowTraces: 1_000, ...changes }) });
      applyTo(index, someBlocks, 9);
      const { windows } = index;
      machine.crash('process');
      return windows.map(({ first, last, bytes, timeMs }) => [first, last, bytes ?? 0, timeMs ?? 0]);
    };
    expect(await spans({})).toEqual([[1, 9, 45, 9_000]]);
    expect(await spans({ windowMs: 3_000 })).toEqual([
      [1, 4, 10, 4_000],
      [5, 8, 26, 8_000],
      [9, 9, 9, 9_000],
    ]);
    expect(await spans({ windowBytes: 10 })).toEqual([
      [1, 4, 10, 4_000],
      [5, 6, 11, 6_000],
      [7, 8, 15, 8_000],
      [9, 9, 9, 9_000],
    ]);
  });

  test('what windows weigh outlives a restart; of those that 0.1.0 wrote it is unknown until somebody has looked', async () => {
    const { machine, index, options } = await thirty();
    const expected = index.windows;
    expect(expected[1]).toEqual({ first: 4, last: 6, bytes: 15, timeMs: 6_000 });
    const reopen = (): Promise<TraceIndex> => {
      machine.crash('process');
      return open({ machine, options: { ...options, ...optionsOn(machine) } });
    };
    expect((await reopen()).windows).toEqual(expected);

    const store = machine.disk.keyValue('index');
    const weightKeys = machine.disk.entries('index').filter(([key]) => key.length === 6 && key[4] === 0);
    expect(weightKeys).toHaveLength(10);
    store.apply(
      weightKeys.map(([key]) => ({ key: keyOf(key), value: undefined })),
      true,
    );
    const old = await reopen();
    expect(old.windows.map(({ bytes, timeMs }) => bytes ?? timeMs)).toEqual(Array(10).fill(null));
    old.weigh(asIndex(4), { bytes: 15, timeMs: 6_000 });
    expect(old.windows[1]).toEqual(expected[1]);
    old.apply(asIndex(31), hashAt(31), [], weightAt(31));
    await machine.wait(old.flush());
    const weights = (await reopen()).windows.map(({ bytes }) => bytes);
    expect(weights).toEqual([null, 15, ...Array<null>(8).fill(null), 31]);
  });
});
