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
import { resourceSpans, scopeSpans } from './schema.ts';
import { SpanScanner } from './span-scan.ts';
import { SpanColumns, type SpanTable } from './span-table.ts';
import { StructureChecker, tagTableOf, type TagTable } from './structure.ts';
import { tagOf, WireError, WireReader, wireTypes } from './wire.ts';

export interface WalkLimits {
  /** Encoded size of one span; and of what it shares with others, its resource and scope. */
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

class ExportWalker {
  readonly #reader: WireReader;
  readonly #checker: StructureChecker;
  readonly #scanner: SpanScanner;
  readonly #limits: WalkLimits;
  readonly #groups: SpanGroup[] = [];
  readonly #columns: SpanColumns;
  /** Spans met so far, accepted or not. */
  #position = 0;
  #rejectedCount = 0;
  #firstReason: string | null = null;

  constructor(request: Uint8Array, limits: WalkLimits) {
    this.#reader = new WireReader(request);
    this.#checker = new StructureChecker(request, limits.anyValueDepthMax);
    this.#scanner = new SpanScanner(request, this.#checker);
    this.#limits = limits;
    this.#columns = new SpanColumns(request.length);
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
    const sharedFault = this.#sharedFault(resourcePart.length + scopePart.length, resourceTooDeep);
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

  #walkSpan(sharedFault: string | null): void {
    const reader = this.#reader;
    const { at: start, end } = reader;
    this.#checker.tooDeep = false;
    this.#scanner.scan(start, end);
    reader.at = end;
    const fault = this.#spanFault(end - start, sharedFault);
    if (fault === null) this.#columns.add(this.#groups.length, start, end, this.#scanner);
    else {
      this.#rejectedCount += 1;
      this.#firstReason ??= `span ${this.#position}: ${fault}`;
    }
    this.#position += 1;
  }

  /** Why the span just scanned must be rejected; null when nothing is wrong with it. */
  #spanFault(bytes: number, sharedFault: string | null): string | null {
    const { spanBytesMax, anyValueDepthMax } = this.#limits;
    const { traceIdAt, traceIdLength, spanIdAt, spanIdLength } = this.#scanner;
    if (bytes > spanBytesMax) return `a span must have at most ${spanBytesMax} bytes, not ${bytes}`;
    if (traceIdLength !== traceIdBytes) return `trace id must be ${traceIdBytes} bytes, not ${traceIdLength}`;
    if (this.#isZero(traceIdAt, traceIdBytes)) return 'trace id must not be all zero';
    if (spanIdLength !== spanIdBytes) return `span id must be ${spanIdBytes} bytes, not ${spanIdLength}`;
    if (this.#isZero(spanIdAt, spanIdBytes)) return 'span id must not be all zero';
    if (this.#checker.tooDeep) return `attribute values must not be nested deeper than ${anyValueDepthMax}`;
    return sharedFault;
  }

  /** Why no span of this resource and scope can be taken, or null: a block holds both with even one span of theirs. */
  #sharedFault(bytes: number, resourceTooDeep: boolean): string | null {
    const { spanBytesMax, anyValueDepthMax } = this.#limits;
    if (bytes > spanBytesMax) return `its resource and scope must have at most ${spanBytesMax} bytes, not ${bytes}`;
    const tooDeep = resourceTooDeep ? 'resource' : this.#checker.tooDeep ? 'scope' : null;
    if (tooDeep === null) return null;
    return `attribute values of its ${tooDeep} must not be nested deeper than ${anyValueDepthMax}`;
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
