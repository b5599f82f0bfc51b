/**
 * Walks an ExportTraceServiceRequest over its wire format: checks the structure of everything the schema knows, finds
 * where each span lies, and builds no object per span. What it returns points into the request, so the bytes a client
 * sent are the bytes that are stored, unknown fields included.
 *
 * Always holds for the result: every span range and every id offset lies inside the request; every span has a trace id
 * of 16 bytes and a span id of 8, neither all zero; `groups` are in order of the request and each holds a span.
 *
 * Damage anywhere throws (protocol C3: the request changes nothing); a fault of one span rejects that span alone.
 * UTF-8 is not checked: strings are bytes here.
 */
import { resourceSpans, scopeSpans, span } from './schema.ts';
import { StructureChecker, tagTableOf, type TagTable } from './structure.ts';
import { tagOf, WireError, WireReader, wireTypes } from './wire.ts';

export interface WalkLimits {
  /** Encoded size of one span. */
  readonly spanBytesMax: number;
  /** Nesting of AnyValue: the value of an attribute is at depth 1, a value in its list at depth 2. */
  readonly anyValueDepthMax: number;
}

export interface WalkedExport {
  /** Spans accepted: the length of every column of `spans`. */
  readonly spanCount: number;
  readonly rejected: {
    readonly count: number;
    /** One sentence that names the first rejected span by its position in the request, from 0; null without any. */
    readonly firstReason: string | null;
  };
  readonly groups: readonly SpanGroup[];
  readonly spans: SpanTable;
}

/** One pair of ResourceSpans and ScopeSpans that holds at least one accepted span. */
export interface SpanGroup {
  /** All fields of ResourceSpans but scope_spans, verbatim, tags included. The same object for all its scopes. */
  readonly resourcePart: Uint8Array;
  /** All fields of ScopeSpans but spans, verbatim, tags included. */
  readonly scopePart: Uint8Array;
}

/** The accepted spans in order of the request, one column per fact. Offsets count from the start of the request. */
export interface SpanTable {
  /** Index into `groups`. */
  readonly group: Uint32Array;
  /** The span message, without tag and length, is request[start, end). */
  readonly start: Uint32Array;
  readonly end: Uint32Array;
  /** Where the 16 bytes of the trace id and the 8 bytes of the span id begin. */
  readonly traceIdAt: Uint32Array;
  readonly spanIdAt: Uint32Array;
  /** start_time_unix_nano and end_time_unix_nano as halves: high * 2^32 + low. */
  readonly startTimeHigh: Uint32Array;
  readonly startTimeLow: Uint32Array;
  readonly endTimeHigh: Uint32Array;
  readonly endTimeLow: Uint32Array;
}

/**
 * Walks `request`.
 *
 * @throws WireError when the request is structurally damaged.
 */
export function walkExport(request: Uint8Array, limits: WalkLimits): WalkedExport {
  return new ExportWalker(request, limits).walk();
}

const traceIdBytes = 16;
const spanIdBytes = 8;
const noBytes = new Uint8Array(0);
/** Field 1 of the request, and field 2 of ResourceSpans and of ScopeSpans: what the next level down hangs on. */
const resourceSpansTag = tagOf(1, wireTypes.bytes);
const childTag = tagOf(2, wireTypes.bytes);

const resourceSpansTable = tagTableOf(resourceSpans);
const scopeSpansTable = tagTableOf(scopeSpans);
const spanTable = tagTableOf(span);
// The fields of a span that the table of spans notes.
const traceIdTag = tagOf(1, wireTypes.bytes);
const spanIdTag = tagOf(2, wireTypes.bytes);
const startTimeTag = tagOf(7, wireTypes.fixed64);
const endTimeTag = tagOf(8, wireTypes.fixed64);
// The commonest of the others, which are stepped over without a call.
const parentSpanIdTag = tagOf(4, wireTypes.bytes);
const nameTag = tagOf(5, wireTypes.bytes);
const attributesTag = tagOf(9, wireTypes.bytes);

class ExportWalker {
  readonly #reader: WireReader;
  readonly #checker: StructureChecker;
  readonly #limits: WalkLimits;
  readonly #groups: SpanGroup[] = [];
  readonly #columns: Columns;
  /** Spans met so far, accepted or not. */
  #position = 0;
  #rejectedCount = 0;
  #firstReason: string | null = null;

  // What was noted in the span at hand. Of a scalar that occurs twice the last one counts.
  #traceIdAt = 0;
  #traceIdLength = 0;
  #spanIdAt = 0;
  #spanIdLength = 0;
  #startTimeHigh = 0;
  #startTimeLow = 0;
  #endTimeHigh = 0;
  #endTimeLow = 0;

