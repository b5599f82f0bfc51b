/**
 * The leader's side of forwarding (protocol C1): a block enters the log only in the term it was meant for, and once.
 * Forwards are sent again when they seem lost, so the same block may arrive twice.
 */
import type { Term } from './core/types.ts';

/** Ids remembered per term. A builder gives a block up after its deadline, so older ones do not come back. */
const rememberedMax = 65_536;

export class AppendOnce {
  #term: Term | null = null;
  readonly #seen = new Set<string>();

  /** True the first time a block is offered in `term`; the caller then appends it, or calls `forget`. */
  admit(term: Term, blockId: string): boolean {
    if (term !== this.#term) {
      this.#term = term;
      this.#seen.clear();
    }
    if (this.#seen.has(blockId)) return false;
    this.#seen.add(blockId);
    if (this.#seen.size > rememberedMax) {
      const oldest = this.#seen.values().next();
      if (oldest.done !== true) this.#seen.delete(oldest.value);
    }
    return true;
  }

  /** The block was not appended after all. */
  forget(blockId: string): void {
    this.#seen.delete(blockId);
  }
}
