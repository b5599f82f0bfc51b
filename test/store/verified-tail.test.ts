/** Which entries of the tail are believed at open, with a hard state that promised it (docs/io-ordering.md, protocol A2, A4). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { asIndex, asReplicaId, emptyLog, type Entry } from '../../src/raft/core/types.ts';
import { BlockLog } from '../../src/store/block-log.ts';
import { DamagedEntryError } from '../../src/store/damaged.ts';
import { encodeEntry, positionOf } from '../../src/store/entry.ts';
import { entryKey } from '../../src/store/log-keys.ts';
import { type LogPromise, VerifiedTail } from '../../src/store/verified-tail.ts';
import { keyOf } from '../sim/platform/ordered-bytes.ts';
import { Machine } from './machine.ts';
import { chain, entriesAfter } from './support.ts';

const founding = { clusterId: 'c1', configuration: votersOnly([asReplicaId('n1#a')]), formatLevel: 2 };

/** A log on a disk, and the hands that spoil it before it is opened. */
class Spoilt {
  readonly machine = new Machine(1);
  readonly entries: readonly Entry[];

  private constructor(entries: readonly Entry[]) {
    this.entries = entries;
  }

  static async of(entries: readonly Entry[]): Promise<Spoilt> {
    const spoilt = new Spoilt(entries);
    await spoilt.machine.tell(async ({ platform }) => {
      const log = await BlockLog.open({ keyValue: await platform.disk.openKeyValue('log') });
      await log.found(founding);
      log.stage({ sequence: 1, truncateFrom: null, entries });
      await log.flush();
    });
    spoilt.machine.crash('process');
    return spoilt;
  }

  flip(...indexes: readonly number[]): this {
    for (const index of indexes) this.machine.disk.flipBit('log', { gte: entryKey(index), lt: entryKey(index + 1) });
    return this;
  }

  lose(...indexes: readonly number[]): this {
    const writes = indexes.map((index) => ({ key: keyOf(entryKey(index)), value: undefined }));
    this.machine.disk.keyValue('log').apply(writes, true);
    return this;
  }

  put(...entries: readonly Entry[]): this {
    const writes = entries.map((entry) => ({ key: keyOf(entryKey(entry.index)), value: encodeEntry(entry) }));
    this.machine.disk.keyValue('log').apply(writes, true);
    return this;
  }

  /** The promise of a hard state that was written when the log ended at `tail` and `commit` was committed. */
  promise(tail: number, commit: number): LogPromise {
    const entry = this.entries[tail - 1];
    if (entry === undefined) throw new Error(`there is no entry ${tail}`);
    return { tail: positionOf(entry), commit: asIndex(commit) };
  }

  open(promise: LogPromise | null, verifyBytes = 1e9): Promise<BlockLog> {
    this.machine.crash('process');
    return this.machine.tell(async ({ platform }) =>
      BlockLog.open({ keyValue: await platform.disk.openKeyValue('log'), promise, verifyBytes }),
    );
  }
}

const seen = (log: BlockLog): object => ({
  last: log.last.index,
  holes: log.opened.holes.map(({ index }) => index),
  dropped: log.opened.dropped,
});
const bytesOf = (count: number): number => chain(count).reduce((sum, entry) => sum + encodeEntry(entry).length, 0);

