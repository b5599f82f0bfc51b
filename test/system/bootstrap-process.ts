/** `cluster/bootstrap` as a child process of a test. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isPortTaken } from '../../cluster/local-cluster.ts';

const root = join(import.meta.dirname, '../..');

export class Bootstrap {
  readonly process: ChildProcess;
  readonly ended: Promise<number | null>;
  text = '';
  #onText: () => void = () => undefined;

  constructor(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    this.process = spawn(join(root, 'cluster/bootstrap'), args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.text += text;
        this.#onText();
      });
    }
    this.ended = new Promise((resolve) => this.process.once('close', (code) => resolve(code)));
  }

  /** Resolves when it has printed `pattern`. */
  async printed(pattern: RegExp): Promise<void> {
    const seen = new Promise<void>((resolve) => {
      this.#onText = () => {
        if (pattern.test(this.text)) resolve();
      };
      this.#onText();
    });
    const over = this.ended.then(() => {
      if (!pattern.test(this.text)) throw new Error(`it ended without ${String(pattern)}:\n${this.text}`);
    });
    await Promise.race([seen, over]);
  }

  /** Process ids of its nodes. */
  get nodes(): number[] {
    const pid = this.process.pid;
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  }

  /** Ctrl-C, once. Resolves with its exit code. */
  stop(): Promise<number | null> {
    if (this.process.exitCode === null) this.process.kill('SIGINT');
    return this.ended;
  }
}

/** A base port with room above it for five nodes. */
export async function freeBase(): Promise<number> {
  for (let base = 20_000 + (process.pid % 1_000) * 10; ; base += 50) {
    const ports = [0, 1, 2, 3, 4].flatMap((index) => [base + 10 * index + 1, base + 10 * index + 2]);
    const taken = await Promise.all(ports.map(isPortTaken));
    if (!taken.includes(true)) return base;
  }
}
