/**
 * What clients saw, and whether one correct store could have shown it to them: a recorder of operations and an exact
 * linearizability check for the object a trace is, a grow-only set with idempotent adds and full reads.
 *
 * A history is legal if every operation can be given one instant between its start and its end such that each read
 * returns exactly the elements added before it. An add of unknown outcome may have happened at any time after its
 * start, or never. A stale read may show the set as it was before the read began, but only a set that once was.
 *
 * No search is needed. All sets read of one trace must form a chain under inclusion; the k-th set of the chain is
 * level 2k, an element first seen in it level 2k - 1, an acked element nobody saw the level above all. The history is
 * legal exactly if no operation ended before another began whose level is lower: within a level all operations
 * commute, and the union of both orders has a cycle only if it has one of length two. O(n log n), where an element
 * returned by a read counts towards n.
 */

/** What the client knows about an add: it happened, it certainly did not and never will, or either. */
export type AddOutcome = 'ok' | 'fail' | 'unknown';
export type ReadConsistency = 'linearizable' | 'stale';

interface Operation {
  /** Who, for people: `writer 3 through n2`. */
  readonly client: string;
  readonly trace: string;
  /** Order of the event among all of the history: the check compares only these. Equal numbers count as concurrent. */
  readonly start: number;
  /** Infinity while not ended. */
  readonly end: number;
  /** ms of the recorder's clock, for people. */
  readonly startMs: number;
  readonly endMs: number;
}

export interface AddOperation extends Operation {
  readonly kind: 'add';
  readonly element: string;
  readonly outcome: AddOutcome;
}

/** A read that returned. One that failed says nothing and is not part of a history. */
export interface ReadOperation extends Operation {
  readonly kind: 'read';
  readonly consistency: ReadConsistency;
  readonly elements: readonly string[];
  /** The answer said that a part of the trace has expired (`expiry.ts`). */
  readonly expired?: boolean;
}

export type HistoryOperation = AddOperation | ReadOperation;
export type History = readonly HistoryOperation[];

export interface HistoryCounts {
  readonly operations: number;
  readonly traces: number;
  readonly acked: number;
  readonly failed: number;
  readonly unknown: number;
  readonly linearizableReads: number;
  readonly staleReads: number;
  /** Distinct sets read, over all traces: a history with few of them has tested little. */
  readonly statesSeen: number;
}

/** What went wrong, by the name the field gives it. */
export type HistoryFault =
  | 'duplicate'
  | 'phantom'
  | 'refused yet visible'
  | 'long fork'
  | 'lost ack'
  | 'stale read'
  | 'read went backwards'
  | 'read from the future'
  | 'acks out of order';

export type HistoryVerdict =
  | ({ readonly ok: true } & HistoryCounts)
  | {
      readonly ok: false;
      readonly fault: HistoryFault;
      readonly trace: string;
      /** For people: which ack, which read, what was missing. */
      readonly explanation: string;
      readonly operations: readonly HistoryOperation[];
    };

export interface PendingAdd {
  /** Ends the operation. Later calls are ignored: the first answer counts. */
  settle(outcome: AddOutcome): void;
}
export interface PendingRead {
  /** Ends the read with what it returned, duplicates included. A read that is never ended is left out. */
  returned(elements: readonly string[], expired?: boolean): void;
}

/**
 * Records operations of any number of concurrent clients of one process. Events are ordered by when the recorder was
 * told of them, which is stricter than any clock: on virtual time thousands share one instant.
 */
export class HistoryRecorder {
  readonly #nowMs: () => number;
  readonly #ended: HistoryOperation[] = [];
  readonly #open = new Set<AddOperation>();
  #events = 0;

