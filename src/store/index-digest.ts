/**
 * One number for all that an index says, however it is cut into windows: the same traces in the same blocks give the same
 * digest on every node. Sums over (trace, block), so the order does not matter. It finds what went wrong, not what an enemy made.
 */
import type { LogIndex } from '../raft/core/types.ts';
import { type Fingerprint, mixed } from './fingerprint.ts';

export class IndexDigest {
  #low = 0;
  #high = 0;
  #count = 0;

  /** References taken in. */
  get count(): number {
    return this.#count;
  }

  add(fingerprint: Fingerprint, block: LogIndex): void {
    const place = mixed(block ^ 0x2545f491);
    const low = mixed((fingerprint % 0x1_0000_0000) ^ place);
    this.#low = (this.#low + low) | 0;
    this.#high = (this.#high + mixed(low ^ mixed(fingerprint / 0x1_0000_0000))) | 0;
    this.#count += 1;
  }

  toString(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
  }
}
