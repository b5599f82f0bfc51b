import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assertLinearizable, checkHistory, HistoryRecorder } from '../support/history.ts';
import type { AddOutcome, History, HistoryOperation, ReadConsistency } from '../support/history.ts';
import { linearizableByBruteForce } from './brute-force.ts';

const add = (element: string, start: number, end: number, outcome: AddOutcome = 'ok'): HistoryOperation => ({
  kind: 'add',
  client: `writer of ${element}`,
  trace: 't',
  element,
  outcome,
  start,
  end: outcome === 'unknown' ? Infinity : end,
  startMs: start,
  endMs: end,
});
const read = (
  elements: string,
  start: number,
  end: number,
  consistency: ReadConsistency = 'linearizable',
): HistoryOperation => ({
  kind: 'read',
  client: `reader at ${start}`,
  trace: 't',
  elements: [...elements],
  consistency,
  start,
  end,
  startMs: start,
  endMs: end,
});
const fault = (...history: HistoryOperation[]): string => {
  const verdict = checkHistory(history);
  return verdict.ok ? 'none' : verdict.fault;
};

describe('linearizability check: histories a correct store can show', () => {
  it('an ack, then reads that hold it', () => {
    expect(fault(add('a', 1, 2), read('a', 3, 4), add('b', 3, 6), read('a', 5, 7), read('ab', 8, 9))).toBe('none');
  });
  it('a read that overlaps an add returns it or does not, and later ones go on from there', () => {
    expect(fault(add('a', 1, 10), read('', 2, 3), read('a', 4, 5), read('a', 6, 7))).toBe('none');
  });
  it('an unknown add is seen long after its client gave up', () => {
    expect(fault(add('a', 1, 2, 'unknown'), read('', 5, 6), read('a', 7, 8), read('a', 9, 10))).toBe('none');
  });
  it('an unknown add is never seen', () => {
    expect(fault(add('a', 1, 2, 'unknown'), add('b', 3, 4), read('b', 5, 6))).toBe('none');
  });
  it('an unknown add that was sent again and acked may have happened at the first try', () => {
    expect(fault(add('a', 1, 2, 'unknown'), read('a', 3, 4), add('a', 5, 6), read('a', 7, 8))).toBe('none');
  });
  it('a stale read lacks what was acked before it, and even what an earlier read showed', () => {
    expect(fault(add('a', 1, 2), read('a', 3, 4), read('', 5, 6, 'stale'), read('a', 7, 8, 'stale'))).toBe('none');
  });
});

describe('linearizability check: histories it must refuse', () => {
  it('stale read: a linearizable read after the ack does not hold it, another does', () => {
    const verdict = checkHistory([add('a', 1, 2), read('', 3, 4), read('a', 5, 6)]);
    if (verdict.ok) throw new Error('the stale read passed');
    expect(verdict.fault).toBe('stale read');
    expect(verdict.explanation).toContain('trace t');
    expect(verdict.explanation).toContain('reader at 3');
    expect(verdict.explanation).toContain('lacks a, acked to writer of a [1.0 to 2.0 ms]');
    expect(verdict.operations).toHaveLength(3);
  });
  it('lost ack: no read after the ack ever holds it', () => {
    expect(fault(add('a', 1, 2), read('', 3, 4))).toBe('lost ack');
    expect(fault(add('a', 1, 2), add('b', 1, 2), read('b', 3, 4))).toBe('lost ack');
  });
  it('read went backwards: a span of unknown outcome was shown and then was gone', () => {
    expect(fault(add('a', 1, 2, 'unknown'), read('a', 3, 4), read('', 5, 6))).toBe('read went backwards');
    expect(fault(add('a', 1, 9, 'unknown'), read('a', 3, 4, 'stale'), read('', 5, 6))).toBe('read went backwards');
  });
  it('long fork: two readers saw two concurrent adds in opposite orders', () => {
    expect(fault(add('a', 1, 9), add('b', 1, 9), read('a', 2, 8), read('b', 2, 8))).toBe('long fork');
    expect(fault(add('a', 1, 9), add('b', 1, 9), read('a', 2, 8, 'stale'), read('b', 2, 8))).toBe('long fork');
  });
  it('phantom: a read holds what nobody sent', () => {
    expect(fault(add('a', 1, 2), read('ax', 3, 4))).toBe('phantom');
  });
  it('refused yet visible: a span whose every sender was told it is certainly not stored', () => {
    expect(fault(add('a', 1, 2, 'fail'), read('a', 3, 4))).toBe('refused yet visible');
    expect(fault(add('a', 1, 2, 'fail'), read('', 3, 4), add('a', 5, 6), read('a', 7, 8))).toBe('none');
  });
  it('read from the future: even a stale read cannot hold what is sent later', () => {
    expect(fault(read('a', 1, 2), add('a', 3, 4))).toBe('read from the future');
    expect(fault(read('a', 1, 2, 'stale'), add('a', 3, 4))).toBe('read from the future');
  });
  it('acks out of order: a state, even a stale one, holds the later ack without the earlier', () => {
    expect(fault(add('a', 1, 2), add('b', 3, 4), read('b', 3, 9, 'stale'), read('ab', 5, 9))).toBe('acks out of order');
  });
  it('duplicate: one read returns one span twice', () => {
    expect(fault(add('a', 1, 2), read('aa', 3, 4))).toBe('duplicate');
  });
  it('one bad trace among many is found and named', () => {
    const elsewhere = [add('a', 1, 2), read('a', 3, 4)].map((operation) => ({ ...operation, trace: 'other' }));
    expect(() => assertLinearizable([...elsewhere, add('a', 1, 2), read('', 3, 4)])).toThrow(/^trace t: lost ack: /);
  });
});

