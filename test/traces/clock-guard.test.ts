/** Which clocks are believed: for the time in entries, and for what expires by age (protocol E3). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { asReplicaId, type Configuration, type ReplicaId } from '../../src/raft/core/types.ts';
import { ClockGuard, type ClockReading, medianBounds } from '../../src/traces/clock-guard.ts';
import { settledStage, StoreCluster } from './store-cluster.ts';

const second = 1_000;
const day = 86_400 * second;
const tolerance = limits.clockToleranceMs;

describe('bounds of the median', () => {
  const anyClocks = fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 1, maxLength: 7 });
  const middle = (clocks: readonly number[]): [number, number] => {
    const sorted = clocks.toSorted((left, right) => left - right);
    return [sorted[Math.ceil(clocks.length / 2) - 1] ?? NaN, sorted[Math.floor(clocks.length / 2)] ?? NaN];
  };

  test('hold the median of all clocks, whatever those show that were not heard, and no bound could be tighter', () => {
    fc.assert(
      fc.property(anyClocks, fc.nat(6), (clocks, hidden) => {
        const heard = clocks.slice(Math.min(hidden, clocks.length - 1));
        const unheard = clocks.length - heard.length;
        const bounds = medianBounds(heard, clocks.length);
        if (heard.length <= clocks.length / 2) {
          expect(bounds).toBeNull();
          return;
        }
        const [low, high] = middle(clocks);
        expect(bounds?.lower).toBeLessThanOrEqual(low);
        expect(bounds?.upper).toBeGreaterThanOrEqual(high);
        const all = (shown: number): number[] => [...heard, ...Array<number>(unheard).fill(shown)];
        expect(bounds).toEqual({ lower: middle(all(-Infinity))[0], upper: middle(all(Infinity))[1] });
      }),
    );
  });

  test('of five, two jumped and two down: the wrong clock is not the median, though it is that of the three', () => {
    expect(medianBounds([100, 900, 900], 5)).toEqual({ lower: 100, upper: 900 });
    expect(medianBounds([900, 900], 5)).toBeNull();
  });
});

const [n1, n2, n3, n4, n5] = ['n1#a', 'n2#b', 'n3#c', 'n4#d', 'n5#e'].map(asReplicaId) as [
  ReplicaId,
  ReplicaId,
  ReplicaId,
  ReplicaId,
  ReplicaId,
];

/** n1 on a day of its own, with what it has heard of the others. */
class Stage {
  /** True time is `start` + this. */
  monotonicMs = 5_000;
  /** What is wrong with n1's clock. */
  offMs = 0;
  configuration: Configuration | null;
  readonly told = new Map<ReplicaId, ClockReading>();
  readonly log: string[] = [];
  readonly guard: ClockGuard;

  constructor(voters: readonly ReplicaId[] = [n1, n2, n3], ageMs: number | null = 7 * day) {
    this.configuration = votersOnly(voters);
    this.guard = new ClockGuard({
      self: n1,
      toleranceMs: limits.clockToleranceMs,
      ageMs,
      logger: {
        debug: () => undefined,
        info: (_, line) => this.log.push(line),
        warn: () => undefined,
        error: (_, line) => this.log.push(line),
      },
      configuration: () => this.configuration,
      clockOf: (replica) => this.told.get(replica) ?? null,
    });
  }

  get trueMs(): number {
    return start + this.monotonicMs;
  }
  get now(): ClockReading {
    return { wallMs: this.trueMs + this.offMs, monotonicMs: this.monotonicMs };
  }

  hear(replica: ReplicaId, offMs = 0): void {
    this.told.set(replica, { wallMs: this.trueMs + offMs, monotonicMs: this.monotonicMs });
  }

  /** As leader of a log of which all before `expiredMs` has expired. */
  look(expiredMs: number | null = this.trueMs - 7 * day): number | null {
    this.guard.look(this.now, { expiredMs });
    return this.guard.expiryTimeMs;
  }

  follow(): void {
    this.guard.look(this.now, null);
  }

