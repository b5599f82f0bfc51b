/** Randomness from a seed: sfc32 (Chris Doty-Humphrey's small fast counter generator), seeded by hashing text. */
import type { Random } from '../../../src/platform/random.ts';

export class SimRandom implements Random {
  readonly #seed: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number | string) {
    this.#seed = String(seed);
    this.#a = hashText(this.#seed, 0x9e3779b9);
    this.#b = hashText(this.#seed, 0x243f6a88);
    this.#c = hashText(this.#seed, 0xb7e15162);
    for (let n = 0; n < 12; n++) this.next();
  }

  /**
   * Another stream, set by this one's seed and `name` alone: however much is drawn from one, the others do not move.
   * The same name gives the same stream again.
   */
  fork(name: string): SimRandom {
    return new SimRandom(`${this.#seed}/${name}`);
  }

  /** A uniform integer in [0, 2^32). */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  below(bound: number): number {
    if (!(bound >= 1 && bound <= 2 ** 32)) throw new RangeError(`not a bound: ${bound}`);
    return Math.floor((this.next() / 2 ** 32) * bound);
  }

  bytes(length: number): Uint8Array {
    const drawn = new Uint8Array(length);
    for (let at = 0; at < length; at++) drawn[at] = this.next() >>> 24;
    return drawn;
  }

  /** A uniform number in [0, 1). */
  unit(): number {
    return this.next() / 2 ** 32;
  }

  /** A uniform number in [low, high). */
  between(low: number, high: number): number {
    return low + this.unit() * (high - low);
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError('nothing to pick from');
    return item;
  }

  /** One bit is not what it was. */
  flipBit(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const at = this.below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << this.below(8));
  }

  /** In a new order. */
  shuffle<Item>(items: readonly Item[]): Item[] {
    const left = [...items];
    const order: Item[] = [];
    while (left.length > 0) order.push(...left.splice(this.below(left.length), 1));
    return order;
  }
}

/** FNV-1a with a final mix. */
function hashText(text: string, basis: number): number {
  let hash = basis;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
