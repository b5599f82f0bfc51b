/** Byte streams between nodes, as a seam: TCP in production (protocol I1). Bytes of one pipe arrive whole, in order, or the pipe closes. */
export interface PipeNetwork {
  /** Accepts pipes at `address`. Rejects when the address cannot be had (code `EADDRINUSE`, `EACCES`...). */
  listen(address: Address, onPipe: (pipe: Pipe) => void): Promise<PipeListener>;
  /** Opens a pipe. Rejects when nobody answers within `timeoutMs`. */
  connect(address: Address, options: { readonly timeoutMs: number }): Promise<Pipe>;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `HOST:PORT`, the host an IPv4 address, a name or an IPv6 address in brackets; null for anything else. */
export function addressIn(text: string): Address | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65_535 ? null : { host, port };
}

/** The inverse of `addressIn`. */
export const formatAddress = ({ host, port }: Address): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

export interface PipeListener {
  /** Where it listens; the port is the real one when 0 was asked for. */
  readonly address: Address;
  close(): Promise<void>;
}

export interface Pipe {
  /** Set once, before any byte can arrive (in the turn that handed the pipe over). */
  onData: (bytes: Uint8Array) => void;
  /** Called once, for any reason; no data follows. */
  onClose: () => void;
  /** Queues bytes for sending. The pieces must not be changed afterwards. Ignored when the pipe is closed. */
  write(pieces: readonly Uint8Array[]): void;
  /** Bytes queued and not yet handed to the operating system. */
  readonly queuedBytes: number;
  /** Closes at once; queued bytes may be lost. */
  close(): void;
}