  constructor(request: Uint8Array, limits: WalkLimits) {
    this.#reader = new WireReader(request);
    this.#checker = new StructureChecker(request, limits.anyValueDepthMax);
    this.#limits = limits;
    this.#columns = new Columns(expectedRows(request.length));
  }

  walk(): WalkedExport {
    const reader = this.#reader;
    while (reader.at < reader.end) {
      const tag = reader.readTag();
      if (tag === resourceSpansTag) {
        const end = this.#enter();
        this.#walkResourceSpans();
        reader.end = end;
      } else if (tag >>> 3 === 1)
        throw new WireError(`field 1 has wire type ${tag & 7}, which the schema does not allow`, reader.at);
      else reader.skip(tag);
    }
    return {
      spanCount: this.#columns.length,
      rejected: { count: this.#rejectedCount, firstReason: this.#firstReason },
      groups: this.#groups,
      spans: this.#columns.trim(),
    };
  }

  #walkResourceSpans(): void {
    const reader = this.#reader;
    const start = reader.at;
    this.#checker.tooDeep = false;
    const resourcePart = this.#takePart(resourceSpansTable);
    const resourceTooDeep = this.#checker.tooDeep;
    reader.at = start;
    while (reader.at < reader.end) {
      const tag = reader.readTag();
      if (tag === childTag) {
        const end = this.#enter();
        this.#walkScopeSpans(resourcePart, resourceTooDeep);
        reader.end = end;
      } else reader.skip(tag);
    }
  }

  #walkScopeSpans(resourcePart: Uint8Array, resourceTooDeep: boolean): void {
    const reader = this.#reader;
    const start = reader.at;
    this.#checker.tooDeep = false;
    const scopePart = this.#takePart(scopeSpansTable);
    const sharedFault = resourceTooDeep ? 'resource' : this.#checker.tooDeep ? 'scope' : null;
    const spansBefore = this.#columns.length;
    reader.at = start;
    while (reader.at < reader.end) {
      const tag = reader.readTag();
      if (tag === childTag) {
        const end = this.#enter();
        this.#walkSpan(sharedFault);
        reader.end = end;
      } else reader.skip(tag);
    }
    if (this.#columns.length > spansBefore) this.#groups.push({ resourcePart, scopePart });
  }

