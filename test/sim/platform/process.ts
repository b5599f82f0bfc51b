/**
 * One run of one node's process, from boot to crash. Everything that happens *to* the node (timers, completions, bytes)
 * passes through `whenRunning`, so a paused process sees nothing until it goes on, and a dead one never again.
 */
import type { SimScheduler } from './scheduler.ts';

export class SimProcess {
  readonly scheduler: SimScheduler;
  /** Virtual time of the boot. */
  readonly bootMs: number;
  /** Grows with everything that happens to the node: where it did not, the node is as it was. */
  turns = 0;
  #alive = true;
  #paused = false;
  #runningSinceMs: number;
  #held: (() => void)[] = [];
  #deathAt: { left: number; readonly die: (where: string) => void } | null = null;
  #draining = false;

  constructor(scheduler: SimScheduler) {
    this.scheduler = scheduler;
    this.bootMs = scheduler.nowMs;
    this.#runningSinceMs = this.bootMs;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Whether it has run without a pause since `sinceMs`. */
  ranSince(sinceMs: number): boolean {
    return this.#alive && !this.#paused && this.#runningSinceMs <= sinceMs;
  }

  /** Does `action` now, or once the process runs again, in order; never when it dies first. */
  whenRunning(action: () => void): void {
    if (!this.#alive) return;
    if (this.#paused || this.#held.length > 0) {
      this.#held.push(action);
      return;
    }
    this.turns += 1;
    action();
  }

  /**
   * The process stands before or behind an effect: a write, a message, an entry applied. Code that goes on after a death here
   * is a ghost: nothing it does shows.
   */
  boundary(where: string): void {
    const death = this.#deathAt;
    if (death === null || !this.#alive) return;
    death.left -= 1;
    if (death.left > 0) return;
    this.#deathAt = null;
    death.die(where);
  }

  /** Calls `die` at the `count`th boundary from now. */
  dieAtBoundary(count: number, die: (where: string) => void): void {
    this.#deathAt = { left: count, die };
  }

  /** `whenRunning`, as an event `delayMs` from now. */
  after(delayMs: number, action: () => void): () => void {
    let cancelled = false;
    const cancelEvent = this.scheduler.after(delayMs, () =>
      this.whenRunning(() => {
        if (!cancelled) action();
      }),
    );
    return () => {
      cancelled = true;
      cancelEvent();
    };
  }

  /** SIGSTOP, or a loop that is stuck. */
  pause(): void {
    this.turns += 1;
    this.#paused = true;
  }

  /** SIGCONT: what was held happens now, each thing an event of its own, before anything newer. */
  resume(): void {
    this.turns += 1;
    this.#paused = false;
    this.#runningSinceMs = this.scheduler.nowMs;
    if (!this.#draining) this.#drain();
  }

  pauseFor(durationMs: number): void {
    this.pause();
    this.scheduler.after(durationMs, () => this.resume());
  }

  /** The process is gone. Nothing that was pending reaches it; its promises stay open for ever. */
  kill(): void {
    this.#alive = false;
    this.#held = [];
  }

  #drain(): void {
    this.#draining = this.#held.length > 0;
    if (!this.#draining) return;
    this.scheduler.after(0, () => {
      if (this.#paused) {
        this.#draining = false;
        return;
      }
      this.turns += 1;
      const action = this.#held[0];
      // It leaves the line only when it is done: until then newer things must queue behind it.
      action?.();
      this.#held.shift();
      this.#drain();
    });
  }
}
