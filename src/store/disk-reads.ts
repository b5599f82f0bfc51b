/**
 * Reads of the disk for lookups: so many at a time over all of them, the others in the order they came (protocol F4). Each
 * keeps a thread of the pool busy for as long as the disk takes, and the writes of the log need threads, too.
 *
 *   under way <= atOnce
 */
export class DiskReads {
  readonly #atOnce: number;
  readonly #waiting = new Set<() => void>();
  #underWay = 0;

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** Calls `read` when it is its turn; ends as that does. */
  async run<Result>(read: () => Promise<Result>): Promise<Result> {
    if (this.#underWay >= this.#atOnce) await new Promise<void>((resolve) => this.#waiting.add(resolve));
    else this.#underWay += 1;
    try {
      return await read();
    } finally {
      this.#leave();
    }
  }

  /** The place of one that is done is handed over. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#underWay -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
