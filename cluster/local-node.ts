/** One node of a local cluster as a child process: start, wait until it serves, signal, stop, and its last lines. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

/** What is started: the command, and whether it listens for gRPC (0.1.0 does not). */
export interface Program {
  readonly command: string;
  readonly grpc: boolean;
}

/** The version that this file belongs to. */
export const thisVersion: Program = { command: join(import.meta.dirname, '../bin/quorate'), grpc: true };
const lastLinesMax = 20;
const readyPollMs = 50;
const stopPatienceMs = 10_000;

export interface LocalNodeOptions {
  readonly id: string;
  /** Data directory of this node. */
  readonly data: string;
  /** `HOST:PORT` of its OTLP/gRPC, of its HTTP API and for its peers. */
  readonly grpc: string;
  readonly http: string;
  readonly peer: string;
  /** The value of --cluster, or that of --join for a node that is new to a cluster. */
  readonly members: { readonly cluster: string } | { readonly join: string };
  /** Added to the environment of the process. */
  readonly environment?: Readonly<Record<string, string>>;
  /** A command to run the node under, for example `['strace', '-f', '-o', FILE]`. */
  readonly wrapper?: readonly string[] | undefined;
  /** Every line the node writes to either stream. */
  readonly onLine?: (id: string, line: string) => void;
  /** The process ended without having been asked to. */
  readonly onDeath?: (node: LocalNode, end: string) => void;
  /** How long `start` waits for /readyz. */
  readonly readyTimeoutMs?: number;
}

export class LocalNode {
  readonly id: string;
  readonly data: string;
  /** Base URL of its HTTP API. */
  readonly http: string;
  /** `HOST:PORT` of its OTLP/gRPC. */
  readonly grpc: string;
  /** `HOST:PORT` where the other nodes connect to. */
  readonly peer: string;
  readonly options: LocalNodeOptions;
  /** Of the next start. */
  program: Program = thisVersion;
  #process: ChildProcess | null = null;
  #ended: Promise<string> = Promise.resolve('not started');
  #stopping = false;
  #lastLines: string[] = [];
  readonly #lineWaiters = new Set<(line: string) => void>();

  constructor(options: LocalNodeOptions) {
    this.options = options;
    this.id = options.id;
    this.data = options.data;
    this.grpc = options.grpc;
    this.http = `http://${options.http}`;
    this.peer = options.peer;
  }

  /** The running process, or null. With a `wrapper` it is the wrapper's. */
  get process(): ChildProcess | null {
    return this.#process;
  }

  /** Resolves with how the process ended: `exit code 0`, or the name of a signal. */
  get ended(): Promise<string> {
    return this.#ended;
  }

  /** What the node wrote last, oldest first. */
  get lastLines(): readonly string[] {
    return this.#lastLines;
  }

  /** Starts the process and, unless `ready` is false, waits until it serves. Rejects with a sentence and its last lines. */
  async start(options: { readonly ready?: boolean } = {}): Promise<void> {
    this.spawn();
    if (options.ready !== false) await this.waitUntilReady();
  }

