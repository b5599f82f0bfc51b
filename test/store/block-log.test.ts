import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DiskError } from '../../src/platform/disk-error.ts';
import type { KeyValue } from '../../src/platform/key-value.ts';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import type { Entry } from '../../src/raft/core/types.ts';
import { asIndex, asReplicaId, emptyLog } from '../../src/raft/core/types.ts';
import { BlockLog, NotInLogError } from '../../src/store/block-log.ts';
import { DamagedEntryError, DamagedError } from '../../src/store/damaged.ts';
import { encodeEntry, positionOf } from '../../src/store/entry.ts';
import { entryKey } from '../../src/store/log-keys.ts';
import { keyOf } from '../sim/platform/ordered-bytes.ts';
import { Machine, story } from './machine.ts';
import { chain, entriesAfter } from './support.ts';

const founding = {
  clusterId: 'c1',
  configuration: votersOnly([asReplicaId('n1#a'), asReplicaId('n2#b')]),
  formatLevel: 2,
};
type Options = Omit<Parameters<typeof BlockLog.open>[0], 'keyValue'>;

const storeOf = (machine: Machine): Promise<KeyValue> => machine.platform.disk.openKeyValue('log');

async function foundedLog(keyValue: KeyValue, options: Options = {}): Promise<BlockLog> {
  const log = await BlockLog.open({ keyValue, ...options });
  await log.found(founding);
  return log;
}

/** A log with these entries, durable. */
async function logOf(
  machine: Machine,
  entries: readonly Entry[],
  options: Options = {},
): Promise<{ log: BlockLog; keyValue: KeyValue }> {
  const keyValue = await storeOf(machine);
  const log = await foundedLog(keyValue, options);
  if (entries.length > 0) log.stage({ sequence: 1, truncateFrom: null, entries });
  while (log.hasStaged) await log.flush();
  return { log, keyValue };
}

async function contentsOf(log: BlockLog): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (let index = 1; index <= log.last.index; index += 1) entries.push(await log.read(asIndex(index)));
  return entries;
}
const hashesOf = (entries: readonly Entry[]): string[] => entries.map((entry) => entry.hash);

