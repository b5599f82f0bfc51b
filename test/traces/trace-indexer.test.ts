/** The index of one node over its log, when what it stands on breaks. */
import { describe, expect, test } from 'vitest';
import { QuorateError } from '../../src/errors.ts';
import { silentLogger } from '../../src/logger.ts';
import { limits } from '../../src/limits.ts';
import { walkExport } from '../../src/otlp/walk.ts';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { asIndex, asReplicaId, emptyLog, type Entry, type LogPosition } from '../../src/raft/core/types.ts';
import { BlockBuilder } from '../../src/store/block-builder.ts';
import { BlockLog, NotInLogError } from '../../src/store/block-log.ts';
import { positionOf } from '../../src/store/entry.ts';
import { type Fingerprint, fingerprintOf } from '../../src/store/fingerprint.ts';
import { TraceIndexer } from '../../src/traces/trace-indexer.ts';
import { exportOf, traceIdOf } from '../store/exports.ts';
import { Machine } from '../store/machine.ts';
import { entryAfter } from '../store/support.ts';

const traceOf = (number: number): Fingerprint => fingerprintOf(traceIdOf(number));

/** A block of one trace per entry: entry n holds trace n mod 3. */
function blocks(machine: Machine, count: number): Entry[] {
  const entries: Entry[] = [];
  for (let at = 1; at <= count; at += 1) {
    const span = { trace: at % 3, resource: 'r', scope: 's', text: `${at}`, startNs: at, endNs: at };
    const request = exportOf([{ ...span, trace: span.trace + 1 }]);
    const builder = new BlockBuilder({ codec: machine.platform.codec, builder: 'ab'.repeat(16) });
    builder.add(request, walkExport(request, limits));
    const last = entries.at(-1);
    entries.push(entryAfter(last === undefined ? emptyLog : positionOf(last), { payload: builder.seal(at).payload }));
  }
  return entries;
}

async function indexed(count: number): Promise<{ machine: Machine; indexer: TraceIndexer; next: Entry }> {
  const machine = new Machine(1);
  const { platform } = machine;
  const entries = blocks(machine, count + 1);
  const indexer = await machine.tell(async () => {
    const log = await BlockLog.open({ keyValue: await platform.disk.openKeyValue('log') });
    await log.found({ clusterId: 'c1', configuration: votersOnly([asReplicaId('n1#i1')]), formatLevel: 2 });
    log.stage({ sequence: 1, truncateFrom: null, entries });
    await log.flush();
    const opened = await TraceIndexer.open({
      platform,
      log,
      entries: log,
      logger: silentLogger,
      incarnation: 'i1',
      flushEntries: 8,
    });
    for (const entry of entries.slice(0, count)) {
      opened.apply(entry);
      await opened.maybeFlush();
    }
    return opened;
  });
  const next = entries[count];
  if (next === undefined) throw new Error('there is one more entry');
  return { machine, indexer, next };
}

/** Flips bits all over the index, so that the next lookup finds it damaged. */
function damage(machine: Machine): void {
  for (let flips = 0; flips < 200; flips += 1) machine.disk.flipBit('index');
}

describe('an index found damaged', () => {
  test('is rebuilt while entries go on being applied, and then answers for all of them', async () => {
    const { machine, indexer, next } = await indexed(30);
    damage(machine);
    await expect(machine.wait(indexer.lookup(traceOf(1)))).rejects.toMatchObject({ code: 'not-ready' });
    indexer.apply(next);
    await machine.scheduler.run({ settled: () => !indexer.rebuilding });
    expect(await machine.wait(indexer.lookup(traceOf(1)))).toEqual([3, 6, 9, 12, 15, 18, 21, 24, 27, 30]);
    expect(await machine.wait(indexer.lookup(traceOf(2)))).toContain(next.index);
  });

  test('and not rebuilt for want of space: nobody is answered from it, and the node goes on (protocol A5)', async () => {
    const { machine, indexer, next } = await indexed(30);
    damage(machine);
    machine.disk.fail('index', 'full');
    await expect(machine.wait(indexer.lookup(traceOf(1)))).rejects.toMatchObject({ code: 'not-ready' });
    await machine.scheduler.run({ untilMs: machine.scheduler.nowMs + 1_000 });
    indexer.apply(next);
    expect(indexer.rebuilding).toBe(true);
    await expect(machine.wait(indexer.lookup(traceOf(1)))).rejects.toMatchObject({ code: 'not-ready' });
    await machine.wait(indexer.close());
  });
});

