/** Exports on their way into blocks: what waits, what is refused, and in what slices large ones are walked. */
import { expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { realCodec } from '../../src/platform/real/codec.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { Executor } from '../../src/platform/executor.ts';
import type { ProposalOutcome } from '../../src/raft/proposals.ts';
import { QuorateError } from '../../src/errors.ts';
import { Ingest } from '../../src/traces/ingest.ts';
import { exportOf, spanFields } from '../otlp/bytes.ts';
import { bytesField } from '../support/protobuf-writer.ts';

/** A clock that stands still until it is told to move. */
class SteadyClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly fire: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }
  monotonicMs(): number {
    return this.#nowMs;
  }
  after(delayMs: number, fire: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, fire };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
  pass(ms: number): void {
    this.#nowMs += ms;
    for (const timer of this.#timers) {
      if (timer.atMs > this.#nowMs) continue;
      this.#timers.delete(timer);
      timer.fire();
    }
  }
}

function setUp() {
  const clock = new SteadyClock();
  let slices = 0;
  const executor: Executor = {
    nextTurn: async () => new Promise((resolve) => setImmediate(resolve)),
    run: async (job) => {
      for (;;) {
        const step = job.next();
        if (step.done === true) return step.value;
        slices += 1;
      }
    },
  };
  const proposals: ((outcome: ProposalOutcome) => void)[] = [];
  const ingest = new Ingest({
    clock,
    codec: realCodec,
    executor,
    limits,
    builder: '0'.repeat(32),
    propose: async () => new Promise((resolve) => proposals.push(resolve)),
    unavailable: () => new QuorateError('unavailable', 'no majority'),
  });
  return { clock, ingest, proposals, slices: () => slices };
}

/** Fills a block by itself. */
const large = exportOf(spanFields(bytesField(5, 'n'.repeat(limits.spanBytesMax - 100))));
const turns = async (count = 40): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

test('behind once the longest-waiting export has waited too long for a block, and no longer when it has one', async () => {
  const { clock, ingest, proposals } = setUp();
  const writes = Array.from({ length: limits.blocksInFlightMax + 3 }, async () => ingest.write(large));
  await turns();
  expect(ingest.isBehind).toBe(false);
  clock.pass(limits.queueWaitMsMax + 1);
  expect(ingest.isBehind).toBe(true);
  for (let settled = 0; settled < writes.length; settled += 1) {
    proposals[settled]?.('committed');
    await turns();
  }
  expect(ingest.isBehind).toBe(false);
  expect((await Promise.all(writes)).map(({ accepted }) => accepted)).toEqual(writes.map(() => 1));
});

test('a write that is in no block at its deadline leaves the queue with it', async () => {
  const { clock, ingest } = setUp();
  const writes = Array.from({ length: limits.blocksInFlightMax + 3 }, async () =>
    ingest.write(large).catch((error: unknown) => error),
  );
  await turns();
  clock.pass(limits.writeDeadlineMs);
  for (const outcome of await Promise.all(writes)) expect(outcome).toMatchObject({ code: 'unavailable' });
  expect(ingest.isBehind).toBe(false);
});

test('a large export is walked in slices, a usual one at once', async () => {
  const { ingest, proposals, slices } = setUp();
  const small = ingest.write(exportOf(spanFields()));
  await turns();
  proposals[0]?.('committed');
  await small;
  expect(slices()).toBe(0);
  const wide = ingest.write(exportOf(...Array.from({ length: 20_000 }, () => spanFields())));
  await turns();
  proposals[1]?.('committed');
  expect(await wide).toMatchObject({ accepted: 20_000, rejected: 0, firstReason: null });
  expect(slices()).toBeGreaterThan(5);
});
