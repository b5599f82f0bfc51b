/** A small HTTP client over kept-alive connections to one node, with a deadline for each request. */
import { Agent, request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface HttpRequest {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** After this long the connection is dropped and the promise rejects. */
  readonly timeoutMs: number;
}

export class HttpClient {
  readonly #url: URL;
  readonly #agent = new Agent({ keepAlive: true, scheduling: 'lifo' });

  /** @param url `http://HOST:PORT` of a node. */
  constructor(url: string) {
    this.#url = new URL(url);
  }

  /** Resolves with any answer, whatever its status; rejects when none came. */
  async send({ method = 'GET', path, headers = {}, body, timeoutMs }: HttpRequest): Promise<HttpAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    const length = body === undefined ? {} : { 'content-length': String(body.length) };
    const outgoing = request(
      {
        host: this.#url.hostname,
        port: this.#url.port,
        agent: this.#agent,
        method,
        path,
        headers: { ...headers, ...length },
      },
      (incoming) => {
        const parts: Buffer[] = [];
        incoming.on('data', (part: Buffer) => parts.push(part));
        incoming.on('error', reject);
        incoming.on('end', () => {
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(parts) });
        });
      },
    );
    outgoing.on('error', reject);
    const deadline = setTimeout(() => {
      outgoing.destroy(new Error(`no answer from ${this.#url.host} within ${timeoutMs} ms`));
    }, timeoutMs);
    outgoing.end(body);
    try {
      return await promise;
    } finally {
      clearTimeout(deadline);
    }
  }

  /** Drops all connections. */
  close(): void {
    this.#agent.destroy();
  }
}