describe('a log that begins later', () => {
  /** A log in memory whose base moves, and what a node says of its index. */
  class Trimmed {
    readonly machine = new Machine(1);
    readonly entries: Entry[];
    readonly told: string[] = [];
    base: LogPosition = emptyLog;
    /** It is not on the disk yet. */
    isBaseStaged = false;
    /** Entries that this node never had. */
    lacking: readonly [from: number, to: number] = [0, 0];

    constructor(count: number) {
      this.entries = blocks(this.machine, count);
    }

    at(index: number): LogPosition {
      const entry = this.entries[index - 1];
      return entry === undefined ? emptyLog : positionOf(entry);
    }

    async open(): Promise<TraceIndexer> {
      const { machine } = this;
      const baseOf = (): LogPosition => this.base;
      const staged = (): boolean => this.isBaseStaged;
      const configuration = votersOnly([asReplicaId('n1#i1')]);
      const indexer = await machine.wait(
        TraceIndexer.open({
          platform: machine.platform,
          log: {
            get base() {
              return {
                clusterId: 'c1',
                position: baseOf(),
                timeMs: 0,
                configuration,
                configurationIndex: emptyLog.index,
                formatLevel: 2,
              };
            },
            get durableBase() {
              return staged() ? emptyLog.index : baseOf().index;
            },
            positionAt: async (index) => (index < this.base.index ? null : this.at(index)),
            nameOf: async (index) => ({ hash: this.at(index).hash, by: this.at(index).term }),
          },
          entries: {
            readRange: async (first, last) => {
              await machine.platform.executor.nextTurn();
              const [from, to] = this.lacking;
              if (first <= this.base.index || (from <= first && first <= to))
                throw new NotInLogError(`entry ${first} is trimmed`);
              return this.entries.slice(first - 1, Math.min(last, first + 3));
            },
          },
          logger: {
            ...silentLogger,
            warn: (_fields, sentence) => this.told.push(`warn: ${sentence}`),
            error: (_fields, sentence) => this.told.push(`error: ${sentence}`),
          },
          incarnation: 'i1',
          flushEntries: 4,
          windowBytes: 1,
          expiredWindows: 2,
        }),
      );
      return indexer;
    }

    apply(indexer: TraceIndexer, to: number): void {
      while (indexer.applied < to) {
        const entry = this.entries[indexer.applied];
        if (entry !== undefined) indexer.apply(entry);
      }
    }

    /** What every trace leads to, above the base. */
    async answers(indexer: TraceIndexer): Promise<number[]> {
      const found = await this.machine.wait(Promise.all([1, 2, 3].map((trace) => indexer.lookup(traceOf(trace)))));
      return found
        .flat()
        .filter((index) => index > this.base.index)
        .sort((one, other) => one - other);
    }

    expected(to: number): number[] {
      return Array.from({ length: to - this.base.index }, (_, at) => this.base.index + at + 1);
    }

    async ready(indexer: TraceIndexer): Promise<void> {
      await this.machine.scheduler.run({ settled: () => !indexer.rebuilding });
      expect(indexer.rebuilding).toBe(false);
    }
  }

  test('than the index ends, after a crash in a trim: it begins there, and nobody is told of another log', async () => {
    const log = new Trimmed(30);
    const indexer = await log.open();
    log.apply(indexer, 12);
    await log.machine.wait(indexer.maybeFlush());
    log.base = log.at(20);
    log.machine.crash('power');
    const again = await log.open();
    expect([again.applied, again.rebuilding, log.told]).toEqual([20, false, []]);
    log.apply(again, 30);
    expect(await log.answers(again)).toEqual(log.expected(30));
  });

  test('by what is not on its disk yet: the index is not flushed past it, or the trim would be forgotten', async () => {
    const log = new Trimmed(30);
    const indexer = await log.open();
    log.apply(indexer, 12);
    await log.machine.wait(indexer.maybeFlush());
    log.apply(indexer, 30);
    log.base = log.at(20);
    log.isBaseStaged = true;
    await log.machine.wait(indexer.maybeFlush());
    await log.machine.wait(indexer.close());
    log.machine.crash('process');
    log.base = emptyLog;
    log.isBaseStaged = false;
    expect((await log.open()).applied).toBe(12);
  });

  test('than an index that was never flushed: it begins there, too', async () => {
    const log = new Trimmed(30);
    log.base = log.at(20);
    const indexer = await log.open();
    expect([indexer.applied, log.told]).toEqual([20, []]);
    log.apply(indexer, 30);
    expect(await log.answers(indexer)).toEqual(log.expected(30));
  });

  test('than it did when windows of the index went: those that are lacking are made again', async () => {
    const log = new Trimmed(30);
    const indexer = await log.open();
    log.apply(indexer, 30);
    await log.machine.wait(indexer.maybeFlush());
    log.base = log.at(20);
    indexer.trimTo(log.base.index);
    await log.machine.wait(indexer.maybeFlush());
    expect(indexer.windows[0]?.first).toBe(19);
    log.machine.crash('power');
    // Damage brought an older base record back.
    log.base = log.at(10);
    const again = await log.open();
    expect(log.told).toEqual([
      'warn: the index is rebuilt from the log: it begins with entry 19, the log with entry 11',
    ]);
    log.apply(again, 30);
    expect(await log.answers(again)).toEqual(log.expected(30));
  });

  test('a trim is no reason to make anything again, and the index loses what the log lost', async () => {
    const log = new Trimmed(30);
    const indexer = await log.open();
    log.apply(indexer, 30);
    log.base = log.at(20);
    indexer.trimTo(log.base.index);
    await log.machine.wait(indexer.maybeFlush());
    expect(indexer.rebuilding).toBe(false);
    expect(await log.answers(indexer)).toEqual(log.expected(30));
    await log.machine.wait(indexer.maybeFlush());
    expect(indexer.windows[0]?.first).toBe(19);
    expect(await log.answers(indexer)).toEqual(log.expected(30));
    await expect(indexer.digest(asIndex(5), asIndex(30))).rejects.toMatchObject({ code: 'not-ready' });
    expect((await log.machine.wait(indexer.digest(asIndex(20), asIndex(30)))).count).toBe(10);
    expect(log.told).toEqual([]);
  });

  test.each(['nothing', 'a flush', 'a lookup', 'a rebuild', 'a rebuild with entries to come'])(
    'a base installed past what was applied, during %s: not ready until all above it is found',
    async (meanwhile) => {
      for (let events = 0; events < 40; events += 3) {
        const log = new Trimmed(40);
        const indexer = await log.open();
        log.apply(indexer, 12);
        if (meanwhile === 'a flush') void indexer.maybeFlush();
        const lookup = meanwhile === 'a lookup' ? indexer.lookup(traceOf(1)).catch((error: unknown) => error) : null;
        if (meanwhile.startsWith('a rebuild')) {
          await log.machine.wait(indexer.maybeFlush());
          damage(log.machine);
          await expect(log.machine.wait(indexer.lookup(traceOf(1)))).rejects.toMatchObject({ code: 'not-ready' });
          if (meanwhile.endsWith('to come')) log.apply(indexer, 15);
        }
        const told = log.told.length;
        await log.machine.events(events);
        log.base = log.at(25);
        indexer.installBase(log.base);
        expect([indexer.rebuilding, indexer.applied, indexer.windows]).toEqual([true, 25, []]);
        await expect(indexer.lookup(traceOf(2))).rejects.toMatchObject({ code: 'not-ready' });
        await expect(indexer.digest(asIndex(25), asIndex(25))).rejects.toMatchObject({ code: 'not-ready' });
        log.apply(indexer, 33);
        if (lookup !== null) {
          const answer = await log.machine.wait(lookup);
          expect(Array.isArray(answer) || (answer instanceof QuorateError && answer.code === 'not-ready')).toBe(true);
        }
        await log.ready(indexer);
        expect(log.told.slice(told)).toEqual([]);
        expect(await log.answers(indexer)).toEqual(log.expected(33));
        log.apply(indexer, 40);
        expect(await log.answers(indexer)).toEqual(log.expected(40));
        await log.machine.wait(indexer.close());
        const again = await log.open();
        expect([again.applied, await log.answers(again)]).toEqual([40, log.expected(40)]);
      }
    },
  );

  test('a base that the log itself does not know yet counts', async () => {
    const log = new Trimmed(40);
    const indexer = await log.open();
    log.apply(indexer, 12);
    log.lacking = [13, 25];
    indexer.installBase(log.at(25));
    await log.ready(indexer);
    expect(log.told).toEqual([]);
    log.base = log.at(25);
    log.apply(indexer, 33);
    expect(await log.answers(indexer)).toEqual(log.expected(33));
  });

  test('a base at or below what was applied is a trim', async () => {
    const log = new Trimmed(30);
    const indexer = await log.open();
    log.apply(indexer, 30);
    log.base = log.at(20);
    indexer.installBase(log.base);
    expect([indexer.rebuilding, indexer.applied]).toEqual([false, 30]);
    expect(await log.answers(indexer)).toEqual(log.expected(30));
  });

  test('a digest under way while the index begins anew is none, and no reason to make the index once more', async () => {
    for (let events = 0; events < 80; events += 1) {
      const log = new Trimmed(30);
      const indexer = await log.open();
      log.apply(indexer, 20);
      await log.machine.wait(indexer.maybeFlush());
      const digest = indexer.digest(asIndex(0), asIndex(20)).then(
        ({ count }) => count,
        (error: unknown) => (error instanceof QuorateError ? error.code : error),
      );
      await log.machine.events(events);
      log.base = log.at(25);
      indexer.installBase(log.base);
      expect([20, 'not-ready']).toContain(await log.machine.wait(digest));
      await log.ready(indexer);
      expect(log.told).toEqual([]);
    }
  });
});