  /** Looks four times a second, and hears these clocks as often. */
  runFor(durationMs: number, others: readonly ReplicaId[] = [n2, n3], expiredMs?: number | null): number | null {
    let expiry: number | null = null;
    for (let passed = 0; passed < durationMs; passed += 250) {
      this.monotonicMs += 250;
      for (const replica of others) this.hear(replica);
      expiry = this.look(expiredMs);
    }
    return expiry;
  }
}
const start = 1_800_000_000_000;

describe('the time of an entry', () => {
  test('is the own clock, at most a minute off the bounds', () => {
    const stage = new Stage();
    stage.hear(n2);
    stage.hear(n3, 2 * second);
    const at = (offMs: number): number => {
      stage.offMs = offMs;
      return stage.guard.entryTimeMs(stage.now, 0) - stage.trueMs;
    };
    expect([at(0), at(1_500), at(30 * second), at(-30 * second)]).toEqual([0, 1_500, 30 * second, -30 * second]);
    // The median is the clock of n3 when that of n1 is ahead, and of n2 when it is behind.
    expect(at(8 * day)).toBe(2 * second + tolerance);
    expect(at(-8 * day)).toBe(-tolerance);
  });

  test('is the own clock alone while no majority was heard, and where there is no cluster yet', () => {
    const stage = new Stage([n1, n2, n3, n4, n5]);
    stage.offMs = 8 * day;
    stage.hear(n2);
    expect(stage.guard.entryTimeMs(stage.now, 0)).toBe(stage.trueMs + 8 * day);
    stage.hear(n3);
    stage.hear(n4);
    expect(stage.guard.entryTimeMs(stage.now, 0)).toBe(stage.trueMs + tolerance);
    stage.configuration = null;
    expect(stage.guard.entryTimeMs(stage.now, 0)).toBe(stage.trueMs + 8 * day);
  });

  test('goes by what was said in the last minute, as if those clocks had run on', () => {
    const stage = new Stage();
    stage.hear(n2);
    stage.hear(n3);
    stage.offMs = 8 * day;
    stage.monotonicMs += limits.clockReportMs;
    expect(stage.guard.entryTimeMs(stage.now, 0)).toBe(stage.trueMs + tolerance);
    stage.monotonicMs += 1;
    expect(stage.guard.entryTimeMs(stage.now, 0)).toBe(stage.trueMs + 8 * day);
  });

  test('is that of another voter where the own clock is behind the log, and so is wrong', () => {
    const stage = new Stage();
    stage.offMs = -8 * day;
    stage.hear(n2);
    const { trueMs } = stage;
    // One of three is away: nobody else could say which of the two is right.
    expect(stage.guard.entryTimeMs(stage.now, trueMs - 10 * second)).toBe(trueMs);
    expect(stage.guard.entryTimeMs(stage.now, trueMs - 9 * day)).toBe(trueMs - 8 * day);
    // Nobody's clock is ahead of the log: the core does not go back.
    expect(stage.guard.entryTimeMs(stage.now, trueMs + second)).toBe(trueMs - 8 * day);
    // A clock that is ahead of what the median can be is none to go by.
    stage.hear(n2, 0);
    stage.hear(n3, 8 * day);
    expect(stage.guard.entryTimeMs(stage.now, trueMs + second)).toBe(trueMs - tolerance);
  });

  test('stands still while nobody bears the own clock out, but for the first entry of all', () => {
    const stage = new Stage();
    stage.offMs = 8 * day;
    expect(stage.guard.entryTimeMs(stage.now, stage.trueMs - second)).toBe(stage.trueMs - second);
    expect(stage.guard.entryTimeMs(stage.now, 0)).toBe(stage.trueMs + 8 * day);
  });

  test('can be told once a majority was heard', () => {
    const stage = new Stage();
    expect(stage.guard.isInformed(stage.now)).toBe(false);
    stage.hear(n3);
    expect(stage.guard.isInformed(stage.now)).toBe(true);
    stage.monotonicMs += limits.clockReportMs + 1;
    expect(stage.guard.isInformed(stage.now)).toBe(false);
  });

  test('while the members change, both halves count', () => {
    const stage = new Stage([n1, n4, n5]);
    stage.configuration = { ...votersOnly([n1, n4, n5]), outgoing: [n1, n2, n3] };
    stage.offMs = 8 * day;
    for (const replica of [n4, n5]) stage.hear(replica, 3 * day);
    expect(stage.guard.entryTimeMs(stage.now, 0) - stage.trueMs).toBe(8 * day);
    for (const replica of [n2, n3]) stage.hear(replica);
    expect(stage.guard.entryTimeMs(stage.now, 0) - stage.trueMs).toBe(3 * day + tolerance);
    stage.offMs = -8 * day;
    expect(stage.guard.entryTimeMs(stage.now, 0) - stage.trueMs).toBe(-tolerance);
  });
});

