/** Puts one node together out of the parts: machine, network, trace store, HTTP. The only file that knows them all. */
import type { Address } from './platform/pipe.ts';
import type { NodeConfig } from './config.ts';
import { createServer } from './api/server.ts';
import type { Logger } from './logger.ts';
import { asNodeId } from './raft/core/types.ts';
import { RealPipeNetwork } from './platform/real/pipe.ts';
import { openRealPlatform } from './platform/real/platform.ts';
import { TcpTransport } from './transport/tcp.ts';
import { TraceStore } from './traces/trace-store.ts';

export interface RunningNode {
  readonly http: Address;
  readonly peer: Address;
  /** Resolves with the reason when the node had to stop by itself. */
  readonly failed: Promise<Error>;
  /** Finishes what is in flight, then closes everything. */
  stop(): Promise<void>;
}

/** Starts a node. Rejects with one sentence that says what to do. */
export async function startNode(config: NodeConfig, log: Logger): Promise<RunningNode> {
  throw new Error(`not yet ${config.id} ${String(log)}`);
}
