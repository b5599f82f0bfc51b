/**
 * Loaded into a node in front of its own code: writes down what may hold it up, with the time, as lines of JSON for tail.ts. It
 * costs some CPU itself.
 */
import { appendFileSync, existsSync, readFileSync, watch } from 'node:fs';
import { performance, PerformanceObserver } from 'node:perf_hooks';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { Level } from 'level';

export const causes = {
  loop: 'its event loop was late',
  gc: 'it collected garbage',
  write: 'it wrote its log, synced',
  flush: 'it flushed its index',
  table: 'LevelDB made or deleted a file of its log',
} as const;

export interface TailEvent {
  readonly cause: keyof typeof causes;
  /** ms since the epoch. */
  readonly atMs: number;
  readonly forMs: number;
  /** Of a late turn: waiting for a CPU, as the scheduler counts it. */
  readonly waitedMs?: number;
}

/** Where each node writes, as `ID.jsonl`. */
export const directoryVariable = 'TAIL_DIRECTORY';

const turnMs = 5;
const gcMsMin = 2;
const writeEveryMs = 1_000;
const armEveryMs = 200;

function argument(name: string): string {
  return process.argv[process.argv.indexOf(name) + 1] ?? '';
}

function start(directory: string): void {
  const path = join(directory, `${argument('--id')}.jsonl`);
  let events: TailEvent[] = [];
  const nowMs = (): number => performance.timeOrigin + performance.now();
  const note = (event: TailEvent): unknown => events.push(event);
  setInterval(() => {
    const lines = events.map((event) => `${JSON.stringify(event)}\n`);
    events = [];
    appendFileSync(path, lines.join(''));
  }, writeEveryMs).unref();

  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries())
      if (duration >= gcMsMin) note({ cause: 'gc', atMs: performance.timeOrigin + startTime, forMs: duration });
  }).observe({ entryTypes: ['gc'] });

  watchTurns(nowMs, note);
  watchWrites(nowMs, note);
  const log = join(argument('--data'), 'log');
  const arming = setInterval(() => {
    if (!existsSync(log)) return;
    clearInterval(arming);
    watch(log, (type) => void (type === 'rename' && note({ cause: 'table', atMs: nowMs(), forMs: 0 }))).unref();
  }, armEveryMs);
  arming.unref();
}

function watchTurns(nowMs: () => number, note: (event: TailEvent) => unknown): void {
  // Run and wait of this thread, ns.
  const waited = (): number => Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[1]) / 1e6;
  let lastMs = nowMs();
  let waitedBefore = waited();
  setInterval(() => {
    const atMs = nowMs();
    const waitedNow = waited();
    if (atMs - lastMs > 2 * turnMs)
      note({ cause: 'loop', atMs: lastMs, forMs: atMs - lastMs, waitedMs: waitedNow - waitedBefore });
    lastMs = atMs;
    waitedBefore = waitedNow;
  }, turnMs).unref();
}

function watchWrites(nowMs: () => number, note: (event: TailEvent) => unknown): void {
  const { batch } = Level.prototype as { batch: (...all: unknown[]) => Promise<void> };
  Level.prototype.batch = function (this: Level, ...all: unknown[]) {
    const atMs = nowMs();
    const written = batch.apply(this, all);
    const cause = this.location.endsWith('log') ? 'write' : 'flush';
    void written.then(
      () => note({ cause, atMs, forMs: nowMs() - atMs }),
      () => undefined,
    );
    return written;
  } as typeof Level.prototype.batch;
}

const directory = process.env[directoryVariable];
if (directory !== undefined && isMainThread && process.argv.includes('start')) start(directory);