describe('the time that age goes by', () => {
  test('is the least of the own clock and the lower bound', () => {
    const stage = new Stage();
    stage.runFor(second);
    stage.hear(n2, 5 * second);
    stage.hear(n3, 9 * second);
    expect(stage.look()).toBe(stage.trueMs);
    stage.hear(n2, -5 * second);
    stage.hear(n3, -9 * second);
    stage.monotonicMs += 30 * second;
    expect(stage.look()).toBe(stage.trueMs - 5 * second);
    stage.offMs = -50 * second;
    expect(stage.look()).toBe(stage.trueMs - 50 * second);
  });

  test('of five, two jumped and two down: nothing expires by the wrong clock', () => {
    const stage = new Stage([n1, n2, n3, n4, n5]);
    stage.offMs = 8 * day;
    for (let passed = 0; passed < 3_600; passed += 1) {
      stage.monotonicMs += second;
      stage.hear(n2, 8 * day);
      stage.hear(n3);
      expect(stage.look() ?? 0).toBeLessThanOrEqual(stage.trueMs);
    }
  });

  test('begins where the log does, and grows by ten seconds a second until it is there', () => {
    const stage = new Stage();
    const expiredMs = stage.trueMs - 8 * day;
    for (const replica of [n2, n3]) stage.hear(replica);
    expect(stage.look(expiredMs)).toBe(expiredMs + 7 * day);
    expect(stage.runFor(60 * second, [n2, n3], expiredMs)).toBe(expiredMs + 7 * day + 600 * second);
    expect(stage.runFor(2 * 3_600 * second, [n2, n3], expiredMs)).toBe(expiredMs + 7 * day + 10 * 7_260 * second);
    expect(stage.runFor(2 * 3_600 * second, [n2, n3], expiredMs)).toBe(stage.trueMs);
  });

  test('what the pace leaves over is not saved up, also not while there is an alarm', () => {
    const stage = new Stage([n1]);
    const expiredMs = stage.trueMs - 7 * day;
    expect(stage.runFor(3_600 * second, [], expiredMs)).toBe(stage.trueMs);
    // The only clock there is: nobody can say that it is wrong.
    stage.offMs = 8 * day;
    const before = stage.trueMs;
    expect(stage.runFor(limits.clockReportMs, [], expiredMs)).toBeNull();
    const after = stage.runFor(10 * second, [], expiredMs);
    expect(after).toBeGreaterThan(before);
    expect(after).toBeLessThanOrEqual(before + 11 * 10 * second);
  });

  test('a base that came from elsewhere needs no pace', () => {
    const stage = new Stage();
    const expiredMs = stage.trueMs - 100 * day;
    stage.runFor(second, [n2, n3], expiredMs);
    expect(stage.look(stage.trueMs - 8 * day)).toBe(stage.trueMs - day);
  });

  test('a new term of office begins anew', () => {
    const stage = new Stage();
    stage.runFor(second);
    expect(stage.look()).toBe(stage.trueMs);
    stage.follow();
    expect(stage.guard.expiryTimeMs).toBeNull();
    stage.monotonicMs += second;
    expect(stage.look(stage.trueMs - 9 * day)).toBe(stage.trueMs - 2 * day);
  });

  test('there is none where nothing can expire, by setting or for want of entries', () => {
    const kept = new Stage([n1, n2, n3], null);
    expect([kept.runFor(second), kept.guard.alarm]).toEqual([null, null]);
    const empty = new Stage();
    expect([empty.runFor(second, [n2, n3], null), empty.guard.alarm]).toEqual([null, null]);
    expect(empty.look()).not.toBeNull();
  });
});

