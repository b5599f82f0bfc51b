/** The faults of simulated disks: all that protocol I2 names can happen, and nothing else does. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DiskError } from '../../../src/platform/disk-error.ts';
import type { KeyValue, KeyValueOperation } from '../../../src/platform/key-value.ts';
import { bytes, expectRejection, text } from '../../platform/harness.ts';
import type { CrashKind } from './disk-io.ts';
import { SimDisk } from './disk.ts';
import { SimDiskState } from './disk-state.ts';
import { keyOf, OrderedBytes } from './ordered-bytes.ts';
import { SimProcess } from './process.ts';
import { SimRandom } from './random.ts';
import { SimScheduler } from './scheduler.ts';

const put = (key: string, value: string): KeyValueOperation => ({ type: 'put', key: bytes(key), value: bytes(value) });

class Machine {
  readonly scheduler = new SimScheduler();
  readonly random: SimRandom;
  readonly state: SimDiskState;
  disk: SimDisk;
  process: SimProcess;

  constructor(seed: number) {
    this.random = new SimRandom(seed);
    this.state = new SimDiskState(this.random.fork('platter'));
    this.process = new SimProcess(this.scheduler);
    this.disk = new SimDisk(this.state, this.process, this.random.fork('boot'));
  }

  boot(): void {
    this.process = new SimProcess(this.scheduler);
    this.disk = new SimDisk(this.state, this.process, this.random.fork(`boot at ${this.scheduler.nowMs}`));
  }

  /** What the store holds: `a=1 b=2`. */
  look(name = 'store'): string {
    return this.state
      .entries(name)
      .map(([key, value]) => `${text(key)}=${text(value)}`)
      .join(' ');
  }
}

/** Every outcome that seeds can give to a story. */
async function outcomes(seeds: number, story: (machine: Machine) => Promise<string>): Promise<string[]> {
  const seen = new Set<string>();
  for (let seed = 0; seed < seeds; seed++) {
    const machine = new Machine(seed);
    seen.add(await machine.scheduler.complete(story(machine)));
  }
  return [...seen].sort();
}

