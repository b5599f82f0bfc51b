/**
 * The connection that this node dials to one peer for one channel, and dials again whenever it ends: jittered, doubling
 * waits from 50 ms to 2 s, back to the start as soon as the peer welcomes us. Messages leave on it and nothing but signals
 * comes back.
 */
import { limits } from '../limits.ts';
import type { Clock } from '../platform/clock.ts';
import type { Address, Pipe, PipeNetwork } from '../platform/pipe.ts';
import type { Random } from '../platform/random.ts';
import type { NodeId } from '../raft/core/types.ts';
import { Connection, silenceMsOf } from './connection.ts';
import { FrameError } from './frame.ts';
import type { Signal } from './handshake.ts';
import type { Channel, Hello, Refusal } from './transport.ts';

export interface OutgoingOptions {
  /** Who should be there; null at a door, where anybody may be. */
  readonly peer: NodeId | null;
  readonly channel: Channel;
  /** Asked at every attempt. */
  readonly address: () => Address | undefined;
  readonly network: PipeNetwork;
  readonly clock: Clock;
  readonly random: Random;
  /** Our own hello, asked at every attempt. */
  readonly hello: () => Hello;
  /** Why the peer's hello is not acceptable, or null. */
  readonly refusal: (hello: Hello) => Refusal | null;
  readonly onUp: (hello: Hello) => void;
  /** Only after `onUp`. */
  readonly onDown: (reason: string) => void;
  /** An attempt came to nothing. */
  readonly onFailed: (reason: string) => void;
  /** One side refused the other. */
  readonly onRefused: (refusal: Refusal, byPeer: boolean) => void;
}

const queueBytesMax = { control: limits.controlQueueBytesMax, bulk: limits.bulkQueueBytesMax } as const;

export class Outgoing {
  readonly #options: OutgoingOptions;
  #connection: Connection | null = null;
  /** The peer's hello while it welcomes us. */
  #welcome: Hello | null = null;
  #waitMs: number = limits.reconnectMsMin;
  #cancelWait: (() => void) | null = null;
  #dialing = false;
  /** The last attempt ended in a refusal, and everybody knows why. */
  #refused = false;
  #closed = false;

  constructor(options: OutgoingOptions) {
    this.#options = options;
  }

  /** The peer as it last presented itself; null while the connection is not up. */
  get welcome(): Hello | null {
    return this.#welcome;
  }

  /** Dials now, unless there is a connection or an attempt already. */
  dial(): void {
    if (this.#closed || this.#dialing || this.#connection !== null) return;
    this.#cancelWait?.();
    this.#cancelWait = null;
    const address = this.#options.address();
    if (address === undefined) {
      this.#dialLater();
      return;
    }
    this.#dialing = true;
    this.#options.network.connect(address, { timeoutMs: limits.connectTimeoutMs }).then(
      (pipe) => {
        this.#dialing = false;
        if (this.#closed) pipe.close();
        else this.#open(pipe);
      },
      (error: unknown) => {
        this.#dialing = false;
        this.#dialLater();
        this.#options.onFailed(error instanceof Error ? error.message : String(error));
      },
    );
  }

  /** Whether `bytes` more may be queued: the connection is up and its queue not full. */
  hasRoom(bytes: number): boolean {
    if (this.#connection === null || this.#welcome === null) return false;
    return this.#connection.queuedBytes + bytes <= queueBytesMax[this.#options.channel];
  }

  /** Queues the pieces of a frame. False when there is no room for them. */
  send(pieces: readonly Uint8Array[]): boolean {
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (!this.hasRoom(bytes)) return false;
    this.#connection?.send(pieces);
    return true;
  }

  /** Ends the connection and dials again after the shortest wait. */
  renew(reason: string): void {
    this.#waitMs = limits.reconnectMsMin;
    if (this.#connection === null) this.dial();
    else this.#connection.close(reason);
  }

  close(reason: string): void {
    this.#closed = true;
    this.#cancelWait?.();
    this.#connection?.close(reason);
  }

  #open(pipe: Pipe): void {
    const { peer, channel, clock, hello } = this.#options;
    this.#refused = false;
    const connection = new Connection(pipe, clock, {
      signal: (signal) => this.#onSignal(connection, signal),
      message: () => {
        throw new FrameError('a message on a connection that only carries answers');
      },
      closed: (reason) => this.#onClosed(reason),
    });
    this.#connection = connection;
    connection.sendSignal({ signal: 'hello', to: peer, channel, hello: hello() });
  }

  #onSignal(connection: Connection, signal: Signal): void {
    switch (signal.signal) {
      case 'welcome': {
        if (this.#welcome !== null) throw new FrameError('a second welcome');
        const refusal = this.#options.refusal(signal.hello);
        if (refusal !== null) {
          this.#waitMs = limits.reconnectMsMax;
          this.#refused = true;
          connection.refuse(refusal);
          this.#options.onRefused(refusal, false);
          return;
        }
        this.#waitMs = limits.reconnectMsMin;
        this.#welcome = signal.hello;
        connection.admit({ silenceMs: silenceMsOf[this.#options.channel], pings: true });
        this.#options.onUp(signal.hello);
        return;
      }
      case 'refuse':
        this.#waitMs = limits.reconnectMsMax;
        this.#refused = true;
        connection.close(signal.sentence);
        this.#options.onRefused(signal, true);
        return;
      case 'hello':
      case 'ping':
      case 'pong':
        throw new FrameError(`a ${signal.signal} out of place`);
      default:
        signal satisfies never;
    }
  }

  #onClosed(reason: string): void {
    const wasUp = this.#welcome !== null;
    this.#connection = null;
    this.#welcome = null;
    this.#dialLater();
    if (wasUp) this.#options.onDown(reason);
    else if (!this.#refused) this.#options.onFailed(reason);
  }

  #dialLater(): void {
    if (this.#closed || this.#cancelWait !== null) return;
    // Half of the wait is chance, so that nodes cut off together do not come back in step.
    const half = Math.ceil(this.#waitMs / 2);
    const delayMs = half + this.#options.random.below(half);
    this.#waitMs = Math.min(2 * this.#waitMs, limits.reconnectMsMax);
    this.#cancelWait = this.#options.clock.after(delayMs, () => {
      this.#cancelWait = null;
      this.dial();
    });
  }
}
