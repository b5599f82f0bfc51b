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
import { limitSentences, type SpanFault, type SpanLimits } from './span-fault.ts';
import { SpanScanner } from './span-scan.ts';
import { SpanColumns, type SpanTable } from './span-table.ts';
import { StructureChecker, tagTableOf, type TagTable } from './structure.ts';
import { tagOf, WireError, WireReader, wireTypes } from './wire.ts';

export interface WalkedExport {
  /** Spans accepted: the length of every column of `spans`. */
  readonly spanCount: number;
  readonly rejected: {
    readonly count: number;
    /** One sentence that names the first rejected span by its position in the request, from 0; null without any. */
    readonly firstReason: string | null;
    /** How many for each reason; of several the first found counts. */
    readonly byFault: ReadonlyMap<SpanFault, number>;
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
export function walkExport(request: Uint8Array, limits: SpanLimits): WalkedExport {
  const job = walkingExport(request, limits);
  for (;;) {
    const step = job.next();
    if (step.done === true) return step.value;
  }
}

/** The same as a job that can pause (Executor.run): 64 MiB of the smallest fields take seconds. */
export function walkingExport(request: Uint8Array, limits: SpanLimits): Generator<void, WalkedExport, void> {
  return new ExportWalker(request, limits).walking();
}

const traceIdBytes = 16;
const spanIdBytes = 8;
const noBytes = new Uint8Array(0);
/** Field 1 of the request, and field 2 of ResourceSpans and of ScopeSpans: what the next level down hangs on. */
const resourceSpansTag = tagOf(1, wireTypes.bytes);
const childTag = tagOf(2, wireTypes.bytes);

/** Bytes walked without a pause; a single span is never split, but is looked into only up to its limit. */
const pauseEveryBytes = 64 * 1024;

/** Resources and scopes may repeat one another to this many bytes in any request. */
const sharedFreeBytes = 1024 * 1024;

const resourceSpansTable = tagTableOf(resourceSpans);
const scopeSpansTable = tagTableOf(scopeSpans);

class ExportWalker {
  readonly #reader: WireReader;
  readonly #checker: StructureChecker;
  readonly #scanner: SpanScanner;
  readonly #limits: SpanLimits;
  readonly #groups: SpanGroup[] = [];
  readonly #columns: SpanColumns;
  /** Spans met so far, accepted or not. */
  #position = 0;
  /** Resources and scopes met so far, with spans or without. */
  #envelopes = 0;
  /** Bytes of resource and scope over all groups. */
  #sharedBytes = 0;
  #rejectedCount = 0;
  #firstReason: string | null = null;
  readonly #byFault = new Map<SpanFault, number>();
  /** How much will have been walked when the next pause is due, over all passes. */
  #pauseAt = pauseEveryBytes;

  constructor(request: Uint8Array, limits: SpanLimits) {
    this.#reader = new WireReader(request);
    this.#checker = new StructureChecker(request, limits);
    this.#scanner = new SpanScanner(request, this.#checker);
    this.#limits = limits;
    this.#columns = new SpanColumns(request.length);
  }

  *walking(): Generator<void, WalkedExport, void> {
    const reader = this.#reader;
    while (reader.at < reader.end) {
      const tag = reader.readTag();
      if (tag === resourceSpansTag) {
        const end = this.#enter();
        yield* this.#walkResourceSpans();
        reader.end = end;
      } else if (tag >>> 3 === 1)
        throw new WireError(`field 1 has wire type ${tag & 7}, which the schema does not allow`, reader.at);
      else reader.skip(tag);
      if (this.#isPauseDue()) yield;
    }
    return {
      spanCount: this.#columns.length,
      rejected: { count: this.#rejectedCount, firstReason: this.#firstReason, byFault: this.#byFault },
      groups: this.#groups,
      spans: this.#columns.trim(),
    };
  }

  *#walkResourceSpans(): Generator<void, void, void> {
    const reader = this.#reader;
    const start = reader.at;
    this.#countEnvelope();
    this.#checker.begin();
    const resourcePart = yield* this.#takePart(resourceSpansTable);
    const resourceFault = this.#checker.fault;
    reader.at = start;
    this.#pauseAt = start + pauseEveryBytes;
    while (reader.at < reader.end) {
      const tag = reader.readTag();
      if (tag === childTag) {
        const end = this.#enter();
        yield* this.#walkScopeSpans(resourcePart, resourceFault);
        reader.end = end;
      } else reader.skip(tag);
      if (this.#isPauseDue()) yield;
    }
  }

  *#walkScopeSpans(resourcePart: Uint8Array, resourceFault: SpanFault | null): Generator<void, void, void> {
    const reader = this.#reader;
    const start = reader.at;
    this.#countEnvelope();
    this.#checker.begin();
    const scopePart = yield* this.#takePart(scopeSpansTable);
    const sharedFault =
      resourceFault ?? this.#checker.fault ?? this.#sharedFault(resourcePart.length + scopePart.length);
    const spansBefore = this.#columns.length;
    reader.at = start;
    this.#pauseAt = start + pauseEveryBytes;
    while (this.#walkSpans(sharedFault)) yield;
    if (this.#columns.length === spansBefore) return;
    this.#groups.push({ resourcePart, scopePart });
    this.#sharedBytes += resourcePart.length + scopePart.length;
  }

  /** Why a block cannot take a resource and scope of so many bytes: it holds both with even one span of theirs. */
  #sharedFault(bytes: number): SpanFault | null {
    const { spanBytesMax, sharedRatioMax } = this.#limits;
    if (bytes > spanBytesMax) return 'shared-bytes';
    const bytesMax = Math.max(sharedFreeBytes, sharedRatioMax * this.#reader.bytes.length);
    return this.#sharedBytes + bytes > bytesMax ? 'shared-ratio' : null;
  }

  /** Walks the spans of the scope at hand until a pause is due (true) or there are no more. Not a generator: it is the hot loop. */
  #walkSpans(sharedFault: SpanFault | null): boolean {
    const reader = this.#reader;
    while (reader.at < reader.end) {
      const tag = reader.readTag();
      if (tag === childTag) {
        const end = this.#enter();
        this.#walkSpan(sharedFault);
        reader.end = end;
      } else reader.skip(tag);
      if (this.#isPauseDue()) return true;
    }
    return false;
  }

  /**
   * Checks the fields of the message at hand except its children, and returns their bytes in the order of the wire, as far as
   * no limit is passed. A pass of its own, because these fields may stand behind the children.
   */
  *#takePart(table: TagTable): Generator<void, Uint8Array, void> {
    const reader = this.#reader;
    const pieces: Uint8Array[] = [];
    let pieceStart = reader.at;
    let pieceEnd = reader.at;
    let bytes = 0;
    for (;;) {
      while (this.#skipChildren()) yield;
      if (reader.at === reader.end) break;
      const fieldStart = reader.at;
      reader.skip(reader.readTag());
      if (this.#isPauseDue()) yield;
      bytes += reader.at - fieldStart;
      // What is too large is refused with all its spans, so nobody will read it: neither looked into nor kept.
      if (bytes > this.#limits.spanBytesMax) this.#checker.fault ??= 'shared-bytes';
      if (bytes > this.#limits.spanBytesMax || this.#checker.fault === 'fields') continue;
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

  /** Steps over the children that come next, until a pause is due (true) or something else comes. */
  #skipChildren(): boolean {
    const reader = this.#reader;
    while (reader.at < reader.end) {
      const { at } = reader;
      if (reader.readTag() !== childTag) {
        reader.at = at;
        return false;
      }
      reader.skip(childTag);
      if (this.#isPauseDue()) return true;
    }
    return false;
  }

  #walkSpan(sharedFault: SpanFault | null): void {
    const reader = this.#reader;
    const { at: start, end } = reader;
    reader.at = end;
    const fault = this.#faultUnseen(end - start) ?? this.#faultSeen(start, end, sharedFault);
    if (fault === null) this.#columns.add(this.#groups.length, start, end, this.#scanner);
    else this.#reject(fault, fault === sharedFault);
    this.#position += 1;
  }

  /** Why a span must be rejected without a look into it; null when it has to be looked into. */
  #faultUnseen(bytes: number): SpanFault | null {
    if (this.#position >= this.#limits.spansPerRequestMax) return 'spans-per-request';
    return bytes > this.#limits.spanBytesMax ? 'span-bytes' : null;
  }

  /** Why the span must be rejected; null when nothing is wrong with it. */
  #faultSeen(start: number, end: number, sharedFault: SpanFault | null): SpanFault | null {
    const limits = this.#limits;
    this.#checker.begin();
    this.#scanner.scan(start, end);
    const { traceIdAt, traceIdLength, spanIdAt, spanIdLength, attributes, events, links } = this.#scanner;
    if (attributes > limits.attributesMax) return 'attributes';
    if (events > limits.eventsMax) return 'events';
    if (links > limits.linksMax) return 'links';
    // Ids behind the last field that was looked at are not missing.
    if (this.#checker.fault === 'fields') return 'fields';
    if (traceIdLength !== traceIdBytes || this.#isZero(traceIdAt, traceIdBytes)) return 'trace-id';
    if (spanIdLength !== spanIdBytes || this.#isZero(spanIdAt, spanIdBytes)) return 'span-id';
    if (this.#checker.fault !== null) return this.#checker.fault;
    return sharedFault;
  }

  #reject(fault: SpanFault, isShared: boolean): void {
    this.#rejectedCount += 1;
    this.#byFault.set(fault, (this.#byFault.get(fault) ?? 0) + 1);
    this.#firstReason ??= `span ${this.#position}: ${this.#sentence(fault, isShared)}`;
  }

  #sentence(fault: SpanFault, isShared: boolean): string {
    const { traceIdLength, spanIdLength } = this.#scanner;
    switch (fault) {
      case 'trace-id':
        if (traceIdLength === traceIdBytes) return 'trace id must not be all zero';
        return `trace id must be ${traceIdBytes} bytes, not ${traceIdLength}`;
      case 'span-id':
        if (spanIdLength === spanIdBytes) return 'span id must not be all zero';
        return `span id must be ${spanIdBytes} bytes, not ${spanIdLength}`;
      default: {
        const sentence = limitSentences[fault](this.#limits);
        return isShared && fault !== 'shared-bytes' ? `in its resource or scope ${sentence}` : sentence;
      }
    }
  }

  /** A request of nothing but empty envelopes would cost more than one full of spans. */
  #countEnvelope(): void {
    this.#envelopes += 1;
    const envelopesMax = 2 * this.#limits.spansPerRequestMax;
    if (this.#envelopes > envelopesMax)
      throw new WireError(`there are more than ${envelopesMax} resources and scopes`, this.#reader.at);
  }

  /** True about every `pauseEveryBytes`: then the caller yields. */
  #isPauseDue(): boolean {
    if (this.#reader.at < this.#pauseAt) return false;
    this.#pauseAt = this.#reader.at + pauseEveryBytes;
    return true;
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
