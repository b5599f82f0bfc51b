/** A log that goes on from another base: trimmed, or replaced as a whole (protocol E1, E2, D3). */
import { describe, expect, test } from 'vitest';
import { DiskError } from '../../src/platform/disk-error.ts';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { asHash, asIndex, asReplicaId, asTerm, type Entry, type LogBase } from '../../src/raft/core/types.ts';
import { BlockLog, NotInLogError } from '../../src/store/block-log.ts';
import { encodeConfiguration } from '../../src/store/configuration-record.ts';
import { encodeEntry, payloadHashOf, positionOf, sealEntry } from '../../src/store/entry.ts';
import { entryKey, indexOfKey } from '../../src/store/log-keys.ts';
import { decodeTrim, encodeTrim } from '../../src/store/trim-record.ts';
import { DamagedError, UnsupportedFormatError } from '../../src/store/damaged.ts';
import { type Machine, story } from './machine.ts';
import { chain, entriesAfter } from './support.ts';

const configuration = votersOnly([asReplicaId('n1#a')]);
const baseAt = (position: LogBase['position']): LogBase => ({
  position,
  timeMs: 1_234,
  configuration,
  configurationIndex: asIndex(1),
  formatLevel: 2,
});

async function logOf(machine: Machine, entries: readonly Entry[]): Promise<BlockLog> {
  const log = await BlockLog.open({ keyValue: await machine.platform.disk.openKeyValue('log'), cacheBytesMax: 0 });
  await log.found({ clusterId: 'c1', configuration, formatLevel: 2 });
  log.stage({ sequence: 1, truncateFrom: null, entries });
  await log.flush();
  return log;
}

const reopened = async (machine: Machine): Promise<BlockLog> => {
  machine.crash('power');
  return BlockLog.open({ keyValue: await machine.platform.disk.openKeyValue('log'), cacheBytesMax: 0 });
};

const indicesOnDisk = (machine: Machine): number[] =>
  machine.disk.entries('log').flatMap(([key]) => indexOfKey(key) ?? []);

