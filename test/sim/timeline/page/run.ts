/** A run, sorted for drawing: what each lane was when, and everything else in the order of its time. */
import type { TimedEvent } from '../../journal.ts';

/** A node in one state. */
export interface Span {
  readonly event: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly state: string;
  readonly term: number;
}

/** A moment: a fault, the end of one, or a note. */
export interface Mark {
  readonly event: number;
  readonly ms: number;
  readonly sort: 'fault' | 'heal' | 'note';
  readonly text: string;
  /** Nodes by their place; none: it is about all of them. */
  readonly lanes: readonly number[];
  /** When the heal of the same number came, or one that healed it as well. */
  readonly healedMs: number | null;
}

export interface Operation {
  readonly event: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly client: number;
  readonly node: number;
  readonly what: 'write' | 'read';
  readonly outcome: 'ok' | 'unknown' | 'refused';
}

export interface Message {
  readonly event: number;
  /** Null where it is not known. */
  readonly sentMs: number | null;
  readonly ms: number;
  readonly from: number;
  readonly to: number;
  readonly name: string;
  readonly group: number;
}

/** Kinds of messages that are shown or hidden together; the first that knows a name has it. */
export const groups = [
  { name: 'votes', knows: /vote/, shownAtFirst: true },
  { name: 'appends', knows: /^append(?!-reply)/, shownAtFirst: true },
  { name: 'append replies', knows: /^append-reply/, shownAtFirst: true },
  { name: 'heartbeats', knows: /^heartbeat/, shownAtFirst: false },
  { name: 'read index', knows: /^read-index/, shownAtFirst: true },
  { name: 'forwards', knows: /^forward/, shownAtFirst: true },
  { name: 'reports', knows: /^report/, shownAtFirst: false },
  { name: 'others', knows: /(?:)/, shownAtFirst: true },
] as const;

export interface Run {
  readonly events: readonly TimedEvent[];
  readonly nodes: readonly string[];
  readonly clients: readonly string[];
  readonly endMs: number;
  /** By node. */
  readonly spans: readonly (readonly Span[])[];
  readonly marks: readonly Mark[];
  readonly operations: readonly Operation[];
  /** By the time of arrival, and the longest that one of them took. */
  readonly messages: readonly Message[];
  readonly longestFlightMs: number;
  /** By event; -1: it is no message. */
  readonly groupOf: Int8Array;
}

export function runOf(events: readonly TimedEvent[]): Run {
  const nodes = namesOf(events, (event) => (event.kind === 'state' ? event.node : null));
  const clients = namesOf(events, (event) => (event.kind === 'client' ? event.client : null));
  const endMs = events.at(-1)?.timeMs ?? 0;
  const marks: Mark[] = [];
  const operations: Operation[] = [];
  const messages: Message[] = [];
  const groupOf = new Int8Array(events.length).fill(-1);
  for (const [at, event] of events.entries()) {
    const { timeMs: ms } = event;
    if (event.kind === 'message') {
      const { from, to, name, sentMs } = event;
      const group = groups.findIndex(({ knows }) => knows.test(name));
      groupOf[at] = group;
      messages.push({ event: at, sentMs, ms, from: nodes.indexOf(from), to: nodes.indexOf(to), name, group });
    } else if (event.kind === 'client') {
      const { client, node, startMs, what, outcome } = event;
      const lane = { client: clients.indexOf(client), node: nodes.indexOf(node) };
      operations.push({ event: at, fromMs: startMs, toMs: ms, ...lane, what, outcome });
    } else if (event.kind === 'fault') {
      const lanes = event.nodes.map((node) => nodes.indexOf(node));
      const sort = heals(event.what) ? 'heal' : 'fault';
      marks.push({ event: at, ms, sort, text: event.what, lanes, healedMs: healOf(events, at) });
    } else if (event.kind === 'note') {
      const lanes = event.text.match(/\w+/g)?.flatMap((word) => nodes.indexOf(word)) ?? [];
      const named = [...new Set(lanes.filter((lane) => lane >= 0))];
      marks.push({ event: at, ms, sort: 'note', text: event.text, lanes: named, healedMs: null });
    }
  }
  const longestFlightMs = messages.reduce((most, { sentMs, ms }) => Math.max(most, ms - (sentMs ?? ms)), 0);
  const spans = nodes.map((node) => spansOf(events, node, endMs));
  return { events, nodes, clients, endMs, spans, marks, operations, messages, longestFlightMs, groupOf };
}

function namesOf(events: readonly TimedEvent[], nameOf: (event: TimedEvent) => string | null): string[] {
  const names = new Set(events.map((event) => nameOf(event)).filter((name) => name !== null));
  return [...names].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

function spansOf(events: readonly TimedEvent[], node: string, endMs: number): Span[] {
  const changes = events.flatMap((event, at) => (event.kind === 'state' && event.node === node ? [{ event, at }] : []));
  return changes.map(({ event, at }, n) => ({
    event: at,
    fromMs: event.timeMs,
    toMs: changes[n + 1]?.event.timeMs ?? endMs,
    state: event.state,
    term: event.term,
  }));
}

const heals = (what: string): boolean => / heal$|^all is well$/.test(what);

/** A fault that is healed under its own number is over with the first heal after it: one heal ends all cuts. */
function healOf(events: readonly TimedEvent[], at: number): number | null {
  const fault = events[at];
  if (fault?.kind !== 'fault' || heals(fault.what)) return null;
  const own = `${fault.what.split(' ', 1)[0]} heal`;
  let firstMs: number | null = null;
  for (const event of events.slice(at)) {
    if (event.kind !== 'fault' || !heals(event.what)) continue;
    firstMs ??= event.timeMs;
    if (event.what === own) return firstMs;
  }
  return null;
}

/** Place of the first item that is at `ms` or later. */
export function firstAt<T>(items: readonly T[], timeOf: (item: T) => number, ms: number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const item = items[middle];
    if (item !== undefined && timeOf(item) < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What a node was at `ms`. */
export function spanAt(run: Run, node: number, ms: number): Span | undefined {
  const spans = run.spans[node] ?? [];
  return spans[firstAt(spans, (span) => span.fromMs, ms + 1e-9) - 1];
}
