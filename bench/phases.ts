/** One phase of the bench: drive a load generator, and measure what the servers spent on it meanwhile. */
import type { Contender, ContenderName } from './contender.ts';
import type { LoadOrder, LoadResult } from './load-messages.ts';
import { cpuUs, memoryMiB, syncDisk, writtenBytes } from './measure.ts';

const memorySampleMs = 250;

export interface Phase {
  /** Phases of one name repeat the same load, round by round. */
  readonly name: string;
  readonly of: ContenderName;
  readonly round: number;
  readonly load: LoadResult;
  /** Over all servers and all that was acked; NaN when nothing was. */
  readonly cpuUsPerSpan: number;
  /** CPU seconds of all servers a second. */
  readonly cpuCores: number;
  readonly cpuSharePerServer: Readonly<Record<string, number>>;
  /** Of the leader, ms; NaN when it has none. */
  readonly leaderLoopDelayP99Ms: number;
  /** Anonymous and shared, highest seen, per server. */
  readonly memoryMiB: Readonly<Record<string, number>>;
  /** By all servers. */
  readonly writtenBytes: number;
  /** CPU seconds a second of the other contender, which ran beside it and had nothing to do; NaN when there was none. */
  readonly idleOtherCores: number;
  /** Leaders that came during the phase. Must be 0. */
  readonly elections: number;
}

/** Runs one phase over the contender's servers. */
export async function runPhase(
  { name, round = 1, other }: { readonly name: string; readonly round?: number; readonly other?: Contender },
  contender: Contender,
  order: LoadOrder,
): Promise<Phase> {
  await syncDisk();
  const { servers } = contender;
  const first = await contender.whoLeads();
  // A first look begins the window of servers that measure from one look to the next.
  await contender.takeLoopDelayP99Ms(first.leader);
  const memory: Record<string, number> = {};
  const sample = (): void => {
    for (const { id, pid } of servers) memory[id] = Math.max(memory[id] ?? 0, memoryMiB(pid));
  };
  const written = (): number => servers.reduce((sum, { pid }) => sum + writtenBytes(pid), 0);
  const sampling = setInterval(() => {
    try {
      sample();
    } catch {
      // A server that has ended: whoever waits for it says why, or it was told to.
    }
  }, memorySampleMs);
  const writtenBefore = written();
  const otherUs = (): number => (other?.servers ?? []).reduce((sum, { pid }) => sum + cpuUs(pid), 0);
  const before = servers.map(({ pid }) => cpuUs(pid));
  const otherBefore = otherUs();
  const startedMs = performance.now();
  const load = await contender.generator.run(order).finally(() => clearInterval(sampling));
  const tookMs = performance.now() - startedMs;
  const spent = servers.map(({ pid }, n) => cpuUs(pid) - (before[n] ?? 0));
  const otherSpent = otherUs() - otherBefore;
  sample();
  const leaderLoopDelayP99Ms = await contender.takeLoopDelayP99Ms(first.leader);
  const last = await contender.whoLeads();
  const all = spent.reduce((sum, us) => sum + us, 0);
  return {
    name,
    of: contender.name,
    round,
    load,
    cpuUsPerSpan: load.spansAcked === 0 ? Number.NaN : all / load.spansAcked,
    cpuCores: all / 1_000 / tookMs,
    cpuSharePerServer: Object.fromEntries(servers.map(({ id }, n) => [id, (spent[n] ?? 0) / all])),
    leaderLoopDelayP99Ms,
    memoryMiB: memory,
    writtenBytes: written() - writtenBefore,
    idleOtherCores: other === undefined ? Number.NaN : otherSpent / 1_000 / tookMs,
    elections: last.term - first.term,
  };
}
