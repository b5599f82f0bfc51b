/**
 * The default transport: two connections to every peer, control and bulk, over byte streams.
 *
 * Each node dials every peer and sends only on the connections it dialed; what it accepts it only reads (and answers
 * pings). So between two nodes there are four pipes, no tie to break when both dial at once, and a one-way cut takes
 * away one direction, as it does to packets.
 */
import { limits } from '../limits.ts';
import type { Clock } from '../platform/clock.ts';
import { type Address, addressIn, type Pipe, type PipeListener, type PipeNetwork } from '../platform/pipe.ts';
import type { Random } from '../platform/random.ts';
import type { NodeId } from '../raft/core/types.ts';
import { decodeMessage, encodeMessage, payloadBytesOf } from './codec.ts';
import { Connection, silenceMsOf } from './connection.ts';
import { FrameError } from './frame.ts';
import { misdirected, refusalOf, type Signal } from './handshake.ts';
import { Outgoing } from './outgoing.ts';
import { levelOfMessage } from './message-level.ts';
import type { Channel, Hello, PeerMessage, Refusal, Transport, TransportHandlers } from './transport.ts';

export interface TcpTransportOptions {
  readonly self: NodeId;
  /** Port 0 takes any; `address` says which. */
  readonly listen: Address;
  /** A member to ask where the others are, while `reach` has named nobody. */
  readonly door?: Address;
  readonly network: PipeNetwork;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: (line: string) => void;
}

/** Bytes written in the last moment before connections are renewed should still leave. */
const renewDelayMs = 10;

type Running = { readonly hello: () => Hello; readonly handlers: TransportHandlers };

export class TcpTransport implements Transport {
  readonly #options: TcpTransportOptions;
  #peers: ReadonlyMap<NodeId, string> = new Map();
  readonly #outgoing = new Map<NodeId, Record<Channel, Outgoing>>();
  #door: Outgoing | null = null;
  /** Admitted connections by `channel node`, and strangers by themselves. */
  readonly #incoming = new Map<string, Connection>();
  readonly #strangers = new Set<Connection>();
  /** Admitted control connections of nodes that this one was not told to reach. */
  readonly #visitors = new Map<string, Hello>();
  #running: Running | null = null;
  #listener: PipeListener | null = null;
  #cancelRenew: (() => void) | null = null;
  /** What was last logged: of each peer we dial, of each that dials us, and of strangers. */
  readonly #said = new Map<string, string>();

  constructor(options: TcpTransportOptions) {
    this.#options = options;
  }

  /** Where it listens, with the real port; null before `start`. */
  get address(): Address | null {
    return this.#listener?.address ?? null;
  }

