/**
 * Virtual time: a heap of events ordered by (time, sequence). One event runs at a time, then everything it set in motion
 * (all microtasks) comes to rest before the next. Same events in, same order out: nothing here reads a clock.
 */

interface ScheduledEvent {
  readonly timeMs: number;
  readonly sequence: number;
  /** null once cancelled. */
  fire: (() => void) | null;
}

export interface RunOptions {
  /** Stops before the first event later than this; the clock then stands at this time. Absent: until no event is left. */
  readonly untilMs?: number;
  /** Called between events, everything at rest: the place for invariants. True stops the run. */
  readonly settled?: () => boolean | void;
}

/** After so many events real I/O, real timers and reports of unhandled rejections get their turn. */
const eventsPerTurn = 4096;

/**
 * Resolves once every microtask that is queued, and every one that those queue, has run. Node drains all microtasks before
 * it takes the next tick, so one tick is a full drain, at a fifth of the cost of setImmediate.
 */
async function microtasksDrained(): Promise<void> {
  // From within a tick, the one that is asked for would come before them.
  await Promise.resolve();
  return new Promise((resolve) => process.nextTick(resolve));
}

function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export class SimScheduler {
  #nowMs = 0;
  #sequence = 0;
  #events = 0;
  #heap: ScheduledEvent[] = [];
  #cancelled = 0;
  #running = false;

  /** Virtual ms since the start of the run, with fractions. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events run so far. */
  get events(): number {
    return this.#events;
  }

  /** Events waiting. */
  get pending(): number {
    return this.#heap.length - this.#cancelled;
  }

  /** Runs `fire` as an event of its own, `delayMs` from now. The returned function cancels it. */
  after(delayMs: number, fire: () => void): () => void {
    return this.at(this.#nowMs + delayMs, fire);
  }

  /** Runs `fire` at `timeMs`, or next when that is past. */
  at(timeMs: number, fire: () => void): () => void {
    if (Number.isNaN(timeMs)) throw new RangeError('an event needs a time');
    const event: ScheduledEvent = { timeMs: Math.max(timeMs, this.#nowMs), sequence: this.#sequence++, fire };
    this.#push(event);
    return () => {
      if (event.fire === null) return;
      event.fire = null;
      this.#cancelled++;
      if (this.#cancelled > 64 && this.#cancelled * 2 > this.#heap.length) this.#dropCancelled();
    };
  }

  /** Runs one event and lets everything come to rest. False when there is none. */
  async step(): Promise<boolean> {
    const event = this.#next();
    if (event === undefined) return false;
    this.#fire(event);
    await microtasksDrained();
    return true;
  }

  /** Runs events in order. Rejects with what an event or `settled` throws. */
  async run(options: RunOptions = {}): Promise<void> {
    if (this.#running) throw new Error('the scheduler is running already');
    this.#running = true;
    const untilMs = options.untilMs ?? Infinity;
    const { settled } = options;
    try {
      await microtasksDrained();
      for (let n = 1; ; n++) {
        const event = this.#next(untilMs);
        if (event === undefined) break;
        this.#fire(event);
        await (n % eventsPerTurn === 0 ? turnOfTheLoop() : microtasksDrained());
        if (settled?.() === true) return;
      }
      if (untilMs !== Infinity) this.#nowMs = Math.max(this.#nowMs, untilMs);
    } finally {
      this.#running = false;
    }
  }

  /**
   * Runs events until `promise` is settled, and passes on its outcome. Rejects when the events run out before, or when `stopped`,
   * asked after each, says so.
   */
  async complete<Result>(promise: Promise<Result>, stopped: () => boolean = () => false): Promise<Result> {
    let over = false;
    const end = (): void => {
      over = true;
    };
    promise.then(end, end);
    await microtasksDrained();
    if (!over) await this.run({ settled: () => over || stopped() });
    if (!over)
      throw new Error(`stopped, or nothing is left to happen at ${this.#nowMs} ms, and the promise is still open`);
    return promise;
  }

  #fire(event: ScheduledEvent): void {
    const { fire } = event;
    if (fire === null) throw new Error('a cancelled event must not run');
    this.#nowMs = event.timeMs;
    this.#events++;
    event.fire = null;
    fire();
  }

  /** Takes the earliest event that is not cancelled and not later than `untilMs`. */
  #next(untilMs = Infinity): ScheduledEvent | undefined {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (top.fire === null) {
        this.#pop();
        this.#cancelled--;
        continue;
      }
      return top.timeMs > untilMs ? undefined : this.#pop();
    }
    return undefined;
  }

  #dropCancelled(): void {
    this.#heap = this.#heap.filter((event) => event.fire !== null).sort((a, b) => (before(a, b) ? -1 : 1));
    this.#cancelled = 0;
  }

  #push(event: ScheduledEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = heap[parentAt];
      if (parent === undefined || before(parent, event)) break;
      heap[at] = parent;
      at = parentAt;
    }
    heap[at] = event;
  }

  #pop(): ScheduledEvent | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      const leftAt = 2 * at + 1;
      const left = heap[leftAt];
      if (left === undefined) break;
      const right = heap[leftAt + 1];
      const [childAt, child] = right !== undefined && before(right, left) ? [leftAt + 1, right] : [leftAt, left];
      if (before(last, child)) break;
      heap[at] = child;
      at = childAt;
    }
    heap[at] = last;
    return top;
  }
}

function before(a: ScheduledEvent, b: ScheduledEvent): boolean {
  return a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.sequence < b.sequence);
}
