/**
 * A network of messages, the harsher one of the two: a `Transport` per boot of a node, without streams below it. Messages
 * are lost, delayed, duplicated and reordered by the seed, or arrive with a bit flipped; links are cut both ways, one way,
 * for bulk alone while heartbeats flow, or for what is large (protocol I4). A cut is silent: the connection is noticed to be
 * down only after a while, as with TCP.
 */
import { limits } from '../../src/limits.ts';
import type { NodeId } from '../../src/raft/core/types.ts';
import { decodeMessage, encodeMessage, payloadBytesOf } from '../../src/transport/codec.ts';
import { FrameError, FrameReader } from '../../src/transport/frame.ts';
import { formatRefusalOf } from '../../src/transport/handshake.ts';
import { levelOfMessage } from '../../src/transport/message-level.ts';
import type {
  Channel,
  Hello,
  PeerMessage,
  Refusal,
  Transport,
  TransportHandlers,
} from '../../src/transport/transport.ts';
import { type Cut, type NetworkFaults, noFaults, type SimLinks } from './links.ts';
import type { SimProcess } from './platform/process.ts';
import type { SimRandom } from './platform/random.ts';
import type { SimScheduler } from './platform/scheduler.ts';

/** What a cut for large messages lets through. */
const largeBytes = 256;
const reconnectMs = 40;
/** A dead connection is noticed after this long without a byte. */
const silenceMs = 1_000;

export class MessageLinks implements SimLinks {
  #faults: NetworkFaults = noFaults;
  readonly #scheduler: SimScheduler;
  readonly #random: SimRandom;
  readonly #note: (event: string) => void;
  readonly #transports = new Map<NodeId, MessageTransport>();
  /** What does not get through, by `from>to`. */
  readonly #cuts = new Map<string, Set<Cut>>();

  constructor(options: { scheduler: SimScheduler; random: SimRandom; note: (event: string) => void }) {
    this.#scheduler = options.scheduler;
    this.#random = options.random;
    this.#note = options.note;
  }

  transport(_node: NodeId, process: SimProcess): MessageTransport {
    return new MessageTransport(this, process);
  }

  cut(from: NodeId, to: NodeId, what: Cut = 'all'): void {
    const link = `${from}>${to}`;
    this.#cuts.set(link, (this.#cuts.get(link) ?? new Set()).add(what));
  }

  heal(): void {
    this.#cuts.clear();
  }

  disturb(faults: Partial<NetworkFaults>): void {
    this.#faults = { ...noFaults, ...faults };
  }

  /** Its peers notice when they hear nothing for a while. */
  crashed(): void {}

  isCut(from: NodeId, to: NodeId, channel: Channel, bytes = 0): boolean {
    if (this.#cuts.size === 0) return false;
    const cuts = this.#cuts.get(`${from}>${to}`);
    if (cuts === undefined) return false;
    return cuts.has('all') || cuts.has(channel) || (cuts.has('large') && bytes > largeBytes);
  }

  attach(transport: MessageTransport): void {
    this.#transports.set(transport.hello.node, transport);
    this.#scheduleConnect(transport);
  }

  detach(transport: MessageTransport): void {
    for (const [node, known] of this.#transports) if (known === transport) this.#transports.delete(node);
    for (const other of this.#transports.values()) other.lost(transport);
  }

  #scheduleConnect(transport: MessageTransport): void {
    this.#scheduler.after(1 + this.#random.below(reconnectMs), () => {
      if (!transport.open) return;
      for (const other of this.#transports.values()) if (other !== transport) this.#connect(transport, other);
      this.#scheduleConnect(transport);
    });
  }

  #connect(left: MessageTransport, right: MessageTransport): void {
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
    const ofRight = left.refusal(right.hello);
    const ofLeft = right.refusal(left.hello);
    const refusal = ofRight ?? ofLeft;
    if (refusal !== null) {
      left.refused(right.hello.node, ofLeft ?? refusal);
      right.refused(left.hello.node, ofRight ?? refusal);
      return;
    }
    this.#note(`up ${left.hello.node} ${right.hello.node}`);
    left.up(right);
    right.up(left);
  }

