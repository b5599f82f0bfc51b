/** TcpTransport over real sockets and over the simulated network. */
import { type Address, formatAddress, type PipeNetwork } from '../../src/platform/pipe.ts';
import { realClock } from '../../src/platform/real/clock.ts';
import { RealPipeNetwork } from '../../src/platform/real/pipe.ts';
import { realRandom } from '../../src/platform/real/random.ts';
import type { NodeId } from '../../src/raft/core/types.ts';
import { TcpTransport } from '../../src/transport/tcp.ts';
import type { Hello, TransportHandlers } from '../../src/transport/transport.ts';
import { driveReal, type Drive } from '../platform/harness.ts';
import { SimClock } from '../sim/platform/clock.ts';
import { SimPipeNetwork } from '../sim/platform/pipe.ts';
import { SimProcess } from '../sim/platform/process.ts';
import { SimRandom } from '../sim/platform/random.ts';
import { SimScheduler } from '../sim/platform/scheduler.ts';
import type { TransportSubject } from './contract.ts';
import { n1, n2, n3 } from './samples.ts';

/** Any port, written down where the others look it up. */
class BookedTransport extends TcpTransport {
  readonly #book: (address: Address) => void;

  constructor(options: ConstructorParameters<typeof TcpTransport>[0], book: (address: Address) => void) {
    super(options);
    this.#book = book;
  }

  override async start(hello: () => Hello, handlers: TransportHandlers): Promise<void> {
    await super.start(hello, handlers);
    if (this.address !== null) this.#book(this.address);
  }
}

export interface RealSubject extends TransportSubject {
  readonly network: PipeNetwork;
  readonly addresses: ReadonlyMap<NodeId, Address>;
  readonly log: string[];
  make(node: NodeId): TcpTransport;
}

export function openReal(): RealSubject {
  const network = new RealPipeNetwork();
  const nowhere = { host: '127.0.0.1', port: 1 };
  const addresses = new Map<NodeId, Address>([n1, n2, n3].map((node) => [node, nowhere]));
  const log: string[] = [];
  const made: TcpTransport[] = [];
  return {
    drive: driveReal,
    clock: realClock,
    network,
    addresses,
    log,
    make: (self) => {
      const transport = new BookedTransport(
        {
          self,
          listen: { host: '127.0.0.1', port: 0 },
          network,
          clock: realClock,
          random: realRandom,
          log: (line) => log.push(`${self}: ${line}`),
        },
        (address) => {
          addresses.set(self, address);
          for (const each of made) each.reach(textsOf(addresses));
        },
      );
      made.push(transport);
      transport.reach(textsOf(addresses));
      return transport;
    },
  };
}

const textsOf = (addresses: ReadonlyMap<NodeId, Address>): ReadonlyMap<NodeId, string> =>
  new Map([...addresses].map(([node, address]) => [node, formatAddress(address)]));

export interface SimSubject extends TransportSubject {
  readonly scheduler: SimScheduler;
  readonly pipes: SimPipeNetwork;
  /** The last process of each node. */
  readonly processes: Map<NodeId, SimProcess>;
  readonly log: string[];
  make(node: NodeId, peers?: ReadonlyMap<NodeId, Address>, door?: Address): TcpTransport;
}

export function openSim(seed: number | string = 1): SimSubject {
  const scheduler = new SimScheduler();
  const random = new SimRandom(seed);
  const pipes = new SimPipeNetwork(scheduler, random.fork('pipes'));
  const addresses = new Map<NodeId, Address>([n1, n2, n3].map((node) => [node, { host: node, port: 4319 }]));
  const processes = new Map<NodeId, SimProcess>();
  const log: string[] = [];
  let boots = 0;
  const drive: Drive = (story) => scheduler.complete(story());
  return {
    drive,
    clock: new SimClock(new SimProcess(scheduler)),
    scheduler,
    pipes,
    processes,
    log,
    make: (self, peers = addresses, door) => {
      const process = new SimProcess(scheduler);
      processes.set(self, process);
      const transport = new TcpTransport({
        self,
        listen: { host: self, port: 4319 },
        ...(door === undefined ? {} : { door }),
        network: pipes.view(self, process),
        clock: new SimClock(process),
        random: random.fork(`${self} ${boots++}`),
        log: (line) => log.push(`${self}: ${line}`),
      });
      transport.reach(textsOf(peers));
      return transport;
    },
  };
}
