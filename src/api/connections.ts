/** How many connections one remote address holds at a time: one client that leaks them must not shut the others out. */
import type { Server, Socket } from 'node:net';
import type { Meters, Protocol } from './meters.ts';

export interface ConnectionsOptions {
  readonly protocol: Protocol;
  readonly perSourceMax: number;
  readonly meters: Meters;
}

/** The connections of one server. */
export interface Connections {
  /** Ends those on which nothing was ever sent: nobody waits for an answer there. */
  readonly endSilent: () => void;
  /** Ends all, whatever is under way. */
  readonly endAll: () => void;
}

/** Watches `server`: a connection above the bound is closed at once. */
export function boundConnections(server: Server, { protocol, perSourceMax, meters }: ConnectionsOptions): Connections {
  const bySource = new Map<string, number>();
  const sockets = new Set<Socket>();
  // Before the server's own listener, which would begin to read.
  server.prependListener('connection', (socket: Socket) => {
    const source = socket.remoteAddress ?? '';
    const open = bySource.get(source) ?? 0;
    if (open >= perSourceMax) {
      meters.refused({ limit: 'connectionsPerSourceMax' });
      socket.destroy();
      return;
    }
    bySource.set(source, open + 1);
    sockets.add(socket);
    meters.connections(protocol, 1);
    socket.once('close', () => {
      sockets.delete(socket);
      const left = (bySource.get(source) ?? 1) - 1;
      if (left === 0) bySource.delete(source);
      else bySource.set(source, left);
      meters.connections(protocol, -1);
    });
  });
  return {
    endSilent: () => {
      for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
    },
    endAll: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}
