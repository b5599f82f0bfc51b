/** The real TCP transport over simulated streams: handshakes, frames, pings and reconnection run as in production. */
import type { NodeId } from '../../src/raft/core/types.ts';
import { TcpTransport } from '../../src/transport/tcp.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { type Cut, type NetworkFaults, noFaults, type SimLinks } from './links.ts';
import { SimClock, type ClockSkew } from './platform/clock.ts';
import type { CrashKind } from './platform/disk-io.ts';
import { SimPipeNetwork } from './platform/pipe.ts';
import type { SimProcess } from './platform/process.ts';
import type { SimRandom } from './platform/random.ts';
import type { SimScheduler } from './platform/scheduler.ts';

const port = 4319;
/** A write above this is stuck on a link that lets only small ones through: a heartbeat is below, an entry above. */
const stuckAboveBytes = 420;

export class TcpLinks implements SimLinks {
  readonly #pipes: SimPipeNetwork;
  readonly #members: readonly NodeId[];
  readonly #skew: (node: NodeId) => ClockSkew;

  constructor(options: {
    scheduler: SimScheduler;
    random: SimRandom;
    members: readonly NodeId[];
    skew: (node: NodeId) => ClockSkew;
  }) {
    this.#pipes = new SimPipeNetwork(options.scheduler, options.random);
    this.#members = options.members;
    this.#skew = options.skew;
    this.disturb({});
  }

  transport(node: NodeId, process: SimProcess, random: SimRandom, door: NodeId | null): Transport {
    return new TcpTransport({
      self: node,
      ...(door === null ? {} : { door: { host: door, port } }),
      listen: { host: node, port },
      network: this.#pipes.view(node, process),
      clock: new SimClock(process, this.#skew(node)),
      random,
    });
  }

  /** A stream has no channel that shows: what is bulk is what is large. */
  cut(from: NodeId, to: NodeId, what: Cut = 'all'): void {
    const link = this.#pipes.link(from, to);
    if (what === 'all' || what === 'control') link.cut = true;
    else link.stuckAboveBytes = stuckAboveBytes;
  }

  heal(): void {
    this.#pipes.heal();
  }

  /** Streams lose nothing and repeat nothing; they get slow, and at worst deliver a wrong bit. */
  disturb(faults: Partial<NetworkFaults>): void {
    const { delayMaxMs, garblePpm } = { ...noFaults, ...faults };
    for (const from of this.#members) {
      for (const to of this.#members) {
        Object.assign(this.#pipes.link(from, to), { delayMs: [0, delayMaxMs], garblePpm });
      }
    }
  }

  crashed(node: NodeId, process: SimProcess, kind: CrashKind): void {
    this.#pipes.crash(node, process, kind);
  }
}
