/** One byte budget over all requests being read, inflated and built; over it a request is refused before its body is read (protocol C6). */
export class Admission {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A reservation of `bytes`, or null when the budget is used up. */
  admit(bytes: number): Reservation | null {
    if (this.#bytes + bytes > this.#bytesMax) return null;
    this.#bytes += bytes;
    let reserved = bytes;
    return {
      grow: (total) => {
        const more = Math.max(0, total - reserved);
        if (this.#bytes + more > this.#bytesMax) return false;
        this.#bytes += more;
        reserved += more;
        return true;
      },
      release: () => {
        this.#bytes -= reserved;
        reserved = 0;
      },
    };
  }
}

export interface Reservation {
  /** Asks for `total` bytes in all, before they are used. False when the budget has no room for them. */
  readonly grow: (total: number) => boolean;
  /** Gives everything back. Safe to call twice. */
  readonly release: () => void;
}
