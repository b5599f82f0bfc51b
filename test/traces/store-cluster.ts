/** Three nodes on simulated machines and a network without faults, for stories about one fault at a time. */
import { type FormatRange, formatRange } from '../../src/raft/core/format-level.ts';
import { asNodeId, type NodeId } from '../../src/raft/core/types.ts';
import { entryKey } from '../../src/store/log-keys.ts';
import { TraceStore } from '../../src/traces/trace-store.ts';
import type { TraceRead } from '../../src/traces/trace-reader.ts';
import { levelOfMessage } from '../../src/transport/message-level.ts';
import { WatchedTransport } from '../sim/links.ts';
import { MessageLinks } from '../sim/message-links.ts';
import { ClockSkew } from '../sim/platform/clock.ts';
import { SimDiskState } from '../sim/platform/disk-state.ts';
import { keyOf } from '../sim/platform/ordered-bytes.ts';
import { bootSimPlatform, type SimPlatform } from '../sim/platform/platform.ts';
import { SimRandom } from '../sim/platform/random.ts';
import { SimScheduler } from '../sim/platform/scheduler.ts';
import { exportOf, spansIn, traceIdOf } from '../store/exports.ts';

/** From one pass of the scrub to the next. */
export const scrubRestMs = 20_000;

const members = ['n1', 'n2', 'n3'].map(asNodeId);

/** One span of a trace. */
export const smallExport = (trace: number): Uint8Array =>
  exportOf([{ trace, resource: 'r', scope: 's', text: `span of ${trace}`, startNs: 1, endNs: 2 }]);

export class ClusterNode {
  readonly id: NodeId;
  readonly disk: SimDiskState;
  readonly skew = new ClockSkew();
  /** What it logged, `level: sentence`. */
  readonly log: string[] = [];
  store: TraceStore | null = null;
  failure: Error | null = null;
  /** What its binary reads, from the next start on. */
  formats: FormatRange = formatRange;
  readonly #cluster: StoreCluster;
  /** `--cluster`; nobody for a node that joins. */
  readonly #members: readonly NodeId[];
  #platform: SimPlatform | null = null;
  #boots = 0;

  constructor(id: NodeId, cluster: StoreCluster, among: readonly NodeId[] = members, disk?: SimDiskState) {
    this.id = id;
    this.#members = among;
    this.#cluster = cluster;
    this.disk = disk ?? new SimDiskState(cluster.random.fork(`disk of ${id}`));
  }

  get opened(): TraceStore {
    if (this.store === null) throw new Error(`${this.id} does not run`);
    return this.store;
  }

