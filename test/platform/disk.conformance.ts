/** What every Disk, KeyValue and SlotFile must do. Faults are another matter: see test/sim/platform. */
import { describe, expect, it } from 'vitest';
import type { KeyValue, KeyValueOperation, KeyValueRange } from '../../src/platform/key-value.ts';
import type { Disk } from '../../src/platform/platform.ts';
import { bytes, expectRejection, text, type Drive } from './harness.ts';

export interface DiskSubject {
  readonly drive: Drive;
  /** The same data each time it is called: a restart of the node. */
  readonly disk: () => Disk;
}

const MiB = 2 ** 20;
const everything: KeyValueRange = { gte: bytes([]), lt: bytes([255, 255]) };
const put = (key: string, value: string): KeyValueOperation => ({ type: 'put', key: bytes(key), value: bytes(value) });
const del = (key: string): KeyValueOperation => ({ type: 'del', key: bytes(key) });

async function contents(store: KeyValue, range = everything): Promise<string[]> {
  return (await store.range(range)).map(([key, value]) => `${text(key)}=${text(value)}`);
}

export function keyValueConformance(name: string, open: () => Promise<DiskSubject>): void {
  describe(`KeyValue: ${name}`, () => {
    const story = (title: string, tell: (store: KeyValue, subject: DiskSubject) => Promise<void>): void =>
      it(title, async () => {
        const subject = await open();
        await subject.drive(async () => {
          const store = await subject.disk().openKeyValue('store');
          await tell(store, subject);
        });
      });

    story('what was put is got; what was not is undefined', async (store) => {
      await store.batch([put('a', '1'), put('empty', '')], { sync: true });
      expect(await store.get(bytes('a'))).toEqual(bytes('1'));
      expect(await store.get(bytes('empty'))).toEqual(bytes(''));
      expect(await store.get(bytes('b'))).toBeUndefined();
      await store.close();
    });

    story('an unsynced batch is visible when it resolved', async (store) => {
      await store.batch([put('a', '1')], { sync: false });
      expect(await store.get(bytes('a'))).toEqual(bytes('1'));
      await store.close();
    });

    story('getMany keeps the order of its keys and marks the missing ones', async (store) => {
      await store.batch([put('a', '1'), put('c', '3')], { sync: true });
      const values = await store.getMany([bytes('c'), bytes('b'), bytes('a'), bytes('c')]);
      expect(values).toEqual([bytes('3'), undefined, bytes('1'), bytes('3')]);
      expect(await store.getMany([])).toEqual([]);
      await store.close();
    });

    story('a batch applies in order: the last word on a key counts', async (store) => {
      await store.batch([put('a', '1'), put('b', '1'), del('a'), put('b', '2'), del('never')], { sync: true });
      expect(await contents(store)).toEqual(['b=2']);
      await store.batch([], { sync: true });
      expect(await contents(store)).toEqual(['b=2']);
      await store.close();
    });

    story('range is [gte, lt), by bytes, either way, and stops at its limit', async (store) => {
      const keys = [[0], [1], [1, 0], [1, 255], [2], [127], [128], [255]];
      await store.batch(
        keys.map((key) => ({ type: 'put', key: bytes(key), value: bytes(key) })),
        { sync: true },
      );
      const found = async (range: KeyValueRange): Promise<number[][]> =>
        (await store.keys(range)).map((key) => [...key]);
      expect(await found({ gte: bytes([]), lt: bytes([255, 0]) })).toEqual(keys);
      expect(await found({ gte: bytes([1]), lt: bytes([2]) })).toEqual([[1], [1, 0], [1, 255]]);
      expect(await found({ gte: bytes([1]), lt: bytes([2]), reverse: true })).toEqual([[1, 255], [1, 0], [1]]);
      expect(await found({ gte: bytes([3]), lt: bytes([255]), limit: 1 })).toEqual([[127]]);
      expect(await found({ gte: bytes([3]), lt: bytes([255]), limit: 1, reverse: true })).toEqual([[128]]);
      expect(await found({ gte: bytes([2]), lt: bytes([2]) })).toEqual([]);
      expect(await found({ gte: bytes([1]), lt: bytes([2]), limit: 0 })).toEqual([]);
      expect(
        (await store.range({ gte: bytes([1]), lt: bytes([2]), reverse: true, limit: 2 })).map(([, value]) => [
          ...value,
        ]),
      ).toEqual([
        [1, 255],
        [1, 0],
      ]);
      await store.close();
    });

    story('a range of many values comes whole and in order', async (store) => {
      const operations = Array.from({ length: 3000 }, (_, n) => put(String(n).padStart(5, '0'), 'x'.repeat(n % 500)));
      await store.batch(operations, { sync: false });
      const pairs = await store.range(everything);
      expect(pairs.map(([key]) => Number(text(key)))).toEqual(operations.map((_, n) => n));
      expect(pairs.every(([, value], n) => value.length === n % 500)).toBe(true);
      await store.close();
    });

    story('bytes handed over or received may be changed afterwards without changing the store', async (store) => {
      const value = bytes('kept');
      await store.batch([{ type: 'put', key: bytes('a'), value }], { sync: true });
      value.fill(0);
      (await store.get(bytes('a')))?.fill(1);
      expect(await store.get(bytes('a'))).toEqual(bytes('kept'));
      await store.close();
    });

    story(
      'compacting a range changes nothing in it, beside it, or in what is written meanwhile',
      async (store, subject) => {
        const filled = Array.from({ length: 200 }, (_, n) => put(String(n).padStart(3, '0'), `v${n}`));
        await store.batch(filled, { sync: true });
        await store.batch(
          filled.slice(50, 150).map(({ key }) => ({ type: 'del', key })),
          { sync: false },
        );
        const left = [...filled.slice(0, 50), ...filled.slice(150)].map(
          ({ key }) => `${text(key)}=v${Number(text(key))}`,
        );
        const compacted = store.compact({ gte: bytes('050'), lt: bytes('150') });
        await store.batch([put('050', 'new'), put('999', 'new')], { sync: true });
        await compacted;
        await store.compact({ gte: bytes('a'), lt: bytes('b') });
        await store.compact({ gte: bytes([]), lt: bytes([255, 255]) });
        const expected = [...left, '050=new', '999=new'].sort();
        expect(await contents(store)).toEqual(expected);
        await store.close();
        const again = await subject.disk().openKeyValue('store');
        expect(await contents(again)).toEqual(expected);
        await again.close();
      },
    );

    story('what was there at close is there after a restart', async (store, subject) => {
      await store.batch([put('a', '1')], { sync: true });
      await store.batch([put('b', '2')], { sync: false });
      await store.close();
      const again = await subject.disk().openKeyValue('store');
      expect(await contents(again)).toEqual(['a=1', 'b=2']);
      await again.close();
    });

    story('one handle at a time; the second is told so', async (store, subject) => {
      await expectRejection(subject.disk().openKeyValue('store'), {
        code: 'locked',
        message: /in use by another process; stop it or choose another --data$/,
      });
      await store.close();
      await (await subject.disk().openKeyValue('store')).close();
    });

    story('stores do not see each other, and a destroyed one comes back empty', async (store, subject) => {
      const other = await subject.disk().openKeyValue('other');
      await store.batch([put('a', '1')], { sync: true });
      await other.batch([put('b', '2')], { sync: true });
      await store.close();
      await subject.disk().destroyKeyValue('store');
      await subject.disk().destroyKeyValue('never-there');
      expect(await contents(other)).toEqual(['b=2']);
      const again = await subject.disk().openKeyValue('store');
      expect(await contents(again)).toEqual([]);
      await again.close();
      await other.close();
    });

    story('a closed handle answers nothing', async (store) => {
      await store.close();
      await expectRejection(store.get(bytes('a')), {});
      await expectRejection(store.batch([put('a', '1')], { sync: true }), {});
      await expectRejection(store.compact({ gte: bytes('a'), lt: bytes('b') }), {});
    });
  });
}

