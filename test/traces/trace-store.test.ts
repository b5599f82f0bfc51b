/** How one node starts, by itself: what it may believe of its own disk, and of those who greet it. */
import { formatRange } from '../../src/raft/core/format-level.ts';
import { version } from '../../src/version.ts';
import { describe, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import {
  asBootId,
  asHash,
  asIndex,
  asNodeId,
  asReplicaId,
  asTerm,
  emptyLog,
  type Entry,
} from '../../src/raft/core/types.ts';
import type { TraceStore } from '../../src/traces/trace-store.ts';
import type { Hello, PeerMessage, TransportHandlers } from '../../src/transport/transport.ts';
import { exportOf, spanFields, traceIdA } from '../otlp/bytes.ts';
import { entryAfter } from '../store/support.ts';
import { bytesField } from '../support/protobuf-writer.ts';
import { freshState, LoneNode, voters } from './lone-node.ts';

function three(): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at < 3; at += 1)
    entries.push(entryAfter(entries.at(-1) ?? emptyLog, { payload: new Uint8Array(0) }));
  return entries;
}

describe('start', () => {
  test('a log that fell back to replaced entries: the commit index of the hard state does not speak of them', async () => {
    // Entries 1 to 3 of term 1 were replaced by those of term 2, which committed; then the disk lost that batch.
    const node = new LoneNode();
    const promised = { index: asIndex(3), term: asTerm(2), hash: asHash('77'.repeat(16)) };
    await node.disk({ ...freshState, term: asTerm(2), promised, commit: asIndex(3) }, { voters, entries: three() });
    const store = await node.open(['n1', 'n2', 'n3']);
    await node.runFor(1_000);
    expect(store.replicaStatus).toMatchObject({ lostPromise: promised, last: 3, commit: 0, applied: 0 });
    expect(node.committed).toEqual([]);
  });

  test('a whole log: what the hard state calls committed is applied without a leader', async () => {
    const node = new LoneNode();
    const entries = three();
    const { index, term, hash } = entries[2] as Entry;
    const promised = { index, term, hash };
    await node.disk({ ...freshState, term: asTerm(1), promised, commit: asIndex(2) }, { voters, entries });
    const store = await node.open(['n1', 'n2', 'n3']);
    await node.runFor(100);
    expect(store.replicaStatus).toMatchObject({ lostPromise: null, commit: 2, applied: 2 });
  });

  test('a founding cut short between its log and its hard state is finished, also without anybody else', async () => {
    const node = new LoneNode();
    await node.disk({ ...freshState, clusterId: null }, { voters: [asReplicaId('n1#i1')], entries: [] });
    const store = await node.open(['n1']);
    await node.runFor(2_000);
    expect(store.status).toMatchObject({ clusterId: 'c1', ready: true });
  });

  test.each([
    ['unreadable', (node: LoneNode) => [0, 1, 2, 3].forEach((slot) => node.damageSlot(slot))],
    ['lost', (node: LoneNode) => node.machine.disk.slotFiles.delete('hard-state')],
  ])(
    'a hard state that is %s: a new incarnation that votes no more, and no entry is touched (A3)',
    async (_, damage) => {
      const node = new LoneNode();
      const entries = three();
      const { index, term, hash } = entries[2] as Entry;
      await node.disk({ ...freshState, term: asTerm(1), promised: { index, term, hash } }, { voters, entries });
      damage(node);
      const before = node.machine.disk.entries('log');
      const store = await node.open(['n1', 'n2', 'n3']);
      await node.runFor(2_000);
      expect(store.hello.replica).not.toBe('n1#i1');
      expect(store.hello).toMatchObject({ clusterId: 'c1', founded: false });
      expect(store.status).toMatchObject({ ready: false, replica: null });
      expect(node.machine.disk.entries('log')).toEqual(before);
    },
  );
});