  /** Resolves when it has opened its data directory. */
  async start(): Promise<void> {
    const { scheduler, random, network } = this.#cluster;
    this.#boots += 1;
    const platform = bootSimPlatform(
      { scheduler, disk: this.disk, skew: this.skew },
      random.fork(`${this.id}.${this.#boots}`),
    );
    this.#platform = platform;
    const note = (level: string) => (_: object, sentence: string) => this.log.push(`${level}: ${sentence}`);
    this.store = await TraceStore.open({
      platform,
      transport: new WatchedTransport(network.transport(this.id, platform.process), platform.process, {
        leaving: (from, to, message) => {
          this.#cluster.sent.push(`${from.node}>${to} ${message.kind}`);
          if (message.kind === 'raft' && message.message.type === 'append' && message.message.entries.length > 0)
            this.#cluster.appends.push({ to, entries: message.message.entries.length });
        },
        delivered: (_, to, message) => {
          if (levelOfMessage(message) > this.formats.newest) this.#cluster.unreadable.push(`${message.kind} to ${to}`);
        },
      }),
      node: this.id,
      http: `http://${this.id}`,
      address: `${this.id}:4319`,
      members: new Map(this.#members.map((id) => [id, `${id}:4319`])),
      logger: { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') },
      indexFlushEntries: 1,
      logVerifyBytes: this.#cluster.logVerifyBytes,
      scrubRestMs,
      formats: this.formats,
      fatal: (error) => (this.failure = error),
    });
  }

  crash(): void {
    this.#platform?.disk.crash('process');
    this.store = null;
  }

  /** It sees nothing and does nothing for so long; what comes meanwhile waits (SIGSTOP, or a loop that is stuck). */
  pauseFor(durationMs: number): void {
    this.#platform?.process.pauseFor(durationMs);
  }

  /** It closes all it has open, and its process ends. */
  async stop(): Promise<void> {
    await this.opened.close();
    this.crash();
  }

  flipEntry(index: number): void {
    this.disk.flipBit('log', { gte: entryKey(index), lt: entryKey(index + 1) });
  }

  loseEntry(index: number): void {
    this.disk.keyValue('log').apply([{ key: keyOf(entryKey(index)), value: undefined }], true);
  }

  entryOnDisk(index: number): string | undefined {
    const record = this.disk.peek('log', entryKey(index));
    return record && Buffer.from(record).toString('hex');
  }
}

export class StoreCluster {
  readonly scheduler = new SimScheduler();
  readonly random: SimRandom;
  readonly network: MessageLinks;
  readonly nodes: readonly [ClusterNode, ClusterNode, ClusterNode];
  readonly newcomers: ClusterNode[] = [];
  /** Kinds of the messages that left, by sender. */
  readonly sent: string[] = [];
  /** Appends with entries that left, and how many they brought. */
  readonly appends: { readonly to: NodeId; readonly entries: number }[] = [];
  /** What reached a node that cannot read it. */
  readonly unreadable: string[] = [];

  /** The end of each log that is verified at open. */
  readonly logVerifyBytes: number;

  constructor({ logVerifyBytes }: { readonly logVerifyBytes: number }) {
    this.logVerifyBytes = logVerifyBytes;
    this.random = new SimRandom(1);
    this.network = new MessageLinks({
      scheduler: this.scheduler,
      random: this.random.fork('network'),
      note: () => undefined,
    });
    const [first, second, third] = members.map((id) => new ClusterNode(id, this));
    if (first === undefined || second === undefined || third === undefined) throw new Error('there are three members');
    this.nodes = [first, second, third];
  }

  /** A node that is no member, and knows none. */
  newcomer(id: string, disk?: SimDiskState): ClusterNode {
    const node = new ClusterNode(asNodeId(id), this, [], disk);
    this.newcomers.push(node);
    return node;
  }

  get leader(): ClusterNode | null {
    return [...this.nodes, ...this.newcomers].find(({ store }) => store?.replicaStatus?.role === 'leader') ?? null;
  }

  async start(...nodes: readonly ClusterNode[]): Promise<void> {
    await this.scheduler.complete(Promise.all(nodes.map((node) => node.start())));
  }

  async runFor(durationMs: number): Promise<void> {
    await this.scheduler.run({ untilMs: this.scheduler.nowMs + durationMs });
  }

  /** Runs until `reached`; an error when that takes longer than any of these stories should. */
  async until(reached: () => boolean): Promise<void> {
    const untilMs = this.scheduler.nowMs + 10_000;
    await this.scheduler.run({ untilMs, settled: reached });
    if (!reached()) throw new Error(`within 10 s it did not come true: ${reached.toString()}`);
  }

  /** All nodes that run are ready, and equal. */
  async settled(): Promise<void> {
    await this.until(() => {
      const stores = this.nodes.flatMap(({ store }) => (store === null ? [] : [store]));
      return (
        stores.every((store) => store.ready) && new Set(stores.map((store) => store.replicaStatus?.applied)).size === 1
      );
    });
  }

  /** Writes each trace as an export of its own, one after the other, and gives the entry that holds it. */
  async write(node: ClusterNode, traces: readonly number[]): Promise<Map<number, number>> {
    const entryOf = new Map<number, number>();
    for (const trace of traces) {
      await this.scheduler.complete(node.opened.write(smallExport(trace)));
      entryOf.set(trace, node.opened.replicaStatus?.applied ?? 0);
    }
    return entryOf;
  }

  read(node: ClusterNode, trace: number, consistency: 'linearizable' | 'stale' = 'linearizable'): Promise<TraceRead> {
    return this.scheduler.complete(node.opened.read(traceIdOf(trace), consistency));
  }

  async textsOf(node: ClusterNode, trace: number): Promise<string[]> {
    const { trace: found } = await this.read(node, trace);
    return spansIn(found ?? new Uint8Array(0)).map(({ text }) => text);
  }
}

/** A cluster of three that is ready, by roles. */
export interface Stage {
  readonly cluster: StoreCluster;
  readonly leader: ClusterNode;
  readonly followers: readonly [ClusterNode, ClusterNode];
}

/** Three nodes that have been ready for so long. */
export async function settledStage(forMs: number): Promise<Stage> {
  const cluster = new StoreCluster({ logVerifyBytes: 1e6 });
  await cluster.start(...cluster.nodes);
  await cluster.settled();
  await cluster.runFor(forMs);
  const { leader } = cluster;
  if (leader === null) throw new Error('somebody leads');
  const followers = cluster.nodes.filter((node) => node !== leader) as [ClusterNode, ClusterNode];
  return { cluster, leader, followers };
}
