/** The way back (docs/upgrade.md): 0.1.0 goes on with the index of this version, and this version with what 0.1.0 made of it. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { asHash, asIndex, type LogIndex } from '../../src/raft/core/types.ts';
import { type Fingerprint, fingerprintOf } from '../../src/store/fingerprint.ts';
import { TraceIndex, type TraceIndexOptions } from '../../src/store/trace-index.ts';
import { unpackRelease010 } from '../support/release.ts';
import { traceIdOf } from './exports.ts';
import { Machine } from './machine.ts';

const traceOf = (number: number): Fingerprint => fingerprintOf(traceIdOf(number));
let release: ReturnType<typeof unpackRelease010>;
let TraceIndex010: typeof TraceIndex;

beforeAll(async () => {
  release = unpackRelease010();
  const path = join(release.program.command, '../../src/store/trace-index.ts');
  ({ TraceIndex: TraceIndex010 } = (await import(path)) as { TraceIndex: typeof TraceIndex });
});
afterAll(() => release.remove());

test('an index goes from this version to 0.1.0 and back, and nobody makes it again', async () => {
  const machine = new Machine(1);
  const options = (): TraceIndexOptions => ({
    openStore: () => machine.platform.disk.openKeyValue('index'),
    destroyStore: () => machine.platform.disk.destroyKeyValue('index'),
    executor: machine.platform.executor,
    clock: machine.platform.clock,
    clusterId: 'c1',
    incarnation: 'i1',
    windowTraces: 4,
  });
  const answers: LogIndex[][] = [];
  for (const [version, from] of [TraceIndex, TraceIndex010, TraceIndex, TraceIndex010, TraceIndex].entries()) {
    const index = await machine.wait(from.open(options()));
    expect([index.damaged, index.applied]).toEqual([null, version * 10]);
    for (let next = version * 10 + 1; next <= (version + 1) * 10; next += 1)
      index.apply(asIndex(next), asHash(next.toString(16).padStart(32, '0')), [traceOf(next % 7), traceOf(24)], {
        bytes: 100,
        timeMs: next,
      });
    await machine.wait(index.flush());
    answers.push(await machine.wait(index.lookup(traceOf(24))));
    if (version === 4) {
      const known = index.windows.map(({ first, bytes }) => [Math.floor((first - 1) / 10), bytes !== null]);
      for (const [writer, isKnown] of known) expect(isKnown).toBe(writer !== 1 && writer !== 3);
    }
    await machine.wait(index.close());
  }
  expect(answers.map((answer) => answer.length)).toEqual([10, 20, 30, 40, 50]);
});
