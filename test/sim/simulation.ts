/**
 * One seed, one run: real nodes on simulated machines, clients on all of them, faults for a while, then none.
 * Safety is checked after every step; afterwards all must converge, serve, and hold every acknowledged span.
 */
import { createHash } from 'node:crypto';
import type { Logger } from '../../src/logger.ts';
import { asNodeId, type NodeId } from '../../src/raft/core/types.ts';
import { checkHistory, HistoryRecorder } from '../support/history.ts';
import { Nemesis } from './nemesis.ts';
import { SimNetwork } from './network.ts';
import { SimRandom } from './platform/random.ts';
import { SimScheduler } from './platform/scheduler.ts';
import { SimNode } from './sim-node.ts';
import { Violation, Witness } from './witness.ts';
import { SimWorkload, type Target } from './workload.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** 3 or 5; drawn from the seed when absent. */
  readonly nodes?: number;
  /** How long faults go on, virtual ms. */
  readonly faultMs?: number;
  /** Called with each event, for people. */
  readonly trace?: (line: string) => void;
}

export interface SimulationReport {
  readonly seed: number;
  readonly nodes: number;
  readonly simulatedMs: number;
  readonly events: number;
  /** Hash over all events: the same seed gives the same one. */
  readonly traceHash: string;
  readonly faults: ReadonlyMap<string, number>;
  /** What was reached at least once. */
  readonly marks: ReadonlySet<string>;
  readonly acked: number;
  readonly unknown: number;
  readonly reads: number;
}

/** A run that broke a rule. The message tells which, and the events before it. */
class SimulationFailure extends Error {
  override readonly name = 'SimulationFailure';
}

const lastEventsKept = 60;
const convergeMs = 25_000;

export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  return new Simulation(options).run();
}

class Simulation {
  readonly #seed: number;
  readonly #faultMs: number;
  readonly #random: SimRandom;
  readonly #scheduler = new SimScheduler();
  readonly #hash = createHash('sha256');
  readonly #lastEvents: string[] = [];
  readonly #trace: ((line: string) => void) | undefined;
  readonly #marks = new Set<string>();
  readonly #damaged = new Set<NodeId>();
  readonly #lost = new Set<NodeId>();
  readonly #lastIndex = new Map<string, number>();
  readonly #nodes: readonly SimNode[];
  readonly #witness: Witness;
  readonly #network: SimNetwork;
  readonly #nemesis: Nemesis;
  readonly #history: HistoryRecorder;
  readonly #workload: SimWorkload;
  #failure: Error | null = null;

