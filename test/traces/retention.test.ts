/** What a leader lets go of, and what it says stands before the rest (protocol E1, E3). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { limits, type RetentionLimits } from '../../src/limits.ts';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import {
  asIndex,
  asReplicaId,
  type Configuration,
  type ConfigurationAt,
  emptyLog,
  type Entry,
  type LogBase,
  type LogIndex,
} from '../../src/raft/core/types.ts';
import { NotInLogError } from '../../src/store/block-log.ts';
import { encodeConfiguration } from '../../src/store/configuration-record.ts';
import { payloadHashOf, positionOf, sealEntry, weightOf } from '../../src/store/entry.ts';
import type { EntryWeight } from '../../src/store/index-window.ts';
import type { WindowSeen } from '../../src/store/trace-index.ts';
import { Retention, windowBounds } from '../../src/traces/retention.ts';
import { entryAfter } from '../store/support.ts';

const votersNamed = (name: string | number): Configuration => votersOnly([asReplicaId(`n1#${name}`)]);
const founding: LogBase = {
  position: emptyLog,
  timeMs: 0,
  configuration: votersNamed('founding'),
  configurationIndex: emptyLog.index,
  formatLevel: 1,
};
const second = 1_000;

/** A leader with a log and an index in windows, both in memory. Entry n was written at n seconds. */
class Leader {
  readonly entries: Entry[] = [];
  base: LogBase = founding;
  windows: WindowSeen[] = [];
  appliedTo = 0;
  leads = true;
  nowMs: number | null = null;
  monotonicMs = 0;
  answer: 'appended' | 'not-leader' | 'busy' = 'appended';
  readonly proposed: LogBase[] = [];
  readonly reads: string[] = [];
  /** Called while an entry is read. */
  duringRead: () => void = () => undefined;
  readonly retention: Retention;
  readonly kept: RetentionLimits;
  #newest: ConfigurationAt = { index: emptyLog.index, configuration: founding.configuration };

  constructor(kept: RetentionLimits) {
    this.kept = kept;
    this.retention = new Retention({
      limits: kept,
      everyMs: limits.trimEveryMs,
      clock: { monotonicMs: () => this.monotonicMs },
      index: this,
      log: this,
      leads: () => this.leads,
      base: () => this.base,
      applied: () => asIndex(this.appliedTo),
      configuration: () => this.#newest,
      formatLevel: () => 2,
      expiryTimeMs: () => this.nowMs,
      propose: (base) => {
        if (this.answer === 'appended') this.proposed.push(base);
        return this.answer;
      },
    });
  }

