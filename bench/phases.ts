/** One phase of the bench: drive the load generator, and measure what the servers spent on it meanwhile. */
import { once } from 'node:events';
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { HttpClient } from '../test/support/http.ts';
import type { FromLoad, LoadOrder, LoadResult, LoadSetup, ToLoad } from './load-messages.ts';
import { cpuUs, memoryMiB } from './measure.ts';

const memorySampleMs = 250;

/** A server as the bench sees it. */
export interface Server {
  readonly id: string;
  readonly url: string;
  readonly grpc: string;
  readonly pid: number;
}

export interface Phase {
  readonly name: string;
  readonly load: LoadResult;
  /** Over all servers and all that was acked; NaN when nothing was. */
  readonly cpuUsPerSpan: number;
  readonly cpuSharePerServer: Readonly<Record<string, number>>;
  /** Of the leader, ms; NaN when it does not say. */
  readonly leaderLoopDelayP99Ms: number;
  /** Highest seen, per server. */
  readonly memoryMiB: Readonly<Record<string, number>>;
}

export class Generator {
  readonly #process: ChildProcess;
  bytesPerSpan = Number.NaN;

  constructor() {
    this.#process = fork(new URL('load.ts', import.meta.url), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  }

  async setUp(setup: LoadSetup): Promise<void> {
    const answer = await this.#ask({ kind: 'setup', setup });
    if (answer.kind === 'ready') this.bytesPerSpan = answer.bytesPerSpan;
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

/** Runs one phase over `servers`. */
export async function runPhase(
  name: string,
  generator: Generator,
  servers: readonly Server[],
  order: LoadOrder,
): Promise<Phase> {
  const { leader: leaderId } = await whoLeads(servers);
  const leader = servers.find(({ id }) => id === leaderId);
  // A first scrape begins the window of servers that measure from one scrape to the next.
  await loopDelayP99Ms(leader);
  const memory: Record<string, number> = {};
  const sample = (): void => {
    for (const { id, pid } of servers) memory[id] = Math.max(memory[id] ?? 0, memoryMiB(pid));
  };
  const sampling = setInterval(sample, memorySampleMs);
  const before = servers.map(({ pid }) => cpuUs(pid));
  const load = await generator.run(order).finally(() => clearInterval(sampling));
  const spent = servers.map(({ pid }, n) => cpuUs(pid) - (before[n] ?? 0));
  sample();
  const all = spent.reduce((sum, us) => sum + us, 0);
  return {
    name,
    load,
    cpuUsPerSpan: load.spansAcked === 0 ? Number.NaN : all / load.spansAcked,
    cpuSharePerServer: Object.fromEntries(servers.map(({ id }, n) => [id, (spent[n] ?? 0) / all])),
    leaderLoopDelayP99Ms: await loopDelayP99Ms(leader),
    memoryMiB: memory,
  };
}

/** Term and leader as every server sees them; the highest term, and who leads in it. */
export async function whoLeads(servers: readonly Server[]): Promise<{ term: number; leader: string }> {
  const views = await Promise.all(
    servers.map(async ({ url }) => {
      const view: unknown = JSON.parse((await get(url, '/api/v1/cluster')).toString('utf8'));
      if (typeof view !== 'object' || view === null || !('term' in view) || !('leader' in view)) {
        throw new Error(`${url} answers something else than a cluster's state`);
      }
      return { term: Number(view.term), leader: String(view.leader) };
    }),
  );
  return views.toSorted((a, b) => b.term - a.term)[0] ?? { term: 0, leader: '' };
}

async function loopDelayP99Ms(server: Server | undefined): Promise<number> {
  if (server === undefined) return Number.NaN;
  const page = (await get(server.url, '/metrics')).toString('utf8');
  const value = /^quorate_event_loop_delay_p99_seconds(?:\{[^}]*\})? (\S+)/m.exec(page)?.[1];
  return value === undefined ? Number.NaN : Number(value) * 1_000;
}

async function get(url: string, path: string): Promise<Buffer> {
  const client = new HttpClient(url);
  try {
    return (await client.send({ path, timeoutMs: 5_000 })).body;
  } finally {
    client.close();
  }
}
