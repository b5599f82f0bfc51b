/**
 * The simulated network of byte streams. Like TCP it delivers in order or not at all: a cut link holds bytes back until it
 * heals, a crash of the process closes its pipes, a power loss leaves the other side waiting. Bytes arrive in other pieces
 * than they were written in.
 */
import type { Address, Pipe, PipeListener, PipeNetwork } from '../../../src/platform/pipe.ts';
import type { CrashKind } from './disk-io.ts';
import type { SimProcess } from './process.ts';
import type { SimRandom } from './random.ts';
import type { SimScheduler } from './scheduler.ts';

/** One direction between two hosts; the simulator's to change, then `SimPipeNetwork.heal` lets held bytes flow. */
export interface Link {
  delayMs: readonly [number, number];
  cut: boolean;
  /** A write larger than this gets stuck, and all after it on its pipe: bulk is dead while heartbeats flow (protocol I4). */
  stuckAboveBytes: number;
  /** Of a million writes, so many arrive with a bit flipped. */
  garblePpm: number;
}

/** Bytes that the operating systems of both sides hold before a sender notices a queue. */
const windowBytes = 64 * 1024;
const connectRetryMs = 100;
const firstFreePort = 20_000;

interface Listening {
  readonly process: SimProcess;
  readonly onPipe: (pipe: Pipe) => void;
}

export class SimPipeNetwork {
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  readonly #links = new Map<string, Link>();
  readonly #listening = new Map<string, Listening>();
  readonly #ends = new Set<PipeEnd>();
  /** Hosts without power. */
  readonly #dark = new Set<string>();
  #nextPort = firstFreePort;

  constructor(scheduler: SimScheduler, random: SimRandom) {
    this.scheduler = scheduler;
    this.random = random;
  }

  /** The network as one process on `host` sees it. */
  view(host: string, process: SimProcess): PipeNetwork {
    this.#dark.delete(host);
    return {
      listen: (address, onPipe) => this.#listen(address, { process, onPipe }),
      connect: (address, { timeoutMs }) => this.#connect(host, process, address, timeoutMs),
    };
  }

  link(from: string, to: string): Link {
    let link = this.#links.get(`${from}>${to}`);
    if (link === undefined) {
      link = { delayMs: [0.1, 1], cut: false, stuckAboveBytes: Infinity, garblePpm: 0 };
      this.#links.set(`${from}>${to}`, link);
    }
    return link;
  }