describe('crash', () => {
  const threeUnsynced = async (machine: Machine, kind: CrashKind): Promise<string> => {
    const store = await machine.disk.openKeyValue('store');
    for (const key of ['a', 'b', 'c']) await store.batch([put(key, '1')], { sync: false });
    machine.disk.crash(kind);
    return machine.look();
  };

  it('of a process keeps every batch that was done', async () => {
    expect(await outcomes(30, (machine) => threeUnsynced(machine, 'process'))).toEqual(['a=1 b=1 c=1']);
  });

  it('of power loses any subset of the unsynced batches', async () => {
    const all = ['', 'a=1', 'a=1 b=1', 'a=1 b=1 c=1', 'a=1 c=1', 'b=1', 'b=1 c=1', 'c=1'];
    expect(await outcomes(300, (machine) => threeUnsynced(machine, 'power'))).toEqual(all);
  });

  it('of power keeps every synced batch, and each batch whole', async () => {
    const story = async (machine: Machine): Promise<string> => {
      const store = await machine.disk.openKeyValue('store');
      await store.batch([put('a', '1'), put('b', '1')], { sync: true });
      await store.batch([put('a', '2'), put('b', '2'), { type: 'del', key: bytes('c') }], { sync: false });
      machine.disk.crash('power');
      return machine.look();
    };
    expect(await outcomes(100, story)).toEqual(['a=1 b=1', 'a=2 b=2']);
  });

  it('of power, a synced batch mostly takes the unsynced ones before it along, but not always', async () => {
    const story = async (machine: Machine): Promise<string> => {
      const store = await machine.disk.openKeyValue('store');
      await store.batch([put('a', '1')], { sync: false });
      await store.batch([put('b', '1')], { sync: true });
      machine.disk.crash('power');
      return machine.look();
    };
    expect(await outcomes(300, story)).toEqual(['a=1 b=1', 'b=1']);
  });

  const inFlight = async (machine: Machine, kind: CrashKind): Promise<string> => {
    const store = await machine.disk.openKeyValue('store');
    let settled = 0;
    for (const key of ['a', 'b', 'c']) void store.batch([put(key, '1')], { sync: true }).finally(() => settled++);
    void store.get(bytes('a')).finally(() => settled++);
    machine.disk.crash(kind);
    const atCrash = machine.look();
    await new Promise<void>((resolve) => machine.scheduler.after(1000, resolve));
    expect(settled).toBe(0);
    expect(machine.look()).toBe(atCrash);
    return atCrash;
  };

  it('of a process keeps a prefix of the batches in flight; their promises stay open', async () => {
    expect(await outcomes(100, (machine) => inFlight(machine, 'process'))).toEqual([
      '',
      'a=1',
      'a=1 b=1',
      'a=1 b=1 c=1',
    ]);
  });

  it('of power keeps any of the batches in flight', async () => {
    expect(await outcomes(300, (machine) => inFlight(machine, 'power'))).toHaveLength(8);
  });

  it('what the next boot has seen, no later power loss takes back', async () => {
    const story = async (machine: Machine): Promise<string> => {
      const first = await machine.disk.openKeyValue('store');
      await first.batch([put('a', '1')], { sync: false });
      machine.disk.crash('process');
      machine.boot();
      const store = await machine.disk.openKeyValue('store');
      const seen = await store.get(bytes('a'));
      machine.disk.crash('power');
      return `${seen?.length} ${machine.look()}`;
    };
    expect(await outcomes(50, story)).toEqual(['1 a=1']);
  });

  const slots = { slotBytes: 1024, slotCount: 2 };
  const torn = async (machine: Machine, kind: CrashKind): Promise<string> => {
    const file = await machine.disk.openSlotFile('slots', slots);
    await file.write(0, new Uint8Array(2048).fill(1));
    void file.write(1, new Uint8Array(1024).fill(2));
    machine.disk.crash(kind);
    machine.boot();
    const read = await (await machine.disk.openSlotFile('slots', slots)).read();
    expect(read[0]?.every((byte) => byte === 1)).toBe(true);
    return [0, 512]
      .map((at) => new Set(read[1]?.subarray(at, at + 512)))
      .map((values) => (values.size === 1 ? [...values][0] : 'x'))
      .join('');
  };

  it('leaves each sector of a slot being written old or new, and garbage only without power', async () => {
    expect(await outcomes(60, (machine) => torn(machine, 'process'))).toEqual(['11', '12', '21', '22']);
    expect(await outcomes(400, (machine) => torn(machine, 'power'))).toEqual([
      '11',
      '12',
      '1x',
      '21',
      '22',
      '2x',
      'x1',
      'x2',
      'xx',
    ]);
  });
});

describe('damage', () => {
  /** a=1; then a=2 b=2; then b=3; all synced. */
  const written = async (machine: Machine): Promise<void> => {
    const store = await machine.disk.openKeyValue('store');
    await store.batch([put('a', '1')], { sync: true });
    await store.batch([put('a', '2'), put('b', '2')], { sync: true });
    await store.batch([put('b', '3')], { sync: true });
    await store.close();
  };
  const story = (tell: (machine: Machine) => string) => (machine: Machine) =>
    written(machine).then(() => tell(machine));

  it('makes one synced batch vanish, wherever it is, and names the keys it hurt', async () => {
    const vanish = story((machine) => {
      const damage = machine.state.vanish('store');
      return `${machine.look()}, hurt ${damage?.keys.map(text).join()}`;
    });
    expect(await outcomes(40, vanish)).toEqual(['a=1 b=3, hurt a', 'a=2 b=2, hurt b', 'a=2 b=3, hurt ']);
  });

  it('cuts the newest batches off', async () => {
    const cut = story((machine) => (machine.state.cutLog('store'), machine.look()));
    expect(await outcomes(40, cut)).toEqual(['', 'a=1', 'a=2 b=2']);
  });

  it('flips one bit of one value, for good', async () => {
    await outcomes(20, async (machine) => {
      await written(machine);
      const before = Buffer.from(machine.look(), 'latin1');
      machine.state.flipBit('store');
      const after = Buffer.from(machine.look(), 'latin1');
      const bits = before.reduce(
        (sum, byte, at) => sum + (byte ^ (after[at] ?? 0)).toString(2).replaceAll('0', '').length,
        0,
      );
      expect(bits).toBe(1);
      machine.disk.crash('power');
      expect(machine.look()).toBe(after.toString('latin1'));
      return '';
    });
  });

  it('flips a bit only where it may, and says when there is nothing to flip', async () => {
    await outcomes(20, async (machine) => {
      await written(machine);
      expect(machine.state.flipBit('store', { gte: bytes('b'), lt: bytes('c') })).toEqual({
        store: 'store',
        keys: [bytes('b')],
      });
      expect(machine.state.flipBit('store', { gte: bytes('c'), lt: bytes('d') })).toBeNull();
      expect(machine.look()).toMatch(/^a=2 /);
      return '';
    });
  });

  it('wipes, reverts and flips slots', async () => {
    await outcomes(5, async (machine) => {
      const file = await machine.disk.openSlotFile('slots', { slotBytes: 512, slotCount: 2 });
      await file.write(0, new Uint8Array(512).fill(1));
      await file.write(0, new Uint8Array(512).fill(2));
      expect(machine.state.revertSlotWrites('slots', 1)).toBe(true);
      expect((await file.read())[0]?.[0]).toBe(1);
      expect(machine.state.revertSlotWrites('slots', 2)).toBe(false);
      machine.state.flipSlotBit('slots', 1, 512);
      expect((await file.read())[1]?.some((byte) => byte !== 0)).toBe(true);
      machine.state.wipe();
      expect(machine.state.slotFiles.size).toBe(0);
      return '';
    });
  });
});

