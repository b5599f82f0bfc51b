/** Puts one node together out of the parts: machine, network, trace store, HTTP. The only file that knows them all. */
import type { FastifyInstance } from 'fastify';
import { JsonWork } from './api/json-work.ts';
import { closeServer, createServer } from './api/server.ts';
import { formatAddress, type NodeConfig } from './config.ts';
import { errorOf } from './errors.ts';
import type { Logger } from './logger.ts';
import type { Address } from './platform/pipe.ts';
import { RealPipeNetwork } from './platform/real/pipe.ts';
import { openRealPlatform } from './platform/real/platform.ts';
import { asNodeId } from './raft/core/types.ts';
import { TraceStore, type TraceStoreOptions } from './traces/trace-store.ts';
import { TcpTransport } from './transport/tcp.ts';

export interface RunningNode {
  readonly http: Address;
  readonly peer: Address;
  /** Resolves with the reason when the node had to stop by itself. */
  readonly failed: Promise<Error>;
  /** Finishes the requests in flight, as far as they come to an end, then closes everything. */
  stop(): Promise<void>;
}

/** Starts a node. Rejects with one sentence that says what to do. */
export async function startNode(
  config: NodeConfig,
  logger: Logger,
  options: Pick<TraceStoreOptions, 'lookupBudget'> = {},
): Promise<RunningNode> {
  const self = asNodeId(config.id);
  const platform = await openRealPlatform({ dataDir: config.data });
  const transport = new TcpTransport({
    self,
    listen: config.peer,
    peers: new Map([...config.cluster].map(([id, address]) => [asNodeId(id), address])),
    network: new RealPipeNetwork(),
    clock: platform.clock,
    random: platform.random,
    log: (line) => logger.info({}, line),
  });
  const { promise: failed, resolve: fail } = Promise.withResolvers<Error>();
  const store = await TraceStore.open({
    ...options,
    platform,
    transport,
    node: self,
    http: `http://${formatAddress(config.http)}`,
    members: new Map([...config.cluster].map(([id, address]) => [asNodeId(id), formatAddress(address)])),
    logger,
    fatal: fail,
  }).catch((error: unknown) => {
    throw portTaken(error, '--peer', config.peer) ?? error;
  });
  const json = new JsonWork({ executor: platform.executor, logger });
  const server = await createServer({ store, json, logger });
  try {
    await server.listen(config.http);
  } catch (error) {
    await store.close();
    throw portTaken(error, '--http', config.http) ?? error;
  }
  const http = listeningAt(server, config.http);
  const peer = transport.address ?? config.peer;
  logger.info({ http: formatAddress(http), peer: formatAddress(peer), data: config.data }, 'started');
  return {
    http,
    peer,
    failed,
    stop: async () => {
      await closeServer(server, platform.clock);
      await json.close();
      await store.close();
    },
  };
}

/** A sentence for an address that cannot be had; null for any other error. */
function portTaken(error: unknown, flag: string, address: Address): Error | null {
  const { code } = errorOf(error) as NodeJS.ErrnoException;
  const where = formatAddress(address);
  switch (code) {
    case 'EADDRINUSE':
      return new Error(`${flag} ${where} is taken: stop what listens there or choose another address.`);
    case 'EACCES':
      return new Error(`${flag} ${where} is not allowed for this user: choose a port above 1023.`);
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new Error(`${flag} ${where} is not an address of this machine: choose one of its own.`);
    default:
      return null;
  }
}

function listeningAt(server: FastifyInstance, asked: Address): Address {
  const address = server.server.address();
  return typeof address === 'object' && address !== null ? { host: asked.host, port: address.port } : asked;
}