  /** Entries of so many payload bytes; a string is a configuration of that name. */
  append(...payloads: (number | string)[]): void {
    for (const payload of payloads) {
      const before = this.entries.at(-1);
      const position = before === undefined ? emptyLog : positionOf(before);
      const index = asIndex(position.index + 1);
      const draft = entryAfter(position, {
        timeMs: index * second,
        payload:
          typeof payload === 'number'
            ? new Uint8Array(payload)
            : encodeConfiguration(votersNamed(payload), this.#newest.index),
      });
      const kind = typeof payload === 'number' ? draft.kind : 'configuration';
      this.entries.push(sealEntry({ ...draft, kind, payloadHash: payloadHashOf(draft.payload) }));
      if (typeof payload === 'string') this.#newest = { index, configuration: votersNamed(payload) };
    }
    this.appliedTo = this.entries.length;
  }

  /** Windows of so many entries each, from the first on. */
  cut(...counts: number[]): void {
    let first = 1;
    this.windows = counts.map((count) => {
      const last = first + count - 1;
      const window = { first: asIndex(first), last: asIndex(last), ...this.weightFrom(first, last) };
      first = last + 1;
      return window;
    });
  }

  weightFrom(first: number, last: number): EntryWeight {
    const weights = this.entries.slice(first - 1, last).map(weightOf);
    return { bytes: weights.reduce((sum, { bytes }) => sum + bytes, 0), timeMs: weights.at(-1)?.timeMs ?? 0 };
  }

  forgetWeights(): void {
    this.windows = this.windows.map(({ first, last }) => ({ first, last, bytes: null, timeMs: null }));
  }

  weigh(first: LogIndex, weight: EntryWeight): void {
    this.windows = this.windows.map((window) => (window.first === first ? { ...window, ...weight } : window));
  }

  async readRange(first: LogIndex, last: LogIndex, bytesMax: number): Promise<Entry[]> {
    await Promise.resolve();
    this.duringRead();
    if (first <= this.base.position.index) throw new NotInLogError(`entry ${first} is trimmed`);
    const found: Entry[] = [];
    let bytes = 0;
    for (const entry of this.entries.slice(first - 1, last)) {
      bytes += entry.payload.length;
      if (found.length > 0 && bytes > bytesMax) break;
      found.push(entry);
    }
    this.reads.push(found.length === 1 ? `${first}` : `${first}-${first + found.length - 1}`);
    return found;
  }

  trimTo(base: LogBase): void {
    this.base = base;
  }

  look(): Promise<LogIndex | null> {
    return this.retention.look();
  }
}

/** Ten entries of a hundred bytes and more, in windows of two. */
function ten(kept: Partial<RetentionLimits>): Leader {
  const leader = new Leader({ ageMs: null, bytes: null, ...kept });
  leader.append(...Array<number>(10).fill(100));
  leader.cut(2, 2, 2, 2, 2);
  return leader;
}
const entryBytes = ten({}).weightFrom(1, 1).bytes;

describe('by age', () => {
  test.each([
    [12, null],
    [14, 2],
    [14.5, 4],
    [16.5, 6],
    [18, 6],
    [100, 10],
  ])(
    'at %s s, of what may be 10 s old, goes what is older, in whole windows: up to %s',
    async (nowSeconds, expected) => {
      const leader = ten({ ageMs: 10 * second });
      leader.nowMs = nowSeconds * second;
      // Of the window 3-4 the last entry is ten seconds old at 14 s: that is not older.
      expect(await leader.look()).toBe(expected);
    },
  );

  test('nothing goes without a time to judge by, nor where another one leads', async () => {
    const leader = ten({ ageMs: 10 * second });
    expect(await leader.look()).toBeNull();
    leader.nowMs = 100 * second;
    leader.leads = false;
    expect(await leader.look()).toBeNull();
    leader.leads = true;
    expect(await leader.look()).toBe(10);
  });

  test('nothing goes that is not applied', async () => {
    const leader = ten({ ageMs: 10 * second });
    leader.nowMs = 100 * second;
    leader.appliedTo = 7;
    expect(await leader.look()).toBe(6);
  });
});

describe('by bytes', () => {
  test.each([
    [10, null],
    [9, 2],
    [8, 2],
    [7.9, 4],
    [2, 8],
    [0, 8],
  ])(
    'of ten entries that are %s entries too many in windows of two, up to %s go; the newest window stays',
    async (entries, expected) => {
      const leader = ten({ bytes: entries * entryBytes });
      expect(await leader.look()).toBe(expected);
    },
  );

  test('what is trimmed already counts no more, and no clock is asked', async () => {
    const leader = ten({ bytes: 7 * entryBytes, ageMs: 1 });
    expect(await leader.look()).toBe(4);
    leader.trimTo(leader.proposed[0] ?? founding);
    leader.monotonicMs += limits.trimEveryMs;
    expect(await leader.look()).toBeNull();
    leader.append(100, 100);
    leader.cut(2, 2, 2, 2, 2, 2);
    expect(await leader.look()).toBe(6);
  });
});

test('of both limits the one that takes more counts', async () => {
  const leader = ten({ bytes: 6 * entryBytes, ageMs: 10 * second });
  leader.nowMs = 12.5 * second;
  expect(await leader.look()).toBe(4);
  const older = ten({ bytes: 6 * entryBytes, ageMs: 10 * second });
  older.nowMs = 16.5 * second;
  expect(await older.look()).toBe(6);
});

test('whatever the sizes, windows, limits and base: all that goes must go, and what stays is within the limits', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 40 });
  const cuts = fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 40 });
  const share = fc.integer({ min: 0, max: 100 });
  await fc.assert(
    fc.asyncProperty(
      sizes,
      cuts,
      share,
      share,
      share,
      fc.boolean(),
      async (payloads, counts, based, aged, sized, old) => {
        const leader = new Leader({
          ageMs: 10 * second,
          bytes: Math.floor((sized / 100) * payloads.length * 250),
        });
        leader.append(...payloads);
        const ends: number[] = [];
        const whole: number[] = [];
        for (const count of [...counts, ...Array<number>(40).fill(1)]) {
          const from = ends.at(-1) ?? 0;
          if (from === payloads.length) break;
          whole.push(Math.min(count, payloads.length - from));
          ends.push(from + (whole.at(-1) ?? 0));
        }
        leader.cut(...whole);
        if (old) leader.forgetWeights();
        leader.nowMs = (10 + (aged / 100) * payloads.length) * second + 1;
        const base = Math.floor((based / 100) * payloads.length);
        const [at] = base === 0 ? [] : [leader.entries[base - 1]];
        if (at !== undefined) leader.base = { ...founding, position: positionOf(at), timeMs: at.timeMs };

        // Every look may weigh one window, and wants to propose as often as it can.
        let end: LogIndex | null = null;
        for (let looks = 0; looks < 90; looks += 1) {
          leader.monotonicMs += limits.trimEveryMs;
          end = (await leader.look()) ?? end;
        }
        const { bytes } = leader.kept;
        const tooOld =
          ends.filter((each) => each > base && each * second < (leader.nowMs ?? 0) - 10 * second).at(-1) ?? 0;
        /** What the index says is there: of the window that the base cuts, the whole where its weight was known. */
        const sumAbove = (each: number): number => {
          const cut = ends.filter((one) => one <= base).at(-1) ?? 0;
          return leader.weightFrom(Math.max(each, old ? base : cut) + 1, payloads.length).bytes;
        };
        const tooMany = ends.filter((each) => each > base && each < payloads.length);
        const isOver = sumAbove(0) > (bytes ?? 0);
        const within = tooMany.find((each) => sumAbove(each) <= (bytes ?? 0)) ?? tooMany.at(-1) ?? 0;
        const expected = Math.max(tooOld, isOver ? within : 0);
        expect(end ?? 0).toBe(expected);
      },
    ),
    { numRuns: 300 },
  );
});