describe('a fault of the tail inside of what was committed', () => {
  test('flipped or lost: the log keeps its end, and the place is a hole', async () => {
    const spoilt = (await Spoilt.of(chain(10))).flip(4).lose(7);
    const before = spoilt.machine.disk.entries('log');
    const log = await spoilt.open(spoilt.promise(10, 8));
    expect(seen(log)).toEqual({ last: 10, holes: [7, 4], dropped: 0 });
    expect([log.opened.reason, log.opened.holes.map(({ reason }) => reason)]).toEqual([
      null,
      ['it is missing', 'its checksum does not match'],
    ]);
    expect(spoilt.machine.disk.entries('log')).toEqual(before);
    await expect(spoilt.machine.wait(log.read(asIndex(7)))).rejects.toMatchObject({ index: 7 });
    expect((await spoilt.machine.wait(log.read(asIndex(6)))).hash).toBe(spoilt.entries[5]?.hash);
    expect(await spoilt.machine.wait(log.termRuns())).toEqual([{ term: 1, first: 1 }]);
  });

  test('many in a row: holes, all of them', async () => {
    const spoilt = (await Spoilt.of(chain(20))).lose(5, 6, 7, 9).flip(8);
    expect(seen(await spoilt.open(spoilt.promise(20, 9)))).toEqual({ last: 20, holes: [9, 8, 7, 6, 5], dropped: 0 });
  });

  test('below an end that is newer than the promise, and itself cut', async () => {
    const spoilt = (await Spoilt.of(chain(12))).flip(5, 11);
    const log = await spoilt.open(spoilt.promise(9, 9));
    expect(seen(log)).toEqual({ last: 10, holes: [5], dropped: 2 });
    expect(log.opened.reason).toContain('entry 11 of the log is damaged');
  });

  test('a replaced entry that the disk brought back: a hole, and the entry is gone', async () => {
    const common = entriesAfter(emptyLog, [1, 1, 2, 2]);
    const kept = entriesAfter(common[3] as Entry, [2, 4, 4]);
    const spoilt = await Spoilt.of([...common, ...kept]);
    spoilt.put(...entriesAfter(common[3] as Entry, [3]));
    // Entry 5 of term 3 stood on this disk before its leader's term ended; 5 of term 2 was committed.
    const log = await spoilt.open(spoilt.promise(7, 6));
    expect(seen(log)).toMatchObject({ last: 4 });
    const inside = await Spoilt.of(entriesAfter(emptyLog, [2, 2, 2, 2, 2]));
    inside.put(...entriesAfter(inside.entries[1] as Entry, [3]));
    const held = await inside.open(inside.promise(5, 4));
    expect(seen(held)).toEqual({ last: 5, holes: [3], dropped: 0 });
    expect(held.opened.holes[0]?.reason).toBe('entry 4 does not follow it');
    expect(inside.machine.disk.peek('log', entryKey(3))).toBeUndefined();
  });

  test('as much again is verified below it', async () => {
    const spoilt = (await Spoilt.of(chain(40))).flip(10, 15, 35);
    const log = await spoilt.open(spoilt.promise(40, 40), bytesOf(22));
    expect(seen(log)).toEqual({ last: 40, holes: [35, 15, 10], dropped: 0 });
    expect(seen(await spoilt.open(spoilt.promise(40, 40), bytesOf(10)))).toMatchObject({ holes: [35] });
  });
});

