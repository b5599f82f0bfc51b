/** Damaged entries of one log, and the other nodes as a list of questions and whatever the test answers. */
import { describe, expect, test } from 'vitest';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { limits } from '../../src/limits.ts';
import { silentLogger } from '../../src/logger.ts';
import {
  asIndex,
  asNodeId,
  asReplicaId,
  asTerm,
  type Entry,
  type LogIndex,
  type NodeId,
  type Term,
} from '../../src/raft/core/types.ts';
import { EntryRepair, type NamedEntry } from '../../src/raft/entry-repair.ts';
import { BlockLog } from '../../src/store/block-log.ts';
import { DiskReads, type InTurn } from '../../src/store/disk-reads.ts';
import { encodeEntry, sealEntry } from '../../src/store/entry.ts';
import { entryKey } from '../../src/store/log-keys.ts';
import { keyOf } from '../sim/platform/ordered-bytes.ts';
import { Machine } from '../store/machine.ts';
import { chain, entriesAfter } from '../store/support.ts';

const [n2, n3] = [asNodeId('n2'), asNodeId('n3')];

class Stage {
  readonly machine = new Machine(1);
  readonly entries: readonly Entry[];
  /** `peer index`, at their times since the damage was met. */
  readonly asked: string[] = [];
  readonly log: string[] = [];
  onLog: (line: string) => void = () => undefined;
  readonly connected = new Set<NodeId>([n2, n3]);
  failure: Error | null = null;
  committed = asIndex(12);
  termAt: (index: LogIndex) => Term | undefined = () => asTerm(1);
  lastAsked: NamedEntry | null = null;
  #repair: EntryRepair | null = null;
  #startMs = 0;

  constructor(entries: readonly Entry[] = chain(12)) {
    this.entries = entries;
  }

