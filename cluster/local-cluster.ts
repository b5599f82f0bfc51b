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
  /** Node i keeps its data in DIR/n<i>. */
  readonly data: string;
  /** 3 by default. */
  readonly nodes?: number;
  /** Node i has gRPC at base + 10(i-1), HTTP one above, peers two above; without it, ports that are free now. */
  readonly basePort?: number;
  readonly wrapper?: (id: string) => readonly string[];
}

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
  readonly #options: Omit<LocalClusterOptions, 'nodes' | 'basePort'>;
  readonly #onExit = (): void => {
    for (const node of this.nodes) node.abandon();
  };

  private constructor(nodes: readonly LocalNode[], options: Omit<LocalClusterOptions, 'nodes' | 'basePort'>) {
    this.#nodes = [...nodes];
    this.#options = options;
    // Whoever started the nodes may crash; they must not outlive it.
    process.on('exit', this.#onExit);
  }

  /** The nodes of a cluster, not started. */
  static async prepare(options: LocalClusterOptions): Promise<LocalCluster> {
    const { nodes: size = 3, basePort, ...others } = options;
    const indices = Array.from({ length: size }, (_, index) => index);
    const ports = basePort === undefined ? await freePorts(size) : indices.map((index) => portsAt(basePort, index));
    const named = ports.map((of, index) => ({ id: `n${index + 1}`, ...addressesAt(of) }));
    const members = { cluster: named.map(({ id, peer }) => `${id}=${peer}`).join(',') };
    return new LocalCluster(
      named.map((node) => nodeOf({ ...node, members }, others)),
      others,
    );
  }

  get nodes(): readonly LocalNode[] {
    return this.#nodes;
  }

  /** A node that is new to the cluster and is told of its first one, not started. */
  async newcomer(id: string): Promise<LocalNode> {
    const [ports] = await freePorts(1);
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

function nodeOf(
  named: Named,
  { data, wrapper, ...others }: Omit<LocalClusterOptions, 'nodes' | 'basePort'>,
): LocalNode {
  return new LocalNode({ ...others, ...named, wrapper: wrapper?.(named.id), data: join(data, named.id) });
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

/** Ports that are free now, all different. */
async function freePorts(size: number): Promise<NodePorts[]> {
  const servers = Array.from({ length: 3 * size }, () => createServer());
  const ports = await Promise.all(
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
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return Array.from({ length: size }, (_, index) => {
    const [grpc = 0, http = 0, peer = 0] = ports.slice(3 * index);
    return { grpc, http, peer };
  });
}