describe('the log ends below a fault', () => {
  const cut = { holes: [], dropped: expect.any(Number) };

  test('without a hard state', async () => {
    const spoilt = (await Spoilt.of(chain(10))).flip(4);
    expect(seen(await spoilt.open(null))).toEqual({ ...cut, last: 3 });
  });

  test.each([
    ['flipped', (spoilt: Spoilt) => spoilt.flip(6)],
    ['lost', (spoilt: Spoilt) => spoilt.lose(6)],
    ['lost with those below', (spoilt: Spoilt) => spoilt.lose(4, 5, 6)],
  ])('above the commit index: %s', async (_, spoil) => {
    const spoilt = spoil(await Spoilt.of(chain(10)));
    const log = await spoilt.open(spoilt.promise(10, 5));
    expect(log.opened.holes).toEqual([]);
    expect(log.last.index).toBeLessThan(6);
  });

  test('with all that was committed whole, where only the rest is hurt', async () => {
    const spoilt = (await Spoilt.of(chain(10))).flip(8);
    expect(seen(await spoilt.open(spoilt.promise(10, 7)))).toEqual({ ...cut, last: 7 });
  });

  test.each([
    ['is gone', (spoilt: Spoilt) => spoilt.lose(9, 10)],
    ['is damaged', (spoilt: Spoilt) => spoilt.flip(10)],
    ['is another entry', (spoilt: Spoilt) => spoilt.put(...entriesAfter(chain(9)[8] as Entry, [1], 'another '))],
    ['is under a fault', (spoilt: Spoilt) => spoilt.flip(9, 10)],
  ])('when the promised tail %s: then the commit index speaks of another log', async (_, spoil) => {
    const spoilt = spoil((await Spoilt.of(chain(10))).flip(4));
    expect(seen(await spoilt.open(spoilt.promise(10, 10)))).toEqual({ ...cut, last: 3 });
  });

  test('when the promised tail is of another term with the same hash', async () => {
    const spoilt = (await Spoilt.of(entriesAfter(emptyLog, [1, 1, 1, 1, 2]))).flip(2);
    const { tail, commit } = spoilt.promise(5, 5);
    expect(seen(await spoilt.open({ tail: { ...tail, term: spoilt.entries[0]?.term ?? tail.term }, commit }))).toEqual({
      ...cut,
      last: 1,
    });
  });

  test.each([3, 4, 5])('at the edge of a term: entry %i', async (index) => {
    // Entries 4 and 5 are of term 2; so is the hole's, or it is of the term before: only its bytes could say.
    const spoilt = (await Spoilt.of(entriesAfter(emptyLog, [1, 1, 1, 2, 3, 3, 3]))).flip(index);
    expect(seen(await spoilt.open(spoilt.promise(7, 7)))).toEqual({ ...cut, last: index - 1 });
  });

  test('where the first entries are missing, or damaged', async () => {
    const spoilt = (await Spoilt.of(chain(5))).lose(1);
    expect(seen(await spoilt.open(spoilt.promise(5, 5)))).toEqual({ ...cut, last: 0 });
    const flipped = (await Spoilt.of(chain(5))).flip(1);
    const log = await flipped.open(flipped.promise(5, 5));
    expect(seen(log)).toEqual({ ...cut, last: 0 });
    expect(log.opened.reason).toContain('entry 1 of the log is damaged, where a term may begin');
  });
});

/** What the disk may do to one entry. `replaced` brings an entry back of a term that no committed entry has. */
type Harm = 'flip' | 'lose' | 'replaced' | 'none';

test('whatever is damaged: while the log holds its promise, every entry is the true one, or a hole that was committed', async () => {
  const anyHarm = fc.oneof(
    { weight: 9, arbitrary: fc.constant<Harm>('none') },
    { weight: 2, arbitrary: fc.constantFrom<Harm[]>('flip', 'lose', 'replaced') },
  );
  let holes = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(true, false, false, false), anyHarm), { minLength: 8, maxLength: 20 }),
      fc.nat(2),
      fc.nat(3),
      async (drawn, newer, uncommitted) => {
        let term = 2;
        const terms = drawn.map(([next]) => (term += next && term < 6 ? 2 : 0));
        const entries = entriesAfter(emptyLog, terms);
        const tail = entries.length - newer;
        const commit = tail - uncommitted;
        const spoilt = await Spoilt.of(entries);
        for (const [at, [, harm]] of drawn.entries()) {
          const before = entries[at - 1] ?? emptyLog;
          const mine = terms[at] ?? 0;
          if (harm === 'flip') spoilt.flip(at + 1);
          if (harm === 'lose') spoilt.lose(at + 1);
          // The leader of the term before went on, or one of an odd term that committed nothing.
          const other = before.term < mine && before.term > 0 ? before.term : mine + 1;
          if (harm === 'replaced') spoilt.put(...entriesAfter(before, [other], 'replaced '));
        }
        const log = await spoilt.open(spoilt.promise(tail, commit));
        const known = new Set(log.opened.holes.map(({ index }) => index));
        holes += known.size;
        if (known.size > 0) expect(log.last.index).toBeGreaterThanOrEqual(tail);
        const promisedHere = await spoilt.machine.wait(log.positionAt(asIndex(tail)).catch(() => null));
        if (promisedHere?.hash !== entries[tail - 1]?.hash) return;
        // Above the promise nothing is known: what stands there was acknowledged to nobody.
        for (let index = 1; index <= tail; index += 1) {
          const found: unknown = await spoilt.machine.wait(log.read(asIndex(index)).catch((error: unknown) => error));
          if (known.has(asIndex(index))) {
            expect(found).toBeInstanceOf(DamagedEntryError);
            expect(index).toBeLessThanOrEqual(commit);
          } else expect(found).toMatchObject({ hash: entries[index - 1]?.hash });
        }
        const runs = await spoilt.machine.wait(log.termRuns());
        expect(runs.filter(({ first }) => first <= tail)).toEqual(
          terms
            .slice(0, tail)
            .flatMap((of, at) => (at === 0 || terms[at - 1] !== of ? [{ term: of, first: at + 1 }] : [])),
        );
      },
    ),
    { numRuns: 400 },
  );
  expect(holes).toBeGreaterThan(100);
});

