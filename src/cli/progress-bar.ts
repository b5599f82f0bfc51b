/** A bar on a terminal for what takes long; nothing where nobody looks. Written to stderr, so that stdout holds the result alone. */
import { performance } from 'node:perf_hooks';

const barColumns = 30;
const everyMs = 100;

export class ProgressBar {
  readonly #stream = process.stderr;
  #shownAtMs = -Infinity;

  /** How much of `total` is done; `what` names it. */
  show(what: string, done: number, total: number): void {
    const nowMs = performance.now();
    if (!this.#stream.isTTY || (nowMs - this.#shownAtMs < everyMs && done < total)) return;
    this.#shownAtMs = nowMs;
    const share = total === 0 ? 1 : Math.min(1, done / total);
    const filled = Math.round(share * barColumns);
    const bar = '█'.repeat(filled) + '░'.repeat(barColumns - filled);
    this.#stream.write(`\r\u001B[K${bar} ${Math.floor(share * 100)} %  ${what}`);
  }

  /** Leaves an empty line. */
  clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\u001B[K');
  }
}