describe('who is admitted', () => {
  const hello = (boot: string, hardStateCounter: number): Hello => ({
    protocol: 1,
    node: asNodeId('n2'),
    replica: asReplicaId('n2#i2'),
    boot: asBootId(boot),
    clusterId: 'c1',
    founded: true,
    hardStateCounter,
    http: 'http://n2',
    peer: 'n2:4319',
    members: {},
    version,
    formats: formatRange,
    formatLevel: formatRange.newest,
  });
  const report = (hardStateCounter: number): PeerMessage & { kind: 'report' } => ({
    kind: 'report',
    applied: asIndex(0),
    ready: true,
    recovering: false,
    hardStateCounter,
    writeMicros: null,
    space: 'ample',
    handOver: null,
    clockMs: null,
  });

  async function founded(): Promise<TransportHandlers> {
    const node = new LoneNode();
    await node.disk(freshState, { voters, entries: [] });
    await node.open(['n1', 'n2', 'n3']);
    if (node.transport.handlers === null) throw new Error('the transport was not started');
    return node.transport.handlers;
  }

  test('a disk that went back in time is refused', async () => {
    const handlers = await founded();
    handlers.onUp(hello('b1', 5));
    handlers.onMessage(hello('b1', 5), report(9));
    expect(handlers.admit(hello('b2', 8))).toMatchObject({ code: 'disk-went-back' });
    expect(handlers.admit(hello('b2', 9))).toBeNull();
  });

  test('a node says how many writes it found, not how many it has made since: they would hide those that are missing', async () => {
    const node = new LoneNode();
    await node.disk(freshState, { voters, entries: [] });
    const written = (await node.open(['n1', 'n2', 'n3'])).hello.hardStateCounter;
    node.machine.crash('process');
    const again = await node.open(['n1', 'n2', 'n3']);
    expect(again.hello.hardStateCounter).toBeGreaterThan(written);
    node.machine.crash('process');
    expect(node.machine.disk.revertSlotWrites('hard-state', 1)).toBe(true);
    const rolledBack = await node.open(['n1', 'n2', 'n3']);
    const lost = 1;
    const writesOfOneRun = again.hello.hardStateCounter - written;
    expect(rolledBack.hello.hardStateCounter).toBe(again.hello.hardStateCounter + writesOfOneRun - lost);
  });

  test('a hello that was overtaken by a report of the same run is no disk that went back', async () => {
    const handlers = await founded();
    handlers.onUp(hello('b1', 5));
    handlers.onMessage(hello('b1', 5), report(9));
    expect(handlers.admit(hello('b1', 8))).toBeNull();
    handlers.onUp(hello('b1', 8));
    expect(handlers.admit(hello('b2', 8))).toMatchObject({ code: 'disk-went-back' });
  });
});

describe('an index that has to be made again on a full disk', () => {
  test.each([
    ['found damaged at the start', true],
    ['found damaged by a lookup', false],
  ])('%s: the node runs, and answers once there is space', async (_, atStart) => {
    const node = new LoneNode();
    await node.disk(freshState, { voters: [asReplicaId('n1#i1')], entries: [] });
    const first = await node.open(['n1']);
    await node.runFor(2_000);
    await node.machine.wait(first.write(exportOf(spanFields())));
    await node.machine.wait(first.close());
    node.machine.crash('process');
    const damage = (): unknown => node.machine.disk.flipBit('index', { gte: Uint8Array.of(0), lt: Uint8Array.of(255) });
    if (atStart) for (let bit = 0; bit < 40; bit += 1) damage();
    node.machine.disk.fail('index', 'full');
    const store = await node.open(['n1']);
    await node.runFor(2_000);
    if (!atStart) for (let bit = 0; bit < 40; bit += 1) damage();
    await expect(node.machine.wait(store.read(traceIdA, 'stale'))).rejects.toMatchObject({ code: 'not-ready' });
    await node.runFor(3_000);
    expect(store.ready).toBe(false);
    expect(node.failure).toBeNull();
    node.machine.disk.heal();
    await node.runFor(2_000);
    expect(store.ready).toBe(true);
    expect((await node.machine.wait(store.read(traceIdA, 'linearizable'))).trace).not.toBeNull();
  });
});