  async open(): Promise<void> {
    const { machine } = this;
    const log = await machine.tell(async () => {
      const keyValue = await machine.platform.disk.openKeyValue('log');
      const written = await BlockLog.open({ keyValue });
      await written.found({ clusterId: 'c1', configuration: votersOnly([asReplicaId('n1#a')]), formatLevel: 2 });
      written.stage({ sequence: 1, truncateFrom: null, entries: this.entries });
      await written.flush();
      return BlockLog.open({ keyValue, cacheBytesMax: 0 });
    });
    const note = (level: string) => (_: object, sentence: string) => {
      this.log.push(`${level}: ${sentence}`);
      this.onLog(`${level}: ${sentence}`);
    };
    this.#repair = new EntryRepair({
      log,
      clock: machine.platform.clock,
      logger: { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') },
      peers: () => [n2, n3],
      ask: (peer, wanted) => {
        if (!this.connected.has(peer)) return false;
        const afterMs = Math.round((machine.scheduler.nowMs - this.#startMs) / limits.repairRetryMs);
        this.asked.push(`${peer} ${wanted.index} at ${afterMs}`);
        this.lastAsked = wanted;
        return true;
      },
      fatal: (error) => (this.failure = error),
    });
    this.#repair.judgeBy({ committed: () => this.committed, termAt: (index) => this.termAt(index) });
    this.#startMs = machine.scheduler.nowMs;
  }

  get repair(): EntryRepair {
    if (this.#repair === null) throw new Error('not opened');
    return this.#repair;
  }

  entry(index: number): Entry {
    const entry = this.entries[index - 1];
    if (entry === undefined) throw new Error(`there is no entry ${index}`);
    return entry;
  }

  flip(...indexes: readonly number[]): void {
    for (const index of indexes) this.machine.disk.flipBit('log', { gte: entryKey(index), lt: entryKey(index + 1) });
  }

  put(entry: Entry): void {
    this.machine.disk.keyValue('log').apply([{ key: keyOf(entryKey(entry.index)), value: encodeEntry(entry) }], true);
  }

  async runFor(durationMs: number): Promise<void> {
    const { scheduler } = this.machine;
    await scheduler.run({ untilMs: scheduler.nowMs + durationMs });
  }

  /** Begins to read; the outcome stands in `ended` once there is one. */
  read(index: number, patienceMs = Infinity, reads?: InTurn): { ended: Entry | Error | null } {
    const reading: { ended: Entry | Error | null } = { ended: null };
    this.repair.read(asIndex(index), this.machine.platform.clock.monotonicMs() + patienceMs, reads).then(
      (entry) => (reading.ended = entry),
      (error: unknown) => (reading.ended = error instanceof Error ? error : new Error(String(error))),
    );
    return reading;
  }
}

async function staged(entries?: readonly Entry[]): Promise<Stage> {
  const stage = new Stage(entries);
  await stage.open();
  return stage;
}

const fewMs = 20;

describe('who is asked', () => {
  test('one node after the other, until the entry is here; then all who wait for it go on', async () => {
    const stage = await staged();
    stage.flip(5);
    const readings = [stage.read(5), stage.read(5)];
    await stage.runFor(2 * limits.repairRetryMs + fewMs);
    expect(stage.asked).toEqual(['n3 5 at 0', 'n2 5 at 1', 'n3 5 at 2']);
    expect([stage.repair.damaged, stage.repair.repaired]).toEqual([1, 0]);
    stage.repair.receive(n2, stage.entry(5));
    // The answer comes twice.
    stage.repair.receive(n2, stage.entry(5));
    await stage.runFor(fewMs);
    stage.repair.receive(n3, stage.entry(5));
    await stage.runFor(10 * limits.repairRetryMs);
    expect(readings.map(({ ended }) => ended)).toMatchObject([
      { hash: stage.entry(5).hash },
      { hash: stage.entry(5).hash },
    ]);
    expect([stage.repair.damaged, stage.repair.repaired, stage.asked.length]).toEqual([0, 1, 3]);
    expect(stage.log).toEqual([
      'warn: an entry of the log is damaged: it is fetched from another node',
      'info: a damaged entry of the log was repaired',
    ]);
  });

  test('who waits for it keeps no place among the reads of the disk', async () => {
    const stage = await staged();
    stage.flip(5);
    const reads = new DiskReads(stage.machine.platform.clock, 1).until(Infinity);
    const [damaged, whole] = [stage.read(5, Infinity, reads), stage.read(7, Infinity, reads)];
    await stage.runFor(fewMs);
    expect([damaged.ended, whole.ended]).toMatchObject([null, { hash: stage.entry(7).hash }]);
    stage.repair.receive(n3, stage.entry(5));
    await stage.runFor(fewMs);
    expect(damaged.ended).toMatchObject({ hash: stage.entry(5).hash });
  });

  test('the next one at once when a node says that it lacks the entry; after all did, at the time of the next try', async () => {
    const stage = await staged();
    stage.flip(5);
    stage.read(5);
    await stage.runFor(fewMs);
    const lacking = (peer: NodeId): void =>
      stage.repair.lacking(peer, { index: asIndex(5), hash: stage.entry(5).hash });
    // Not the one that was asked, not what it was asked for.
    lacking(n2);
    stage.repair.lacking(n3, { index: asIndex(5), hash: stage.entry(6).hash });
    stage.repair.lacking(n3, { index: asIndex(6), hash: stage.entry(5).hash });
    await stage.runFor(fewMs);
    expect(stage.asked).toEqual(['n3 5 at 0']);
    lacking(n3);
    lacking(n3);
    await stage.runFor(fewMs);
    expect(stage.asked).toEqual(['n3 5 at 0', 'n2 5 at 0']);
    lacking(n2);
    await stage.runFor(fewMs);
    expect(stage.asked.length).toBe(2);
    await stage.runFor(limits.repairRetryMs);
    expect(stage.asked).toEqual(['n3 5 at 0', 'n2 5 at 0', 'n3 5 at 1']);
  });

  test('for what was replaced and is back, whole but of another term; it is never served', async () => {
    const stage = await staged();
    const { hash: _, ...replaced } = { ...stage.entry(5), term: asTerm(stage.entry(5).term + 1) };
    stage.put(sealEntry(replaced));
    const reading = stage.read(5);
    await stage.runFor(fewMs);
    expect([reading.ended, stage.asked]).toEqual([null, ['n3 5 at 0']]);
    stage.repair.receive(n3, stage.entry(5));
    await stage.runFor(fewMs);
    expect(reading.ended).toMatchObject({ hash: stage.entry(5).hash });
  });

  test('nobody who is not connected, and whoever comes back', async () => {
    const stage = await staged();
    stage.connected.clear();
    stage.flip(5);
    stage.read(5);
    await stage.runFor(3 * limits.repairRetryMs + fewMs);
    expect(stage.asked).toEqual([]);
    stage.connected.add(n2);
    await stage.runFor(2 * limits.repairRetryMs);
    expect(stage.asked).toEqual(['n2 5 at 4', 'n2 5 at 5']);
  });

  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])(
    'for what is met %i microtasks after the last one was repaired, too',
    async (microtasks) => {
      const stage = await staged();
      stage.flip(5, 9);
      stage.read(5);
      await stage.runFor(fewMs);
      const meetLater = (left: number): void => {
        if (left === 0) stage.repair.meet(asIndex(9), 'its checksum does not match');
        else queueMicrotask(() => meetLater(left - 1));
      };
      stage.onLog = (line) => {
        if (line.startsWith('info')) queueMicrotask(() => meetLater(microtasks));
      };
      stage.repair.receive(n3, stage.entry(5));
      await stage.runFor(fewMs);
      expect(stage.asked.at(-1)).toBe('n3 9 at 0');
    },
  );

  test('nobody knows it: told once, and asked on', async () => {
    const stage = await staged();
    stage.flip(5);
    stage.read(5);
    await stage.runFor(40 * limits.repairRetryMs);
    expect(stage.asked.length).toBeGreaterThan(35);
    expect(stage.log.filter((line) => line.startsWith('error'))).toEqual([
      'error: a damaged entry of the log was not found on any other node; they are asked again',
    ]);
    expect(stage.repair.damaged).toBe(1);
  });

  test('for so many entries at a time; an answer makes room for the next', async () => {
    const stage = await staged();
    const hurt = [1, 3, 5, 7, 9, 11];
    stage.flip(...hurt);
    const readings = hurt.map((index) => stage.read(index));
    await stage.runFor(fewMs);
    expect(stage.asked.length).toBe(limits.repairsAtOnce);
    stage.repair.receive(n2, stage.entry(3));
    await stage.runFor(fewMs);
    expect(stage.asked.slice(limits.repairsAtOnce)).toEqual([expect.stringMatching(/^n[23] (?!3)\d+ at 0$/)]);
    for (let round = 0; round < 3; round += 1) {
      for (const index of hurt) stage.repair.receive(n2, stage.entry(index));
      await stage.runFor(fewMs);
    }
    expect(readings.every(({ ended }) => ended !== null && 'hash' in ended)).toBe(true);
    expect(stage.repair.repaired).toBe(6);
  });

  test('of neighbours the highest alone, as nothing intact names the others', async () => {
    const stage = await staged();
    stage.flip(4, 5, 6);
    const reading = stage.read(4);
    await stage.runFor(fewMs);
    expect(stage.asked).toEqual(['n2 6 at 0']);
    for (const index of [6, 5, 4]) {
      stage.repair.receive(n2, stage.entry(index));
      await stage.runFor(fewMs);
    }
    expect(stage.asked).toEqual(['n2 6 at 0', 'n3 5 at 0', 'n2 4 at 0']);
    expect(reading.ended).toMatchObject({ hash: stage.entry(4).hash });
  });

  test('nobody for what is not committed: that may be replaced, and is an error as before', async () => {
    const stage = await staged();
    stage.committed = asIndex(4);
    stage.flip(5);
    const reading = stage.read(5);
    await stage.runFor(limits.repairRetryMs);
    expect(reading.ended).toMatchObject({ name: 'DamagedError', index: 5 });
    expect([stage.asked, stage.repair.damaged]).toEqual([[], 0]);
  });

  test('nobody for an entry that is whole when it is looked at again', async () => {
    const stage = await staged();
    stage.flip(5);
    stage.flip(6);
    const reading = stage.read(5);
    await stage.runFor(fewMs);
    expect(stage.asked).toEqual(['n2 6 at 0']);
    stage.put(stage.entry(5));
    stage.put(stage.entry(6));
    await stage.runFor(2 * limits.repairRetryMs);
    expect(reading.ended).toMatchObject({ hash: stage.entry(5).hash });
    expect([stage.asked.length, stage.repair.damaged, stage.repair.repaired]).toEqual([1, 0, 0]);
  });
});

