/** etcd under the bench. One for each round: it keeps the values of its last 100,000 puts in memory, some GB in a long run. */
import type { Contender } from './contender.ts';
import { EtcdCluster } from './etcd-cluster.ts';
import { Generator } from './generator.ts';
import { storedBytes, writtenBytes } from './measure.ts';

const batchesAhead = 96;
const spansPerBatch = 512;

export interface EtcdDisk {
  /** Averages over the members, divided by the OTLP bytes put. */
  readonly storedShare: number;
  readonly writtenShare: number;
}

export class EtcdContender implements Contender {
  readonly name = 'etcd';
  readonly generator: Generator;
  readonly cluster: EtcdCluster;

  private constructor(cluster: EtcdCluster, generator: Generator) {
    this.cluster = cluster;
    this.generator = generator;
  }

  static async start(directory: string): Promise<EtcdContender> {
    const cluster = await EtcdCluster.start(directory);
    const contender = new EtcdContender(cluster, new Generator());
    try {
      const { leader } = await cluster.whoLeads();
      const target = { kind: 'etcd', leader: cluster.clientAddress(leader) } as const;
      await contender.generator.setUp({ target, batches: batchesAhead, spansPerBatch, seed: 1 });
      return contender;
    } catch (error) {
      await contender.stop();
      throw error;
    }
  }

  get servers(): { id: string; pid: number }[] {
    return this.cluster.servers;
  }

  async whoLeads(): Promise<{ term: number; leader: string }> {
    return this.cluster.whoLeads();
  }

  async takeLoopDelayP99Ms(): Promise<number> {
    return Number.NaN;
  }

  diskFor(otlpBytes: number): EtcdDisk {
    const { servers } = this;
    const average = (of: (server: { id: string; pid: number }) => number): number =>
      servers.reduce((sum, server) => sum + of(server), 0) / servers.length;
    return {
      storedShare: average(({ id }) => storedBytes(this.cluster.dataDirectory(id)).all) / otlpBytes,
      writtenShare: average(({ pid }) => writtenBytes(pid)) / otlpBytes,
    };
  }

  async stop(): Promise<void> {
    this.generator.stop();
    await this.cluster.stop();
  }
}
