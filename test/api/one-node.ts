/** One real node in this process, on ports of its own, for tests of what clients see. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClientLimits, limits, type RetentionLimits } from '../../src/limits.ts';
import { type Logger, silentLogger } from '../../src/logger.ts';
import { type RunningNode, startNode } from '../../src/node.ts';
import { metric } from '../support/metrics.ts';
import { eventually } from '../support/quorate-client.ts';

export class OneNode {
  readonly node: RunningNode;
  /** Its data directory. */
  readonly data: string;

  private constructor(node: RunningNode, directory: string) {
    this.node = node;
    this.data = directory;
  }

  /** Starts a cluster of one, on data that is there if that is said, and resolves when it serves. */
  static async start(
    other: Partial<ClientLimits> = {},
    directory: string = mkdtempSync(join(tmpdir(), 'quorate-api-')),
    logger: Logger = silentLogger,
    retention: RetentionLimits = { ageMs: null, bytes: null },
  ): Promise<OneNode> {
    const anyPort = { host: '127.0.0.1', port: 0 };
    const node = await startNode(
      {
        id: 'n1',
        data: directory,
        cluster: new Map([['n1', anyPort]]),
        join: null,
        mode: 'cp',
        http: anyPort,
        grpc: anyPort,
        peer: anyPort,
        logLevel: 'silent',
        retention,
        limits: { ...limits, ...other },
      },
      logger,
    );
    const one = new OneNode(node, directory);
    await eventually('readiness', async () => (await fetch(`${one.url}/readyz`)).status === 200);
    return one;
  }

  get url(): string {
    return `http://127.0.0.1:${this.node.http.port}`;
  }

  get grpcAddress(): string {
    return `127.0.0.1:${this.node.grpc.port}`;
  }

  /** See test/support/metrics.ts. */
  async metric(series: string): Promise<number> {
    return metric(this.url, series);
  }

  /** Stops it and leaves its data. */
  async end(): Promise<void> {
    await this.node.stop();
  }

  async stop(): Promise<void> {
    await this.end();
    rmSync(this.data, { recursive: true, force: true });
  }
}