describe('what is believed', () => {
  test('nothing that was not asked for, by its index and its hash', async () => {
    const stage = await staged();
    stage.flip(5);
    stage.repair.receive(n2, stage.entry(5));
    stage.read(5);
    await stage.runFor(fewMs);
    const before = stage.machine.disk.entries('log');
    const [stranger] = entriesAfter(stage.entry(4), [1], 'another ') as [Entry];
    const notMine: readonly Entry[] = [
      stranger,
      { ...stranger, hash: stage.entry(5).hash },
      { ...stage.entry(5), payload: stranger.payload },
      stage.entry(6),
    ];
    for (const entry of notMine) stage.repair.receive(n2, entry);
    await stage.runFor(fewMs);
    expect(stage.machine.disk.entries('log')).toEqual(before);
    expect([stage.repair.damaged, stage.failure]).toEqual([1, null]);
  });

  test('no entry of another term than Raft knows it to be of', async () => {
    const stage = await staged();
    stage.flip(5);
    stage.read(5);
    await stage.runFor(fewMs);
    stage.termAt = () => asTerm(2);
    stage.repair.receive(n2, stage.entry(5));
    await stage.runFor(fewMs);
    expect([stage.repair.damaged, stage.repair.repaired]).toEqual([1, 0]);
    expect(stage.log.at(-1)).toBe('warn: an entry that a peer gave was dropped');
  });

  test('no name from an entry that was replaced and stands there again: it comes first', async () => {
    // Entries 5 and 6 were replaced in term 2; the disk brought the old 6 back, and spoilt 5.
    const common = chain(4);
    const kept = entriesAfter(common[3] as Entry, [2, 2, 2]);
    const stage = await staged([...common, ...kept]);
    stage.termAt = (index) => asTerm(index < 5 ? 1 : 2);
    stage.committed = asIndex(7);
    const [, replaced] = entriesAfter(common[3] as Entry, [1, 1]) as [Entry, Entry];
    stage.put(replaced);
    stage.flip(5);
    const reading = stage.read(5);
    await stage.runFor(fewMs);
    expect(stage.asked).toEqual(['n2 6 at 0']);
    expect(stage.lastAsked?.hash).toBe(kept[1]?.hash);
    stage.repair.receive(n2, stage.entry(6));
    await stage.runFor(fewMs);
    expect(stage.lastAsked).toEqual({ index: 5, hash: kept[0]?.hash });
    stage.repair.receive(n2, stage.entry(5));
    await stage.runFor(fewMs);
    expect(reading.ended).toMatchObject({ hash: kept[0]?.hash });
  });
});

