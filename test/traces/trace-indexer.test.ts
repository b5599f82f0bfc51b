/** The index of one node over its log, when what it stands on breaks. */
import { describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/logger.ts';
import { limits } from '../../src/limits.ts';
import { walkExport } from '../../src/otlp/walk.ts';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { asReplicaId, emptyLog, type Entry } from '../../src/raft/core/types.ts';
import { BlockBuilder } from '../../src/store/block-builder.ts';
import { BlockLog } from '../../src/store/block-log.ts';
import { positionOf } from '../../src/store/entry.ts';
import { type Fingerprint, fingerprintOf } from '../../src/store/fingerprint.ts';
import { TraceIndexer } from '../../src/traces/trace-indexer.ts';
import { exportOf, traceIdOf } from '../store/exports.ts';
import { Machine } from '../store/machine.ts';
import { entryAfter } from '../store/support.ts';

const traceOf = (number: number): Fingerprint => fingerprintOf(traceIdOf(number));

/** A block of one trace per entry: entry n holds trace n mod 3. */
function blocks(machine: Machine, count: number): Entry[] {
  const entries: Entry[] = [];
  for (let at = 1; at <= count; at += 1) {
    const span = { trace: at % 3, resource: 'r', scope: 's', text: `${at}`, startNs: at, endNs: at };
    const request = exportOf([{ ...span, trace: span.trace + 1 }]);
    const builder = new BlockBuilder({ codec: machine.platform.codec, builder: 'ab'.repeat(16) });
    builder.add(request, walkExport(request, limits));
    const last = entries.at(-1);
    entries.push(entryAfter(last === undefined ? emptyLog : positionOf(last), { payload: builder.seal(at).payload }));
  }
  return entries;
}

async function indexed(count: number): Promise<{ machine: Machine; indexer: TraceIndexer; next: Entry }> {
  const machine = new Machine(1);
  const { platform } = machine;
  const entries = blocks(machine, count + 1);
  const indexer = await machine.tell(async () => {
    const log = await BlockLog.open({ keyValue: await platform.disk.openKeyValue('log') });
    await log.found({ clusterId: 'c1', configuration: votersOnly([asReplicaId('n1#i1')]), formatLevel: 2 });
    log.stage({ sequence: 1, truncateFrom: null, entries });
    await log.flush();
    const opened = await TraceIndexer.open({
      platform,
      log,
      entries: log,
      logger: silentLogger,
      incarnation: 'i1',
      flushEntries: 8,
    });
    for (const entry of entries.slice(0, count)) {
      opened.apply(entry);
      await opened.maybeFlush();
    }
    return opened;
  });
  const next = entries[count];
  if (next === undefined) throw new Error('there is one more entry');
  return { machine, indexer, next };
}

/** Flips bits all over the index, so that the next lookup finds it damaged. */
function damage(machine: Machine): void {
  for (let flips = 0; flips < 200; flips += 1) machine.disk.flipBit('index');
}

describe('an index found damaged', () => {
  test('is rebuilt while entries go on being applied, and then answers for all of them', async () => {
    const { machine, indexer, next } = await indexed(30);
    damage(machine);
    await expect(machine.wait(indexer.lookup(traceOf(1)))).rejects.toMatchObject({ code: 'not-ready' });
    indexer.apply(next);
    await machine.scheduler.run({ settled: () => !indexer.rebuilding });
    expect(await machine.wait(indexer.lookup(traceOf(1)))).toEqual([3, 6, 9, 12, 15, 18, 21, 24, 27, 30]);
    expect(await machine.wait(indexer.lookup(traceOf(2)))).toContain(next.index);
  });

  test('and not rebuilt for want of space: nobody is answered from it, and the node goes on (protocol A5)', async () => {
    const { machine, indexer, next } = await indexed(30);
    damage(machine);
    machine.disk.fail('index', 'full');
    await expect(machine.wait(indexer.lookup(traceOf(1)))).rejects.toMatchObject({ code: 'not-ready' });
    await machine.scheduler.run({ untilMs: machine.scheduler.nowMs + 1_000 });
    indexer.apply(next);
    expect(indexer.rebuilding).toBe(true);
    await expect(machine.wait(indexer.lookup(traceOf(1)))).rejects.toMatchObject({ code: 'not-ready' });
    await machine.wait(indexer.close());
  });
});