test('whatever a node is asked for before it runs, or after, is refused, never thrown', async () => {
  const node = new LoneNode();
  const store = await node.open(['n1', 'n2', 'n3']);
  const removal = { kind: 'remove', node: asNodeId('n2'), replaces: null, expected: null } as const;
  const questions = (): readonly Promise<unknown>[] => [
    store.write(exportOf(spanFields())),
    store.read(traceIdA, 'stale'),
    store.changeMembers(removal),
    store.transferLeadership(null),
    store.digest(asIndex(1)),
  ];
  for (const question of questions()) await expect(question).rejects.toMatchObject({ code: 'not-ready' });
  await node.machine.wait(store.close());
  for (const question of questions())
    await expect(question).rejects.toMatchObject({
      code: 'not-ready',
      message: 'this node is stopping: ask another one',
    });
});

test('an entry that cannot be applied stops the node, and everybody who waits is told (bug L11)', async () => {
  const node = new LoneNode();
  const unreadable = entryAfter(emptyLog, { payload: new TextEncoder().encode('no block at all') });
  await node.disk(freshState, { voters: [asReplicaId('n1#i1')], entries: [unreadable] });
  const store = await node.open(['n1']);
  const waiting = [store.write(exportOf(spanFields())), store.read(traceIdA, 'linearizable')];
  const told = Promise.allSettled(waiting);
  await node.runFor(2_000);
  expect(node.failure?.message).toContain('block');
  expect(await told).toMatchObject([
    { status: 'rejected', reason: { code: 'unavailable' } },
    { status: 'rejected', reason: { code: 'unavailable' } },
  ]);
});

describe('a disk that hangs', () => {
  /** Its blocks are on its disk alone, in nobody's memory. */
  async function withTraceOnDisk(): Promise<{ node: LoneNode; store: TraceStore }> {
    const node = new LoneNode();
    await node.disk(freshState, { voters: [asReplicaId('n1#i1')], entries: [] });
    const first = await node.open(['n1']);
    await node.runFor(2_000);
    // More blocks than a lookup reads in two turns of the disk.
    for (let block = 0; block < 20; block += 1) await node.machine.wait(first.write(exportOf(spanFields())));
    node.machine.crash('process');
    const store = await node.open(['n1']);
    await node.runFor(2_000);
    expect(store.ready).toBe(true);
    return { node, store };
  }

  test('a read that the node did not finish before it was stopped is refused, not broken', async () => {
    const { node, store } = await withTraceOnDisk();
    node.machine.disk.stall(node.machine.scheduler.nowMs + 1_000);
    const read = store.read(traceIdA, 'stale').catch((error: unknown) => error);
    await node.runFor(1);
    await node.machine.wait(store.close());
    expect(await node.machine.wait(read)).toMatchObject({ code: 'not-ready' });
  });

  test('a read ends at its deadline, with an error that says so', async () => {
    const { node, store } = await withTraceOnDisk();
    node.machine.disk.stall(Infinity);
    const read = store.read(traceIdA, 'stale').catch((error: unknown) => error);
    await node.runFor(limits.readDeadlineMs + 100);
    expect(await Promise.race([read, Promise.resolve('still waiting')])).toMatchObject({ code: 'unavailable' });
  });
});

describe('a node with more exports waiting than it can store', () => {
  /** Fills a block by itself. */
  const large = exportOf(spanFields(bytesField(5, 'n'.repeat(limits.spanBytesMax - 100))));

  test('refuses the next one, without a leader as unavailable and not as overloaded', async () => {
    const node = new LoneNode();
    await node.disk(freshState, { voters, entries: [] });
    const store = await node.open(['n1', 'n2', 'n3']);
    const writes = Array.from({ length: limits.blocksInFlightMax + 2 }, async () =>
      store.write(large).catch((error: unknown) => error),
    );
    expect(store.refusal).toBeNull();
    await node.runFor(limits.queueWaitMsMax + 500);
    expect(store.refusal).toMatchObject({ code: 'unavailable' });
    await node.runFor(limits.writeDeadlineMs);
    for (const outcome of await Promise.all(writes)) expect(outcome).toMatchObject({ code: 'unavailable' });
    expect(store.refusal).toBeNull();
  });
});
