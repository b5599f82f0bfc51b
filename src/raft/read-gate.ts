/**
 * Linearizable reads of this node (protocol D1): a reader passes once this node has applied everything that was committed
 * when the reader came. Readers that wait together share one read index; one request is under way at a time, and who comes
 * meanwhile joins the next.
 */
import type { Clock } from '../platform/clock.ts';
import type { LogIndex } from './core/types.ts';

interface Reader {
  readonly pass: (index: LogIndex) => void;
  readonly give: (up: Error) => void;
  readonly cancelDeadline: () => void;
}

export interface ReadGateOptions {
  readonly clock: Clock;
  readonly deadlineMs: number;
  /** A request without an answer for this long is asked again: a message may be lost. */
  readonly retryMs: number;
  /** Ids must not repeat across boots: an old answer must not serve a new question (bug R2). */
  readonly boot: string;
  readonly ask: (requestId: string) => void;
  readonly unavailable: () => Error;
}

export class ReadGate {
  readonly #options: ReadGateOptions;
  #joining = new Set<Reader>();
  #asking: { readonly requestId: string; readonly readers: Set<Reader> } | null = null;
  #cancelRetry = (): void => undefined;
  /** Readers with an index, waiting for it to be applied; ascending. */
  #waiting: { readonly index: LogIndex; readonly readers: Set<Reader> }[] = [];
  #applied: LogIndex;
  #counter = 0;
  #closed = false;

  constructor(options: ReadGateOptions, applied: LogIndex) {
    this.#options = options;
    this.#applied = applied;
  }

  /** Resolves with an applied index that covers every write acknowledged before the call. Rejects at the deadline. */
  pass(): Promise<LogIndex> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(this.#options.unavailable());
        return;
      }
      const reader: Reader = {
        pass: resolve,
        give: reject,
        cancelDeadline: this.#options.clock.after(this.#options.deadlineMs, () => {
          this.#forget(reader);
          reject(this.#options.unavailable());
        }),
      };
      this.#joining.add(reader);
      this.#askNext();
    });
  }

  #askNext(): void {
    if (this.#asking !== null || this.#joining.size === 0) return;
    this.#counter += 1;
    this.#asking = { requestId: `${this.#options.boot}:${this.#counter}`, readers: this.#joining };
    this.#joining = new Set();
    this.#cancelRetry = this.#options.clock.after(this.#options.retryMs, () => this.retry());
    this.#options.ask(this.#asking.requestId);
  }

  /** Asks again, with everybody who waits: there is a new leader, or the answer seems lost. */
  retry(): void {
    this.#cancelRetry();
    if (this.#asking !== null) {
      for (const reader of this.#joining) this.#asking.readers.add(reader);
      this.#joining = this.#asking.readers;
      this.#asking = null;
    }
    this.#askNext();
  }

  /** The outcome of a request; null means that nobody could confirm it, and the retry timer asks again. */
  answered(requestId: string, index: LogIndex | null): void {
    if (this.#asking?.requestId !== requestId || index === null) return;
    const { readers } = this.#asking;
    this.#asking = null;
    this.#cancelRetry();
    this.#waiting.push({ index, readers });
    this.#waiting.sort((left, right) => left.index - right.index);
    this.appliedTo(this.#applied);
    this.#askNext();
  }

  appliedTo(applied: LogIndex): void {
    this.#applied = applied;
    while (this.#waiting[0] !== undefined && this.#waiting[0].index <= applied) {
      for (const reader of this.#waiting.shift()?.readers ?? []) {
        reader.cancelDeadline();
        reader.pass(applied);
      }
    }
  }

  #forget(reader: Reader): void {
    this.#joining.delete(reader);
    this.#asking?.readers.delete(reader);
    for (const group of this.#waiting) group.readers.delete(reader);
    // While this node is far behind, every answer leaves a group; without readers it is only a burden.
    this.#waiting = this.#waiting.filter((group) => group.readers.size > 0);
  }

  close(): void {
    this.#closed = true;
    this.#cancelRetry();
    const everybody = [
      ...this.#joining,
      ...(this.#asking?.readers ?? []),
      ...this.#waiting.flatMap((group) => [...group.readers]),
    ];
    for (const reader of everybody) {
      reader.cancelDeadline();
      reader.give(this.#options.unavailable());
    }
    this.#joining.clear();
    this.#asking = null;
    this.#waiting = [];
  }
}