  /** Every link is whole again, and what was held flows on. */
  heal(): void {
    for (const link of this.#links.values()) {
      link.cut = false;
      link.stuckAboveBytes = Infinity;
    }
    for (const end of this.#ends) end.resumeSending();
  }

  /** The process is gone. Its system closes its pipes; without power nobody does. */
  crash(host: string, process: SimProcess, kind: CrashKind): void {
    if (kind === 'power') this.#dark.add(host);
    for (const end of [...this.#ends]) {
      if (end.process !== process) continue;
      if (kind === 'process') end.abandon();
      else this.#ends.delete(end);
    }
    for (const [name, listening] of this.#listening) if (listening.process === process) this.#listening.delete(name);
  }

  isDark(host: string): boolean {
    return this.#dark.has(host);
  }

  forget(end: PipeEnd): void {
    this.#ends.delete(end);
  }

  async #listen(asked: Address, listening: Listening): Promise<PipeListener> {
    const address = { host: asked.host, port: asked.port === 0 ? this.#nextPort++ : asked.port };
    const name = nameOf(address);
    if (this.#listening.get(name)?.process.alive === true) {
      throw Object.assign(new Error(`${name} is taken`), { code: 'EADDRINUSE' });
    }
    this.#listening.set(name, listening);
    return {
      address,
      close: async () => {
        if (this.#listening.get(name) === listening) this.#listening.delete(name);
      },
    };
  }

  #connect(from: string, process: SimProcess, address: Address, timeoutMs: number): Promise<Pipe> {
    const there = this.link(from, address.host);
    const back = this.link(address.host, from);
    return new Promise((resolve, reject) => {
      let over = false;
      const cancelTimeout = process.after(timeoutMs, () => {
        over = true;
        reject(Object.assign(new Error(`no answer from ${nameOf(address)}`), { code: 'ETIMEDOUT' }));
      });
      const attempt = (): void => {
        if (over || !process.alive) return;
        if (there.cut || back.cut || this.isDark(address.host)) {
          this.scheduler.after(connectRetryMs, attempt);
          return;
        }
        const listening = this.#listening.get(nameOf(address));
        const answerMs = this.random.between(...back.delayMs);
        if (listening === undefined || !listening.process.alive) {
          process.after(answerMs, () => {
            cancelTimeout();
            reject(Object.assign(new Error(`nobody listens on ${nameOf(address)}`), { code: 'ECONNREFUSED' }));
          });
          return;
        }
        const near = new PipeEnd(this, from, address.host, process);
        const far = new PipeEnd(this, address.host, from, listening.process);
        near.join(far);
        far.join(near);
        // Nothing may overtake the answer.
        far.notBeforeMs = this.scheduler.nowMs + answerMs;
        this.#ends.add(near).add(far);
        process.after(answerMs, () => {
          if (over) return near.close();
          cancelTimeout();
          resolve(near);
        });
        listening.process.whenRunning(() => listening.onPipe(far));
      };
      this.scheduler.after(this.random.between(...there.delayMs), attempt);
    });
  }
}

/** One side of a pipe, and the stream of bytes that leaves from it. */
class PipeEnd implements Pipe {
  onData: (bytes: Uint8Array) => void = () => {};
  onClose: () => void = () => {};
  readonly process: SimProcess;
  /** No byte arrives before this. */
  notBeforeMs = 0;
  readonly #network: SimPipeNetwork;
  readonly #from: string;
  readonly #to: string;
  readonly #link: Link;
  #other: PipeEnd | null = null;
  /** Written and not delivered, oldest first; null is the close. */
  #queue: (Uint8Array | null)[] = [];
  #queueBytes = 0;
  /** Arrivals that are scheduled; each takes the head of the queue. */
  #scheduled = 0;
  /** Closing: this side has closed it and has not been told yet; nothing goes in or out. */
  #state: 'open' | 'closing' | 'closed' = 'open';

  constructor(network: SimPipeNetwork, from: string, to: string, process: SimProcess) {
    this.#network = network;
    this.#from = from;
    this.#to = to;
    this.#link = network.link(from, to);
    this.process = process;
  }

  join(other: PipeEnd): void {
    this.#other = other;
  }

  get queuedBytes(): number {
    return Math.max(0, this.#queueBytes - windowBytes);
  }

  write(pieces: readonly Uint8Array[]): void {
    if (this.#state !== 'open' || !this.process.alive) return;
    const bytes = new Uint8Array(Buffer.concat(pieces));
    if (this.#network.random.below(1_000_000) < this.#link.garblePpm) this.#network.random.flipBit(bytes);
    if (bytes.length > 0) this.#send(bytes);
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#sendClose();
    this.#end(0);
  }

  /** The process died: its system closes the pipe for it. */
  abandon(): void {
    if (this.#state !== 'closed') this.#sendClose();
    this.#state = 'closed';
  }

  /** The link may be whole again. */
  resumeSending(): void {
    while (this.#scheduled < this.#queue.length) this.#schedule(this.#network.random.between(...this.#link.delayMs));
  }

  /** Tells the other side, behind or instead of what is still queued. */
  #sendClose(): void {
    if (this.#network.random.chance(0.5)) {
      this.#queue = [];
      this.#queueBytes = 0;
    }
    this.#send(null);
  }

  #send(piece: Uint8Array | null): void {
    this.#queue.push(piece);
    this.#queueBytes += piece?.length ?? 0;
    this.#schedule(this.#network.random.between(...this.#link.delayMs));
  }

  #schedule(delayMs: number): void {
    const { scheduler } = this.#network;
    this.notBeforeMs = Math.max(scheduler.nowMs + delayMs, this.notBeforeMs);
    this.#scheduled++;
    scheduler.at(this.notBeforeMs, () => {
      this.#scheduled--;
      this.#arrive();
    });
  }

  /** The head of the queue reaches the other host, unless it is stuck: then it waits for `resumeSending`. */
  #arrive(): void {
    const other = this.#other;
    const head = this.#queue[0];
    if (other === null || head === undefined || this.#link.cut || (head?.length ?? 0) > this.#link.stuckAboveBytes)
      return;
    if (!other.process.alive) {
      this.#reset();
      return;
    }
    this.#queue.shift();
    if (head === null) {
      other.#end(0);
      this.#forgetWhenDone();
      return;
    }
    const arrived = this.#regroup(head);
    this.#queueBytes -= arrived.length;
    other.process.whenRunning(() => {
      if (other.#state === 'open') other.onData(arrived);
    });
  }

  /** What was written in one piece may arrive in several, and several in one. */
  #regroup(head: Uint8Array): Uint8Array {
    const { random } = this.#network;
    const next = this.#queue[0];
    if (next && random.chance(1 / 8) && next.length <= this.#link.stuckAboveBytes) {
      this.#queue.shift();
      return new Uint8Array(Buffer.concat([head, next]));
    }
    if (head.length < 2 || !random.chance(1 / 8)) return head;
    const cutAt = 1 + random.below(head.length - 1);
    this.#queue.unshift(head.subarray(cutAt));
    // One arrival more than was planned; the later ones keep their order by taking whatever is first.
    this.#schedule(random.between(0, 0.2));
    return head.slice(0, cutAt);
  }

  /** Bytes for a process that is gone: its system says so, if it has power and the way back is whole. */
  #reset(): void {
    if (this.#network.isDark(this.#to) || this.#network.link(this.#to, this.#from).cut) return;
    this.#queue = [];
    this.#queueBytes = 0;
    this.#end(this.#network.random.between(...this.#link.delayMs));
  }

  #end(delayMs: number): void {
    this.process.after(delayMs, () => {
      if (this.#state === 'closed') return;
      this.#state = 'closed';
      this.#forgetWhenDone();
      this.onClose();
    });
  }

  #forgetWhenDone(): void {
    if (this.#state === 'closed' && this.#queue.length === 0) this.#network.forget(this);
  }
}

const nameOf = (address: Address): string => `${address.host}:${address.port}`;