describe('the alarm', () => {
  test('of a clock that jumps, at the next look, until it is right again; it is logged once', () => {
    const stage = new Stage();
    expect(stage.runFor(10 * second)).not.toBeNull();
    stage.offMs = 8 * day;
    stage.monotonicMs += 1;
    expect(stage.look()).toBeNull();
    expect(stage.guard.alarm).toBe(
      'the clock of this node is 691200 s ahead of the median of the voters: set it right (NTP); until then nothing expires by age where this node leads',
    );
    expect(stage.runFor(10 * second)).toBeNull();
    stage.offMs = -61 * second;
    expect(stage.runFor(250)).toBeNull();
    expect(stage.guard.alarm).toMatch(/^the clock of this node is 61 s behind the median/);
    stage.offMs = -60 * second;
    expect([stage.runFor(250), stage.guard.alarm]).toEqual([expect.any(Number), null]);
    expect(stage.log).toEqual([expect.stringContaining('691200 s ahead'), 'the clock alarm is over']);
  });

  test('is not raised by a leader that has yet to hear the others; a minute later it is', () => {
    const stage = new Stage();
    expect([stage.look(), stage.guard.alarm]).toEqual([null, null]);
    expect(stage.runFor(limits.clockReportMs, [])).toBeNull();
    expect(stage.guard.alarm).toBeNull();
    stage.runFor(250, []);
    expect(stage.guard.alarm).toMatch(/^no majority of the voters has told its clock in the last minute/);
    expect(stage.runFor(250, [n3])).not.toBeNull();
    expect(stage.guard.alarm).toBeNull();
  });

  test('for want of a majority is for those whose entries expire by age, while they lead', () => {
    const follower = new Stage();
    for (let passed = 0; passed < 70; passed += 1) {
      follower.monotonicMs += second;
      follower.follow();
    }
    expect([follower.look(), follower.guard.alarm]).toEqual([null, null]);
    const kept = new Stage([n1, n2, n3], null);
    kept.runFor(70 * second, []);
    expect(kept.guard.alarm).toBeNull();
  });

  test('a follower tells of its own clock, too', () => {
    const stage = new Stage();
    stage.offMs = -day;
    for (const replica of [n2, n3]) stage.hear(replica);
    stage.follow();
    expect(stage.guard.alarm).toContain('86400 s behind');
  });

  test('a lone voter that jumps is told of it for a minute; one of three is not, where it jumps back to the others', () => {
    const lone = new Stage([n1]);
    expect(lone.runFor(second, [])).not.toBeNull();
    lone.offMs = 8 * day;
    expect(lone.runFor(250, [])).toBeNull();
    expect(lone.guard.alarm).toMatch(/^the clock of this node jumped 691200 s ahead, and no other voter bears it out/);
    expect(lone.runFor(limits.clockReportMs + 250, [])).not.toBeNull();
    expect(lone.guard.alarm).toBeNull();
    const stage = new Stage();
    stage.offMs = day;
    stage.runFor(second);
    stage.offMs = 0;
    expect(stage.runFor(250)).not.toBeNull();
  });
});

describe('in a cluster', () => {
  test('nodes tell one another their clocks: whoever is wrong says so in its status', async () => {
    const { cluster, leader, followers } = await settledStage(1_000);
    expect(cluster.nodes.map((node) => node.opened.status.clockAlarm)).toEqual([null, null, null]);
    followers[0].skew.offsetMs = 8 * day;
    await cluster.runFor(1_000);
    expect(followers[0].opened.status.clockAlarm).toContain('691200 s ahead');
    expect([leader, followers[1]].map((node) => node.opened.status.clockAlarm)).toEqual([null, null]);
    expect(followers[0].log.filter((line) => line.startsWith('error: the clock of this node'))).toHaveLength(1);
  });

  test('one of format level 1 is told no clock, and all else', async () => {
    const cluster = new StoreCluster({ logVerifyBytes: 1e6 });
    const [first, second_, old] = cluster.nodes;
    old.formats = { oldest: 1, newest: 1 };
    old.skew.offsetMs = 8 * day;
    await cluster.start(first, second_, old);
    await cluster.settled();
    await cluster.runFor(2_000);
    expect(cluster.unreadable).toEqual([]);
    expect(old.opened.status.clockAlarm).toBeNull();
    for (const { appliedIndex } of old.opened.status.members) expect(appliedIndex).toBeGreaterThan(0);
  });
});
