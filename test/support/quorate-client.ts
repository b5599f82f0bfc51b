/** One node seen through the public HTTP interface (design.md section 4): exports, lookups and the cluster's state. */
import { HttpClient } from './http.ts';
import type { AddOutcome, ReadConsistency } from './history.ts';

export interface ExportAnswer {
  readonly outcome: AddOutcome;
  /** What was answered, or why nothing was. */
  readonly why: string;
}

/** `GET /api/v1/cluster`, as far as clients here look. */
export interface ClusterView {
  readonly id: string;
  readonly role: string;
  readonly leader: string | undefined;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly retention: { readonly trimmedTo: number };
  readonly clockAlarm: string | null;
}

/** What a lookup gave. */
export interface Found {
  /** Of all spans, repetitions included; none for a trace that is not known. */
  readonly spanIds: string[];
  /** A part of the trace has expired, it said. */
  readonly expired: boolean;
}

export class QuorateClient {
  readonly id: string;
  readonly url: string;
  readonly #http: HttpClient;

  constructor({ id, url }: { id: string; url: string }) {
    this.id = id;
    this.url = url;
    this.#http = new HttpClient(url);
  }

  /** Sends an ExportTraceServiceRequest in protobuf once. Never throws: what went wrong is the outcome. */
  async export(body: Buffer, timeoutMs = 8_000): Promise<ExportAnswer> {
    const headers = { 'content-type': 'application/x-protobuf' };
    try {
      const answer = await this.#http.send({ method: 'POST', path: '/v1/traces', headers, body, timeoutMs });
      const text = `${answer.status} ${answer.body.toString('latin1').slice(0, 200)}`;
      // An answer without partial_success is an empty message; with it, spans of ours were refused.
      if (answer.status === 200) return { outcome: answer.body.length === 0 ? 'ok' : 'unknown', why: text };
      // 503 is "not acknowledged; it may be stored"; every 4xx was decided before anything was proposed.
      return { outcome: answer.status >= 400 && answer.status < 500 ? 'fail' : 'unknown', why: text };
    } catch (error) {
      const refused = error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
      return { outcome: refused ? 'fail' : 'unknown', why: error instanceof Error ? error.message : String(error) };
    }
  }

  /**
   * Ids of all spans of a trace of which nothing has expired.
   * Throws on any answer but 200 and 404, on one that is not whole, and when none comes.
   */
  async spanIds(traceId: string, consistency: ReadConsistency = 'linearizable', timeoutMs = 8_000): Promise<string[]> {
    const { spanIds, expired } = await this.lookUp(traceId, consistency, timeoutMs);
    if (expired) throw new Error(`${this.id} says that a part of trace ${traceId} has expired`);
    return spanIds;
  }

  /** Throws on any answer but 200 and 404, on a page, and when none comes. */
  async lookUp(traceId: string, consistency: ReadConsistency = 'linearizable', timeoutMs = 8_000): Promise<Found> {
    const path = `/api/v1/traces/${traceId}?consistency=${consistency}`;
    const answer = await this.#http.send({ path, headers: { accept: 'application/json' }, timeoutMs });
    if (answer.status === 404) return { spanIds: [], expired: false };
    const text = answer.body.toString('utf8');
    if (answer.status !== 200) throw new Error(`${this.id} answered ${answer.status}: ${text.slice(0, 200)}`);
    const partial = answer.headers['quorate-partial'];
    if (partial !== undefined && partial !== 'expired')
      throw new Error(`${this.id} gave a page of trace ${traceId} where tests expect whole traces`);
    const said = answer.headers['quorate-consistency'];
    if (said !== consistency)
      throw new Error(`${this.id} was asked for a ${consistency} read and gave a ${String(said)} one`);
    const traces = JSON.parse(text) as OtlpTraces;
    const scopes = (traces.resourceSpans ?? []).flatMap((resource) => resource.scopeSpans ?? []);
    const spanIds = scopes.flatMap((scope) => (scope.spans ?? []).map((span) => span.spanId));
    return { spanIds, expired: partial === 'expired' };
  }

  /** The cluster as this node sees it; undefined while it does not answer. */
  async cluster(timeoutMs = 2_000): Promise<ClusterView | undefined> {
    try {
      const answer = await this.#http.send({ path: '/api/v1/cluster', timeoutMs });
      if (answer.status !== 200) return undefined;
      const view = JSON.parse(answer.body.toString('utf8')) as Omit<ClusterView, 'leader'> & { leader?: string | null };
      return { ...view, leader: view.leader ?? undefined };
    } catch {
      return undefined;
    }
  }

  /** Asks an administrative path. Gives the status and the answer as JSON. */
  async admin(method: 'POST' | 'DELETE', path: string, body?: object): Promise<{ status: number; answer: unknown }> {
    const sent =
      body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(body)) };
    const { status, body: said } = await this.#http.send({ method, path, timeoutMs: 15_000, ...sent });
    return { status, answer: JSON.parse(said.toString('utf8')) };
  }

  /** Is this node able to serve? */
  async isReady(timeoutMs = 2_000): Promise<boolean> {
    try {
      return (await this.#http.send({ path: '/readyz', timeoutMs })).status === 200;
    } catch {
      return false;
    }
  }

  close(): void {
    this.#http.close();
  }
}

interface OtlpTraces {
  readonly resourceSpans?: readonly {
    readonly scopeSpans?: readonly { readonly spans?: readonly { readonly spanId: string }[] }[];
  }[];
}

/** Asks again every `everyMs` until there is an answer. Rejects, saying what was waited for, after `timeoutMs`. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  { timeoutMs = 20_000, everyMs = 20 }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadlineMs) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** Id of the node that a majority of the answering nodes, all of one term, call their leader. */
export async function agreedLeader(
  clients: readonly QuorateClient[],
  timeoutMs = 20_000,
): Promise<{ id: string; term: number }> {
  return eventually(
    'an agreed leader',
    async () => {
      const answers = await Promise.all(clients.map(async (client) => client.cluster()));
      const views = answers.filter((view) => view !== undefined);
      const term = Math.max(...views.map((view) => view.term));
      const leader = views.find((view) => view.term === term && view.role === 'leader');
      const agreeing = views.filter((view) => view.term === term && view.leader === leader?.id);
      return leader !== undefined && agreeing.length === clients.length && { id: leader.id, term };
    },
    { timeoutMs },
  );
}