/** Small random histories of one trace; `noise` lets reads return anything at all. */
const smallHistory: fc.Arbitrary<History> = fc.boolean().chain((noise) => {
  const when = fc.tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 1, max: 8 }));
  const element = fc.constantFrom('a', 'b', 'c');
  const outcome = fc.constantFrom<AddOutcome>('ok', 'ok', 'ok', 'unknown', 'fail');
  const adds = fc.array(fc.tuple(element, when, outcome), { minLength: 1, maxLength: 4 });
  const consistency = fc.constantFrom<ReadConsistency>('linearizable', 'linearizable', 'stale');
  const reads = fc.array(
    fc.tuple(when, consistency, fc.double({ min: 0, max: 1, noNaN: true }), fc.subarray(['a', 'b', 'c'])),
    { maxLength: 4 },
  );
  return fc.tuple(adds, reads).map(([added, readings]) => {
    const operations = added.map(([name, [start, length], result]) => add(name, start, start + length, result));
    // The honest answer: every add takes effect at its start, every read at a random instant of its own.
    for (const [[start, length], kind, instant, anything] of readings) {
      const at = start + instant * length;
      const honest = new Set(
        operations.flatMap((o) => (o.kind === 'add' && o.outcome !== 'fail' && o.start <= at ? [o.element] : [])),
      );
      operations.push(read((noise ? anything : [...honest]).join(''), start, start + length, kind));
    }
    return operations;
  });
});

describe('linearizability check against brute force', () => {
  it('agrees on random small histories, of which a good share is legal and a good share is not', () => {
    const seen = { legal: 0, illegal: 0 };
    fc.assert(
      fc.property(smallHistory, (history) => {
        const expected = linearizableByBruteForce(history);
        seen[expected ? 'legal' : 'illegal'] += 1;
        expect(checkHistory(history).ok).toBe(expected);
      }),
      { numRuns: 5_000 },
    );
    expect(seen.legal).toBeGreaterThan(1_000);
    expect(seen.illegal).toBeGreaterThan(1_000);
  });
});

describe('recorder', () => {
  it('orders events that share one instant of the clock, and leaves open what was never answered', () => {
    const recorder = new HistoryRecorder(() => 7);
    const acked = recorder.add('w', 't', 'a');
    acked.settle('ok');
    acked.settle('fail');
    recorder.add('w', 't', 'b');
    const late = recorder.add('w', 't', 'c');
    late.settle('unknown');
    recorder.read('r', 't', 'linearizable').returned(['c', 'a']);
    recorder.read('r', 't', 'linearizable');
    const history = recorder.history();
    expect(assertLinearizable(history)).toMatchObject({ operations: 4, acked: 1, unknown: 2, linearizableReads: 1 });
    recorder.read('r', 't', 'linearizable').returned(['c']);
    expect(() => assertLinearizable(recorder.history())).toThrow(/lacks a/);
  });
  it('keeps 200,000 operations over 20,000 traces and checks them', () => {
    const recorder = new HistoryRecorder(() => 0);
    for (let round = 0; round < 5; round += 1) {
      for (let trace = 0; trace < 20_000; trace += 1) {
        recorder.add('w', `${trace}`, `${round}`).settle(round === 3 ? 'unknown' : 'ok');
        const elements = ['0', '1', '2', '3', '4'].slice(0, round + 1);
        recorder.read('r', `${trace}`, 'linearizable').returned(elements);
      }
    }
    const counts = assertLinearizable(recorder.history());
    expect(counts).toMatchObject({ operations: 200_000, traces: 20_000, unknown: 20_000, statesSeen: 100_000 });
  });
});
