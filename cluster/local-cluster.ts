/** A cluster of local processes: for cluster/bootstrap, the demo, the bench and the system tests. */
import { createServer } from 'node:net';
import { join } from 'node:path';
import { LocalNode } from './local-node.ts';
import type { LocalNodeOptions } from './local-node.ts';

const host = '127.0.0.1';

export interface LocalClusterOptions extends Pick<
  LocalNodeOptions,
  'environment' | 'onLine' | 'onDeath' | 'readyTimeoutMs'
> {
  /** Node i keeps its data in DIR/n<i>; or where this says. */
  readonly data: string | ((id: string) => string);
  /** 3 by default. */
  readonly nodes?: number;
  /** Node i has gRPC at base + 10(i-1), HTTP one above, peers two above; without it, ports that are free now. */
  readonly basePort?: number;
  readonly wrapper?: (id: string) => readonly string[];
  /** Where node `from` is told that node `to` listens, which really listens at `address`. */
  readonly reach?: (from: string, to: string, address: string) => Promise<string>;
}

/** What holds for every node, later ones included. */
type NodeDefaults = Omit<LocalClusterOptions, 'nodes' | 'basePort' | 'reach'>;

export interface NodePorts {
  readonly grpc: number;
  readonly http: number;
  readonly peer: number;
}

/** Ports of node `index` (from 0) above a base port (design section 4). */
export const portsAt = (basePort: number, index: number): NodePorts => ({
  grpc: basePort + 10 * index,
  http: basePort + 10 * index + 1,
  peer: basePort + 10 * index + 2,
});

export class LocalCluster {
  readonly #nodes: LocalNode[];
  readonly #options: NodeDefaults;
  readonly #onExit = (): void => {
    for (const node of this.nodes) node.abandon();
  };

  private constructor(nodes: readonly LocalNode[], options: NodeDefaults) {
    this.#nodes = [...nodes];
    this.#options = options;
    // Whoever started the nodes may crash; they must not outlive it.
    process.on('exit', this.#onExit);
  }

  /** The nodes of a cluster, not started. */
  static async prepare(options: LocalClusterOptions): Promise<LocalCluster> {
    const { nodes: size = 3, basePort, reach = async (_from, _to, address) => address, ...others } = options;
    const { ports, free } = basePort === undefined ? await reservePorts(size) : fixedPorts(basePort, size);
    const named = ports.map((of, index) => ({ id: `n${index + 1}`, ...addressesAt(of) }));
    const nodes = named.map(async (node) => {
      const told = named.map(async ({ id, peer }) => `${id}=${id === node.id ? peer : await reach(node.id, id, peer)}`);
      return nodeOf({ ...node, members: { cluster: (await Promise.all(told)).join(',') } }, others);
    });
    const cluster = new LocalCluster(await Promise.all(nodes), others);
    // Not before whatever `reach` opened has ports of its own.
    await free();
    return cluster;
  }

  get nodes(): readonly LocalNode[] {
    return this.#nodes;
  }

  /** A node that is new to the cluster and is told of its first one, not started. */
  async newcomer(id: string): Promise<LocalNode> {
    const {
      ports: [ports],
      free,
    } = await reservePorts(1);
    await free();
    const [first] = this.#nodes;
    if (ports === undefined || first === undefined) throw new Error('there is no cluster to join');
    const node = nodeOf({ id, ...addressesAt(ports), members: { join: first.peer } }, this.#options);
    this.#nodes.push(node);
    return node;
  }

  /** Starts all nodes at once and resolves when every one serves; stops them all and rejects when one does not. */
  static async start(options: LocalClusterOptions): Promise<LocalCluster> {
    const cluster = await LocalCluster.prepare(options);
    try {
      await cluster.startAll();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** The node called `id`. Throws when there is none. */
  node(id: string): LocalNode {
    const found = this.nodes.find((node) => node.id === id);
    if (found === undefined) throw new Error(`there is no node ${id}`);
    return found;
  }

  /** Starts every node that is not running and resolves when all serve. */
  async startAll(): Promise<void> {
    for (const node of this.nodes) if (node.process === null) node.spawn();
    await Promise.all(this.nodes.map((node) => node.waitUntilReady()));
  }

  /** Stops every node. Resolves with how each ended, by id. */
  async stop(): Promise<Map<string, string>> {
    const ends = await Promise.all(this.nodes.map(async (node) => [node.id, await node.stop()] as const));
    process.off('exit', this.#onExit);
    return new Map(ends);
  }
}

type Named = Pick<LocalNodeOptions, 'id' | 'grpc' | 'http' | 'peer' | 'members'>;

function nodeOf(named: Named, { data, wrapper, ...others }: NodeDefaults): LocalNode {
  return new LocalNode({
    ...others,
    ...named,
    wrapper: wrapper?.(named.id),
    data: typeof data === 'string' ? join(data, named.id) : data(named.id),
  });
}

const addressesAt = ({ grpc, http, peer }: NodePorts): { grpc: string; http: string; peer: string } => ({
  grpc: `${host}:${grpc}`,
  http: `${host}:${http}`,
  peer: `${host}:${peer}`,
});

/** Whether something listens on a local port. */
export function isPortTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(true));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(false)));
  });
}

interface Reserved {
  readonly ports: readonly NodePorts[];
  readonly free: () => Promise<void>;
}

function fixedPorts(basePort: number, size: number): Reserved {
  return { ports: Array.from({ length: size }, (_, index) => portsAt(basePort, index)), free: async () => {} };
}

/** Ports that nobody has, and nobody gets before they are set free. */
export async function reservePorts(size: number): Promise<Reserved> {
  const servers = Array.from({ length: 3 * size }, () => createServer());
  const numbers = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject);
          server.listen({ host, port: 0 }, () => {
            const address = server.address();
            resolve(typeof address === 'object' && address !== null ? address.port : 0);
          });
        }),
    ),
  );
  const ports = Array.from({ length: size }, (_, index) => {
    const [grpc = 0, http = 0, peer = 0] = numbers.slice(3 * index);
    return { grpc, http, peer };
  });
  const free = async (): Promise<void> => {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  };
  return { ports, free };
}
