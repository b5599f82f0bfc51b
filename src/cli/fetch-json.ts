/** Asks a node over HTTP and turns every failure into one sentence. */
import { limits } from '../limits.ts';
import { CommandError } from './command.ts';

/** A little longer than a node thinks about an answer, so that its own sentence arrives. */
const timeoutMs = limits.readDeadlineMs + 5_000;

export interface FetchOptions {
  /** The sentence for 404. */
  readonly notFound?: string;
  readonly accept?: string;
  /** Sent as JSON, with POST where nothing else is said; GET without. */
  readonly body?: unknown;
  readonly method?: 'DELETE';
}

export interface Answer {
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/** The 200 answer to a request of `url + path`. Throws CommandError. */
export async function fetchAnswer(url: string, path: string, options: FetchOptions = {}): Promise<Answer> {
  let response: Response;
  let bytes: Uint8Array;
  try {
    response = await fetch(url + path, {
      ...(options.method === undefined ? {} : { method: options.method }),
      ...(options.body === undefined ? {} : { method: 'POST', body: JSON.stringify(options.body) }),
      headers: {
        accept: options.accept ?? 'application/json',
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      signal: AbortSignal.timeout(timeoutMs),
    });
    bytes = new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    if (error instanceof DOMException && error.name === 'TimeoutError') {
      throw new CommandError(`${url} did not answer within ${timeoutMs / 1000} s: ask another node with --url.`);
    }
    throw new CommandError(`Nobody answers at ${url} (${reasonOf(error)}): start a node or name another with --url.`);
  }
  if (response.status === 200) return { headers: response.headers, body: bytes };
  const body = textOf(bytes);
  const { code, message: said = 'no reason given' } = errorIn(body);
  if (response.status === 404) {
    // Any web server answers 404; only a node says which of its own it is.
    if (code === 'not-found' && options.notFound !== undefined) throw new CommandError(options.notFound);
    throw new CommandError(
      `${url} does not serve ${path.replace(/\?.*/, '')}: give the address of a Quorate node to --url, without a path.`,
    );
  }
  if (response.status === 503) {
    const after = response.headers.get('retry-after');
    const when = after === null ? 'later' : `in ${after} s`;
    throw new CommandError(`${url} cannot answer now (503: ${said}): try again ${when}.`);
  }
  throw new CommandError(`${url} answered ${response.status}: ${said}`);
}

/** The same, as JSON. */
export async function fetchJson(url: string, path: string, options: FetchOptions = {}): Promise<unknown> {
  const { body } = await fetchAnswer(url, path, options);
  try {
    return JSON.parse(textOf(body)) as unknown;
  } catch {
    throw new CommandError(`${url}${path} did not answer with JSON: is it a Quorate node?`);
  }
}

/** `connection refused`, from the cause that fetch wraps. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error) {
    const code = 'code' in cause ? cause.code : undefined;
    return code === 'ECONNREFUSED' ? 'connection refused' : cause.message || String(code);
  }
  return error instanceof Error ? error.message : String(error);
}

/** What `{error: {code, message}}` says, the message without its last full stop. */
function errorIn(body: string): { code?: string; message?: string } {
  try {
    const { error } = JSON.parse(body) as { error?: { code?: unknown; message?: unknown } };
    return {
      ...(typeof error?.code === 'string' && { code: error.code }),
      ...(typeof error?.message === 'string' && { message: error.message.replace(/\.$/, '') }),
    };
  } catch {
    return {};
  }
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