  send(from: MessageTransport, to: MessageTransport, channel: Channel, message: PeerMessage): void {
    if (this.#happens(this.#faults.duplicatePpm)) this.#deliverLater(from, to, channel, message);
    if (this.#happens(this.#faults.lossPpm)) return;
    if (this.#happens(this.#faults.garblePpm)) this.#deliverGarbled(from, to, channel, message);
    else this.#deliverLater(from, to, channel, message);
  }

  #happens(ppm: number): boolean {
    return ppm > 0 && this.#random.below(1_000_000) < ppm;
  }

  /** One bit of the frame is not what it was. Either the receiver notices and cuts the connection off, or it takes what it reads. */
  #deliverGarbled(from: MessageTransport, to: MessageTransport, channel: Channel, message: PeerMessage): void {
    const bytes = new Uint8Array(Buffer.concat(encodeMessage(message)));
    this.#random.flipBit(bytes);
    const read: PeerMessage[] = [];
    const reader = new FrameReader({
      frameBytesMax: limits.frameBytesMax,
      onFrame: (frame) => read.push(decodeMessage(frame)),
    });
    try {
      reader.push(bytes);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
    }
    const [taken] = read;
    if (taken !== undefined) {
      this.#deliverLater(from, to, channel, taken);
      return;
    }
    from.lost(to);
    to.lost(from);
  }

  #deliverLater(from: MessageTransport, to: MessageTransport, channel: Channel, message: PeerMessage): void {
    const slow = this.#random.below(50) === 0 ? 10 : 1;
    const delayMs = (this.#random.below(1_000) / 1_000) * this.#faults.delayMaxMs * slow;
    const sender = from.hello;
    this.#scheduler.after(delayMs, () => {
      if (!to.open || this.isCut(sender.node, to.hello.node, channel, payloadBytesOf(message))) return;
      to.deliver(sender, message);
    });
  }
}

export class MessageTransport implements Transport {
  silentSince: Map<NodeId, number> | undefined;
  readonly #network: MessageLinks;
  readonly #host: SimProcess;
  readonly #peers = new Map<NodeId, MessageTransport>();
  #hello: (() => Hello) | null = null;
  #handlers: TransportHandlers | null = null;

  constructor(network: MessageLinks, host: SimProcess) {
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

  connectedTo(other: MessageTransport): boolean {
    return this.#peers.get(other.hello.node) === other;
  }

  refusal(hello: Hello): Refusal | null {
    const format = formatRefusalOf(this.hello, hello) ?? formatRefusalOf(hello, this.hello);
    if (format !== null) return format;
    return this.#handlers?.admit(hello) ?? null;
  }

  refused(node: NodeId, refusal: Refusal): void {
    this.#host.whenRunning(() => this.#handlers?.onRefused(node, refusal));
  }

  up(other: MessageTransport): void {
    this.#peers.set(other.hello.node, other);
    const { hello } = other;
    this.#host.whenRunning(() => this.#handlers?.onUp(hello));
  }

  lost(other: MessageTransport): void {
    if (!this.connectedTo(other)) return;
    this.#peers.delete(other.hello.node);
    this.#host.whenRunning(() => this.#handlers?.onDown(other.hello.node));
  }

  send(to: NodeId, channel: Channel, message: PeerMessage): boolean {
    if (!this.open) return false;
    const peer = this.#peers.get(to);
    if (peer === undefined || levelOfMessage(message) > peer.hello.formats.newest) return false;
    this.#network.send(this, peer, channel, message);
    return true;
  }

  /** Whoever runs is reached here; what comes of it, `admit` decides. */
  reach(): void {}

  deliver(sender: Hello, message: PeerMessage): void {
    this.#host.whenRunning(() => {
      if (this.open) this.#handlers?.onMessage(sender, message);
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
    if (this.#hello !== null) this.#network.detach(this);
  }
}