describe('damage to tables', () => {
  const del = (key: string): KeyValueOperation => ({ type: 'del', key: bytes(key) });
  const everything = { gte: bytes(''), lt: bytes([255]) };
  /** a=1 b=1 c=1; then a=2 b=2, c gone; all synced. */
  const opened = async (machine: Machine): Promise<KeyValue> => {
    const store = await machine.disk.openKeyValue('store');
    await store.batch([put('a', '1'), put('b', '1'), put('c', '1')], { sync: true });
    await store.batch([put('a', '2'), put('b', '2'), del('c')], { sync: true });
    return store;
  };
  const pairs = (found: readonly [Uint8Array, Uint8Array][]): string =>
    found.map(([key, value]) => `${text(key)}=${text(value)}`).join(' ');
  const scan = (store: KeyValue, reverse = false): Promise<string> =>
    store.range({ ...everything, reverse }).then(pairs, codeOf);
  const got = (store: KeyValue, key: string): Promise<string> =>
    store.get(bytes(key)).then((value) => (value === undefined ? '-' : text(value)), codeOf);
  const codeOf = (error: unknown): string => (error instanceof DiskError ? error.code : String(error));

  it('brings old values and deleted keys back, and splits batches', async () => {
    const seen = await outcomes(300, async (machine) => {
      await opened(machine);
      const damage = machine.state.forget('store');
      expect(damage?.keys.every((key) => ['a', 'b', 'c'].includes(text(key)))).toBe(true);
      return machine.look();
    });
    expect(seen).toEqual([
      '',
      'a=1 b=1',
      'a=1 b=1 c=1',
      'a=1 b=2',
      'a=2',
      'a=2 b=1',
      'a=2 b=1 c=1',
      'a=2 b=2',
      'a=2 b=2 c=1',
      'b=2',
    ]);
  });

  it('forgets more than the history knows of, and only where it may', async () => {
    await outcomes(40, async (machine) => {
      const store = await machine.disk.openKeyValue('store');
      for (let n = 0; n < 100; n += 1) await store.batch([put(`a${n % 50}`, '1'), put('b', `${n}`)], { sync: true });
      machine.state.forget('store', { gte: bytes('a'), lt: bytes('b') });
      expect(machine.look()).toMatch(/b=99$/);
      return '';
    });
  });

  it('garbles several bytes of one value, or its length, for good', async () => {
    const lengths = await outcomes(40, async (machine) => {
      const store = await machine.disk.openKeyValue('store');
      await store.batch([put('a', 'abcdefgh')], { sync: true });
      expect(machine.state.garble('store')?.keys).toEqual([bytes('a')]);
      const after = machine.look();
      expect(after).not.toBe('a=abcdefgh');
      machine.state.vanish('store', 5);
      machine.disk.crash('power');
      expect(machine.look()).toBe(after);
      return String(Math.sign(after.length - 'a=abcdefgh'.length));
    });
    expect(lengths).toEqual(['-1', '0', '1']);
  });

  it('puts a value under another key, which a scan may meet out of order', async () => {
    const ordered = await outcomes(60, async (machine) => {
      const store = await machine.disk.openKeyValue('store');
      await store.batch([put('a', '1'), put('b', '2'), put('c', '3')], { sync: true });
      const [, to = bytes('')] = machine.state.misplace('store')?.keys ?? [];
      const found = (await scan(store)).split(' ');
      expect(found).toContain(`${text(to)}=${text((await store.get(to)) ?? bytes(''))}`);
      expect((await scan(store, true)).split(' ')).toEqual(found.toReversed());
      return String(found.join() === found.toSorted().join());
    });
    expect(ordered).toEqual(['false', 'true']);
  });

  it('hides a key, or its newest value, from one way of looking alone, or shows it other bytes', async () => {
    const other = text(bytes('2').map((byte) => byte ^ 0xff));
    const seen = await outcomes(200, async (machine) => {
      const store = await opened(machine);
      machine.state.hide('store', { gte: bytes('a'), lt: bytes('b') });
      return `${await got(store, 'a')} | ${await scan(store)} | ${await scan(store, true)}`;
    });
    const expected = [
      '- | a=2 b=2 | b=2 a=2',
      '1 | a=2 b=2 | b=2 a=2',
      '2 | a=1 b=2 | b=2 a=2',
      '2 | a=2 b=2 | b=2',
      '2 | a=2 b=2 | b=2 a=1',
      '2 | b=2 | b=2 a=2',
      `2 | a=${other} b=2 | b=2 a=2`,
      `2 | a=2 b=2 | b=2 a=${other}`,
      `${other} | a=2 b=2 | b=2 a=2`,
    ];
    expect(seen).toEqual(expected.sort());
  });

  it('fails reads; a scan fails only once it has reached its end, and until then leaves out what it cannot read', async () => {
    const seen = await outcomes(100, async (machine) => {
      const store = await opened(machine);
      machine.state.failReads('store', { gte: bytes('a'), lt: bytes('b') });
      const first = pairs(await store.range({ ...everything, limit: 1 }));
      return `${await got(store, 'a')} ${await got(store, 'b')} | ${first} | ${await scan(store)} | ${await scan(store, true)}`;
    });
    expect(seen).toEqual([
      '2 2 | a=2 | a=2 b=2 | damaged',
      '2 2 | b=2 | damaged | b=2 a=2',
      'damaged 2 | a=2 | a=2 b=2 | b=2 a=2',
      'damaged 2 | b=2 | damaged | damaged',
    ]);
  });

  it('keeps the store from opening until it is destroyed', async () => {
    const codes = await outcomes(20, async (machine) => {
      await (await opened(machine)).close();
      machine.state.refuse('store');
      const code = await machine.disk.openKeyValue('store').then(() => 'opened', codeOf);
      await machine.disk.destroyKeyValue('store');
      await machine.disk.openKeyValue('store');
      return code;
    });
    expect(codes).toEqual(['damaged', 'io']);
  });

  it('loses a whole store, and only that', async () => {
    await outcomes(3, async (machine) => {
      await (await opened(machine)).close();
      await (await machine.disk.openKeyValue('other')).batch([put('a', '1')], { sync: true });
      expect(machine.state.lose('store').keys).toEqual([bytes('a'), bytes('b')]);
      expect([machine.look(), machine.look('other')]).toEqual(['', 'a=1']);
      expect(await scan(await machine.disk.openKeyValue('store'))).toBe('');
      return '';
    });
  });

  it('says when there is nothing to damage', async () => {
    const { state } = new Machine(1);
    for (const how of ['forget', 'garble', 'misplace', 'hide', 'failReads'] as const)
      expect(state[how]('store')).toBeNull();
  });
});

