/** The small pure parts of the core against naive versions of themselves. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { RaftLog } from '../../src/raft/core/log.ts';
import { countVotes, majority, reachedByMajority } from '../../src/raft/core/quorum.ts';
import { asIndex, asTerm, emptyLog, type Entry, type LogPosition } from '../../src/raft/core/types.ts';
import { naiveReached, naiveVote } from './naive-quorum.ts';
import { appendsOf, logOfTerms, runsOf, tailOf } from './replica.ts';

describe('quorum', () => {
  test('reachedByMajority is the largest value that more than half have reached', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 8 }), { minLength: 1, maxLength: 9 }), (values) => {
        expect(reachedByMajority(values)).toBe(naiveReached(values));
      }),
    );
  });

  test('two majorities share a voter; one less would not', () => {
    for (let voters = 1; voters <= 9; voters += 1) {
      expect(majority(voters) * 2).toBeGreaterThan(voters);
      expect((majority(voters) - 1) * 2).toBeLessThanOrEqual(voters);
    }
  });

  test('countVotes is decided exactly when no missing vote can change it', () => {
    const vote = fc.option(fc.boolean(), { nil: undefined });
    fc.assert(
      fc.property(fc.array(vote, { minLength: 1, maxLength: 7 }), (votes) => {
        const voters = votes.map((_, at) => at);
        const cast = new Map<number, boolean>();
        votes.forEach((one, at) => {
          if (one !== undefined) cast.set(at, one);
        });
        cast.set(99, true); // Not a voter: counts nothing.
        expect(countVotes(voters, cast)).toBe(naiveVote(votes));
      }),
    );
  });
});

/** Ascending terms, as every Raft log has them. */
const terms = (maxLength: number): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: 1, max: 5 }), { maxLength }).map((list) => list.toSorted((left, right) => left - right));

/** Logs of successive leaders: each keeps a part of an earlier one and goes on in a term of its own. */
const leaderLogs: fc.Arbitrary<readonly (readonly Entry[])[]> = fc
  .array(fc.record({ parent: fc.nat(), keep: fc.nat({ max: 6 }), count: fc.integer({ min: 1, max: 3 }) }), {
    minLength: 1,
    maxLength: 6,
  })
  .map((forks) => {
    const logs: number[][] = [];
    forks.forEach(({ parent, keep, count }, at) => {
      const kept = logs[parent % Math.max(1, at)]?.slice(0, keep) ?? [];
      logs.push([...kept, ...Array.from({ length: count }, () => at + 1)]);
    });
    return logs.map((list) => logOfTerms(list));
  });

const open = (entries: readonly Entry[], base: LogPosition = emptyLog, commit = 0): RaftLog =>
  new RaftLog({
    base: {
      position: base,
      timeMs: 0,
      configuration: votersOnly([]),
      configurationIndex: base.index,
      formatLevel: 2,
    },
    last: entries.length === 0 ? base : tailOf(entries),
    runs: runsOf(entries),
    commit: asIndex(commit),
    configurations: [{ index: base.index, configuration: votersOnly([]) }],
    formatLevel: { level: 2, written: 2, raises: [] },
    configurationIn: () => votersOnly([]),
  });

