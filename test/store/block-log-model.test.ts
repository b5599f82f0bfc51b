/** The block log against a plain array, on a disk that crashes and forgets. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import {
  asHash,
  asIndex,
  asReplicaId,
  asTerm,
  type Entry,
  emptyLog,
  type LogBase,
  type LogPosition,
} from '../../src/raft/core/types.ts';
import { BlockLog, type StagedWrite } from '../../src/store/block-log.ts';
import { positionOf } from '../../src/store/entry.ts';
import { baseKey, entriesEnd, entryKey, indexOfKey } from '../../src/store/log-keys.ts';
import { Machine } from './machine.ts';
import { entriesAfter } from './support.ts';

const founding = { clusterId: 'c1', configuration: votersOnly([asReplicaId('n1#a')]), formatLevel: 2 };
const small = { cacheBytesMax: 250, batchBytesMax: 450 };

const idOf = (entries: readonly Entry[]): string => entries.map(({ hash }) => hash.slice(0, 8)).join(' ');

/** A log that begins after some position. */
interface Model {
  readonly begin: LogPosition;
  readonly entries: readonly Entry[];
}
const nothing: Model = { begin: emptyLog, entries: [] };
const modelId = ({ begin, entries }: Model): string => `${begin.index} ${begin.hash.slice(0, 8)}: ${idOf(entries)}`;
const endOf = ({ begin, entries }: Model): LogPosition => (entries.length === 0 ? begin : last(entries));

const baseAt = (position: LogPosition): LogBase => ({
  position,
  timeMs: 5,
  configuration: founding.configuration,
  configurationIndex: emptyLog.index,
  formatLevel: 2,
});

async function open(machine: Machine): Promise<BlockLog> {
  const keyValue = await machine.wait(machine.platform.disk.openKeyValue('log'));
  return machine.wait(BlockLog.open({ keyValue, ...small }));
}

async function contentsOf(machine: Machine, log: BlockLog): Promise<Entry[]> {
  const entries: Entry[] = [];
  const begin = log.base?.position.index ?? 0;
  while (begin + entries.length < log.last.index) {
    const first = asIndex(begin + entries.length + 1);
    entries.push(...(await machine.wait(log.readRange(first, log.last.index, machine.random.below(300)))));
  }
  return entries;
}

type Step =
  | { readonly do: 'stage'; readonly cut: number; readonly count: number }
  | { readonly do: 'flush' | 'read' | 'delete' }
  | { readonly do: 'trim' | 'install'; readonly by: number }
  | { readonly do: 'events'; readonly count: number }
  | { readonly do: 'crash'; readonly kind: 'process' | 'power' };

const anySteps = fc.array(
  fc.oneof<fc.WeightedArbitrary<Step>[]>(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('stage' as const),
        cut: fc.nat(4),
        count: fc.integer({ min: 1, max: 5 }),
      }),
    },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('events' as const), count: fc.nat(3) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('read' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('trim' as const), by: fc.nat(5) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('install' as const), by: fc.nat(3) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('crash' as const),
        kind: fc.constantFrom('process' as const, 'power' as const),
      }),
    },
  ),
  { maxLength: 40 },
);