describe('a proposal', () => {
  test('comes at most every five seconds; one that could not be made is made at the next look', async () => {
    const leader = ten({ bytes: 6 * entryBytes });
    leader.answer = 'busy';
    expect(await leader.look()).toBeNull();
    leader.answer = 'appended';
    expect(await leader.look()).toBe(4);
    expect(await leader.look()).toBeNull();
    leader.monotonicMs += limits.trimEveryMs - 1;
    expect(await leader.look()).toBeNull();
    leader.monotonicMs += 1;
    expect(await leader.look()).toBe(4);
    expect(leader.proposed).toHaveLength(2);
  });

  test('is not made by who was replaced, nor of what was trimmed, while it read', async () => {
    const leader = ten({ bytes: 6 * entryBytes });
    leader.duringRead = () => {
      leader.leads = false;
    };
    expect(await leader.look()).toBeNull();
    leader.leads = true;
    const [, , , , , sixth] = leader.entries;
    leader.duringRead = () => {
      if (sixth !== undefined) leader.base = { ...founding, position: positionOf(sixth) };
    };
    expect(await leader.look()).toBeNull();
    expect(leader.proposed).toEqual([]);
  });

  test('is not made for what holds no block: the next one would be made for this one', async () => {
    const leader = new Leader({ ageMs: 10 * second, bytes: null });
    leader.append(100, 0, 'c', 0);
    leader.cut(1, 3);
    leader.nowMs = 100 * second;
    leader.trimTo({ ...founding, position: leader.entries.map(positionOf).at(0) ?? emptyLog });
    expect(await leader.look()).toBeNull();
    leader.append(100);
    leader.cut(1, 4);
    expect(await leader.look()).toBe(5);
  });

  test('is one at a time', async () => {
    const leader = ten({ bytes: 6 * entryBytes });
    expect(await Promise.all([leader.look(), leader.look()])).toEqual([4, null]);
  });
});