describe('a failing disk', () => {
  it('rejects the write and every one after it; what failed may be there all the same', async () => {
    const story = async (machine: Machine): Promise<string> => {
      const store = await machine.disk.openKeyValue('store');
      await store.batch([put('a', '1')], { sync: true });
      machine.state.fail('store', 'io');
      await expectRejection(store.batch([put('b', '1')], { sync: true }), { code: 'io' });
      machine.state.heal();
      await expectRejection(store.batch([put('c', '1')], { sync: true }), { code: 'io' });
      expect(await store.get(bytes('a'))).toEqual(bytes('1'));
      machine.disk.crash('process');
      return machine.look();
    };
    expect(await outcomes(40, story)).toEqual(['a=1', 'a=1 b=1']);
  });

  it('fails a compaction, or the batch after it', async () => {
    const story = async (machine: Machine): Promise<string> => {
      const store = await machine.disk.openKeyValue('store');
      await store.batch([put('a', '1')], { sync: true });
      await store.compact({ gte: bytes('a'), lt: bytes('b') });
      machine.state.fail('store', 'io');
      const compacted = await store.compact({ gte: bytes('a'), lt: bytes('b') }).then(
        () => 'resolved',
        () => 'rejected',
      );
      machine.state.heal();
      await expectRejection(store.batch([put('b', '1')], { sync: true }), { code: 'io' });
      return `${compacted}, ${machine.look()}`;
    };
    expect(await outcomes(20, story)).toEqual(['rejected, a=1', 'resolved, a=1']);
  });

  it('says when it is full', async () => {
    const story = async (machine: Machine): Promise<string> => {
      const store = await machine.disk.openKeyValue('store');
      const file = await machine.disk.openSlotFile('slots', { slotBytes: 512, slotCount: 1 });
      machine.state.fail('*', 'full');
      await expectRejection(store.batch([put('b', '1')], { sync: true }), { code: 'full' });
      await expectRejection(file.write(0, new Uint8Array(512)), { code: 'full' });
      await expectRejection(file.write(0, new Uint8Array(512)), { code: 'full' });
      await store.close();
      return machine.look();
    };
    expect(await outcomes(20, story)).toEqual(['']);
  });

  it('that stalls ends nothing before its time, then everything in order', async () => {
    const story = async (machine: Machine): Promise<string> => {
      const store = await machine.disk.openKeyValue('store');
      const done: string[] = [];
      const first = store
        .batch([put('a', '1')], { sync: true })
        .then(() => done.push(`a at ${machine.scheduler.nowMs}`));
      machine.state.stall(500);
      const second = store
        .batch([put('a', '2')], { sync: false })
        .then(() => done.push(`b at ${machine.scheduler.nowMs}`));
      await Promise.all([first, second]);
      return `${done.join(', ')}: ${machine.look()}`;
    };
    expect(await outcomes(20, story)).toEqual(['a at 500, b at 500: a=2']);
  });
});

