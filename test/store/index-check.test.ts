/** What verify says of an index whose log was trimmed. */
import { expect, test } from 'vitest';
import { asIndex, type Entry } from '../../src/raft/core/types.ts';
import { weightOf } from '../../src/store/entry.ts';
import { type Fingerprint, fingerprintOf } from '../../src/store/fingerprint.ts';
import { IndexCheck } from '../../src/store/index-check.ts';
import { encodeWeight, weightKey } from '../../src/store/index-records.ts';
import { TraceIndex } from '../../src/store/trace-index.ts';
import { keyOf } from '../sim/platform/ordered-bytes.ts';
import { traceIdOf } from './exports.ts';
import { Machine } from './machine.ts';
import { chain } from './support.ts';

const entries = chain(30);
const tracesOf = (entry: Entry): Fingerprint[] => [entry.index % 7, 24].map((trace) => fingerprintOf(traceIdOf(trace)));

/** Thirty entries in windows of three, of which those up to `base` are trimmed. */
async function trimmed(base: number): Promise<Machine> {
  const machine = new Machine(1);
  const { disk, executor, clock } = machine.platform;
  await machine.tell(async () => {
    const index = await TraceIndex.open({
      openStore: () => disk.openKeyValue('index'),
      destroyStore: () => disk.destroyKeyValue('index'),
      executor,
      clock,
      clusterId: 'c1',
      incarnation: 'i1',
      windowTraces: 4,
      expiredWindows: 1,
    });
    for (const entry of entries) index.apply(entry.index, entry.hash, tracesOf(entry), weightOf(entry));
    await index.flush();
    index.trimTo(asIndex(base));
    await index.maybeFlush();
    await index.close();
  });
  return machine;
}

/** What a check finds that takes the entries from `first` on. */
async function findings(machine: Machine, first: number): Promise<string[]> {
  const found: string[] = [];
  await machine.tell(async () => {
    const keyValue = await machine.platform.disk.openKeyValue('index');
    const check = await IndexCheck.open({
      keyValue,
      found: ({ where, what }) => found.push(`${where}: ${what}`),
    });
    for (const entry of entries.slice(first - 1)) await check?.take(entry.index, entry, tracesOf(entry));
    await keyValue.close();
  });
  return found;
}

test.each([0, 1, 8, 9, 20, 29, 30])('is sound with a base of %s, also where that cuts a window', async (base) => {
  expect(await findings(await trimmed(base), base + 1)).toEqual([]);
});

test('lacks nothing of what the log still has', async () => {
  expect(await findings(await trimmed(20), 10)).toEqual(['window 5: it begins with entry 16, the log with entry 10']);
});

test('weighs what its entries weigh, where all of them are there', async () => {
  const machine = await trimmed(16);
  const spoil = (window: number): void =>
    machine.disk
      .keyValue('index')
      .apply([{ key: keyOf(weightKey(window)), value: encodeWeight(window, { bytes: 7, timeMs: 7 }) }], true);
  // The base cuts window 5: what it weighs cannot be told any more.
  spoil(5);
  expect(await findings(machine, 17)).toEqual([]);
  spoil(6);
  expect(await findings(machine, 17)).toEqual([
    expect.stringMatching(/^window 6: it weighs 7 bytes up to 7, its entries/),
  ]);
  machine.disk.flipBit('index', { gte: weightKey(7), lt: Uint8Array.of(...weightKey(7), 0) });
  expect(await findings(machine, 17)).toContain('the weight of window 7: its checksum does not match');
});