  /** Starts the process and waits for nothing. */
  spawn(): void {
    if (this.#process !== null) throw new Error(`${this.id} is running already.`);
    const { id, data, grpc, http, peer, members, environment, wrapper = [] } = this.options;
    const { program } = this;
    const listening = [...(program.grpc ? ['--grpc', grpc] : []), '--http', http, '--peer', peer];
    const others = 'join' in members ? ['--join', members.join] : ['--cluster', members.cluster];
    const flags = ['--id', id, '--data', data, ...others, ...listening];
    const [command = '', ...rest] = [...wrapper, program.command, 'start', ...flags];
    // A process group of its own, so that Ctrl-C in a terminal reaches a node only through whoever manages it.
    const child = spawn(command, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...inheritedEnvironment(), ...environment },
    });
    this.#process = child;
    this.#stopping = false;
    this.#lastLines = [];
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => this.#onLine(line));
    }
    this.#ended = new Promise((resolve) => {
      let failure: string | undefined;
      child.on('error', (error) => (failure ??= error.message));
      // `close` and not `exit`: the last lines have been read by then. A process that never started closes, too.
      child.on('close', (code, signal) => {
        this.#process = null;
        const end = failure ?? (signal === null ? `exit code ${code}` : signal);
        resolve(end);
        if (!this.#stopping) this.options.onDeath?.(this, end);
      });
    });
  }

  /** Resolves once GET /readyz is 200. Rejects when the process ends before, or at the deadline. */
  async waitUntilReady(timeoutMs = this.options.readyTimeoutMs ?? 60_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    let ended: string | undefined;
    void this.#ended.then((end) => (ended = end));
    for (;;) {
      if (await this.isReady(Math.min(2_000, timeoutMs))) return;
      if (ended !== undefined) throw new Error(this.#describe(`${this.id} stopped before it was ready (${ended})`));
      if (performance.now() > deadline) {
        throw new Error(this.#describe(`${this.id} was not ready after ${timeoutMs / 1_000} s`));
      }
      await delay(readyPollMs);
    }
  }

  /** Whether GET /readyz answers 200, inside `timeoutMs`. */
  async isReady(timeoutMs = 2_000): Promise<boolean> {
    try {
      const response = await fetch(`${this.http}/readyz`, { signal: AbortSignal.timeout(timeoutMs) });
      await response.body?.cancel();
      return response.status === 200;
    } catch {
      return false;
    }
  }

  /** Resolves with the first line that contains `text`, from the last ones written on. Rejects when the process ends first. */
  async waitForLine(text: string): Promise<string> {
    const written = this.#lastLines.find((line) => line.includes(text));
    if (written !== undefined) return written;
    return new Promise((resolve, reject) => {
      const waiter = (line: string): void => {
        if (!line.includes(text)) return;
        this.#lineWaiters.delete(waiter);
        resolve(line);
      };
      this.#lineWaiters.add(waiter);
      void this.#ended.then((end) => reject(new Error(this.#describe(`${this.id} ended (${end}) without "${text}"`))));
    });
  }

  /** Sends a signal; with SIGKILL, resolves when the process is gone. Nothing happens when it is not running. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#process === null) return;
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') this.#stopping = true;
    this.#signal(signal);
    if (signal === 'SIGKILL') await this.#ended;
  }

  /** SIGTERM, and SIGKILL when that has not helped after 10 s. Resolves with how it ended: `exit code 0` when all is well. */
  async stop(): Promise<string> {
    if (this.#process === null) return this.#ended;
    this.#stopping = true;
    this.#signal('SIGTERM');
    // A paused process would not notice.
    this.#signal('SIGCONT');
    const patience = setTimeout(() => this.#signal('SIGKILL'), stopPatienceMs);
    try {
      return await this.#ended;
    } finally {
      clearTimeout(patience);
    }
  }

  /** Ends the process without waiting: for the exit handler of whoever started it. */
  abandon(): void {
    this.#stopping = true;
    this.#signal('SIGKILL');
  }

  /** To the whole process group, so that it reaches the node under a wrapper, too. */
  #signal(signal: NodeJS.Signals): void {
    const pid = this.#process?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      // It ended between the check and the signal.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  #onLine(line: string): void {
    this.#lastLines.push(line);
    if (this.#lastLines.length > lastLinesMax) this.#lastLines.shift();
    for (const waiter of this.#lineWaiters) waiter(line);
    this.options.onLine?.(this.id, line);
  }

  #describe(sentence: string): string {
    if (this.#lastLines.length === 0) return `${sentence}; it wrote nothing.`;
    return `${sentence}; its last lines:\n${this.#lastLines.map((line) => `  ${line}`).join('\n')}`;
  }
}

/** Our own environment without settings for nodes: those of a local cluster come from its options alone. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('QUORATE_')));
}
