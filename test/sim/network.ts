/**
 * The simulated network between nodes: a `Transport` per boot of a node. Messages are lost, delayed, duplicated and
 * reordered by the seed; links are cut both ways, one way, or for bulk alone while heartbeats flow (protocol I4).
 * A cut is silent: the connection is noticed to be down only after a while, as with TCP.
 */
import type { NodeId } from '../../src/raft/core/types.ts';
import type { Channel, Hello, PeerMessage, Transport, TransportHandlers } from '../../src/transport/transport.ts';
import type { SimRandom } from './platform/random.ts';
import type { SimScheduler } from './platform/scheduler.ts';

export interface NetworkFaults {
  /** Of a million messages. */
  lossPpm: number;
  duplicatePpm: number;
  /** Longest ordinary delay in ms; one message in fifty takes up to ten times that. */
  delayMaxMs: number;
}

/** Sees every message as it leaves its node; throws when it must not have left. */
export type MessageWitness = (from: Hello, to: NodeId, message: PeerMessage) => void;

/** The process behind a transport. */
export interface Host {
  readonly alive: boolean;
  readonly paused: boolean;
  /** Does `action` now, or once the process runs again after a pause; never when it dies first. */
  whenRunning(action: () => void): void;
}

const reconnectMs = 40;
/** A dead connection is noticed after this long without a byte. */
const silenceMs = 1_000;

export class SimNetwork {
  readonly faults: NetworkFaults = { lossPpm: 0, duplicatePpm: 0, delayMaxMs: 4 };
  readonly #scheduler: SimScheduler;
  readonly #random: SimRandom;
  readonly #witness: MessageWitness;
  readonly #note: (event: string) => void;
  readonly #transports = new Map<NodeId, SimTransport>();
  /** `from>to:channel`, not delivering. */
  readonly #cuts = new Set<string>();
  readonly counts = { sent: 0, delivered: 0, lost: 0, duplicated: 0 };

  constructor(options: {
    scheduler: SimScheduler;
    random: SimRandom;
    witness: MessageWitness;
    note: (event: string) => void;
  }) {
    this.#scheduler = options.scheduler;
    this.#random = options.random;
    this.#witness = options.witness;
    this.#note = options.note;
  }

  /** The transport of one boot. */
  transport(host: Host): SimTransport {
    return new SimTransport(this, host);
  }

  cut(from: NodeId, to: NodeId, channels: readonly Channel[] = ['control', 'bulk']): void {
    for (const channel of channels) this.#cuts.add(`${from}>${to}:${channel}`);
  }

  healAll(): void {
    this.#cuts.clear();
  }

  isCut(from: NodeId, to: NodeId, channel: Channel): boolean {
    return this.#cuts.has(`${from}>${to}:${channel}`);
  }

  attach(transport: SimTransport): void {
    this.#transports.set(transport.hello.node, transport);
    this.#scheduleConnect(transport);
  }

  detach(transport: SimTransport): void {
    if (this.#transports.get(transport.hello.node) === transport) this.#transports.delete(transport.hello.node);
    for (const other of this.#transports.values()) other.lost(transport);
  }

  #scheduleConnect(transport: SimTransport): void {
    this.#scheduler.after(1 + this.#random.below(reconnectMs), () => {
      if (!transport.open) return;
      for (const other of this.#transports.values()) if (other !== transport) this.#connect(transport, other);
      this.#scheduleConnect(transport);
    });
  }

