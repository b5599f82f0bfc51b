/** The load generator's process, held by the bench: set up, run, stop. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { FromLoad, LoadOrder, LoadResult, LoadSetup, ToLoad } from './load-messages.ts';

export class Generator {
  readonly #process: ChildProcess;
  /** Of what it was set up with last, on average. */
  bytesPerSpan = Number.NaN;
  bytesPerRequest = Number.NaN;

  constructor() {
    this.#process = fork(new URL('load.ts', import.meta.url), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // Ctrl-C in a terminal reaches it only through the bench.
      detached: true,
    });
  }

  async setUp(setup: LoadSetup): Promise<void> {
    const answer = await this.#ask({ kind: 'setup', setup });
    if (answer.kind === 'ready') ({ bytesPerSpan: this.bytesPerSpan, bytesPerRequest: this.bytesPerRequest } = answer);
  }

  async run(order: LoadOrder): Promise<LoadResult> {
    const answer = await this.#ask({ kind: 'run', order });
    if (answer.kind !== 'result') throw new Error(`the load generator answered ${answer.kind}`);
    return answer.result;
  }

  stop(): void {
    this.#process.kill();
  }

  async #ask(message: ToLoad): Promise<FromLoad> {
    const stopWaiting = new AbortController();
    const exit = once(this.#process, 'exit', { signal: stopWaiting.signal }).then(() => {
      throw new Error('the load generator ended');
    });
    const answer = once(this.#process, 'message', { signal: stopWaiting.signal });
    this.#process.send(message);
    try {
      const [received] = (await Promise.race([answer, exit])) as [FromLoad];
      return received;
    } finally {
      exit.catch(() => undefined);
      answer.catch(() => undefined);
      stopWaiting.abort();
    }
  }
}