describe('a trim', () => {
  test(
    'what is up to the base is gone at once, and from the disk when somebody deletes it; the base record survives a crash',
    story(async (machine) => {
      const entries = chain(6);
      const log = await logOf(machine, entries);
      const base = baseAt(positionOf(entries[3] as Entry));
      log.stage({ sequence: 2, base, replacesLog: false });
      await expect(log.read(asIndex(4))).rejects.toThrow(NotInLogError);
      expect((await log.read(asIndex(5))).hash).toBe(entries[4]?.hash);
      // Not before the disk says where the log begins.
      expect([await log.deleteTrimmed(), log.durableBase]).toEqual([0, 0]);
      await log.flush();
      expect(log.hasTrimmed).toBe(true);
      expect([await log.deleteTrimmed(), await log.deleteTrimmed(), log.durableBase]).toEqual([4, 0, 4]);
      expect(log.hasTrimmed).toBe(false);
      expect(indicesOnDisk(machine)).toEqual([5, 6]);
      const again = await reopened(machine);
      expect(again.base).toEqual({ clusterId: 'c1', ...base });
      expect([again.last, again.opened.reason]).toEqual([positionOf(entries[5] as Entry), null]);
      expect(await again.termRuns()).toEqual([{ term: 1, first: 5 }]);
    }),
  );

  test(
    'a log that is trimmed to its end is empty, and goes on from there',
    story(async (machine) => {
      const entries = chain(3);
      const log = await logOf(machine, entries);
      log.stage({ sequence: 2, base: baseAt(positionOf(entries[2] as Entry)), replacesLog: false });
      await log.flush();
      const again = await reopened(machine);
      expect([again.last.index, again.opened.dropped]).toEqual([3, 0]);
      again.stage({ sequence: 1, truncateFrom: null, entries: entriesAfter(positionOf(entries[2] as Entry), [1]) });
      await again.flush();
      expect((await reopened(machine)).last.index).toBe(4);
    }),
  );

  test(
    'entries above a pin stay readable and on the disk until it is released, twice or once',
    story(async (machine) => {
      const entries = chain(6);
      const log = await logOf(machine, entries);
      const pin = log.pin();
      log.stage({ sequence: 2, base: baseAt(positionOf(entries[3] as Entry)), replacesLog: false });
      await log.flush();
      const later = log.pin();
      expect([pin.base, later.base]).toEqual([0, 4]);
      expect(await log.deleteTrimmed()).toBe(0);
      expect((await log.readRange(asIndex(1), asIndex(6), 10_000)).map(({ index }) => index)).toEqual([
        1, 2, 3, 4, 5, 6,
      ]);
      pin.release();
      pin.release();
      await expect(log.read(asIndex(4))).rejects.toThrow(NotInLogError);
      expect(await log.deleteTrimmed()).toBe(4);
      later.release();
      expect(await log.deleteTrimmed()).toBe(0);
    }),
  );

  test(
    'what cannot be read is not deleted: a compaction of it would end the log for good; that is used on',
    story(async (machine) => {
      const entries = chain(6);
      const keyValue = await machine.platform.disk.openKeyValue('log');
      const isSecond = (key: Uint8Array): boolean => indexOfKey(key) === 2;
      const log = await BlockLog.open({
        keyValue: {
          get: (key) => keyValue.get(key),
          getMany: async (keys) => {
            if (keys.some(isSecond)) throw new DiskError('damaged', 'a block cannot be read');
            return keyValue.getMany(keys);
          },
          batch: (operations, options) => keyValue.batch(operations, options),
          range: (range) => keyValue.range(range),
          keys: (range) => keyValue.keys(range),
          compact: () => Promise.reject(new DiskError('damaged', 'a compaction met what cannot be read')),
          close: () => keyValue.close(),
        },
      });
      await log.found({ clusterId: 'c1', configuration, formatLevel: 2 });
      log.stage({ sequence: 1, truncateFrom: null, entries });
      log.stage({ sequence: 2, base: baseAt(positionOf(entries[3] as Entry)), replacesLog: false });
      await log.flush();
      await expect(log.deleteTrimmed()).rejects.toThrow(DiskError);
      expect([indicesOnDisk(machine).length, log.hasTrimmed]).toEqual([6, true]);
      log.stage({ sequence: 3, truncateFrom: null, entries: entriesAfter(positionOf(entries[5] as Entry), [1]) });
      expect((await log.flush()).position.index).toBe(7);
    }),
  );

  test(
    'a node whose entry at the base is another one than the cluster trims stops, and keeps what it has',
    story(async (machine) => {
      const entries = chain(4);
      const log = await logOf(machine, entries);
      const other = { index: asIndex(2), term: asTerm(1), hash: asHash('e'.repeat(32)) };
      log.stage({ sequence: 2, base: baseAt(other), replacesLog: false });
      await expect(log.flush()).rejects.toThrow('the logs diverged');
      expect((await reopened(machine)).base?.position.index).toBe(0);
    }),
  );

  test(
    'a damaged entry at the base is known by the one above it',
    story(async (machine) => {
      const entries = chain(4);
      const log = await logOf(machine, entries);
      machine.disk.flipBit('log', { gte: entryKey(2), lt: entryKey(3) });
      log.stage({ sequence: 2, base: baseAt(positionOf(entries[1] as Entry)), replacesLog: false });
      await log.flush();
      expect(log.durableBase).toBe(2);
    }),
  );

  test(
    'nothing is repaired at or below the base, also when the trim came in between (protocol E1)',
    story(async (machine) => {
      const entries = chain(4);
      const log = await logOf(machine, entries);
      const second = entries[1] as Entry;
      const repairing = log.repair(second);
      log.stage({ sequence: 2, base: baseAt(positionOf(second)), replacesLog: false });
      expect(await repairing).toBe(false);
      expect(await log.repair(second)).toBe(false);
    }),
  );
});

test(
  'a base waits for a repair that is on its way to the disk, or what that brings would stay below it for ever',
  story(async (machine) => {
    const entries = chain(4);
    const log = await logOf(machine, entries);
    const second = entries[1] as Entry;
    const done: string[] = [];
    const repairing = log.repair(second).then((written) => done.push(`repair ${written}`));
    // Until it has asked for its write.
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    await log.read(asIndex(3));
    await log.read(asIndex(3));
    log.stage({ sequence: 2, base: baseAt(positionOf(second)), replacesLog: false });
    const flushing = log.flush().then(() => done.push('base'));
    await Promise.all([repairing, flushing]);
    expect(done[0]).toMatch(/^repair/);
  }),
);