describe('right above the base of a trimmed log', () => {
  const entries = entriesAfter(emptyLog, [1, 1, 1, 2, 2, 2, 2, 2]);
  const at = (index: number): Entry => entries[index - 1] as Entry;

  /** The log after `base`, whole but for these, and what is made of it by a promise that covers all. */
  function tailAbove(base: number, { flipped = [], lost = [] }: { flipped?: number[]; lost?: number[] }): VerifiedTail {
    const tail = new VerifiedTail(positionOf(at(base)), { tail: positionOf(at(8)), commit: asIndex(8) });
    for (let index = 8; index > base; index -= 1) {
      if (lost.includes(index)) continue;
      tail.take(asIndex(index), flipped.includes(index) ? { fault: 'a bit is flipped' } : at(index));
    }
    tail.reachedBase();
    return tail;
  }
  const holesOf = (tail: VerifiedTail): number[] => tail.holes.map(({ index }) => index);

  test('what is damaged or missing is a hole where the base is of the same term: it is the whole entry below', () => {
    for (const fault of [{ flipped: [5, 6] }, { lost: [5, 6] }, { lost: [5], flipped: [6] }]) {
      const tail = tailAbove(4, fault);
      expect([tail.end?.index, holesOf(tail), tail.reason]).toEqual([8, [6, 5], null]);
    }
  });

  test('and where a term may begin there, nobody can say what belongs there', () => {
    expect(tailAbove(3, { flipped: [4] }).end).toBeNull();
    expect(tailAbove(3, { lost: [4] }).reason).toBe(
      'entry 4 of the log is damaged, where a term may begin: it is missing',
    );
  });

  test('an entry that does not chain to the base is none of this log', () => {
    const tail = new VerifiedTail({ ...positionOf(at(4)), hash: positionOf(at(3)).hash }, null);
    for (let index = 8; index > 4; index -= 1) tail.take(asIndex(index), at(index));
    tail.reachedBase();
    expect([tail.end, tail.reason]).toEqual([
      null,
      'entry 5 of the log does not follow entry 4: the hash chain is broken',
    ]);
  });
});

test('what raises the format level goes with the end of the log that is cut off', () => {
  const entries = entriesAfter(emptyLog, [1, 1, 1]);
  const tail = new VerifiedTail(emptyLog, null);
  tail.take(asIndex(3), { ...(entries[2] as Entry), kind: 'format-level' });
  // The second one is missing.
  tail.take(asIndex(1), entries[0] as Entry);
  tail.reachedBase();
  expect([tail.end?.index, tail.raises]).toEqual([1, []]);
});
