/**
 * What connects the nodes of a simulation, as the nemesis and the nodes see it. Two kinds: `MessageLinks` loses and reorders
 * messages as no stream would; `TcpLinks` runs the real transport over simulated streams.
 */
import type { NodeId } from '../../src/raft/core/types.ts';
import type { Channel, Hello, PeerMessage, Transport, TransportHandlers } from '../../src/transport/transport.ts';
import type { CrashKind } from './platform/disk-io.ts';
import type { SimProcess } from './platform/process.ts';
import type { SimRandom } from './platform/random.ts';

/** What does not get through: everything, one kind of connection, or what is large (protocol I4). */
export type Cut = 'all' | Channel | 'large';

export interface NetworkFaults {
  /** Of a million messages. */
  readonly lossPpm: number;
  readonly duplicatePpm: number;
  /** Arrive with a bit flipped. */
  readonly garblePpm: number;
  /** Longest ordinary delay in ms; one message in fifty takes up to ten times that. */
  readonly delayMaxMs: number;
}

export const noFaults: NetworkFaults = { lossPpm: 0, duplicatePpm: 0, garblePpm: 0, delayMaxMs: 4 };

export interface SimLinks {
  /** The transport of one boot of a node; `door` is whom it asks where the others are, when it does not know. */
  transport(node: NodeId, process: SimProcess, random: SimRandom, door: NodeId | null): Transport;
  /** From now on `what` does not get from one to the other. */
  cut(from: NodeId, to: NodeId, what?: Cut): void;
  /** Ends all cuts. */
  heal(): void;
  /** All links are like this from now on; what is not named is as good as it gets. */
  disturb(faults: Partial<NetworkFaults>): void;
  crashed(node: NodeId, process: SimProcess, kind: CrashKind): void;
}

export interface Watch {
  /** A message is about to leave its node; throws when it must not. */
  leaving(from: Hello, to: NodeId, message: PeerMessage): void;
  /** @param sentMs null where the message that arrives is another object than the one that was sent */
  delivered(from: NodeId, to: NodeId, message: PeerMessage, sentMs: number | null): void;
}

/** Shows each message on its way out and in; its process may die right before or right after one leaves. */
export class WatchedTransport implements Transport {
  static readonly #sentMs = new WeakMap<PeerMessage, number>();
  readonly #inner: Transport;
  readonly #process: SimProcess;
  readonly #watch: Watch;
  #hello: (() => Hello) | null = null;

  constructor(inner: Transport, process: SimProcess, watch: Watch) {
    this.#inner = inner;
    this.#process = process;
    this.#watch = watch;
  }

  start(hello: () => Hello, handlers: TransportHandlers): Promise<void> {
    this.#hello = hello;
    return this.#inner.start(hello, {
      ...handlers,
      onMessage: (from, message) => {
        this.#watch.delivered(from.node, hello().node, message, WatchedTransport.#sentMs.get(message) ?? null);
        handlers.onMessage(from, message);
      },
    });
  }

  send(to: NodeId, channel: Channel, message: PeerMessage): boolean {
    if (this.#hello === null) return false;
    this.#process.boundary('before a message');
    if (!this.#process.alive) return false;
    this.#watch.leaving(this.#hello(), to, message);
    WatchedTransport.#sentMs.set(message, this.#process.scheduler.nowMs);
    const sent = this.#inner.send(to, channel, message);
    this.#process.boundary('after a message');
    return sent;
  }

  reach(peers: ReadonlyMap<NodeId, string>): void {
    this.#inner.reach(peers);
  }

  helloChanged(): void {
    this.#inner.helloChanged();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