  async start(hello: () => Hello, handlers: TransportHandlers): Promise<void> {
    if (this.#running !== null) throw new Error('the transport has been started');
    this.#running = { hello, handlers };
    const { listen, network } = this.#options;
    this.#listener = await network.listen(listen, (pipe) => this.#accept(pipe));
    this.#dialAll();
  }

  reach(peers: ReadonlyMap<NodeId, string>): void {
    this.#peers = new Map([...peers].filter(([peer]) => peer !== this.#options.self));
    if (this.#listener !== null && this.#running !== null) this.#dialAll();
  }

  #dialAll(): void {
    for (const [peer, pair] of this.#outgoing) {
      if (this.#peers.has(peer)) continue;
      this.#outgoing.delete(peer);
      closePair(pair, `${peer} is no longer a member`);
    }
    for (const peer of this.#peers.keys()) {
      if (this.#outgoing.has(peer)) continue;
      const pair = { control: this.#dialer(peer, 'control'), bulk: this.#dialer(peer, 'bulk') };
      this.#outgoing.set(peer, pair);
      pair.control.dial();
      pair.bulk.dial();
    }
    const { door } = this.#options;
    if (door === undefined) return;
    if (this.#peers.size > 0) {
      this.#door?.close('the members are known');
      this.#door = null;
    } else if (this.#door === null) {
      this.#door = this.#dialer(null, 'control');
      this.#door.dial();
    }
  }

  send(to: NodeId, channel: Channel, message: PeerMessage): boolean {
    const outgoing = this.#outgoing.get(to)?.[channel];
    // Nothing is encoded only to be dropped: a dead path under load would cost more than a live one.
    if (outgoing === undefined || !outgoing.hasRoom(payloadBytesOf(message))) return false;
    // It would cut the connection off, and with it what it can read.
    if (levelOfMessage(message) > (outgoing.welcome?.formats.newest ?? 0)) return false;
    return outgoing.send(encodeMessage(message));
  }

  helloChanged(): void {
    if (this.#running === null || this.#cancelRenew !== null) return;
    this.#cancelRenew = this.#options.clock.after(renewDelayMs, () => {
      this.#cancelRenew = null;
      const reason = 'this node has something new to say of itself';
      for (const connection of [...this.#incoming.values()]) connection.close(reason);
      for (const { control, bulk } of this.#outgoing.values()) {
        control.renew(reason);
        bulk.renew(reason);
      }
      this.#door?.renew(reason);
    });
  }

  async close(): Promise<void> {
    this.#running = null;
    this.#cancelRenew?.();
    for (const pair of this.#outgoing.values()) closePair(pair, 'this node is stopping');
    this.#door?.close('this node is stopping');
    for (const connection of [...this.#incoming.values(), ...this.#strangers])
      connection.close('this node is stopping');
    await this.#listener?.close();
  }

  #dialer(peer: NodeId | null, channel: Channel): Outgoing {
    const { network, clock, random, door } = this.#options;
    const name = peer ?? 'the node at --join';
    return new Outgoing({
      peer,
      channel,
      address: () => (peer === null ? door : (addressIn(this.#peers.get(peer) ?? '') ?? undefined)),
      network,
      clock,
      random,
      hello: () => this.#hello(),
      refusal: (hello) => this.#refusal(hello, peer),
      onUp: (hello) => {
        if (channel === 'bulk') return;
        this.#log(name, `connected to ${hello.node}`);
        this.#running?.handlers.onUp(hello);
      },
      onDown: (reason) => {
        if (channel === 'bulk') return;
        this.#log(name, `lost the connection to ${name}: ${reason}`);
        if (peer !== null) this.#running?.handlers.onDown(peer);
      },
      onFailed: (reason) => {
        if (channel === 'control') this.#log(name, `cannot reach ${name} (${reason}); trying again`);
      },
      onRefused: ({ code, sentence }, byPeer) => {
        this.#log(name, byPeer ? `${name} refused this node: ${sentence}` : `refused ${name}: ${sentence}`);
        if (byPeer && peer !== null) this.#running?.handlers.onRefused(peer, { code, sentence });
      },
    });
  }

  #hello(): Hello {
    if (this.#running === null) throw new Error('the transport is not running');
    return this.#running.hello();
  }

  #refusal(theirs: Hello, expected: NodeId | null): Refusal | null {
    if (this.#running === null) return { code: 'busy', sentence: `${this.#options.self} is stopping; try again` };
    return refusalOf(this.#hello(), theirs, expected) ?? this.#running.handlers.admit(theirs);
  }

  #accept(pipe: Pipe): void {
    if (this.#running === null || this.#strangers.size >= limits.strangersMax) {
      pipe.close();
      return;
    }
    let peer: { readonly hello: Hello; readonly name: string } | null = null;
    const connection = new Connection(pipe, this.#options.clock, {
      signal: (signal) => {
        if (peer === null) peer = this.#greet(connection, signal);
        else if (signal.signal === 'refuse') this.#refusedBy(peer.hello.node, connection, signal);
        else throw new FrameError(`a ${signal.signal} out of place`);
      },
      message: (frame) => {
        if (peer === null) throw new FrameError('a message before its hello');
        const message = decodeMessage(frame);
        if (message.kind === 'raft' && message.message.from !== peer.hello.replica) {
          throw new FrameError(`a message of ${message.message.from} on a connection of ${peer.hello.replica}`);
        }
        this.#running?.handlers.onMessage(peer.hello, message);
      },
      closed: (reason, cutOff) => {
        this.#strangers.delete(connection);
        if (peer !== null && this.#incoming.get(peer.name) === connection) {
          this.#incoming.delete(peer.name);
          this.#visitorGone(peer.hello.node, peer.name);
        }
        if (cutOff)
          this.#log(peer?.name ?? 'strangers', `cut off the ${peer?.name ?? 'connection of a stranger'}: ${reason}`);
      },
    });
    this.#strangers.add(connection);
  }

  /** Answers the hello of a stranger. Gives who it is when it may stay. */
  #greet(connection: Connection, signal: Signal): { readonly hello: Hello; readonly name: string } | null {
    if (signal.signal !== 'hello') throw new FrameError(`a ${signal.signal} before its hello`);
    const { hello, channel, to } = signal;
    const { self } = this.#options;
    const refusal =
      this.#refusal(hello, null) ?? (to === null || to === self ? null : misdirected(self, to, hello.node));
    if (refusal !== null) {
      const about = this.#peers.has(hello.node) ? `from ${hello.node}` : 'strangers';
      this.#log(about, `refused ${hello.node}: ${refusal.sentence}`);
      connection.refuse(refusal);
      return null;
    }
    const name = `${channel} connection of ${hello.node}`;
    this.#strangers.delete(connection);
    const former = this.#incoming.get(name);
    this.#incoming.set(name, connection);
    former?.close('a newer one took its place');
    connection.sendSignal({ signal: 'welcome', hello: this.#hello() });
    connection.admit({ silenceMs: silenceMsOf[channel], pings: false });
    this.#meet(hello, channel);
    // Nobody dials who is not reached for: that it came is all that there is of it.
    if (channel === 'control' && !this.#peers.has(hello.node)) {
      this.#visitors.set(name, hello);
      this.#running?.handlers.onUp(hello);
    }
    return { hello, name };
  }

  #visitorGone(node: NodeId, name: string): void {
    if (this.#visitors.delete(name) && !this.#peers.has(node)) this.#running?.handlers.onDown(node);
  }

  /** A peer that dials us is up: no need to wait for our own next attempt, or for silence on what its last run left behind. */
  #meet(hello: Hello, channel: Channel): void {
    const outgoing = this.#outgoing.get(hello.node)?.[channel];
    if (outgoing === undefined) return;
    if (outgoing.welcome !== null && outgoing.welcome.boot !== hello.boot)
      outgoing.renew(`${hello.node} was restarted`);
    else outgoing.dial();
  }

  #refusedBy(node: NodeId, connection: Connection, { code, sentence }: Refusal): void {
    this.#log(`from ${node}`, `${node} refused this node: ${sentence}`);
    connection.close(sentence);
    this.#running?.handlers.onRefused(node, { code, sentence });
  }

  /** Says the same of the same peer once: one that is refused comes back every two seconds. */
  #log(about: string, line: string): void {
    if (this.#running === null || this.#said.get(about) === line) return;
    this.#said.set(about, line);
    this.#options.log?.(line);
  }
}

function closePair({ control, bulk }: Record<Channel, Outgoing>, reason: string): void {
  control.close(reason);
  bulk.close(reason);
}
