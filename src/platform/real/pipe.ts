/** TCP behind the PipeNetwork seam. No delay for small writes; what is written in one turn leaves in one system call. */
import { connect, createServer, type Socket } from 'node:net';
import type { Address, Pipe, PipeListener, PipeNetwork } from '../pipe.ts';

/** Pieces of up to so many bytes together are copied into one buffer: that costs less than to hand each over by itself. */
const joinedBytesMax = 16 * 1024;

export class RealPipeNetwork implements PipeNetwork {
  listen(address: Address, onPipe: (pipe: Pipe) => void): Promise<PipeListener> {
    return new Promise((resolve, reject) => {
      const server = createServer({ noDelay: true }, (socket) => onPipe(new SocketPipe(socket)));
      server.once('error', reject);
      server.listen(address.port, address.host, () => {
        server.removeListener('error', reject);
        // Failing to accept one connection (EMFILE) must not stop the node; the peer tries again.
        server.on('error', () => {});
        const bound = server.address();
        const port = bound !== null && typeof bound === 'object' ? bound.port : address.port;
        resolve(listenerOf({ host: address.host, port }, () => server.close()));
      });
    });
  }

  connect(address: Address, options: { readonly timeoutMs: number }): Promise<Pipe> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: address.host, port: address.port, noDelay: true });
      const timer = setTimeout(() => {
        socket.destroy(new Error(`no answer from ${address.host}:${address.port} within ${options.timeoutMs} ms`));
      }, options.timeoutMs);
      socket.once('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      socket.once('connect', () => {
        clearTimeout(timer);
        resolve(new SocketPipe(socket));
      });
    });
  }
}

function listenerOf(address: Address, stop: () => void): PipeListener {
  return {
    address,
    // The port is free at once; pipes that were accepted live on, their owner closes them.
    close: () => {
      stop();
      return new Promise((resolve) => setImmediate(resolve));
    },
  };
}

class SocketPipe implements Pipe {
  onData: (bytes: Uint8Array) => void = () => {};
  onClose: () => void = () => {};
  readonly #socket: Socket;
  /** Written in this turn. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.onData(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length)));
    // The other side will send nothing more: for a pipe that is its end, whatever is still queued.
    socket.on('end', () => socket.destroy());
    socket.on('error', () => {});
    socket.on('close', () => this.onClose());
  }

  get queuedBytes(): number {
    return this.#waitingBytes + this.#socket.writableLength;
  }

  write(pieces: readonly Uint8Array[]): void {
    if (this.#socket.destroyed) return;
    if (this.#waiting.length === 0) process.nextTick(() => this.#flush());
    for (const piece of pieces) {
      if (piece.length === 0) continue;
      this.#waiting.push(piece);
      this.#waitingBytes += piece.length;
    }
  }

  /** One system call for all that was written in this turn; a single buffer is the cheapest way to one. */
  #flush(): void {
    const pieces = this.#waiting;
    const bytes = this.#waitingBytes;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const [first] = pieces;
    if (first === undefined || this.#socket.destroyed) return;
    if (pieces.length === 1) this.#socket.write(first);
    else if (bytes <= joinedBytesMax) this.#socket.write(Buffer.concat(pieces, bytes));
    else {
      this.#socket.cork();
      for (const piece of pieces) this.#socket.write(piece);
      this.#socket.uncork();
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}
