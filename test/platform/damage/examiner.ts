/** Opens damaged stores in a process of its own: LevelDB answers some damage by killing the process. */
import { fork, type ChildProcess } from 'node:child_process';
import type { LevelOptions } from '../../../src/platform/real/key-value.ts';
import type { ByteKey } from '../../sim/platform/ordered-bytes.ts';
import type { LogOutcome } from './log-outcome.ts';
import type { Outcome } from './outcome.ts';

export interface Question {
  readonly path: string;
  readonly options: LevelOptions;
  readonly ask:
    | { readonly of: 'store'; readonly keys: readonly ByteKey[] }
    | { readonly of: 'log'; readonly verifyBytes: number };
}

const script = new URL('examine.ts', import.meta.url);
/** Longer than any answer takes; a store that takes longer counts as one that kills. */
const patienceMs = 20_000;

export class Examiner {
  #child: ChildProcess | null = null;

  store(path: string, options: LevelOptions, keys: readonly ByteKey[]): Promise<Outcome> {
    return this.#ask<Outcome>({ path, options, ask: { of: 'store', keys } });
  }

  log(path: string, options: LevelOptions, verifyBytes: number): Promise<LogOutcome> {
    return this.#ask<LogOutcome>({ path, options, ask: { of: 'log', verifyBytes } });
  }

  close(): void {
    this.#child?.kill('SIGKILL');
  }

  #ask<Reply>(question: Question): Promise<Reply | { kind: 'died' }> {
    this.#child ??= fork(script, {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execArgv: [],
      serialization: 'advanced',
    });
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const patience = setTimeout(() => child.kill('SIGKILL'), patienceMs);
      const settle = (settled: () => void): void => {
        clearTimeout(patience);
        child.removeAllListeners();
        settled();
      };
      child.once('message', (reply) =>
        settle(() => (reply instanceof Error ? reject(reply) : resolve(reply as Reply))),
      );
      child.once('error', (error) => settle(() => reject(error)));
      child.once('exit', () => {
        this.#child = null;
        settle(() => resolve({ kind: 'died' }));
      });
      child.send(question);
    });
  }
}