const shape = { slotBytes: 1024, slotCount: 4 };
const filled = (value: number, slots = 1): Uint8Array => new Uint8Array(shape.slotBytes * slots).fill(value);

export function slotFileConformance(name: string, open: () => Promise<DiskSubject>): void {
  describe(`SlotFile: ${name}`, () => {
    const story = (title: string, tell: (subject: DiskSubject) => Promise<void>): void =>
      it(title, async () => {
        const subject = await open();
        await subject.drive(() => tell(subject));
      });
    const values = async (subject: DiskSubject): Promise<number[]> => {
      const file = await subject.disk().openSlotFile('slots', shape);
      const slots = await file.read();
      await file.close();
      expect(slots.map((slot) => slot.length)).toEqual(Array(shape.slotCount).fill(shape.slotBytes));
      expect(slots.every((slot) => slot.every((byte) => byte === slot[0]))).toBe(true);
      return slots.map((slot) => slot[0] ?? -1);
    };

    story('a new file reads as zeros', async (subject) => {
      expect(await values(subject)).toEqual([0, 0, 0, 0]);
    });

    story('written slots survive a restart, the others keep their bytes', async (subject) => {
      const file = await subject.disk().openSlotFile('slots', shape);
      expect(file).toMatchObject(shape);
      await file.write(0, filled(1, 4));
      await file.write(1, filled(7, 2));
      expect((await file.read()).map((slot) => slot[0])).toEqual([1, 7, 7, 1]);
      await file.close();
      expect(await values(subject)).toEqual([1, 7, 7, 1]);
    });

    story('a write that is not whole slots inside the file is a mistake of the caller', async (subject) => {
      const file = await subject.disk().openSlotFile('slots', shape);
      await expectRejection(file.write(0, new Uint8Array(10)), { message: /whole slots/ });
      await expectRejection(file.write(3, filled(1, 2)), { message: /whole slots/ });
      await file.write(3, filled(2));
      await file.close();
      expect(await values(subject)).toEqual([0, 0, 0, 2]);
    });

    story('one write at a time', async (subject) => {
      const file = await subject.disk().openSlotFile('slots', shape);
      const first = file.write(0, filled(1));
      await expectRejection(file.write(1, filled(2)), { message: /one write at a time/ });
      await first;
      await file.write(1, filled(3));
      await file.close();
      expect(await values(subject)).toEqual([1, 3, 0, 0]);
    });
  });
}

export function diskSpaceConformance(name: string, open: () => Promise<DiskSubject>): void {
  describe(`DiskSpace: ${name}`, () => {
    it('the ballast grows by what it is given, survives a restart, and is gone at once', async () => {
      const subject = await open();
      await subject.drive(async () => {
        const { space } = subject.disk();
        const { freeBytes, totalBytes, ballastBytes } = await space.look();
        expect(ballastBytes).toBe(0);
        expect(freeBytes).toBeGreaterThan(0);
        expect(totalBytes).toBeGreaterThanOrEqual(freeBytes);
        await space.addBallast(2 * MiB);
        await space.addBallast(MiB + 1);
        expect((await subject.disk().space.look()).ballastBytes).toBe(3 * MiB + 1);
        await space.releaseBallast();
        await space.releaseBallast();
        expect((await space.look()).ballastBytes).toBe(0);
      });
    });
  });
}
