/** Everything that a run of the bench starts, and a directory for all of it: whatever happens, both are gone in the end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { refuse } from './command-line.ts';
import { EtcdContender } from './etcd-contender.ts';
import { QuorateContender } from './quorate-contender.ts';

export interface StageOptions {
  /** On the disk to be measured. */
  readonly parent: string;
  readonly nodes: number;
}

export class Stage {
  readonly directory: string;
  readonly #options: StageOptions;
  #cluster: LocalCluster | undefined;
  #quorate: QuorateContender | undefined;
  #etcd: Promise<EtcdContender> | undefined;
  #etcds = 0;
  #closing: Promise<void> | undefined;
  /** Told to stop: what then fails says nothing. */
  isInterrupted = false;

  constructor(options: StageOptions) {
    this.#options = options;
    try {
      this.directory = mkdtempSync(join(options.parent, 'quorate-bench-'));
    } catch {
      refuse(`--dir must be a directory that can be written to, not ${options.parent}.`);
    }
    // A part that restarts nodes may do so while they are being stopped.
    process.once('exit', () => {
      for (const node of this.#cluster?.nodes ?? []) node.abandon();
      rmSync(this.directory, { recursive: true, force: true });
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        this.isInterrupted = true;
        void this.close().finally(() => process.exit(130));
      });
    }
  }

  /** Founds the cluster; its nodes serve when it resolves. */
  async startCluster(environment: Readonly<Record<string, string>> = {}): Promise<LocalCluster> {
    const { nodes } = this.#options;
    this.#cluster = await LocalCluster.prepare({ nodes, data: join(this.directory, 'quorate'), environment });
    await this.#cluster.startAll();
    return this.#cluster;
  }

  /** The same, with a load generator beside it. */
  async startQuorate(environment: Readonly<Record<string, string>> = {}): Promise<QuorateContender> {
    this.#quorate = new QuorateContender(await this.startCluster(environment));
    return this.#quorate;
  }

  /** Runs `body` beside a new and empty etcd, which is gone afterwards. */
  async besideEtcd<T>(body: (etcd: EtcdContender) => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw new Error('the bench was told to stop');
    this.#etcds += 1;
    this.#etcd = EtcdContender.start(join(this.directory, `etcd-${this.#etcds}`));
    try {
      return await body(await this.#etcd);
    } finally {
      await this.#stopEtcd();
    }
  }

  async close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#quorate?.generator.stop();
      await Promise.all([this.#cluster?.stop(), this.#stopEtcd()]);
      rmSync(this.directory, { recursive: true, force: true });
    })();
    await this.#closing;
  }

  async #stopEtcd(): Promise<void> {
    const etcd = await this.#etcd?.catch(() => undefined);
    this.#etcd = undefined;
    await etcd?.stop();
  }
}