  constructor({ seed, nodes, faultMs = 20_000, trace }: SimulationOptions) {
    this.#seed = seed;
    this.#faultMs = faultMs;
    this.#trace = trace;
    this.#random = new SimRandom(seed);
    const size = nodes ?? (this.#random.chance(0.3) ? 5 : 3);
    const members = Array.from({ length: size }, (_, n) => asNodeId(`n${n + 1}`));
    const note = (event: string): void => this.#note(event);
    const scheduler = this.#scheduler;
    this.#network = new SimNetwork({
      scheduler,
      random: this.#random.fork('network'),
      witness: (from, _to, message) => this.#guard(() => this.#witness.message(from, message)),
      note,
    });
    this.#nodes = members.map(
      (id) =>
        new SimNode({
          id,
          members,
          scheduler,
          random: this.#random.fork(id),
          network: this.#network,
          logger: this.#logger(id),
          committed: (node, boot, entry) => this.#guard(() => this.#witness.applied(node, boot, entry)),
          failed: (node, error) => this.#stopped(node, error),
        }),
    );
    const disks = new Map(this.#nodes.map((node) => [node.id, node.view]));
    this.#witness = new Witness({ disks, damaged: this.#damaged });
    this.#nemesis = new Nemesis({
      nodes: this.#nodes,
      network: this.#network,
      scheduler,
      random: this.#random.fork('nemesis'),
      damaged: this.#damaged,
      lost: this.#lost,
      note,
    });
    this.#history = new HistoryRecorder(() => scheduler.nowMs);
    this.#workload = new SimWorkload({
      scheduler,
      random: this.#random.fork('workload'),
      history: this.#history,
      stores: () => this.#stores(),
      unanswered: (what) =>
        this.#guard(() => {
          throw new Violation(`L2: ${what}`);
        }),
      traces: 2 + this.#random.below(6),
    });
  }

  #stores(): Target[] {
    return this.#storesOf(this.#nodes);
  }

  async run(): Promise<SimulationReport> {
    try {
      for (const node of this.#nodes) node.start();
      await this.#until(12_000, 'the cluster is founded', () =>
        this.#stores().some(({ store }) => store.replicaStatus?.leader != null),
      );
      for (let client = 1; client <= 4; client += 1) this.#workload.startClient(`client ${client}`);
      this.#nemesis.start();
      await this.#advance(this.#faultMs);
      await this.#converge();
    } catch (error) {
      throw this.#explain(error);
    }
    const { acked, unknown, reads } = this.#workload.counts;
    if (this.#witness.leaderChanges > 1) this.#marks.add('leader change');
    if (unknown > 0) this.#marks.add('unknown outcome');
    if (this.#workload.counts.pagedReads > 0) this.#marks.add('paged read');
    return {
      seed: this.#seed,
      nodes: this.#nodes.length,
      simulatedMs: this.#scheduler.nowMs,
      events: this.#scheduler.events,
      traceHash: this.#hash.digest('hex').slice(0, 16),
      faults: this.#nemesis.counts,
      marks: this.#marks,
      acked,
      unknown,
      reads,
    };
  }

  /** Faults stop: everybody whose disk is not lost must be ready, equal, and complete. */
  async #converge(): Promise<void> {
    this.#nemesis.calm();
    this.#workload.stop();
    const whole = this.#nodes.filter((node) => !this.#lost.has(node.id));
    const ready = (): boolean =>
      whole.every((node) => node.store?.ready === true) &&
      new Set(whole.map((node) => node.store?.replicaStatus?.applied)).size === 1;
    await this.#until(convergeMs, 'all nodes are ready and equal', ready);
    for (const target of this.#storesOf(whole)) {
      for (const trace of this.#workload.traces) await this.#readFinally(target, trace);
    }
    this.#checkGuards();
    const verdict = checkHistory(this.#history.history());
    if (!verdict.ok) throw new Violation(`C1: ${verdict.fault} on trace ${verdict.trace}: ${verdict.explanation}`);
  }

  /** A first read may find the index damaged and be told to come back; after that it must be answered. */
  async #readFinally(target: Target, trace: string): Promise<void> {
    for (let attempt = 0; attempt < 20; attempt += 1) {
      if (await this.#scheduler.complete(this.#workload.read('final', target, trace))) return;
      await this.#advance(100);
    }
    throw new Violation(`L1: ${target.id} cannot read after all faults ended`);
  }

  #storesOf(nodes: readonly SimNode[]): Target[] {
    return nodes.flatMap(({ id, boot }) =>
      boot?.store == null ? [] : [{ id, store: boot.store, process: boot.process }],
    );
  }

  async #advance(durationMs: number): Promise<void> {
    await this.#scheduler.run({ untilMs: this.#scheduler.nowMs + durationMs, settled: () => this.#settled() });
    this.#checkGuards();
  }

  async #until(patienceMs: number, what: string, reached: () => boolean): Promise<void> {
    let done = false;
    const untilMs = this.#scheduler.nowMs + patienceMs;
    await this.#scheduler.run({
      untilMs,
      settled: () => {
        if (this.#settled()) return true;
        return (done = reached());
      },
    });
    this.#checkGuards();
    if (!done)
      throw new Violation(`L1: within ${patienceMs} ms it did not come true that ${what}${this.#describeNodes()}`);
  }

  #describeNodes(): string {
    return this.#nodes
      .map(
        ({ id, store }) =>
          `\n  ${id}: ${JSON.stringify(store?.status.waiting)} ${JSON.stringify(store?.replicaStatus)}`,
      )
      .join('');
  }

  /** After every event: the invariants that need only a look. True stops the run: something is broken. */
  #settled(): boolean {
    this.#guard(() => {
      for (const node of this.#nodes) {
        const { id, boot } = node;
        const status = boot?.store?.replicaStatus;
        if (boot == null || status == null) continue;
        this.#witness.status(id, boot.name, status);
        if (status.lostPromise !== null) this.#marks.add('recovering voter');
        else if (this.#damaged.has(id) && !this.#lost.has(id) && status.applied >= this.#witness.highestCommitted)
          this.#damaged.delete(id);
        if (status.last < (this.#lastIndex.get(boot.name) ?? 0)) {
          this.#marks.add('conflict truncation');
          this.#nemesis.replacedEntries(node);
        }
        this.#lastIndex.set(boot.name, status.last);
      }
    });
    return this.#failure !== null;
  }

  #guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
    }
  }

  #checkGuards(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  /** A node stopped by itself: right after a write error, a bug otherwise. */
  #stopped(node: SimNode, error: Error): void {
    this.#note(`stopped ${node.id}: ${error.message}`);
    if (node.disk.failWrites.size > 0) return;
    this.#failure ??= new Violation(`A1: ${node.id} stopped by itself: ${error.stack ?? error.message}`);
  }

  #logger(id: NodeId): Logger {
    const note = (level: string) => (fields: object, sentence: string) => {
      if (sentence.startsWith('the index is rebuilt')) this.#marks.add('index rebuild');
      if (sentence.includes('found') && sentence.endsWith('the cluster')) {
        for (const node of this.#nodes) if (node.id === id) this.#nemesis.founding(node);
      }
      this.#trace?.(`${this.#scheduler.nowMs.toFixed(1)} ${id} ${level}: ${sentence} ${JSON.stringify(fields)}`);
    };
    return { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
  }

  #note(event: string): void {
    const line = `${this.#scheduler.nowMs.toFixed(3)} ${event}`;
    this.#hash.update(line);
    this.#lastEvents.push(line);
    if (this.#lastEvents.length > lastEventsKept) this.#lastEvents.shift();
    this.#trace?.(line);
  }

  #explain(error: unknown): SimulationFailure {
    const cause = this.#failure ?? (error instanceof Error ? error : new Error(String(error)));
    const why = cause instanceof Violation ? cause.message : (cause.stack ?? cause.message);
    const events = this.#lastEvents.map((line) => `  ${line}`).join('\n');
    return new SimulationFailure(`seed ${this.#seed}: ${why}\nlast events:\n${events}`, { cause });
  }
}
