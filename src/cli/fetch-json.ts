/** Asks a node over HTTP and turns every failure into one sentence. */
import { limits } from '../limits.ts';
import { CommandError } from './command.ts';

/** A little longer than a node thinks about an answer, so that its own sentence arrives. */
const timeoutMs = limits.readDeadlineMs + 5_000;

/** The text of a 200 answer to `GET url + path`. Throws CommandError; `notFound` is the sentence for 404. */
export async function fetchText(
  url: string,
  path: string,
  options: { readonly notFound?: string } = {},
): Promise<string> {
  let response: Response;
  let body: string;
  try {
    response = await fetch(url + path, {
      headers: { accept: 'application/json' },
      signal: AbortSignal.timeout(timeoutMs),
    });
    body = await response.text();
  } catch (error) {
    if (error instanceof DOMException && error.name === 'TimeoutError') {
      throw new CommandError(`${url} did not answer within ${timeoutMs / 1000} s: ask another node with --url.`);
    }
    throw new CommandError(`Nobody answers at ${url} (${reasonOf(error)}): start a node or name another with --url.`);
  }
  if (response.status === 200) return body;
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
export async function fetchJson(
  url: string,
  path: string,
  options: { readonly notFound?: string } = {},
): Promise<unknown> {
  const body = await fetchText(url, path, options);
  try {
    return JSON.parse(body) as unknown;
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
