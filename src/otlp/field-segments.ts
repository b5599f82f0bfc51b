/**
 * Where each field of the messages being written lies, so that keys may come in any order and more than once. The
 * messages around the one at hand keep their segments below its own, in the same stack.
 *
 * Always holds: the segments of a message follow one another without a gap, and the last ends where the writer stands.
 */
import type { ForwardWriter } from './forward-writer.ts';

export class FieldSegments {
  readonly #writer: ForwardWriter;
  readonly #numbers: number[] = [];
  readonly #starts: number[] = [];
  /** Segments of all open messages: a mark for the message that is opened next. */
  count = 0;

  constructor(writer: ForwardWriter) {
    this.#writer = writer;
  }

  /** From here on, field `number` is written. */
  begin(number: number): void {
    this.#numbers[this.count] = number;
    this.#starts[this.count] = this.#writer.length;
    this.count += 1;
  }

  /**
   * Takes out the segment of field `number`, one of those from `mark` on, and its bytes. It is done at once, so that a
   * key repeated without end takes no memory; what lies behind it is moved, but only once for each field before it.
   */
  remove(mark: number, number: number): void {
    let index = mark;
    while (this.#numbers[index] !== number) index += 1;
    const start = this.#startOf(index);
    const size = this.#startOf(index + 1) - start;
    for (; index + 1 < this.count; index += 1) {
      this.#numbers[index] = this.#numbers[index + 1] as number;
      this.#starts[index] = this.#startOf(index + 1) - size;
    }
    this.count -= 1;
    this.#writer.remove(start, start + size);
  }

  /** Puts the segments from `mark` on into ascending order. */
  sort(mark: number): void {
    const order = Array.from({ length: this.count - mark }, (_, index) => mark + index);
    order.sort((a, b) => (this.#numbers[a] as number) - (this.#numbers[b] as number));
    const firstMoved = order.findIndex((segment, index) => segment !== mark + index);
    if (firstMoved < 0) return;
    const pieces = order.slice(firstMoved).flatMap((segment) => [this.#startOf(segment), this.#startOf(segment + 1)]);
    this.#writer.rearrange(this.#startOf(mark + firstMoved), pieces);
  }

  #startOf(index: number): number {
    return index < this.count ? (this.#starts[index] as number) : this.#writer.length;
  }
}
