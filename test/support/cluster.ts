/** A cluster of real processes for one test: in a directory and on ports of its own, gone without a trace afterwards. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalCluster } from '../../cluster/local-cluster.ts';
import type { LocalClusterOptions } from '../../cluster/local-cluster.ts';
import type { LocalNode, Program } from '../../cluster/local-node.ts';
import type { Plant } from './plant.ts';
import { agreedLeader, QuorateClient } from './quorate-client.ts';

const plantLoader = join(import.meta.dirname, 'plant.ts');

export interface TestClusterOptions extends Pick<LocalClusterOptions, 'reach' | 'wrapper'> {
  readonly nodes?: number;
  /** Where each node keeps its data; else in the directory of the test. */
  readonly data?: (id: string) => string;
  /** A known bug that every node runs with. */
  readonly plant?: Plant;
  /** What the nodes run at first, where that is not this version. */
  readonly program?: Program;
  /** Settings of every node beside its addresses, for example `{ QUORATE_RETENTION: '10s' }`. */
  readonly settings?: Readonly<Record<`QUORATE_${string}`, string>>;
}

export class TestCluster {
  readonly directory: string;
  readonly #cluster: LocalCluster;
  readonly #clients: Map<string, QuorateClient>;
  readonly #deaths: string[];

  private constructor(directory: string, cluster: LocalCluster, deaths: string[]) {
    this.directory = directory;
    this.#cluster = cluster;
    this.#deaths = deaths;
    this.#clients = new Map(cluster.nodes.map(({ id, http }) => [id, new QuorateClient({ id, url: http })]));
  }

  /** Starts the nodes and resolves when all serve. */
  static async start({
    nodes = 3,
    plant,
    data,
    program,
    settings = {},
    ...others
  }: TestClusterOptions = {}): Promise<TestCluster> {
    const directory = mkdtempSync(join(tmpdir(), 'quorate-test-'));
    const deaths: string[] = [];
    const onDeath = ({ id, lastLines }: LocalNode, end: string): void => {
      deaths.push(`${id} ended by itself (${end}):\n${lastLines.join('\n')}`);
    };
    const bug = plant === undefined ? {} : { PLANT: JSON.stringify(plant), NODE_OPTIONS: `--import=${plantLoader}` };
    const cluster = await LocalCluster.prepare({
      ...others,
      data: data ?? directory,
      nodes,
      environment: { ...settings, ...bug },
      onDeath,
    });
    if (program !== undefined) for (const node of cluster.nodes) node.program = program;
    const started = new TestCluster(directory, cluster, deaths);
    try {
      await cluster.startAll();
      return started;
    } catch (error) {
      await started.stop();
      throw error;
    }
  }

  get ids(): readonly string[] {
    return [...this.#clients.keys()];
  }

  get clients(): readonly QuorateClient[] {
    return [...this.#clients.values()];
  }

  get nodes(): readonly LocalNode[] {
    return this.#cluster.nodes;
  }

  client(id: string): QuorateClient {
    const client = this.#clients.get(id);
    if (client === undefined) throw new Error(`there is no node ${id}`);
    return client;
  }

  node(id: string): LocalNode {
    return this.#cluster.node(id);
  }

  /** All nodes but these. */
  others(...ids: readonly string[]): readonly QuorateClient[] {
    return this.clients.filter((client) => !ids.includes(client.id));
  }

  /** The leader all of `among` agree on. */
  async leader(among: readonly QuorateClient[] = this.clients): Promise<{ id: string; term: number }> {
    return agreedLeader(among);
  }

  /** Starts a node that must end by itself, with exit code 1. Resolves with what it wrote last. */
  async startInVain(id: string): Promise<string> {
    const node = this.node(id);
    const deaths = this.#deaths.length;
    await node.start({ ready: false });
    const end = await node.ended;
    if (end !== 'exit code 1') throw new Error(`${id} ended with ${end}:\n${node.lastLines.join('\n')}`);
    this.#deaths.splice(deaths, 1);
    return node.lastLines.join('\n');
  }

  /** A node that is new to the cluster, running and waiting to be added. */
  async newcomer(id: string): Promise<QuorateClient> {
    const node = await this.#cluster.newcomer(id);
    const client = new QuorateClient({ id, url: node.http });
    this.#clients.set(id, client);
    await node.start({ ready: false });
    return client;
  }

  /** Stops a node that is no member any longer; nobody asks it again. Resolves with how it ended. */
  async retire(id: string): Promise<string> {
    const client = this.client(id);
    this.#clients.delete(id);
    const end = await this.node(id).stop();
    client.close();
    return end;
  }

  /** Starts every node that is down and resolves when all serve. */
  async startAll(): Promise<void> {
    await this.#cluster.startAll();
  }

  /** Stops all and removes the data. Rejects if a node had ended that nobody killed: a broken invariant, most likely. */
  async stop(): Promise<void> {
    for (const client of this.clients) client.close();
    await this.#cluster.stop();
    rmSync(this.directory, { recursive: true, force: true });
    if (this.#deaths.length > 0) throw new Error(this.#deaths.join('\n\n'));
  }
}