  /**
   * Checks the fields of the message at hand except its children, and returns their bytes in the order of the wire.
   * A pass of its own, because these fields may stand behind the children.
   */
  #takePart(table: TagTable): Uint8Array {
    const reader = this.#reader;
    const pieces: Uint8Array[] = [];
    let pieceStart = reader.at;
    let pieceEnd = reader.at;
    while (reader.at < reader.end) {
      const fieldStart = reader.at;
      const tag = reader.readTag();
      reader.skip(tag);
      if (tag === childTag) continue;
      this.#checker.check(table, fieldStart, reader.at);
      if (fieldStart !== pieceEnd) {
        if (pieceEnd > pieceStart) pieces.push(reader.bytes.subarray(pieceStart, pieceEnd));
        pieceStart = fieldStart;
      }
      pieceEnd = reader.at;
    }
    const last = pieceEnd > pieceStart ? reader.bytes.subarray(pieceStart, pieceEnd) : noBytes;
    return pieces.length === 0 ? last : concat([...pieces, last]);
  }

  #walkSpan(sharedFault: 'resource' | 'scope' | null): void {
    const reader = this.#reader;
    const start = reader.at;
    this.#checker.tooDeep = false;
    this.#checker.check(spanTable, start, reader.end);
    this.#noteSpan();
    const fault = this.#spanFault(reader.end - start, sharedFault);
    if (fault === null) {
      const columns = this.#columns;
      const row = columns.addRow();
      columns.group[row] = this.#groups.length;
      columns.start[row] = start;
      columns.end[row] = reader.end;
      columns.traceIdAt[row] = this.#traceIdAt;
      columns.spanIdAt[row] = this.#spanIdAt;
      columns.startTimeHigh[row] = this.#startTimeHigh;
      columns.startTimeLow[row] = this.#startTimeLow;
      columns.endTimeHigh[row] = this.#endTimeHigh;
      columns.endTimeLow[row] = this.#endTimeLow;
    } else {
      this.#rejectedCount += 1;
      this.#firstReason ??= `span ${this.#position}: ${fault()}`;
    }
    this.#position += 1;
  }

  /** Notes ids and times of the span at hand, whose structure has been checked. */
  #noteSpan(): void {
    const reader = this.#reader;
    this.#traceIdLength = 0;
    this.#spanIdLength = 0;
    this.#startTimeHigh = 0;
    this.#startTimeLow = 0;
    this.#endTimeHigh = 0;
    this.#endTimeLow = 0;
    const { bytes, end } = reader;
    while (reader.at < end) {
      const at = reader.at;
      const tag = bytes[at] as number;
      const length = at + 1 < end ? (bytes[at + 1] as number) : 0x80;
      if (length < 0x80 && (tag === attributesTag || tag === nameTag || tag === parentSpanIdTag))
        reader.at = at + 2 + length;
      else this.#noteField();
    }
  }

  /** Notes the field at the cursor if it is one that is noted, and moves over it. */
  #noteField(): void {
    const reader = this.#reader;
    const tag = reader.readTag();
    switch (tag) {
      case traceIdTag:
        this.#traceIdLength = reader.readLength();
        this.#traceIdAt = reader.at;
        return reader.advance(this.#traceIdLength);
      case spanIdTag:
        this.#spanIdLength = reader.readLength();
        this.#spanIdAt = reader.at;
        return reader.advance(this.#spanIdLength);
      case startTimeTag:
        reader.readFixed64();
        this.#startTimeHigh = reader.high;
        this.#startTimeLow = reader.low;
        return;
      case endTimeTag:
        reader.readFixed64();
        this.#endTimeHigh = reader.high;
        this.#endTimeLow = reader.low;
        return;
      default:
        return reader.skip(tag);
    }
  }

  /** Why the span just checked must be rejected; a function, because only the first sentence is ever needed. */
  #spanFault(bytes: number, sharedFault: 'resource' | 'scope' | null): (() => string) | null {
    const { spanBytesMax, anyValueDepthMax } = this.#limits;
    if (bytes > spanBytesMax) return () => `a span must have at most ${spanBytesMax} bytes, not ${bytes}`;
    if (this.#traceIdLength !== traceIdBytes) return () => `trace id must be 16 bytes, not ${this.#traceIdLength}`;
    if (this.#isZero(this.#traceIdAt, traceIdBytes)) return () => 'trace id must not be all zero';
    if (this.#spanIdLength !== spanIdBytes) return () => `span id must be 8 bytes, not ${this.#spanIdLength}`;
    if (this.#isZero(this.#spanIdAt, spanIdBytes)) return () => 'span id must not be all zero';
    if (this.#checker.tooDeep) return () => `attribute values must not be nested deeper than ${anyValueDepthMax}`;
    if (sharedFault)
      return () => `attribute values of its ${sharedFault} must not be nested deeper than ${anyValueDepthMax}`;
    return null;
  }

  #isZero(at: number, length: number): boolean {
    const bytes = this.#reader.bytes;
    for (let index = at; index < at + length; index += 1) if (bytes[index] !== 0) return false;
    return true;
  }

  /** Enters the length-delimited value at the cursor and returns the end to go back to. */
  #enter(): number {
    const reader = this.#reader;
    const length = reader.readLength();
    const outerEnd = reader.end;
    reader.end = reader.at + length;
    return outerEnd;
  }
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}

/** Rows to start with for a request of `bytes`: enough for typical spans, never a large share of the request. */
function expectedRows(bytes: number): number {
  return Math.min(Math.max(bytes >>> 8, 8), 1 << 16);
}

/** The growing span table. */
class Columns implements SpanTable {
  length = 0;
  group: Uint32Array;
  start: Uint32Array;
  end: Uint32Array;
  traceIdAt: Uint32Array;
  spanIdAt: Uint32Array;
  startTimeHigh: Uint32Array;
  startTimeLow: Uint32Array;
  endTimeHigh: Uint32Array;
  endTimeLow: Uint32Array;

  constructor(rows: number) {
    this.group = new Uint32Array(rows);
    this.start = new Uint32Array(rows);
    this.end = new Uint32Array(rows);
    this.traceIdAt = new Uint32Array(rows);
    this.spanIdAt = new Uint32Array(rows);
    this.startTimeHigh = new Uint32Array(rows);
    this.startTimeLow = new Uint32Array(rows);
    this.endTimeHigh = new Uint32Array(rows);
    this.endTimeLow = new Uint32Array(rows);
  }

  /** Makes room for one more row and returns its index. */
  addRow(): number {
    if (this.length === this.group.length) this.#map((column) => doubled(column));
    this.length += 1;
    return this.length - 1;
  }

  /** Cuts the columns to their length. */
  trim(): SpanTable {
    this.#map((column) => column.subarray(0, this.length));
    return this;
  }

  #map(change: (column: Uint32Array) => Uint32Array): void {
    this.group = change(this.group);
    this.start = change(this.start);
    this.end = change(this.end);
    this.traceIdAt = change(this.traceIdAt);
    this.spanIdAt = change(this.spanIdAt);
    this.startTimeHigh = change(this.startTimeHigh);
    this.startTimeLow = change(this.startTimeLow);
    this.endTimeHigh = change(this.endTimeHigh);
    this.endTimeLow = change(this.endTimeLow);
  }
}

function doubled(column: Uint32Array): Uint32Array {
  const larger = new Uint32Array(column.length * 2);
  larger.set(column);
  return larger;
}
