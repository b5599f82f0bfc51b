/**
 * One pipe that carries frames: reads them, answers pings, and ends itself when nothing has moved for too long or when
 * the other side sends what no node sends. `closed` is told once, with the reason, whoever ended it.
 */
import { limits } from '../limits.ts';
import type { Clock } from '../platform/clock.ts';
import type { Pipe } from '../platform/pipe.ts';
import { FrameError, FrameReader, type Frame } from './frame.ts';
import { decodeSignal, encodeSignal, handshakeBytesMax, type Signal } from './handshake.ts';
import type { Refusal } from './transport.ts';

export interface ConnectionEvents {
  /** May throw FrameError: the connection is cut off. */
  signal(signal: Signal): void;
  /** May throw FrameError: the connection is cut off. */
  message(frame: Frame): void;
  /** @param cutOff it was ended for what it sent */
  closed(reason: string, cutOff: boolean): void;
}

const ping = encodeSignal({ signal: 'ping' });
const pong = encodeSignal({ signal: 'pong' });

export class Connection {
  readonly #pipe: Pipe;
  readonly #clock: Clock;
  readonly #reader: FrameReader;
  readonly #events: ConnectionEvents;
  #open = true;
  #admitted = false;
  #movedMs: number;
  #lastCheckMs: number;
  #lastQueued = 0;
  #cancelTimer: () => void;

  constructor(pipe: Pipe, clock: Clock, events: ConnectionEvents) {
    this.#pipe = pipe;
    this.#clock = clock;
    this.#events = events;
    this.#reader = new FrameReader({ frameBytesMax: handshakeBytesMax, onFrame: (frame) => this.#take(frame) });
    this.#movedMs = this.#lastCheckMs = clock.monotonicMs();
    this.#cancelTimer = clock.after(limits.connectTimeoutMs, () => this.close('it did not say who it is in time'));
    pipe.onData = (bytes) => this.#receive(bytes);
    pipe.onClose = () => this.close('it was closed');
  }

  get queuedBytes(): number {
    return this.#pipe.queuedBytes;
  }

  /** Both sides know each other: large frames are taken, and silence is measured from now on. */
  admit(options: { readonly silenceMs: number; readonly pings: boolean }): void {
    this.#admitted = true;
    this.#reader.allow(limits.frameBytesMax);
    this.#cancelTimer();
    this.#movedMs = this.#lastCheckMs = this.#clock.monotonicMs();
    this.#watch(options.silenceMs, options.pings);
  }

  send(pieces: readonly Uint8Array[]): void {
    if (this.#open) this.#pipe.write(pieces);
  }

  sendSignal(signal: Signal): void {
    this.send(encodeSignal(signal));
  }

  /** Sends the refusal and leaves it to the other side to close, so that it is not lost. */
  refuse({ code, sentence }: Refusal): void {
    this.sendSignal({ signal: 'refuse', code, sentence });
    this.#reader.stop();
    this.#cancelTimer();
    this.#cancelTimer = this.#clock.after(limits.connectTimeoutMs, () => this.close(sentence));
  }

  close(reason: string, cutOff = false): void {
    if (!this.#open) return;
    this.#open = false;
    this.#cancelTimer();
    this.#reader.stop();
    this.#pipe.close();
    this.#events.closed(reason, cutOff);
  }

  #receive(bytes: Uint8Array): void {
    if (!this.#open) return;
    this.#movedMs = this.#clock.monotonicMs();
    try {
      this.#reader.push(bytes);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.close(`it sent ${error.message}`, true);
    }
  }

  #take(frame: Frame): void {
    const signal = decodeSignal(frame);
    if (signal === null) {
      if (!this.#admitted) throw new FrameError('a message before it said who it is');
      this.#events.message(frame);
    } else if (signal.signal === 'ping') this.send(pong);
    else if (signal.signal !== 'pong') this.#events.signal(signal);
  }

  #watch(silenceMs: number, pings: boolean): void {
    this.#cancelTimer = this.#clock.after(limits.pingMs, () => {
      const nowMs = this.#clock.monotonicMs();
      const queued = this.#pipe.queuedBytes;
      // A queue that shrinks is a sign of life. A check that comes late was this process's own pause, not the peer's.
      if (queued < this.#lastQueued || nowMs - this.#lastCheckMs > 2 * limits.pingMs) this.#movedMs = nowMs;
      this.#lastQueued = queued;
      this.#lastCheckMs = nowMs;
      if (nowMs - this.#movedMs > silenceMs) {
        this.close(`nothing came for ${silenceMs} ms`);
        return;
      }
      if (pings) this.send(ping);
      this.#watch(silenceMs, pings);
    });
  }
}

/** How long a connection of this channel may be silent. */
export const silenceMsOf = { control: limits.controlSilenceMs, bulk: limits.bulkSilenceMs } as const;