describe('who waits', () => {
  test('gives up at the deadline with a sentence; the repair goes on without', async () => {
    const stage = await staged();
    stage.flip(5);
    const [short, long] = [stage.read(5, 700), stage.read(5)];
    await stage.runFor(699);
    expect(short.ended).toBeNull();
    await stage.runFor(fewMs);
    expect(short.ended).toMatchObject({
      code: 'unavailable',
      message:
        'entry 5 of the log is damaged on this node and is being fetched from the others: ask another node, or this one later',
    });
    stage.repair.receive(n2, stage.entry(5));
    await stage.runFor(fewMs);
    expect(long.ended).toMatchObject({ hash: stage.entry(5).hash });
    expect(stage.repair.waitingFor(asIndex(5))).toBeNull();
  });

  test('is sent away when the log closes, and no question follows', async () => {
    const stage = await staged();
    stage.flip(5);
    const reading = stage.read(5);
    await stage.runFor(fewMs);
    stage.repair.close();
    stage.repair.receive(n2, stage.entry(5));
    await stage.machine.wait(stage.repair.idle());
    await stage.runFor(5 * limits.repairRetryMs);
    expect(reading.ended).toMatchObject({ message: 'the log is closed' });
    expect([stage.asked.length, stage.repair.repaired, stage.machine.scheduler.pending]).toEqual([1, 0, 0]);
  });

  test('and a repair that cannot be written stops the node (protocol A5)', async () => {
    const stage = await staged();
    stage.flip(5);
    const reading = stage.read(5);
    await stage.runFor(fewMs);
    stage.machine.disk.fail('log', 'io');
    stage.repair.receive(n2, stage.entry(5));
    await stage.runFor(fewMs);
    expect(stage.failure?.message).toContain('the log could not be written');
    expect(reading.ended).toMatchObject({ message: 'the log is closed' });
  });
});