describe('a base that is installed', () => {
  const installed = baseAt({ index: asIndex(9), term: asTerm(5), hash: asHash('a'.repeat(32)) });

  test(
    'takes the place of the whole log in one write',
    story(async (machine) => {
      const log = await logOf(machine, chain(4));
      log.stage({ sequence: 2, base: installed, replacesLog: true });
      const next = entriesAfter(installed.position, [5, 5]);
      log.stage({ sequence: 3, truncateFrom: null, entries: next });
      expect([log.last.index, log.durable.index]).toEqual([11, 4]);
      expect(await log.flush()).toEqual({ position: positionOf(next[1] as Entry), sequence: 3 });
      const again = await reopened(machine);
      expect([again.base?.position, again.last, again.opened.dropped]).toEqual([
        installed.position,
        positionOf(next[1] as Entry),
        0,
      ]);
      expect(await again.deleteTrimmed()).toBe(4);
    }),
  );

  test(
    'inside of a longer log leaves nothing of what stood above it',
    story(async (machine) => {
      const log = await logOf(machine, chain(14));
      log.stage({ sequence: 2, base: installed, replacesLog: true });
      await log.flush();
      expect(indicesOnDisk(machine)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
      const again = await reopened(machine);
      expect([again.last.index, again.opened.dropped]).toEqual([9, 0]);
    }),
  );

  test(
    'what follows it is read from memory while the disk still holds the log of before',
    story(async (machine) => {
      const entries = chain(14);
      const log = await logOf(machine, entries);
      log.stage({ sequence: 2, truncateFrom: null, entries: entriesAfter(positionOf(entries[13] as Entry), [1]) });
      const flushing = log.flush();
      log.stage({ sequence: 3, base: installed, replacesLog: true });
      const next = entriesAfter(installed.position, [5, 5]);
      log.stage({ sequence: 4, truncateFrom: null, entries: next });
      await flushing;
      expect((await log.read(asIndex(10))).hash).toBe(next[0]?.hash);
      await log.flush();
      expect((await log.read(asIndex(10))).hash).toBe(next[0]?.hash);
      expect((await reopened(machine)).last).toEqual(positionOf(next[1] as Entry));
    }),
  );

  test(
    'garbage of before that a crash brings back is below the base, or deleted with what is above it',
    story(async (machine) => {
      const log = await logOf(machine, chain(4));
      log.stage({ sequence: 2, base: installed, replacesLog: true });
      await log.flush();
      const [third] = chain(4).slice(2);
      machine.crash('process');
      const keyValue = await machine.platform.disk.openKeyValue('log');
      await keyValue.batch([{ type: 'put', key: entryKey(3), value: encodeEntry(third as Entry) }], { sync: true });
      const again = await BlockLog.open({ keyValue });
      expect([again.last.index, again.opened.dropped]).toEqual([9, 0]);
    }),
  );
});

describe('a base that is adopted before the log is used', () => {
  const configurationEntry = (before: LogBase['position']): Entry => {
    const payload = encodeConfiguration(configuration, asIndex(0));
    const draft = { ...entriesAfter(before, [1])[0], kind: 'configuration' as const, payload };
    return sealEntry({ ...(draft as Entry), payloadHash: payloadHashOf(payload) });
  };

  test(
    'keeps what follows it, and forgets what the log held where nothing of it is left',
    story(async (machine) => {
      const entries = chain(4);
      const uncommitted = configurationEntry(positionOf(entries[3] as Entry));
      await logOf(machine, [...entries, uncommitted]);
      const kept = await reopened(machine);
      await kept.adoptBase(baseAt(positionOf(entries[1] as Entry)));
      expect([kept.base?.position.index, kept.last.index, kept.opened.configurations.length]).toEqual([2, 5, 1]);
      const later = { index: asIndex(9), term: asTerm(5), hash: asHash('a'.repeat(32)) };
      await kept.adoptBase(baseAt(later));
      expect([kept.last, kept.opened.configurations]).toEqual([later, []]);
      expect((await reopened(machine)).last).toEqual(later);
    }),
  );

  test(
    'an older one changes nothing',
    story(async (machine) => {
      const entries = chain(4);
      const log = await logOf(machine, entries);
      log.stage({ sequence: 2, base: baseAt(positionOf(entries[2] as Entry)), replacesLog: false });
      await log.flush();
      await log.adoptBase(baseAt(positionOf(entries[0] as Entry)));
      expect(log.base?.position.index).toBe(3);
    }),
  );
});

describe('the payload of a trim entry', () => {
  const base = baseAt({ index: asIndex(9), term: asTerm(5), hash: asHash('a'.repeat(32)) });

  test('holds the whole base, and no cluster: a recovered one has another name', () => {
    expect(decodeTrim(encodeTrim(base))).toEqual(base);
    expect(JSON.parse(Buffer.from(encodeTrim({ ...base, ...{ clusterId: 'c1' } })).toString())).not.toHaveProperty(
      'clusterId',
    );
  });

  test.each([
    ['no JSON', '{'],
    ['no position', JSON.stringify({ ...base, position: null })],
    ['no time', JSON.stringify({ ...base, timeMs: 'now' })],
    ['no voters', JSON.stringify({ ...base, configuration: {} })],
  ])('%s is damage', (_, text) => {
    expect(() => decodeTrim(Buffer.from(text))).toThrow(DamagedError);
  });

  test('a newer format level is refused by its name', () => {
    expect(() => decodeTrim(Buffer.from(JSON.stringify({ ...base, formatLevel: 99 })))).toThrow(UnsupportedFormatError);
  });
});
