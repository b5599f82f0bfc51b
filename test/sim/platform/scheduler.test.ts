/** Virtual time: order, rest between events, pauses and deaths; and that a seed repeats. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClockSkew, SimClock } from './clock.ts';
import { SimProcess } from './process.ts';
import { SimRandom } from './random.ts';
import { SimScheduler } from './scheduler.ts';

describe('scheduler', () => {
  it('runs events by time, and those of one time in the order they were set', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(20), fc.boolean()), { maxLength: 300 }), async (plan) => {
        const scheduler = new SimScheduler();
        const ran: number[] = [];
        const cancels = plan.map(([timeMs], n) => scheduler.at(timeMs, () => ran.push(n)));
        plan.forEach(([, keep], n) => !keep && cancels[n]?.());
        const expected = [...plan.keys()]
          .filter((n) => plan[n]?.[1])
          .sort((a, b) => (plan[a]?.[0] ?? 0) - (plan[b]?.[0] ?? 0) || a - b);
        expect(scheduler.pending).toBe(expected.length);
        await scheduler.run();
        expect(ran).toEqual(expected);
        expect(scheduler.pending).toBe(0);
      }),
    );
  });

  it('lets every microtask run, however long their chain, before the next event', async () => {
    const scheduler = new SimScheduler();
    const seen: string[] = [];
    scheduler.at(1, () => {
      void (async () => {
        for (let n = 0; n < 5000; n++) await Promise.resolve();
        seen.push('chain of the first');
      })();
    });
    scheduler.at(1, () => seen.push('second'));
    await scheduler.run({ settled: () => void seen.push('settled') });
    expect(seen).toEqual(['chain of the first', 'settled', 'second', 'settled']);
  });

  it('stops at its time, and goes on from there', async () => {
    const scheduler = new SimScheduler();
    const ran: number[] = [];
    for (const timeMs of [5, 10, 10.5]) scheduler.at(timeMs, () => ran.push(timeMs));
    await scheduler.run({ untilMs: 10 });
    expect([ran, scheduler.nowMs]).toEqual([[5, 10], 10]);
    expect(await scheduler.step()).toBe(true);
    expect(await scheduler.step()).toBe(false);
    expect(ran).toEqual([5, 10, 10.5]);
  });

  it('passes on what an event throws, and says when a promise can no longer be kept', async () => {
    const scheduler = new SimScheduler();
    scheduler.after(1, () => {
      throw new Error('an invariant broke');
    });
    await expect(scheduler.run()).rejects.toThrow('an invariant broke');
    await expect(scheduler.complete(new Promise(() => {}))).rejects.toThrow(/nothing is left to happen at 1 ms/);
  });
});

describe('process', () => {
  it('sees nothing while it is paused, then everything in order, then what is new', async () => {
    const scheduler = new SimScheduler();
    const process = new SimProcess(scheduler);
    const seen: string[] = [];
    for (const timeMs of [1, 2, 3]) process.after(timeMs, () => seen.push(`${timeMs} at ${scheduler.nowMs}`));
    const cancel = process.after(2.5, () => seen.push('cancelled while held'));
    process.pauseFor(10);
    // Due at the very moment the pause ends, right behind its end: it must not overtake what was held.
    process.after(10, () => seen.push('10'));
    scheduler.at(5, () => cancel());
    await scheduler.run();
    expect(seen).toEqual(['1 at 10', '2 at 10', '3 at 10', '10']);
  });

  it('paused again while it catches up, it stops again', async () => {
    const scheduler = new SimScheduler();
    const process = new SimProcess(scheduler);
    const seen: number[] = [];
    process.pause();
    for (const n of [1, 2, 3]) process.whenRunning(() => (seen.push(n), n === 1 && process.pauseFor(50)));
    process.resume();
    await scheduler.run({ untilMs: 10 });
    expect(seen).toEqual([1]);
    await scheduler.run();
    expect(seen).toEqual([1, 2, 3]);
  });

  it('never sees anything again once it is dead', async () => {
    const scheduler = new SimScheduler();
    const process = new SimProcess(scheduler);
    const seen: string[] = [];
    process.after(5, () => seen.push('timer'));
    process.pause();
    process.whenRunning(() => seen.push('held'));
    process.kill();
    process.resume();
    process.whenRunning(() => seen.push('late'));
    await scheduler.run();
    expect(seen).toEqual([]);
  });

  it('has a wall clock that jumps and a monotonic one that does not', async () => {
    const scheduler = new SimScheduler();
    await scheduler.run({ untilMs: 500 });
    const skew = new ClockSkew();
    const clock = new SimClock(new SimProcess(scheduler), skew);
    const wallMs = clock.nowMs();
    skew.offsetMs = -3_600_000;
    await scheduler.run({ untilMs: 600 });
    expect([clock.nowMs() - wallMs, clock.monotonicMs()]).toEqual([100 - 3_600_000, 100]);
    skew.drift(1.5, scheduler.nowMs);
    await scheduler.run({ untilMs: 700 });
    expect([clock.nowMs() - wallMs, clock.monotonicMs()]).toEqual([250 - 3_600_000, 250]);
  });
});

describe('random', () => {
  it('repeats with its seed, differs without, and forks do not move each other', () => {
    const draw = (random: SimRandom): number[] => Array.from({ length: 20 }, () => random.next());
    expect(draw(new SimRandom(7))).toEqual(draw(new SimRandom(7)));
    expect(draw(new SimRandom(7))).not.toEqual(draw(new SimRandom(8)));
    const used = new SimRandom(7);
    draw(used);
    expect(draw(used.fork('disk'))).toEqual(draw(new SimRandom(7).fork('disk')));
    expect(draw(used.fork('disk'))).not.toEqual(draw(used.fork('net')));
  });

  it('is even enough: each of ten thousand bits is set about half the time', () => {
    const random = new SimRandom('even');
    const ones = Array.from({ length: 32 }, () => 0);
    for (let n = 0; n < 10_000; n++) {
      const word = random.next();
      for (let bit = 0; bit < 32; bit++) ones[bit] = (ones[bit] ?? 0) + ((word >>> bit) & 1);
    }
    for (const count of ones) expect(Math.abs(count - 5000)).toBeLessThan(250);
  });

  it('shuffles without losing anything', () => {
    const items = [...Array(50).keys()];
    const shuffled = new SimRandom(1).shuffle(items);
    expect(shuffled).not.toEqual(items);
    expect(shuffled.toSorted((a, b) => a - b)).toEqual(items);
  });
});