describe('a question of another node', () => {
  const answerOf = (stage: Stage, index: number, hash = stage.entry(1).hash): Promise<Entry | null> =>
    stage.machine.wait(stage.repair.answer({ index: asIndex(index), hash }));

  test('is answered with exactly the entry it names, committed or not', async () => {
    const stage = await staged();
    stage.committed = asIndex(4);
    expect(await answerOf(stage, 5, stage.entry(5).hash)).toMatchObject({ hash: stage.entry(5).hash });
    expect(await answerOf(stage, 5, stage.entry(4).hash)).toBeNull();
  });

  test('is not answered from outside the log, nor with what is damaged; that is then repaired here', async () => {
    const stage = await staged();
    stage.flip(5);
    expect(await answerOf(stage, 0)).toBeNull();
    expect(await answerOf(stage, 13)).toBeNull();
    expect(await answerOf(stage, 5, stage.entry(5).hash)).toBeNull();
    expect(stage.repair.damaged).toBe(1);
    stage.repair.close();
    expect(await answerOf(stage, 6, stage.entry(6).hash)).not.toBeNull();
  });

  test('is not answered by a node without a log, and does not stop it', async () => {
    const stage = await staged();
    stage.machine.crash('process');
    stage.machine.disk.wipe();
    const { disk } = stage.machine.platform;
    const log = await stage.machine.tell(async () => BlockLog.open({ keyValue: await disk.openKeyValue('log') }));
    const repair = new EntryRepair({
      log,
      clock: stage.machine.platform.clock,
      logger: silentLogger,
      peers: () => [],
      ask: () => false,
      fatal: (error) => (stage.failure = error),
    });
    expect(await repair.answer({ index: asIndex(5), hash: stage.entry(5).hash })).toBeNull();
    expect(stage.failure).toBeNull();
  });

  test('waits for its next try while as many are being answered as may be', async () => {
    const stage = await staged();
    const named = { index: asIndex(5), hash: stage.entry(5).hash };
    const answers = Array.from({ length: limits.repairsAtOnce + 2 }, () => stage.repair.answer(named));
    const given = await stage.machine.wait(Promise.all(answers));
    expect(given.filter((entry) => entry !== null)).toHaveLength(limits.repairsAtOnce);
  });
});