describe('ordered bytes', () => {
  it('agrees with a sorted list of a plain map', () => {
    const key = fc.uint8Array({ maxLength: 2, max: 3 });
    const operation = fc.record({ key, value: fc.option(fc.uint8Array({ maxLength: 2 }), { nil: undefined }) });
    fc.assert(
      fc.property(
        fc.array(operation, { maxLength: 200 }),
        key,
        key,
        fc.boolean(),
        fc.nat(8),
        (operations, gte, lt, reverse, limit) => {
          const ordered = new OrderedBytes();
          const plain = new Map<string, Uint8Array>();
          for (const each of operations) {
            const before = plain.get(keyOf(each.key));
            expect(ordered.set(keyOf(each.key), each.value)).toBe(before);
            if (each.value === undefined) plain.delete(keyOf(each.key));
            else plain.set(keyOf(each.key), each.value);
          }
          const sorted = [...plain.keys()]
            .map((each) => Buffer.from(each, 'latin1'))
            .sort((a, b) => Buffer.compare(a, b));
          const inRange = sorted.filter((each) => Buffer.compare(each, gte) >= 0 && Buffer.compare(each, lt) < 0);
          if (reverse) inRange.reverse();
          expect(ordered.keys(keyOf(gte), keyOf(lt), reverse, limit)).toEqual(
            inRange.slice(0, limit).map((each) => keyOf(each)),
          );
          expect(ordered.all()).toEqual(sorted.map((each) => keyOf(each)));
          expect(ordered.size).toBe(plain.size);
        },
      ),
    );
  });
});
