/**
 * Entry 3 is replaced by a conflict; later the batch that replaced it is lost (one flipped bit of the write-ahead log, or of a
 * table's key), and the old entry is back in its place: whole, chained to entry 2, and no longer of this log.
 */
import { expect, test } from 'vitest';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { asIndex, asReplicaId, type Entry, emptyLog } from '../../src/raft/core/types.ts';
import { BlockLog } from '../../src/store/block-log.ts';
import { DamagedError } from '../../src/store/damaged.ts';
import { positionOf } from '../../src/store/entry.ts';
import { Machine } from './machine.ts';
import { entriesAfter } from './support.ts';

/** The log with the old entry back, opened so that the newest `verifyBytes` are verified; and the entries it should hold. */
async function damaged(verifyBytes: number): Promise<{ log: BlockLog; machine: Machine; entries: Entry[] }> {
  const machine = new Machine(1);
  const open = async (): Promise<BlockLog> =>
    BlockLog.open({ keyValue: await machine.platform.disk.openKeyValue('log'), verifyBytes });
  const written = await machine.wait(open());
  await machine.wait(
    written.found({ clusterId: 'c1', configuration: votersOnly([asReplicaId('n1#a')]), formatLevel: 2 }),
  );
  const old = entriesAfter(emptyLog, [1, 1, 1]);
  const [, second] = old;
  if (second === undefined) throw new Error('three entries were made');
  const replacing = entriesAfter(positionOf(second), [2]);
  const rest = entriesAfter(positionOf(replacing[0] ?? second), Array<number>(20).fill(2));
  let sequence = 0;
  for (const [truncateFrom, entries] of [
    [null, old],
    [asIndex(3), replacing],
    [null, rest],
  ] as const) {
    written.stage({ sequence: (sequence += 1), truncateFrom, entries });
    await machine.wait(written.flush());
  }
  machine.crash('process');
  expect(machine.disk.vanish('log', 1)?.keys).toHaveLength(1);
  return { log: await machine.wait(open()), machine, entries: [...old.slice(0, 2), ...replacing, ...rest] };
}

test('where opening verifies it, the log ends with a replaced entry that is back: it was the log once', async () => {
  const { log } = await damaged(1 << 20);
  expect(log.opened.reason).toContain('the hash chain is broken');
  expect([log.last.index, log.last.term]).toEqual([3, 1]);
});

test('where opening does not verify it, it is found where the terms of the log are, and removed', async () => {
  const { log, machine, entries } = await damaged(500);
  expect(log.last.index).toBe(entries.length);
  await expect(machine.wait(log.termRuns())).rejects.toMatchObject({ index: 3, what: 'entry 4 does not follow it' });
  await expect(machine.wait(log.read(asIndex(3)))).rejects.toThrow(DamagedError);
  const [, , third] = entries;
  if (third === undefined) throw new Error('there are more than three entries');
  await machine.wait(log.repair(third));
  expect(await machine.wait(log.termRuns())).toEqual([
    { term: 1, first: 1 },
    { term: 2, first: 3 },
  ]);
});
