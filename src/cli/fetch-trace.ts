/**
 * A whole trace from a node, however many pages it comes in: they are joined as the node joins what it stores, so a span
 * sent twice that stands on two pages appears once. Nothing is given unless all pages came. What expired before they were
 * asked for, or between them, is not in it: then it says so.
 */
import { mergeTrace } from '../otlp/trace-merge.ts';
import { WireError } from '../otlp/wire.ts';
import { CommandError } from './command.ts';
import { fetchAnswer } from './fetch-json.ts';

const protobuf = 'application/x-protobuf';

export interface FetchedTrace {
  /** TracesData bytes. */
  readonly trace: Uint8Array;
  /** A part of it has expired; this is what is left. */
  readonly expired: boolean;
}

/** Throws CommandError; `notFound` is the sentence for a trace that is not known. */
export async function fetchTrace(
  url: string,
  {
    traceId,
    consistency,
    notFound,
  }: { readonly traceId: string; readonly consistency: string; readonly notFound: string },
): Promise<FetchedTrace> {
  let expired = false;
  const pages: Uint8Array[] = [];
  const asked = new Set<string>();
  let path: string | null = `/api/v1/traces/${traceId}?consistency=${consistency}`;
  while (path !== null) {
    asked.add(path);
    const { headers, body } = await fetchAnswer(url, path, { accept: protobuf, notFound });
    if (headers.get('content-type')?.startsWith(protobuf) !== true) throw notATrace(url);
    pages.push(body);
    path = nextPage(headers);
    const partial = headers.get('quorate-partial')?.split(/\s*,\s*/) ?? [];
    expired ||= partial.includes('expired');
    if (path === null ? partial.includes('page') : asked.has(path)) {
      throw new CommandError(
        `${url} gave page ${pages.length} of the trace and not where the next one is: ask another node.`,
      );
    }
  }
  try {
    const trace = mergeTrace(pages, Buffer.from(traceId, 'hex'));
    if (trace.length === 0) throw new CommandError(notFound);
    return { trace, expired };
  } catch (error) {
    if (error instanceof WireError) throw notATrace(url);
    throw error;
  }
}

/** The path of the next page, from `Link: </path>; rel="next"`. */
function nextPage(headers: Headers): string | null {
  return /<(\/api\/v1\/traces\/[^>]*)>\s*;\s*rel="?next"?/.exec(headers.get('link') ?? '')?.[1] ?? null;
}

function notATrace(url: string): CommandError {
  return new CommandError(`${url} did not answer with a trace: is it a Quorate node?`);
}