  #connect(left: SimTransport, right: SimTransport): void {
    const blocked = (['control', 'bulk'] as const).some(
      (channel) =>
        this.isCut(left.hello.node, right.hello.node, channel) ||
        this.isCut(right.hello.node, left.hello.node, channel),
    );
    const connected = left.connectedTo(right);
    if (connected && blocked) {
      left.silentSince ??= new Map();
      const since = left.silentSince.get(right.hello.node) ?? this.#scheduler.nowMs;
      left.silentSince.set(right.hello.node, since);
      if (this.#scheduler.nowMs - since > silenceMs) {
        left.lost(right);
        right.lost(left);
      }
      return;
    }
    left.silentSince?.delete(right.hello.node);
    if (connected || blocked || !left.running || !right.running) return;
    const refusal = left.refusal(right.hello) ?? right.refusal(left.hello);
    if (refusal !== null) {
      left.refused(right.hello.node, refusal);
      right.refused(left.hello.node, refusal);
      return;
    }
    this.#note(`up ${left.hello.node} ${right.hello.node}`);
    left.up(right);
    right.up(left);
  }

  send(from: SimTransport, to: SimTransport, channel: Channel, message: PeerMessage): void {
    this.#witness(from.hello, to.hello.node, message);
    this.counts.sent += 1;
    if (this.#random.below(1_000_000) < this.faults.duplicatePpm) {
      this.counts.duplicated += 1;
      this.#deliverLater(from, to, channel, message);
    }
    if (this.#random.below(1_000_000) < this.faults.lossPpm) {
      this.counts.lost += 1;
      return;
    }
    this.#deliverLater(from, to, channel, message);
  }

  #deliverLater(from: SimTransport, to: SimTransport, channel: Channel, message: PeerMessage): void {
    const slow = this.#random.below(50) === 0 ? 10 : 1;
    const delayMs = (this.#random.below(1_000) / 1_000) * this.faults.delayMaxMs * slow;
    const sender = from.hello;
    this.#scheduler.after(delayMs, () => {
      if (!to.open || this.isCut(sender.node, to.hello.node, channel)) {
        this.counts.lost += 1;
        return;
      }
      to.deliver(sender, message, (kind) => {
        this.counts.delivered += 1;
        this.#note(`${sender.node}>${to.hello.node} ${kind}`);
      });
    });
  }
}

export class SimTransport implements Transport {
  silentSince: Map<NodeId, number> | undefined;
  readonly #network: SimNetwork;
  readonly #host: Host;
  readonly #peers = new Map<NodeId, SimTransport>();
  #hello: (() => Hello) | null = null;
  #handlers: TransportHandlers | null = null;

  constructor(network: SimNetwork, host: Host) {
    this.#network = network;
    this.#host = host;
  }

  async start(hello: () => Hello, handlers: TransportHandlers): Promise<void> {
    this.#handlers = handlers;
    this.#hello = hello;
    this.#network.attach(this);
  }

  get hello(): Hello {
    if (this.#hello === null) throw new Error('not started');
    return this.#hello();
  }

  get open(): boolean {
    return this.#handlers !== null && this.#host.alive;
  }

  get running(): boolean {
    return this.open && !this.#host.paused;
  }

  connectedTo(other: SimTransport): boolean {
    return this.#peers.get(other.hello.node) === other;
  }

  refusal(hello: Hello): string | null {
    const own = this.hello.clusterId;
    if (own !== null && hello.clusterId !== null && own !== hello.clusterId) return 'another cluster';
    return this.#handlers?.admit(hello) ?? null;
  }

  refused(node: NodeId, sentence: string): void {
    this.#host.whenRunning(() => this.#handlers?.onRefused(node, sentence));
  }

  up(other: SimTransport): void {
    this.#peers.set(other.hello.node, other);
    const { hello } = other;
    this.#host.whenRunning(() => this.#handlers?.onUp(hello));
  }

  lost(other: SimTransport): void {
    if (!this.connectedTo(other)) return;
    this.#peers.delete(other.hello.node);
    this.#host.whenRunning(() => this.#handlers?.onDown(other.hello.node));
  }

  send(to: NodeId, channel: Channel, message: PeerMessage): boolean {
    if (!this.open) return false;
    const peer = this.#peers.get(to);
    if (peer === undefined) return false;
    this.#network.send(this, peer, channel, message);
    return true;
  }

  deliver(sender: Hello, message: PeerMessage, delivered: (kind: string) => void): void {
    this.#host.whenRunning(() => {
      if (!this.open) return;
      delivered(message.kind === 'raft' ? message.message.type : message.kind);
      this.#handlers?.onMessage(sender, message);
    });
  }

  helloChanged(): void {
    for (const peer of [...this.#peers.values()]) {
      this.lost(peer);
      peer.lost(this);
    }
  }

  async close(): Promise<void> {
    this.#handlers = null;
    this.#network.detach(this);
  }
}