  /** @param nowMs one monotonic clock, ms. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** An add is about to be sent. Call before the first byte leaves. */
  add(client: string, trace: string, element: string): PendingAdd {
    const open: AddOperation = {
      kind: 'add',
      client,
      trace,
      element,
      outcome: 'unknown',
      start: (this.#events += 1),
      end: Infinity,
      startMs: this.#nowMs(),
      endMs: Infinity,
    };
    this.#open.add(open);
    return {
      settle: (outcome) => {
        if (!this.#open.delete(open)) return;
        const ended = outcome === 'unknown' ? {} : { end: (this.#events += 1), endMs: this.#nowMs() };
        this.#ended.push({ ...open, outcome, ...ended });
      },
    };
  }

  /** A read is about to be sent. Call before the first byte leaves. */
  read(client: string, trace: string, consistency: ReadConsistency): PendingRead {
    const start = (this.#events += 1);
    const startMs = this.#nowMs();
    let returned = false;
    return {
      returned: (elements, expired = false) => {
        if (returned) return;
        returned = true;
        const end = (this.#events += 1);
        const endMs = this.#nowMs();
        this.#ended.push({ kind: 'read', client, trace, consistency, elements, expired, start, end, startMs, endMs });
      },
    };
  }

  /** All so far; adds still under way are of unknown outcome. */
  history(): History {
    return [...this.#ended, ...this.#open];
  }
}

/** One element of one trace, its retries merged: it happened in [start, end] if `acked`, else at or after start, or never. */
interface MergedAdd {
  readonly element: string;
  start: number;
  end: number;
  first: AddOperation | undefined;
  acked: AddOperation | undefined;
  refused: AddOperation | undefined;
  /** Index in the chain of the first set that holds it; -1 while unseen. */
  seenIn: number;
  /** The read last looked at that held it: how a duplicate is noticed without a set per read. */
  heldBy: ReadOperation | undefined;
}

interface TraceHistory {
  readonly adds: Map<string, MergedAdd>;
  readonly reads: ReadOperation[];
}

type Illegal = Extract<HistoryVerdict, { ok: false }>;

/** Checks every trace of the history by itself. Pure; the first fault found is the one told. */
export function checkHistory(history: History): HistoryVerdict {
  const traces = new Map<string, TraceHistory>();
  const count = { acked: 0, failed: 0, unknown: 0, linearizableReads: 0, staleReads: 0, statesSeen: 0 };
  for (const operation of history) {
    let trace = traces.get(operation.trace);
    if (trace === undefined) traces.set(operation.trace, (trace = { adds: new Map(), reads: [] }));
    if (operation.kind === 'read') {
      trace.reads.push(operation);
      if (operation.consistency === 'stale') count.staleReads += 1;
      else count.linearizableReads += 1;
    } else {
      mergeAdd(trace.adds, operation);
      if (operation.outcome === 'ok') count.acked += 1;
      else if (operation.outcome === 'fail') count.failed += 1;
      else count.unknown += 1;
    }
  }
  for (const [id, trace] of traces) {
    const checked = checkTrace(id, trace);
    if (typeof checked !== 'number') return checked;
    count.statesSeen += checked;
  }
  return { ok: true, operations: history.length, traces: traces.size, ...count };
}

/** The verdict as an assertion: returns the counts or throws the explanation. */
export function assertLinearizable(history: History): HistoryCounts {
  const verdict = checkHistory(history);
  if (!verdict.ok) throw new Error(verdict.explanation);
  return verdict;
}

function mergeAdd(adds: Map<string, MergedAdd>, operation: AddOperation): void {
  let merged = adds.get(operation.element);
  if (merged === undefined) {
    merged = {
      element: operation.element,
      start: Infinity,
      end: Infinity,
      first: undefined,
      acked: undefined,
      refused: undefined,
      heldBy: undefined,
      seenIn: -1,
    };
    adds.set(operation.element, merged);
  }
  if (operation.outcome === 'fail') {
    merged.refused = operation;
    return;
  }
  if (merged.first === undefined || operation.start < merged.start) {
    merged.start = operation.start;
    merged.first = operation;
  }
  if (operation.outcome === 'ok' && (merged.acked === undefined || operation.end < merged.end)) {
    merged.end = operation.end;
    merged.acked = operation;
  }
}

/** Number of distinct sets read, or what is wrong. */
function checkTrace(id: string, { adds, reads }: TraceHistory): number | Illegal {
  // The chain: smallest set first; each must hold all of the one before.
  const ascending = reads.toSorted((a, b) => a.elements.length - b.elements.length || a.start - b.start);
  const chain: ReadOperation[] = [];
  const items: Levelled[] = [];
  for (const read of ascending) {
    const previous = chain.at(-1);
    const grown = previous === undefined || read.elements.length > previous.elements.length;
    const index = grown ? chain.length : chain.length - 1;
    let known = 0;
    for (const element of read.elements) {
      const add = adds.get(element);
      if (add === undefined) {
        return illegal('phantom', id, [read], `${tell(read)} holds ${element}, which nobody ever sent`);
      }
      if (add.first === undefined) {
        const refused = add.refused === undefined ? [] : [add.refused];
        const why = `${tell(read)} holds ${element}, which was refused to everyone who sent it`;
        return illegal('refused yet visible', id, [...refused, read], why);
      }
      if (add.heldBy === read) return illegal('duplicate', id, [read], `${tell(read)} holds ${element} twice`);
      add.heldBy = read;
      if (add.seenIn >= 0) known += 1;
      else if (grown) add.seenIn = index;
      else return fork(id, previous, read);
    }
    if (previous !== undefined && known !== previous.elements.length) return fork(id, previous, read);
    if (grown) chain.push(read);
    // A stale read may be older than its start, so nothing that ended before it is too early for it.
    const start = read.consistency === 'stale' ? -Infinity : read.start;
    items.push({ level: 2 * index, start, end: read.end, what: read });
  }
  for (const add of adds.values()) {
    if (add.first === undefined || (add.seenIn < 0 && add.acked === undefined)) continue;
    const level = 2 * (add.seenIn < 0 ? chain.length : add.seenIn) - 1;
    items.push({ level, start: add.start, end: add.end, what: add });
  }
  return checkOrder(id, items, chain);
}

interface Levelled {
  readonly level: number;
  readonly start: number;
  readonly end: number;
  readonly what: MergedAdd | ReadOperation;
}

function checkOrder(id: string, items: Levelled[], chain: readonly ReadOperation[]): number | Illegal {
  items.sort((a, b) => a.level - b.level);

  let latest: Levelled | undefined; // of the levels below: the one that began last
  let pending: Levelled | undefined; // of this level
  let level = -Infinity;
  for (const item of items) {
    if (item.level > level) {
      if (pending !== undefined && (latest === undefined || pending.start > latest.start)) latest = pending;
      pending = undefined;
      level = item.level;
    }
    if (latest !== undefined && item.end < latest.start) return explainOrder(id, item.what, latest.what, chain);
    if (pending === undefined || item.start > pending.start) pending = item;
  }
  return chain.length;
}

/** `before` ended before `after` began, yet the sets that were read say it came later. */
function explainOrder(
  id: string,
  before: MergedAdd | ReadOperation,
  after: MergedAdd | ReadOperation,
  chain: readonly ReadOperation[],
): Illegal {
  if ('kind' in before) {
    if ('kind' in after) {
      const missing = difference(before.elements, after.elements);
      const why = `${tell(after)} lacks ${missing}, which ${tell(before)} had already returned`;
      return illegal('read went backwards', id, [before, after], why);
    }
    const sent = after.first;
    const why = `${tell(before)} holds ${after.element}, which was first sent later, by ${tellAdd(sent)}`;
    return illegal('read from the future', id, sent === undefined ? [before] : [sent, before], why);
  }
  const acked = before.acked;
  const ack = `${before.element}, acked to ${tellAdd(acked)}`;
  const ackedOperation = acked === undefined ? [] : [acked];
  if ('kind' in after) {
    const seenBy = chain[before.seenIn];
    if (seenBy === undefined) {
      const why = `${tell(after)} lacks ${ack}; no read ever returned it`;
      return illegal('lost ack', id, [...ackedOperation, after], why);
    }
    const why = `${tell(after)} lacks ${ack}; ${tell(seenBy)} does hold it`;
    return illegal('stale read', id, [...ackedOperation, after, seenBy], why);
  }
  const witness = chain[after.seenIn];
  const later = `${after.element}, which was sent only after that by ${tellAdd(after.first)}`;
  const why = `${witness === undefined ? 'a read' : tell(witness)} lacks ${ack}, but holds ${later}`;
  const involved = [...ackedOperation, ...(after.first === undefined ? [] : [after.first])];
  return illegal('acks out of order', id, witness === undefined ? involved : [...involved, witness], why);
}

function fork(id: string, smaller: ReadOperation | undefined, larger: ReadOperation): Illegal {
  if (smaller === undefined) throw new Error('a fork needs two reads');
  const onlySmaller = difference(smaller.elements, larger.elements);
  const onlyLarger = difference(larger.elements, smaller.elements);
  const why = `${tell(smaller)} holds ${onlySmaller} but not ${onlyLarger}; ${tell(larger)} the other way round`;
  return illegal('long fork', id, [smaller, larger], why);
}

function illegal(fault: HistoryFault, trace: string, operations: readonly HistoryOperation[], why: string): Illegal {
  return { ok: false, fault, trace, operations, explanation: `trace ${trace}: ${fault}: ${why}` };
}

function difference(a: readonly string[], b: readonly string[]): string {
  const other = new Set(b);
  const only = a.filter((element) => !other.has(element));
  const shown = only.slice(0, 3).join(', ');
  return only.length > 3 ? `${shown} and ${only.length - 3} more` : shown;
}

function tell(read: ReadOperation): string {
  const many = read.elements.length === 1 ? '1 span' : `${read.elements.length} spans`;
  return `the ${read.consistency} read by ${read.client} [${span(read)}, ${many}]`;
}

function tellAdd(add: AddOperation | undefined): string {
  return add === undefined ? 'somebody' : `${add.client} [${span(add)}]`;
}

function span(operation: Operation): string {
  const end = operation.endMs === Infinity ? 'open' : operation.endMs.toFixed(1);
  return `${operation.startMs.toFixed(1)} to ${end} ms`;
}
