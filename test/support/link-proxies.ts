/**
 * A proxy on every directed link of a cluster, so that a test can cut one direction and leave the other. A link n1 -> n2 carries
 * what n1 says to n2. A cut is silent, as those of networks are: nothing is closed and nothing refused, what was sent stands
 * still, and arrives when the link heals, as TCP sends it again.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * What a cut of n1 -> n2 takes away. `bytes`: every byte from n1 to n2, as a network does that loses packets one way; connections
 * that n2 opened lose n1's answers, too. `calls`: the connections that n1 opens, as a firewall does that lets n2 in and n1 not out;
 * those of n2 work as ever.
 */
export type CutKind = 'bytes' | 'calls';

/** What one end says to the other on one connection. */
class Direction {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #isCut: () => boolean;
  #ended = false;

  constructor(from: Socket, to: Socket, isCut: () => boolean) {
    this.#from = from;
    this.#to = to;
    this.#isCut = isCut;
    from.on('data', (bytes: Buffer) => {
      if (!to.write(bytes)) from.pause();
    });
    to.on('drain', () => this.update());
    from.on('close', () => {
      this.#ended = true;
      this.update();
    });
    this.update();
  }

  /** Stands still or goes on, as the link is now. The end of a connection does not get through a cut either. */
  update(): void {
    if (this.#isCut()) this.#from.pause();
    else if (this.#ended) this.#to.end(() => this.#to.destroy());
    else if (!this.#to.writableNeedDrain) this.#from.resume();
  }
}

interface Link {
  readonly server: Server;
  readonly sockets: Set<Socket>;
  readonly directions: Set<Direction>;
  /** Connections whose first packet is lost in the cut. */
  readonly lost: Set<Socket>;
}

const host = '127.0.0.1';
const named = (from: string, to: string): string => `${from} -> ${to}`;

export class LinkProxies {
  /** By the node that opens the connections and the one that takes them. */
  readonly #links = new Map<string, Link>();
  #cut: { readonly from: string; readonly to: string; readonly kind: CutKind } | null = null;

  /** Every link, as the names of its two ends. */
  get names(): readonly string[] {
    return [...this.#links.keys()];
  }

  /** Puts a proxy on the connections that `from` opens to `to`, which listens at `address`. Resolves with the proxy's own address. */
  async open(from: string, to: string, address: string): Promise<string> {
    const port = Number(address.slice(address.lastIndexOf(':') + 1));
    const server = createServer({ noDelay: true, pauseOnConnect: true });
    const link: Link = { server, sockets: new Set(), directions: new Set(), lost: new Set() };
    server.on('connection', (caller) => {
      // An opening needs a packet each way.
      if (this.#stops(from, to, from) || this.#stops(from, to, to)) keep(link.lost, caller);
      else this.#join(link, { from, to }, caller, connect({ host, port, noDelay: true }));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port: 0 }, resolve);
    });
    this.#links.set(named(from, to), link);
    const own = server.address();
    if (own === null || typeof own === 'string') throw new Error('the proxy does not listen');
    return `${host}:${own.port}`;
  }

  #join(link: Link, { from, to }: { from: string; to: string }, caller: Socket, callee: Socket): void {
    for (const socket of [caller, callee]) keep(link.sockets, socket);
    const there = new Direction(caller, callee, () => this.#stops(from, to, from));
    const back = new Direction(callee, caller, () => this.#stops(from, to, to));
    for (const direction of [there, back]) link.directions.add(direction);
    let open = 2;
    const closed = (): void => {
      open -= 1;
      if (open === 0) for (const direction of [there, back]) link.directions.delete(direction);
    };
    caller.on('close', closed);
    callee.on('close', closed);
  }

  /** From now on nothing that `from` says gets to `to`. One link at a time. */
  cut(from: string, to: string, kind: CutKind): void {
    if (!this.#links.has(named(from, to))) throw new Error(`there is no link ${named(from, to)}`);
    this.#cut = { from, to, kind };
    this.#update();
  }

  heal(): void {
    this.#cut = null;
    for (const { lost } of this.#links.values()) for (const caller of lost) caller.destroy();
    this.#update();
  }

  close(): void {
    for (const { server, sockets, lost } of this.#links.values()) {
      server.close();
      for (const socket of [...sockets, ...lost]) socket.destroy();
    }
  }

  /** Whether what `speaker` says on the connections that `caller` opened to `callee` is cut. */
  #stops(caller: string, callee: string, speaker: string): boolean {
    if (this.#cut === null) return false;
    const { from, to, kind } = this.#cut;
    if (kind === 'calls') return caller === from && callee === to && speaker === from;
    return speaker === from && (speaker === caller ? callee : caller) === to;
  }

  #update(): void {
    for (const { directions } of this.#links.values()) for (const direction of directions) direction.update();
  }
}

function keep(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket);
  socket.on('error', () => {});
  socket.on('close', () => sockets.delete(socket));
}
