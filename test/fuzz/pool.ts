/** Inputs worth changing: the corpus, and whatever came out in a way that no input did before. */
import type { SeededRandom } from '../support/seeded-random.ts';

/** More would only make each of them come up less often. */
const sizeMax = 4_096;

export class Pool {
  readonly #inputs: Uint8Array[];
  readonly #shapes = new Set<string>();

  constructor(corpus: readonly Uint8Array[]) {
    this.#inputs = [...corpus];
  }

  get size(): number {
    return this.#inputs.length;
  }

  /** Keeps `input` when its shape is new. */
  offer(input: Uint8Array, shape: string): void {
    if (this.#inputs.length >= sizeMax || this.#shapes.has(shape)) return;
    this.#shapes.add(shape);
    this.#inputs.push(input);
  }

  /** The smaller of two: small inputs are judged faster, and say as much. */
  pick(random: SeededRandom): Uint8Array {
    const one = random.pick(this.#inputs);
    const other = random.pick(this.#inputs);
    return one.length <= other.length ? one : other;
  }
}