test('windows of unknown weight are weighed by reading their entries, one a look and each once', async () => {
  const leader = ten({ bytes: 6 * entryBytes });
  leader.forgetWeights();
  const looks: (LogIndex | null)[] = [];
  for (let look = 0; look < 6; look += 1) looks.push(await leader.look());
  // From the newest down, and no further than the limit reaches.
  expect(looks).toEqual([null, null, null, null, 4, null]);
  expect(leader.reads).toEqual(['9-10', '7-8', '5-6', '3-4', '1-4', '4']);
});

test('they are weighed by age, too, while nothing can be judged yet: the clock guard needs the oldest one', async () => {
  const leader = ten({ ageMs: 3 * second });
  leader.forgetWeights();
  for (let look = 0; look < 5; look += 1) expect(await leader.look()).toBe(null);
  expect(leader.windows.map(({ timeMs }) => timeMs)).toEqual([2, 4, 6, 8, 10].map((at) => at * second));
  leader.nowMs = 8 * second;
  expect(await leader.look()).toBe(4);
});

describe('the base as of the end of the trim', () => {
  /** What a walk over all entries gives. */
  function naive(leader: Leader, index: number): Configuration {
    let found = leader.base.configuration;
    for (const [at, payload] of leader.entries.entries()) {
      if (at + 1 <= leader.base.position.index || at + 1 > index || payload.kind !== 'configuration') continue;
      const { voters, outgoing, learners, addresses } = JSON.parse(Buffer.from(payload.payload).toString());
      found = { voters, outgoing, learners, addresses };
    }
    return found;
  }

  /** The newest configuration entry at or below `index`; 0: there is none. */
  const newest = (isConfiguration: readonly boolean[], index: number): LogIndex =>
    asIndex(isConfiguration.slice(0, index).lastIndexOf(true) + 1);

  test('has the position and time of that entry, the members of then and not of now, and the level in force', async () => {
    const leader = new Leader({ ageMs: 10 * second, bytes: null });
    leader.append(100, 'older', 100, 'old', 100, 100, 'new', 'newer');
    leader.cut(3, 3, 2);
    leader.nowMs = 17 * second;
    expect(await leader.look()).toBe(6);
    const [, , , , , sixth] = leader.entries;
    expect(leader.proposed).toEqual([
      {
        position: sixth && positionOf(sixth),
        timeMs: 6_000,
        configuration: votersNamed('old'),
        configurationIndex: 4,
        formatLevel: 2,
      },
    ]);
  });

  test('wherever configurations, base and end stand', async () => {
    const kinds = fc.array(fc.boolean(), { minLength: 2, maxLength: 30 });
    const share = fc.integer({ min: 0, max: 100 });
    await fc.assert(
      fc.asyncProperty(kinds, share, share, async (isConfiguration, based, ended) => {
        const leader = new Leader({ ageMs: 10 * second, bytes: null });
        leader.append(...isConfiguration.map((each, at) => (each ? `c${at}` : 100)));
        const count = isConfiguration.length;
        const base = Math.floor((based / 100) * (count - 1));
        const end = base + 1 + Math.floor((ended / 100) * (count - base - 1));
        leader.cut(end, ...(end < count ? [count - end] : []));
        const at = leader.entries[base - 1];
        if (at !== undefined)
          leader.base = {
            ...founding,
            position: positionOf(at),
            configuration: naive(leader, base),
            configurationIndex: newest(isConfiguration, base),
          };
        leader.nowMs = (end + 10) * second + 1;
        const takesBlock = isConfiguration.slice(base, end).includes(false) || end - base > 16;
        expect(await leader.look()).toBe(takesBlock ? end : null);
        if (!takesBlock) return;
        expect(leader.proposed[0]?.configuration).toEqual(naive(leader, end));
        expect(leader.proposed[0]?.configurationIndex).toBe(newest(isConfiguration, end));
      }),
      { numRuns: 300 },
    );
  });
});

test('windows of the index span a 24th of what is kept, but not too little', () => {
  expect(windowBounds({ ageMs: null, bytes: null })).toEqual({ windowMs: Infinity, windowBytes: Infinity });
  expect(windowBounds({ ageMs: 24 * 3_600_000, bytes: 48e9 })).toEqual({ windowMs: 3_600_000, windowBytes: 2e9 });
  expect(windowBounds({ ageMs: 1_000, bytes: 1_000 })).toEqual({ windowMs: 1_000, windowBytes: 1024 * 1024 });
});