describe('block log', () => {
  test(
    'a store that was never founded has no base and nothing wrong',
    story(async (machine) => {
      const log = await BlockLog.open({ keyValue: await storeOf(machine) });
      expect([log.base, log.clusterId, log.last, log.opened.reason]).toEqual([null, null, emptyLog, null]);
    }),
  );

  test(
    'what waits for the disk is counted until it is taken, also over batches that split a write',
    story(async (machine) => {
      const { log } = await logOf(machine, [], { batchBytesMax: 400 });
      log.stage({ sequence: 1, truncateFrom: null, entries: chain(5) });
      log.stage({
        sequence: 2,
        truncateFrom: asIndex(4),
        entries: entriesAfter(positionOf(chain(3)[2] as Entry), [2]),
      });
      const seen = [log.stagedBytes];
      while (log.hasStaged) {
        await log.flush();
        seen.push(log.stagedBytes);
      }
      expect(seen.length).toBeGreaterThan(2);
      expect(seen).toEqual(seen.toSorted((left, right) => right - left));
      expect(seen.at(-1)).toBe(0);
    }),
  );

  test(
    'a founded log remembers its cluster and its voters',
    story(async (machine) => {
      const keyValue = await storeOf(machine);
      await foundedLog(keyValue);
      const log = await BlockLog.open({ keyValue });
      expect(log.base).toEqual({ ...founding, configurationIndex: emptyLog.index, position: emptyLog, timeMs: 0 });
    }),
  );

  test(
    'a staged entry is read before it is durable, and is durable after the flush',
    story(async (machine) => {
      const keyValue = await storeOf(machine);
      const log = await foundedLog(keyValue);
      const [first, second] = chain(2) as [Entry, Entry];
      log.stage({ sequence: 1, truncateFrom: null, entries: [first, second] });
      expect(await log.read(second.index)).toBe(second);
      expect([log.last, log.lastTimeMs, log.durable]).toEqual([positionOf(second), second.timeMs, emptyLog]);
      expect(await log.flush()).toEqual({ position: positionOf(second), sequence: 1 });
      expect((await BlockLog.open({ keyValue })).last).toEqual(positionOf(second));
    }),
  );

  test(
    'what is staged during a flush leaves with the next one, in one batch',
    story(async (machine) => {
      const keyValue = await storeOf(machine);
      const log = await foundedLog(keyValue);
      const entries = chain(5);
      log.stage({ sequence: 1, truncateFrom: null, entries: entries.slice(0, 1) });
      const first = log.flush();
      for (let at = 1; at < 5; at += 1)
        log.stage({ sequence: at + 1, truncateFrom: null, entries: entries.slice(at, at + 1) });
      expect((await first).position.index).toBe(1);
      const { length: batches } = machine.disk.keyValue('log').history;
      expect(await log.flush()).toMatchObject({ position: { index: 5 }, sequence: 5 });
      expect(machine.disk.keyValue('log').history).toHaveLength(batches + 1);
    }),
  );

  test(
    'a batch ends before the bytes it may have, between two entries of one write too',
    story(async (machine) => {
      const keyValue = await storeOf(machine);
      const log = await foundedLog(keyValue, { batchBytesMax: 300 });
      log.stage({ sequence: 1, truncateFrom: null, entries: chain(5) });
      const ends: number[] = [];
      while (log.hasStaged) ends.push((await log.flush()).position.index);
      expect(ends).toEqual([3, 5]);
    }),
  );

  test(
    'cut, grown and cut again while a write is in flight: the disk ends as staged last (bug E9)',
    story(async (machine) => {
      const common = chain(2);
      const { log, keyValue } = await logOf(machine, common, { cacheBytesMax: 0 });
      const at2 = common.at(-1) as Entry;
      const a = entriesAfter(at2, [2, 2]);
      const b = entriesAfter(at2, [3]);
      const again = entriesAfter(at2, [4, 4], 'again ');
      log.stage({ sequence: 2, truncateFrom: null, entries: a });
      const first = log.flush();
      log.stage({ sequence: 3, truncateFrom: asIndex(3), entries: b });
      log.stage({ sequence: 4, truncateFrom: asIndex(3), entries: again });
      expect(await first).toEqual({ position: positionOf(a.at(-1) as Entry), sequence: 2 });
      expect(hashesOf(await contentsOf(log))).toEqual(hashesOf([...common, ...again]));
      expect(await log.flush()).toEqual({ position: positionOf(again.at(-1) as Entry), sequence: 4 });
      expect(hashesOf(await contentsOf(await BlockLog.open({ keyValue })))).toEqual(hashesOf([...common, ...again]));
    }),
  );

  test(
    'an entry that is cut away while it is read is not the answer',
    story(async (machine) => {
      const entries = chain(5);
      const { log } = await logOf(machine, entries, { cacheBytesMax: 0 });
      const instead = entriesAfter(entries[1] as Entry, [2, 2]);
      const reading = [log.read(asIndex(3)), log.read(asIndex(5)), log.readRange(asIndex(1), asIndex(5), 1e6)] as const;
      await machine.events(1);
      log.stage({ sequence: 2, truncateFrom: asIndex(3), entries: instead });
      expect((await reading[0]).hash).toBe(instead[0]?.hash);
      await expect(reading[1]).rejects.toThrow(NotInLogError);
      expect(hashesOf(await reading[2])).toEqual(hashesOf([...entries.slice(0, 2), ...instead]));
    }),
  );

  test(
    'an end that is cut and becomes shorter leaves nothing behind it',
    story(async (machine) => {
      const entries = chain(9);
      const { log, keyValue } = await logOf(machine, entries);
      log.stage({ sequence: 2, truncateFrom: asIndex(4), entries: entriesAfter(entries[2] as Entry, [2]) });
      await log.flush();
      const reopened = await BlockLog.open({ keyValue });
      expect([reopened.last.index, reopened.opened.dropped, reopened.opened.reason]).toEqual([4, 0, null]);
    }),
  );

  test(
    'an entry that does not chain to what this disk holds is refused before anything is written',
    story(async (machine) => {
      const entries = chain(6);
      const { keyValue } = await logOf(machine, entries);
      const log = await BlockLog.open({ keyValue });
      const stranger = entriesAfter({ ...(entries[3] as Entry), hash: entries[0]?.hash ?? emptyLog.hash }, [2]);
      log.stage({ sequence: 1, truncateFrom: asIndex(5), entries: stranger });
      await expect(log.flush()).rejects.toThrow('the logs diverged');
      expect((await BlockLog.open({ keyValue })).last.index).toBe(6);
      expect(() =>
        log.stage({ sequence: 2, truncateFrom: null, entries: entriesAfter(stranger[0] as Entry, [2]) }),
      ).toThrow();
    }),
  );

  test(
    'staging asserts order, chain and terms',
    story(async (machine) => {
      const entries = chain(3);
      const { log } = await logOf(machine, entries);
      const last = entries[2] as Entry;
      const stage = (entry: Entry) => () => log.stage({ sequence: 9, truncateFrom: null, entries: [entry] });
      expect(stage(entriesAfter({ ...last, index: asIndex(4) }, [1])[0] as Entry)).toThrow('does not follow');
      expect(stage(entriesAfter({ ...last, hash: emptyLog.hash }, [1])[0] as Entry)).toThrow('does not chain');
      expect(stage(entriesAfter(last, [0])[0] as Entry)).toThrow('term');
    }),
  );

  test(
    'a failed write is final: the log refuses every later call (protocol A5)',
    story(async (machine) => {
      const { log } = await logOf(machine, chain(2));
      machine.disk.fail('log', 'io');
      log.stage({ sequence: 2, truncateFrom: null, entries: entriesAfter(chain(2)[1] as Entry, [1]) });
      await expect(log.flush()).rejects.toThrow('the log could not be written');
      await expect(log.flush()).rejects.toThrow('the log could not be written');
      await expect(log.read(asIndex(1))).rejects.toThrow('the log could not be written');
    }),
  );

  test(
    'reading a range gives consecutive entries up to the bytes allowed, and at least one',
    story(async (machine) => {
      const entries = chain(10);
      const { keyValue } = await logOf(machine, entries);
      const log = await BlockLog.open({ keyValue });
      const read = async (first: number, last: number, bytes: number) =>
        (await log.readRange(asIndex(first), asIndex(last), bytes)).map(({ index }) => index);
      expect(await read(2, 5, 1e6)).toEqual([2, 3, 4, 5]);
      expect(await read(8, 99, 1e6)).toEqual([8, 9, 10]);
      expect(await read(3, 9, 0)).toEqual([3]);
      expect(await read(3, 9, (entries[2] as Entry).payload.length * 2)).toEqual([3, 4]);
      await expect(read(11, 12, 1)).rejects.toThrow(NotInLogError);
      await expect(read(0, 12, 1)).rejects.toThrow(NotInLogError);
    }),
  );

  test(
    'positions: of the base, inside, and none outside',
    story(async (machine) => {
      const entries = chain(2);
      const { log } = await logOf(machine, entries);
      const positions = await Promise.all([0, 1, 2, 3].map((index) => log.positionAt(asIndex(index))));
      expect(positions).toEqual([emptyLog, ...entries.map(positionOf), null]);
    }),
  );

  test(
    'entries that are not durable are never evicted; durable ones leave oldest first',
    story(async (machine) => {
      const entries = entriesAfter(emptyLog, Array<number>(20).fill(1), 'x'.repeat(1_000));
      const keyValue = await storeOf(machine);
      const log = await foundedLog(keyValue, { cacheBytesMax: 5_000 });
      log.stage({ sequence: 1, truncateFrom: null, entries });
      expect(log.cached(asIndex(1), asIndex(20))?.length).toBe(20);
      await log.flush();
      expect(log.cached(asIndex(16), asIndex(16))).toBeNull();
      expect(log.cached(asIndex(17), asIndex(20))?.length).toBe(4);
      expect(hashesOf(await contentsOf(log))).toEqual(hashesOf(entries));
    }),
  );

  test('term runs are found without reading the whole log', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(3), { maxLength: 60 }), async (steps) => {
        let term = 1;
        const terms = steps.map((step) => (term += step === 3 ? 1 : 0));
        const runs = await new Machine(1).tell(async (machine) => {
          const { keyValue } = await logOf(machine, entriesAfter(emptyLog, terms));
          return (await BlockLog.open({ keyValue })).termRuns();
        });
        const expected = terms.flatMap((of, at) =>
          at === 0 || terms[at - 1] !== of ? [{ term: of, first: at + 1 }] : [],
        );
        expect(runs).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  test('a damaged entry inside a term does not hide where terms begin; one at the edge is reported', async () => {
    const entries = entriesAfter(emptyLog, [1, 1, 1, 1, 1, 1, 1, 1, 2, 2]);
    const runsWithDamageAt = (index: number): Promise<unknown> =>
      new Machine(1).tell(async (machine) => {
        const { keyValue } = await logOf(machine, entries);
        const log = await BlockLog.open({ keyValue });
        machine.disk.flipBit('log', { gte: entryKey(index), lt: entryKey(index + 1) });
        return log.termRuns().catch((error: unknown) => error);
      });
    for (const index of [2, 3, 4, 5, 6, 7]) {
      expect(await runsWithDamageAt(index)).toEqual([
        { term: 1, first: 1 },
        { term: 2, first: 9 },
      ]);
    }
    expect(await runsWithDamageAt(9)).toBeInstanceOf(DamagedError);
  });
});

describe('a repair', () => {
  /** A log whose entries are read from the disk, all of them. */
  async function reopened(machine: Machine, entries: readonly Entry[]): Promise<BlockLog> {
    const { keyValue } = await logOf(machine, entries);
    return BlockLog.open({ keyValue, cacheBytesMax: 0 });
  }
  const flip = (machine: Machine, index: number): void => {
    machine.disk.flipBit('log', { gte: entryKey(index), lt: entryKey(index + 1) });
  };
  const entries = chain(6);
  const [, second, third, , , sixth] = entries as [Entry, Entry, Entry, Entry, Entry, Entry];

  test(
    'puts back the entry that the one above it names, on the disk too',
    story(async (machine) => {
      const log = await reopened(machine, entries);
      flip(machine, 3);
      const met: unknown = await log.read(asIndex(3)).catch((error: unknown) => error);
      expect(met).toBeInstanceOf(DamagedEntryError);
      expect(met).toMatchObject({ index: 3, what: 'its checksum does not match' });
      await log.repair(third);
      expect((await log.read(asIndex(3))).hash).toBe(third.hash);
      machine.crash('power');
      const again = await BlockLog.open({ keyValue: await storeOf(machine) });
      expect([again.opened.reason, hashesOf(await contentsOf(again))]).toEqual([null, hashesOf(entries)]);
    }),
  );

  test(
    'of the last entry takes the end of the log for its name',
    story(async (machine) => {
      const log = await reopened(machine, entries);
      flip(machine, 6);
      expect(await log.nameOf(asIndex(6))).toEqual({ hash: sixth.hash, by: sixth.term });
      await log.repair(sixth);
      expect((await log.read(asIndex(6))).hash).toBe(sixth.hash);
    }),
  );

  test(
    'is refused for an entry of another name, place or payload, and nothing is written',
    story(async (machine) => {
      const log = await reopened(machine, entries);
      flip(machine, 3);
      const before = machine.disk.entries('log');
      const [stranger] = entriesAfter(second, [1], 'another ') as [Entry];
      await expect(log.repair(stranger)).rejects.toThrow('not the one that the log names');
      await expect(log.repair({ ...third, index: asIndex(4) })).rejects.toThrow('does not have the hash it names');
      await expect(log.repair({ ...third, payload: stranger.payload })).rejects.toThrow('its payload');
      expect(await log.repair({ ...third, index: asIndex(0) })).toBe(false);
      for (const index of [7, 8]) {
        await expect(log.repair({ ...third, index: asIndex(index) })).rejects.toThrow('not in the durable log');
      }
      expect(machine.disk.entries('log')).toEqual(before);
    }),
  );

  test(
    'waits for the entry above, where that one is damaged too',
    story(async (machine) => {
      const log = await reopened(machine, entries);
      flip(machine, 2);
      flip(machine, 3);
      await expect(log.repair(second)).rejects.toMatchObject({ index: 3 });
      await log.repair(third);
      await log.repair(second);
      expect(hashesOf(await contentsOf(log))).toEqual(hashesOf(entries));
    }),
  );

  test(
    'runs beside a flush; the truncation of its entry is refused, and so is a second one',
    story(async (machine) => {
      const log = await reopened(machine, entries);
      flip(machine, 2);
      log.stage({ sequence: 1, truncateFrom: asIndex(5), entries: entriesAfter(entries[3] as Entry, [2, 2]) });
      const both = [log.flush(), log.repair(second)] as const;
      expect(() =>
        log.stage({ sequence: 2, truncateFrom: asIndex(2), entries: entriesAfter(entries[0] as Entry, [3]) }),
      ).toThrow('under repair');
      await expect(log.repair(third)).rejects.toThrow('one entry is repaired at a time');
      await Promise.all(both);
      const found = await contentsOf(log);
      expect(found.map(({ term }) => term)).toEqual([1, 1, 1, 1, 2, 2]);
      expect(found[1]?.hash).toBe(second.hash);
    }),
  );

  test(
    'that fails is final: the log refuses every later call (protocol A5)',
    story(async (machine) => {
      const log = await reopened(machine, entries);
      flip(machine, 3);
      machine.disk.fail('log', 'io');
      await expect(log.repair(third)).rejects.toThrow('the log could not be written');
      await expect(log.read(asIndex(1))).rejects.toThrow('the log could not be written');
    }),
  );

  test.each([
    ['which the one above it names', [4]],
    ['which nothing on this disk names', [4, 5]],
  ])('that is still to come does not stop a truncation behind it: the hash there, %s', (_, hurt) =>
    new Machine(1).tell(async (machine) => {
      const log = await reopened(machine, entries);
      for (const index of hurt) flip(machine, index);
      const instead = entriesAfter(entries[3] as Entry, [2]);
      log.stage({ sequence: 1, truncateFrom: asIndex(5), entries: instead });
      await log.flush();
      expect((await log.nameOf(asIndex(4))).hash).toBe(entries[3]?.hash);
    }),
  );

  test(
    'that is still to come: an end that does not chain is refused all the same, by the name',
    story(async (machine) => {
      const log = await reopened(machine, entries);
      flip(machine, 4);
      const stranger = entriesAfter({ ...(entries[3] as Entry), hash: entries[0]?.hash ?? emptyLog.hash }, [2]);
      log.stage({ sequence: 1, truncateFrom: asIndex(5), entries: stranger });
      await expect(log.flush()).rejects.toThrow('the logs diverged');
    }),
  );

  test(
    'is not waited for by a range that begins before it: that ends there',
    story(async (machine) => {
      const log = await reopened(machine, entries);
      flip(machine, 4);
      expect(hashesOf(await log.readRange(asIndex(2), asIndex(6), 1e6))).toEqual(hashesOf(entries.slice(1, 3)));
      await expect(log.readRange(asIndex(4), asIndex(6), 1e6)).rejects.toMatchObject({ index: 4 });
    }),
  );

  test(
    'is due where the store itself says that it is damaged, not where the disk failed',
    story(async (machine) => {
      const { keyValue } = await logOf(machine, entries);
      const failing = new Map([
        [keyOf(entryKey(3)), new DiskError('damaged', 'a block of the store has another checksum')],
        [keyOf(entryKey(4)), new DiskError('io', 'the disk failed')],
      ]);
      const store: KeyValue = {
        get: async (key) => {
          const error = failing.get(keyOf(key));
          if (error !== undefined) throw error;
          return keyValue.get(key);
        },
        getMany: (keys) => keyValue.getMany(keys),
        range: (range) => keyValue.range(range),
        keys: (range) => keyValue.keys(range),
        batch: (operations, options) => keyValue.batch(operations, options),
        compact: (range) => keyValue.compact(range),
        close: () => keyValue.close(),
      };
      const log = await BlockLog.open({ keyValue: store, cacheBytesMax: 0 });
      await expect(log.read(asIndex(3))).rejects.toMatchObject({ index: 3, name: 'DamagedError' });
      await expect(log.read(asIndex(4))).rejects.toMatchObject({ code: 'io' });
    }),
  );

  test(
    'is due below an entry that names another one than stands there',
    story(async (machine) => {
      const log = await reopened(machine, entries);
      const [stranger] = entriesAfter(second, [1], 'another ') as [Entry];
      const keyValue = machine.disk.keyValue('log');
      keyValue.apply([{ key: keyOf(entryKey(3)), value: encodeEntry(stranger) }], true);
      await expect(log.readRange(asIndex(3), asIndex(6), 1e6)).rejects.toMatchObject({
        index: 3,
        what: 'entry 4 does not follow it',
      });
    }),
  );
});