describe('log', () => {
  test('termAt and lastIndexWithTermAtMost know what an array of terms knows, above any base', () => {
    fc.assert(
      fc.property(
        terms(12),
        fc.nat({ max: 12 }),
        fc.nat({ max: 14 }),
        fc.nat({ max: 6 }),
        (list, baseAt, index, term) => {
          const all = logOfTerms(list);
          const trimmed = Math.min(baseAt, all.length);
          const base = tailOf(all.slice(0, trimmed));
          const log = open(all.slice(trimmed), base);
          const known = [{ index: 0, term: 0 }, ...all].slice(trimmed);
          expect(log.termAt(asIndex(index))).toBe(known.find((one) => one.index === index)?.term);
          const naive = known.findLast((one) => one.index <= index && one.term <= term)?.index ?? trimmed;
          expect(log.lastIndexWithTermAtMost(asIndex(index), asTerm(term))).toBe(naive);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('upToDate compares the last terms, then the last indexes (bug E5)', () => {
    const position = fc.record({ term: fc.nat({ max: 3 }).map(asTerm), index: fc.nat({ max: 3 }).map(asIndex) });
    fc.assert(
      fc.property(position, position, (left, right) => {
        const rank = (at: typeof left): number => at.term * 100 + at.index;
        expect(RaftLog.upToDate(left, right)).toBe(rank(left) >= rank(right));
      }),
      { numRuns: 500 },
    );
  });

  test('tryAppend does to the log what figure 2 says, and its writes do it to the disk', () => {
    const appendOf = fc.record({ source: fc.nat(), previous: fc.nat({ max: 9 }), count: fc.nat({ max: 4 }) });
    fc.assert(
      fc.property(leaderLogs, fc.array(appendOf, { maxLength: 10 }), (sources, appends) => {
        const log = open([]);
        let naive: Entry[] = [];
        let disk: Entry[] = [];
        for (const { source, previous, count } of appends) {
          const theirs = sources[source % sources.length] ?? [];
          if (previous > theirs.length) continue;
          const previousTerm = theirs[previous - 1]?.term ?? asTerm(0);
          const entries = theirs.slice(previous, previous + count);
          const matched = log.tryAppend(asIndex(previous), previousTerm, entries);

          if (previous > naive.length || (naive[previous - 1]?.term ?? 0) !== previousTerm) {
            expect(matched).toBeNull();
          } else {
            expect(matched).toBe(previous + entries.length);
            const conflict = entries.findIndex((entry) => naive[entry.index - 1]?.term !== entry.term);
            if (conflict >= 0) naive = [...naive.slice(0, previous + conflict), ...entries.slice(conflict)];
          }
          for (const write of appendsOf(log.takeWrites())) {
            disk = [...disk.slice(0, (write.truncateFrom ?? disk.length + 1) - 1), ...write.entries];
          }
          expect(disk).toEqual(naive);
          expect(log.last.index).toBe(naive.length);
          naive.forEach((entry) => expect(log.termAt(entry.index)).toBe(entry.term));
        }
      }),
      { numRuns: 500 },
    );
  });

  test('two entries of one index and term with different histories stop the node: that is no Raft log', () => {
    const log = open(logOfTerms([1, 2]));
    const other = logOfTerms([1, 1, 2, 3])
      .slice(3)
      .map((entry) => ({ ...entry, index: asIndex(3) }));
    expect(() => log.tryAppend(asIndex(2), asTerm(2), other)).toThrow('the logs diverged');
  });

  test('becameDurable never goes past what the disk and the log have in common (bugs E8, E9)', () => {
    const step = fc.record({
      at: fc.nat({ max: 5 }),
      length: fc.integer({ min: 1, max: 3 }),
      writes: fc.nat({ max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const log = open([]);
        let memory: Entry[] = [];
        const pending: { sequence: number; after: readonly Entry[] }[] = [];
        let disk: readonly Entry[] = [];
        steps.forEach(({ at, length, writes }, term) => {
          const kept = memory.slice(0, at).map((entry) => entry.term as number);
          const next = logOfTerms([...kept, ...Array.from({ length }, () => term + 1)]);
          log.tryAppend(asIndex(kept.length), asTerm(kept.at(-1) ?? 0), next.slice(kept.length));
          memory = next;
          for (const { sequence } of log.takeWrites()) pending.push({ sequence, after: memory });
          const done = pending.splice(0, writes).at(-1);
          if (done !== undefined) {
            disk = done.after;
            log.becameDurable(asIndex(disk.length), done.sequence);
          }
          const common = memory.findIndex((entry, place) => disk[place]?.hash !== entry.hash);
          expect(log.durable).toBeLessThanOrEqual(common < 0 ? memory.length : common);
          if (pending.length === 0) expect(log.durable).toBe(memory.length);
        });
      }),
      { numRuns: 500 },
    );
  });
});
