/** The same faults on the simulated disk, and what a node is answered there. */
import { ClockSkew } from '../../sim/platform/clock.ts';
import { isDeepStrictEqual } from 'node:util';
import { SimDiskState } from '../../sim/platform/disk-state.ts';
import type { KeyValueState, ReadFault } from '../../sim/platform/key-value-state.ts';
import { bytesOf, keyOf, type ByteKey } from '../../sim/platform/ordered-bytes.ts';
import { bootSimPlatform } from '../../sim/platform/platform.ts';
import { SimRandom } from '../../sim/platform/random.ts';
import { SimScheduler } from '../../sim/platform/scheduler.ts';
import { ask } from './ask.ts';
import type { History } from './history.ts';
import { isFailure, type Fault, type Outcome } from './outcome.ts';

const store = 'store';
/** Around every key that a store uses. */
const [firstKey, lastKey] = ['', '\xff\xff'];

/** What the simulated store answers that was written as `history` says and then suffered `faults`. */
export async function reproduce(history: History, faults: readonly Fault[]): Promise<Outcome> {
  const scheduler = new SimScheduler();
  const random = new SimRandom('reproduce');
  const disk = new SimDiskState(random.fork('platter'));
  const state = disk.keyValue(store);
  for (const writes of history) {
    state.apply(
      writes.map(({ key, value }) => ({ key, value: value === undefined ? undefined : bytesOf(value) })),
      true,
    );
  }
  if (state.history.length !== history.length)
    throw new Error('the simulated disk no longer remembers the first batch');
  for (const fault of faults) inflict(disk, fault);
  if (faults.some(({ fault }) => fault === 'crash')) return { kind: 'died' };
  const { disk: handle } = bootSimPlatform({ scheduler, disk, skew: new ClockSkew() }, random.fork('boot'));
  return scheduler.complete(ask(() => handle.openKeyValue(store), keysOf(history)));
}

/**
 * Both answered the same. Not the order of a scan: where a stray key turns up depends on the table's blocks, and each
 * direction has its own.
 */
export function sameAnswers(real: Outcome, simulated: Outcome): boolean {
  return isDeepStrictEqual(comparable(real), comparable(simulated));
}

function comparable(outcome: Outcome): unknown {
  if (outcome.kind !== 'opened') return outcome.kind === 'refused' ? outcome.code : outcome.kind;
  const { get, forward, reverse } = outcome.answers;
  const scanned = (scan: typeof forward): unknown => (isFailure(scan) ? 'failed' : new Map(scan));
  const got = new Map([...get].map(([key, answer]) => [key, isFailure(answer) ? 'failed' : [answer]]));
  return [got, scanned(forward), scanned(reverse)];
}

/** Every key that was ever written. */
export function keysOf(history: History): ByteKey[] {
  return [...new Set(history.flatMap((writes) => writes.map(({ key }) => key)))];
}

function inflict(disk: SimDiskState, fault: Fault): void {
  const state = disk.keyValue(store);
  switch (fault.fault) {
    case 'crash':
      return;
    case 'refuse':
      state.refusal = fault.code === 'io' ? 'io' : 'damaged';
      return;
    case 'lose':
      disk.lose(store);
      return;
    case 'cutLog':
      disk.cutLog(store, fault.count);
      return;
    case 'vanish':
      state.keepOnly(({ number }) => number !== fault.batch + 1);
      return;
    case 'forget':
      state.forget(new Map([[fault.key, fault.count]]));
      return;
    case 'flipBit':
    case 'garble':
      state.damage(fault.key, bytesOf(fault.value));
      return;
    case 'misplace':
      state.apply([{ key: fault.key, value: bytesOf(fault.value) }], true);
      return;
    case 'hide':
      state.readFaults.push({
        view: fault.view,
        ...around(fault.key),
        misses: missesFor(state, fault.key, fault.value),
      });
      return;
    case 'failReads':
      state.readFaults.push({
        view: fault.view,
        ...(fault.key === null ? { gte: firstKey, lt: lastKey } : around(fault.key)),
        misses: 'unreadable',
      });
      return;
    default:
      fault satisfies never;
  }
}

/** How many newest writes a view must miss to show `value`; the value itself when the key never had it. */
function missesFor(state: KeyValueState, key: ByteKey, value: ByteKey | undefined): ReadFault['misses'] {
  if (value === undefined) return 'all';
  for (let count = 1; count <= state.history.length; count += 1) {
    const older = state.valueBefore(key, count);
    if (older !== undefined && keyOf(older) === value) return count;
  }
  return bytesOf(value);
}

function around(key: ByteKey): { gte: ByteKey; lt: ByteKey } {
  return { gte: key, lt: `${key}\0` };
}
