/** Puts one node together out of the parts: machine, network, trace store, HTTP. The only file that knows them all. */
import { once } from 'node:events';
import type { Server } from 'node:net';
import type { ApiOptions } from './api/api-options.ts';
import { createGrpcServer } from './api/grpc-server.ts';
import { Intake } from './api/intake.ts';
import { JsonWork } from './api/json-work.ts';
import { Meters } from './api/meters.ts';
import { createServer } from './api/server.ts';
import type { NodeConfig } from './config.ts';
import { errorOf } from './errors.ts';
import type { Logger } from './logger.ts';
import { type Address, formatAddress } from './platform/pipe.ts';
import { RealPipeNetwork } from './platform/real/pipe.ts';
import type { Platform } from './platform/platform.ts';
import { openRealPlatform } from './platform/real/platform.ts';
import { StartRecord } from './platform/real/start-record.ts';
import { asNodeId } from './raft/core/types.ts';
import { TraceStore } from './traces/trace-store.ts';
import { TcpTransport } from './transport/tcp.ts';

export interface RunningNode {
  readonly http: Address;
  readonly grpc: Address;
  readonly peer: Address;
  /** Resolves with the reason when the node had to stop by itself. */
  readonly failed: Promise<Error>;
  /** Finishes the requests in flight, as far as they come to an end, then closes everything. */
  stop(): Promise<void>;
}

/**
 * Starts a node; it may wait for space on its disk, until `signal` is aborted. Rejects with one sentence that says what to do,
 * or with the reason of `signal`.
 */
export async function startNode(config: NodeConfig, logger: Logger, signal?: AbortSignal): Promise<RunningNode> {
  const platform = await openRealPlatform({ dataDir: config.data });
  const record = await StartRecord.begin(config.data, platform.clock.nowMs());
  try {
    if (record.isCrashLoop) await checkTables(record, { config, platform, logger });
    const node = await startOn(platform, { config, logger, signal });
    return {
      ...node,
      stop: async () => {
        await node.stop();
        await record.end();
      },
    };
  } catch (error) {
    // It ends in a sentence, not in a crash.
    await record.end();
    throw error;
  }
}

/** LevelDB would end this process again at the same damage: a damaged index is made again, a damaged log is a reason not to start. */
async function checkTables(
  record: StartRecord,
  { config, platform, logger }: { config: NodeConfig; platform: Platform; logger: Logger },
): Promise<void> {
  logger.warn(
    { ends: record.earlier },
    'this node ended again and again without having been stopped: every table is checked before it is opened',
  );
  const [inIndex] = await record.damagedTables('index');
  if (inIndex !== undefined) {
    logger.warn({}, `the index is rebuilt from the log: its table ${inIndex.file} is damaged: ${inIndex.what}`);
    await platform.disk.destroyKeyValue('index');
  }
  const [inLog] = await record.damagedTables('log');
  if (inLog !== undefined)
    throw new Error(
      `${config.data} is damaged: ${inLog.what} in table ${inLog.file} of the log, which ended this node each time it was read; ` +
        'run `quorate verify` on it, or start this node with an empty --data',
    );
}

async function startOn(
  platform: Platform,
  { config, logger, signal }: { config: NodeConfig; logger: Logger; signal: AbortSignal | undefined },
): Promise<RunningNode> {
  const self = asNodeId(config.id);
  const transport = new TcpTransport({
    self,
    listen: config.peer,
    ...(config.join === null ? {} : { door: config.join }),
    network: new RealPipeNetwork(),
    clock: platform.clock,
    random: platform.random,
    log: (line) => logger.info({}, line),
  });
  const { promise: failed, resolve: fail } = Promise.withResolvers<Error>();
  const store = await TraceStore.open({
    platform,
    transport,
    node: self,
    http: `http://${formatAddress(config.http)}`,
    address: formatAddress(config.cluster.get(config.id) ?? config.peer),
    members: new Map([...config.cluster].map(([id, address]) => [asNodeId(id), formatAddress(address)])),
    logger,
    limits: config.limits,
    retention: config.retention,
    signal,
    fatal: fail,
  }).catch((error: unknown) => {
    throw portTaken(error, '--peer', config.peer) ?? error;
  });
  const { limits } = config;
  const { clock, executor } = platform;
  const json = new JsonWork({ clock, executor, logger });
  const meters = new Meters();
  const intake = new Intake({ store, json, limits, meters });
  const options: ApiOptions = { store, intake, json, meters, limits, clock, logger };
  const httpServer = await createServer(options);
  const grpcServer = createGrpcServer(options);
  try {
    await httpServer.fastify.listen(config.http).catch((error: unknown) => {
      throw portTaken(error, '--http', config.http) ?? error;
    });
    await listen(grpcServer.server, config.grpc).catch((error: unknown) => {
      throw portTaken(error, '--grpc', config.grpc) ?? error;
    });
  } catch (error) {
    await httpServer.close();
    await store.close();
    throw error;
  }
  const http = listeningAt(httpServer.fastify.server, config.http);
  const grpc = listeningAt(grpcServer.server, config.grpc);
  const peer = transport.address ?? config.peer;
  logger.info(
    { http: formatAddress(http), grpc: formatAddress(grpc), peer: formatAddress(peer), data: config.data },
    'started',
  );
  return {
    http,
    grpc,
    peer,
    failed,
    stop: async () => {
      // First: what is in flight may take its time, and whoever loses patience then must not kill a leader.
      await store.leave();
      await Promise.all([httpServer.close(), grpcServer.close()]);
      await json.close();
      await store.close();
    },
  };
}

async function listen(server: Server, { host, port }: Address): Promise<void> {
  server.listen({ host, port });
  await once(server, 'listening');
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

function listeningAt(server: Server, asked: Address): Address {
  const address = server.address();
  return typeof address === 'object' && address !== null ? { host: asked.host, port: address.port } : asked;
}
