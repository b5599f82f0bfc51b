/** What a replica's hard state says while a base is on its way to a slow disk (docs/io-ordering.md, protocol A1, G4). */
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/logger.ts';
import type { KeyValue } from '../../src/platform/key-value.ts';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import type { Message } from '../../src/raft/core/message.ts';
import {
  asBootId,
  asIndex,
  asReplicaId,
  asTerm,
  type Configuration,
  emptyLog,
  type Entry,
  type EntryKind,
  type LogPosition,
} from '../../src/raft/core/types.ts';
import { EntryRepair } from '../../src/raft/entry-repair.ts';
import { Replica } from '../../src/raft/replica.ts';
import { BlockLog } from '../../src/store/block-log.ts';
import { encodeConfiguration } from '../../src/store/configuration-record.ts';
import { payloadHashOf, positionOf, sealEntry } from '../../src/store/entry.ts';
import { HardStateFile, hardStateSlots } from '../../src/store/hard-state.ts';
import { encodeTrim } from '../../src/store/trim-record.ts';
import { Machine } from '../store/machine.ts';

const [n1, n2, n3, n4] = ['n1#a', 'n2#b', 'n3#c', 'n4#d'].map(asReplicaId) as [never, never, never, never];
const founding = votersOnly([n1, n2, n3]);
const withLearner: Configuration = { ...founding, learners: [{ replica: n4, replaces: null }] };
const fatal = (error: Error): void => {
  throw error;
};

const entryAfter = (before: LogPosition, kind: EntryKind, payload: Uint8Array): Entry =>
  sealEntry({
    index: asIndex(before.index + 1),
    term: asTerm(1),
    kind,
    timeMs: 1_000 + before.index,
    previousHash: before.hash,
    payloadHash: payloadHashOf(payload),
    payload,
  });

/** The second voter on a disk whose log is written when `gate` lets it. */
class Follower {
  readonly machine = new Machine(1);
  #gate: Promise<void> = Promise.resolve();
  replica: Replica | null = null;
  hardState: HardStateFile | null = null;

  /** Writes of the log wait from now on; called, one of them goes through. */
  hold(): () => void {
    let letOne = (): void => undefined;
    this.#gate = new Promise((resolve) => (letOne = resolve));
    return () => {
      this.hold();
      letOne();
    };
  }

  async #openLog(): Promise<BlockLog> {
    const keyValue = await this.machine.platform.disk.openKeyValue('log');
    const gated: KeyValue = {
      get: (key) => keyValue.get(key),
      getMany: (keys) => keyValue.getMany(keys),
      batch: async (operations, options) => {
        await this.#gate;
        await keyValue.batch(operations, options);
      },
      range: (range) => keyValue.range(range),
      keys: (range) => keyValue.keys(range),
      compact: (range) => keyValue.compact(range),
      close: () => keyValue.close(),
    };
    return BlockLog.open({ keyValue: gated });
  }

  start(): Promise<void> {
    return this.machine.tell(async ({ platform }) => {
      const log = await this.#openLog();
      if (log.base === null) await log.found({ clusterId: 'c1', configuration: founding, formatLevel: 2 });
      const hardState = await HardStateFile.open(await platform.disk.openSlotFile('hard-state', hardStateSlots));
      if (hardState.state === null)
        await hardState.write({
          clusterId: 'c1',
          incarnation: 'b',
          term: asTerm(0),
          vote: null,
          promised: emptyLog,
          commit: emptyLog.index,
          modeEpoch: 0,
          sealed: false,
          configuration: null,
          formatLevel: 2,
          formatLevelWritten: 2,
        });
      const { clock } = platform;
      const entries = new EntryRepair({ log, clock, logger: silentLogger, peers: () => [], ask: () => false, fatal });
      this.hardState = hardState;
      this.replica = await Replica.start({
        ...platform,
        self: n2,
        boot: asBootId('b1'),
        logger: silentLogger,
        log,
        entries,
        hardState,
        terms: await log.termRuns(),
        entryTimeMs: () => 0,
        applied: log.base?.position.index ?? emptyLog.index,
        apply: () => undefined,
        installed: () => undefined,
        trimmed: () => undefined,
        membersChanged: () => undefined,
        formatLevelChanged: () => undefined,
        send: () => undefined,
        forward: () => undefined,
        fatal,
      });
    });
  }

  /** The leader appends these, and says what is committed. */
  async hears(previous: LogPosition, entries: readonly Entry[], commit: number): Promise<void> {
    const envelope = { from: n1, to: n2, term: asTerm(1), boot: asBootId('a1'), session: 1 };
    const message: Message = {
      ...envelope,
      type: 'append',
      previousIndex: previous.index,
      previousTerm: previous.term,
      entries,
      commit: asIndex(commit),
    };
    this.replica?.receive(message);
    await this.runFor(40);
  }

  runFor(durationMs: number): Promise<unknown> {
    const { scheduler } = this.machine;
    return scheduler.run({ untilMs: scheduler.nowMs + durationMs });
  }
}

test('a trim that is applied before its own disk has it takes no configuration out of the hard state', async () => {
  const follower = new Follower();
  await follower.start();
  const noop = entryAfter(emptyLog, 'noop', new Uint8Array(0));
  const change = entryAfter(positionOf(noop), 'configuration', encodeConfiguration(withLearner, emptyLog.index));
  // The last entry for a long time: when its own hard state was written it was not known to be committed.
  await follower.hears(emptyLog, [noop, change], 0);
  await follower.hears(positionOf(change), [], 2);
  expect(follower.hardState?.state).toMatchObject({ commit: 0, configuration: null });
  const base = { position: positionOf(change), timeMs: 1_001, configuration: withLearner, formatLevel: 2 };
  const trim = entryAfter(positionOf(change), 'trim', encodeTrim({ ...base, configurationIndex: change.index }));
  // The others commit the trim while it waits for this disk.
  const letOne = follower.hold();
  await follower.hears(positionOf(change), [trim], 2);
  await follower.hears(positionOf(trim), [], 3);
  expect(follower.replica?.base.position.index).toBe(2);
  letOne();
  await follower.runFor(100);
  expect(follower.hardState?.state?.commit).toBe(2);
  // Power fails before the base is on the disk: what was committed there must still be known.
  follower.machine.crash('power');
  const again = new Follower();
  Object.assign(again, { machine: follower.machine });
  await again.start();
  expect([again.replica?.base.position.index, again.replica?.configuration]).toEqual([
    0,
    { index: change.index, configuration: withLearner },
  ]);
});