describe('block log against a plain array', () => {
  test('whatever is staged, cut, flushed, read and crashed: the log is what was staged, the disk a state on the way to it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), anySteps, async (seed, steps) => {
        const machine = new Machine(seed);
        let log = await open(machine);
        await machine.wait(log.found(founding));
        let staged = nothing;
        /** Every state the disk may be in: the one flushed last, then one more per entry and base staged since. */
        let states: Model[] = [staged];
        let flushing: Promise<void> | null = null;
        let term = 1;
        let sequence = 0;
        const become = (next: Model): void => {
          staged = next;
          states.push(next);
        };

        for (const step of steps) {
          switch (step.do) {
            case 'stage': {
              const kept = staged.entries.slice(0, Math.max(0, staged.entries.length - step.cut));
              const cuts = kept.length < staged.entries.length;
              if (cuts) term += 1;
              const before = { ...staged, entries: kept };
              const entries = entriesAfter(endOf(before), Array<number>(step.count).fill(term), 'x'.repeat(30));
              const write: StagedWrite = {
                sequence: (sequence += 1),
                truncateFrom: cuts ? asIndex(endOf(before).index + 1) : null,
                entries,
              };
              log.stage(write);
              entries.forEach((_, at) => become({ ...before, entries: [...kept, ...entries.slice(0, at + 1)] }));
              break;
            }
            case 'trim': {
              const upTo = staged.entries[step.by];
              if (upTo === undefined) break;
              const begin = positionOf(upTo);
              log.stage({ sequence: (sequence += 1), base: baseAt(begin), replacesLog: false });
              become({ begin, entries: staged.entries.slice(step.by + 1) });
              break;
            }
            case 'install': {
              // Behind the end of this log, or inside of it where another entry stands.
              const index = asIndex(Math.max(staged.begin.index + 1, endOf(staged).index - 1 + step.by));
              term += 1;
              const begin = { index, term: asTerm(term), hash: asHash(`${term}`.padStart(32, 'f')) };
              log.stage({ sequence: (sequence += 1), base: baseAt(begin), replacesLog: true });
              become({ begin, entries: [] });
              break;
            }
            case 'delete':
              await machine.wait(log.deleteTrimmed());
              break;
            case 'flush': {
              if (flushing !== null) await machine.wait(flushing);
              if (!log.hasStaged) break;
              const flushed = log.flush();
              const before = states;
              flushing = flushed.then(({ position }) => {
                const at = before.findIndex(
                  (state) => endOf(state).hash === position.hash && state.begin.index === log.durableBase,
                );
                expect(at).toBeGreaterThan(0);
                states = states.slice(at);
                flushing = null;
              });
              flushing.catch(() => undefined);
              break;
            }
            case 'events':
              await machine.events(step.count);
              break;
            case 'read':
              expect(idOf(await contentsOf(machine, log))).toBe(idOf(staged.entries));
              break;
            case 'crash': {
              machine.crash(step.kind);
              flushing = null;
              log = await open(machine);
              expect([log.opened.reason, log.opened.dropped]).toEqual([null, 0]);
              staged = { begin: log.base?.position ?? emptyLog, entries: await contentsOf(machine, log) };
              expect(states.map(modelId)).toContain(modelId(staged));
              states = [staged];
              break;
            }
            default:
              step satisfies never;
          }
          expect([log.base?.position, log.last]).toEqual([staged.begin, endOf(staged)]);
        }
        if (flushing !== null) await machine.wait(flushing);
        while (log.hasStaged) await machine.wait(log.flush());
        while ((await machine.wait(log.deleteTrimmed())) > 0);
        const onDisk = machine.disk.entries('log').flatMap(([key]) => indexOfKey(key) ?? []);
        expect(onDisk.filter((index) => index <= staged.begin.index)).toEqual([]);
        machine.crash('power');
        expect(idOf(await contentsOf(machine, await open(machine)))).toBe(idOf(staged.entries));
      }),
      { numRuns: 200 },
    );
  });

  test.each(['vanish', 'cutLog', 'flipBit'] as const)(
    '%s: what opens is a gapless beginning of the log, and every entry of it verifies',
    async (how) => {
      await fc.assert(
        fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 12 }), async (seed, batches) => {
          const machine = new Machine(seed);
          const log = await open(machine);
          await machine.wait(log.found(founding));
          const all: Entry[] = [];
          for (let batch = 1; batch <= batches; batch += 1) {
            const entries = entriesAfter(last(all), Array<number>(1 + machine.random.below(3)).fill(1));
            log.stage({ sequence: batch, truncateFrom: null, entries });
            await machine.wait(log.flush());
            all.push(...entries);
          }
          const range = { gte: entryKey(0), lt: entriesEnd };
          if (how === 'vanish') machine.disk.vanish('log', machine.random.below(batches));
          else if (how === 'cutLog') machine.disk.cutLog('log', machine.random.below(batches + 1));
          else machine.disk.flipBit('log', range);
          machine.crash('process');
          const reopened = await open(machine);
          const found = await contentsOf(machine, reopened);
          expect(idOf(all).startsWith(idOf(found))).toBe(true);
          const { dropped, reason } = reopened.opened;
          // Corrupt is never the same as absent: what was dropped has a reason, and a clean cut has none.
          expect(reason === null).toBe(how === 'cutLog' || dropped === 0);
          if (how === 'flipBit') expect(found.length + dropped).toBe(all.length);
          // Nothing of the dropped end is found by the next opening.
          machine.crash('power');
          expect((await open(machine)).opened).toMatchObject({ dropped: 0, reason: null, verifiedEnd: last(found) });
        }),
        { numRuns: 60 },
      );
    },
  );

  test('only the end that was asked for is verified: damage below it waits for a read', async () => {
    const machine = new Machine(1);
    const log = await open(machine);
    await machine.wait(log.found(founding));
    const all = entriesAfter(emptyLog, Array<number>(30).fill(1), 'x'.repeat(100));
    log.stage({ sequence: 1, truncateFrom: null, entries: all });
    while (log.hasStaged) await machine.wait(log.flush());
    const damageAndOpen = async (verifyBytes: number): Promise<BlockLog> => {
      machine.disk.flipBit('log', { gte: entryKey(5), lt: entryKey(6) });
      machine.crash('process');
      const keyValue = await machine.wait(machine.platform.disk.openKeyValue('log'));
      return machine.wait(BlockLog.open({ keyValue, verifyBytes }));
    };
    const shallow = await damageAndOpen(1_000);
    expect(shallow.last.index).toBe(30);
    await expect(machine.wait(shallow.read(asIndex(5)))).rejects.toThrow('entry 5 of the log is damaged');
    expect((await damageAndOpen(1e6)).opened).toMatchObject({ verifiedEnd: { index: 4 }, dropped: 26 });
  });

  test('as much is verified again below every fault', async () => {
    const machine = new Machine(1);
    const log = await open(machine);
    await machine.wait(log.found(founding));
    const all = entriesAfter(emptyLog, Array<number>(30).fill(1), 'x'.repeat(100));
    log.stage({ sequence: 1, truncateFrom: null, entries: all });
    while (log.hasStaged) await machine.wait(log.flush());
    for (const index of [28, 23]) machine.disk.flipBit('log', { gte: entryKey(index), lt: entryKey(index + 1) });
    machine.crash('process');
    const keyValue = await machine.wait(machine.platform.disk.openKeyValue('log'));
    const { opened } = await machine.wait(BlockLog.open({ keyValue, verifyBytes: 1_000 }));
    expect(opened).toMatchObject({ verifiedEnd: { index: 22 }, dropped: 8 });
    expect(opened.reason).toContain('entry 23 of the log is damaged');
  });

  test('an entry with the right checksum and the wrong payload hash does not verify', async () => {
    const machine = new Machine(1);
    const log = await open(machine);
    await machine.wait(log.found(founding));
    const all = entriesAfter(emptyLog, [1, 1, 1]);
    const forged = { ...(all[1] as Entry), payload: new Uint8Array(9) };
    log.stage({ sequence: 1, truncateFrom: null, entries: [all[0] as Entry, forged, all[2] as Entry] });
    await machine.wait(log.flush());
    machine.crash('process');
    expect((await open(machine)).opened).toMatchObject({ verifiedEnd: { index: 1 }, dropped: 2 });
  });

  test.each([
    ['is damaged', (machine: Machine) => machine.disk.flipBit('log', { gte: baseKey, lt: entryKey(0) })],
    ['is missing', (machine: Machine) => machine.disk.vanish('log', 1)],
  ])('a base record that %s is reported, touches no entry, and can be founded again', async (what, hurt) => {
    const machine = new Machine(2);
    const log = await open(machine);
    await machine.wait(log.found(founding));
    const all = entriesAfter(emptyLog, [1, 1, 2]);
    log.stage({ sequence: 1, truncateFrom: null, entries: all });
    await machine.wait(log.flush());
    hurt(machine);
    machine.crash('process');
    const reopened = await open(machine);
    expect([reopened.base, reopened.opened.dropped]).toEqual([null, 0]);
    expect(reopened.opened.reason).toContain(`the base record of the log ${what}`);
    await machine.wait(reopened.found(founding));
    expect(reopened.last).toEqual(last(all));
  });
});

function last(entries: readonly Entry[]): typeof emptyLog {
  const entry = entries.at(-1);
  return entry === undefined ? emptyLog : positionOf(entry);
}
