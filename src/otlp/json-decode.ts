/**
 * OTLP JSON into protobuf, so that everything behind the door is one path (protocol C4: identity is over canonical
 * bytes). The mapping is proto3 JSON with OTLP's deviations: ids in hex, enums as integers, unknown fields ignored,
 * lowerCamelCase alone. One pass over the bytes of the text, which writes as it reads: what the client may send costs
 * no more memory than what comes out of it.
 *
 * Always holds: the same document, whatever the order of its keys, gives the same bytes: fields ascending, defaults
 * left out (but a default inside an AnyValue kept: it says which kind the value is). Of a key that occurs twice the
 * last occurrence counts, and nothing is left of the others, not even what was wrong with them. No 64-bit integer
 * passes through a Number that cannot hold it.
 */
import { limits } from '../limits.ts';
import { FieldSegments } from './field-segments.ts';
import { ForwardWriter } from './forward-writer.ts';
import {
  fieldMisnamed,
  fieldNamed,
  type JsonField,
  type JsonMessage,
  jsonMessageOf,
  nameBytesMax,
} from './json-fields.ts';
import { DecimalInteger, doubleOf, numberEnd } from './json-number.ts';
import { ascii, hexValues, JsonError, JsonReader, noValue } from './json-reader.ts';
import { anyValue, span, tracesData } from './schema.ts';

export { JsonError } from './json-reader.ts';

export interface DecodedExport {
  /** The bytes of an ExportTraceServiceRequest. */
  readonly request: Uint8Array;
  /**
   * One sentence about the first thing in the text that loses spans without being an error, with its path; null when there
   * is none. The walk finds such spans too, but could not say why their ids are missing.
   */
  readonly hint: string | null;
}

/**
 * The bytes of an ExportTraceServiceRequest from its OTLP JSON text (UTF-8).
 *
 * Faults of one span (ids of a wrong length, values nested too deep) are passed on so that the walk rejects that span
 * alone; a trace id or span id that is not hex becomes an empty one.
 *
 * @throws JsonError when the text is not JSON or a known field holds something of another kind.
 */
export function exportFromJson(
  text: Uint8Array,
  { anyValueDepthMax }: { readonly anyValueDepthMax: number } = limits,
): DecodedExport {
  return new JsonExport(text, anyValueDepthMax).decode();
}

/**
 * Something to tell about the value at hand. It travels outwards with the value, gathering its path, and is dropped with
 * it when a later occurrence of a key takes the value's place.
 */
interface Finding {
  /** The document must be refused; otherwise it is a hint. */
  readonly isFault: boolean;
  readonly what: string;
  /** Field names and list positions, innermost first. */
  readonly path: (string | number)[];
}

const twoTo31 = 2 ** 31;
const twoTo32 = 2 ** 32;

class JsonExport {
  readonly #reader: JsonReader;
  readonly #writer = new ForwardWriter();
  readonly #segments = new FieldSegments(this.#writer);
  readonly #integer = new DecimalInteger();
  readonly #anyValueDepthMax: number;
  /** What was found in the value just read. */
  #finding: Finding | null = null;

  constructor(text: Uint8Array, anyValueDepthMax: number) {
    this.#reader = new JsonReader(text);
    this.#anyValueDepthMax = anyValueDepthMax;
  }

  decode(): DecodedExport {
    this.#message(jsonMessageOf(tracesData), 0);
    this.#reader.finish();
    const finding = this.#finding;
    if (finding?.isFault) throw new JsonError(sentenceOf(finding));
    return { request: this.#writer.finish(), hint: finding && sentenceOf(finding) };
  }

  /** `depth` counts the AnyValues around the message. */
  #message(message: JsonMessage, depth: number): void {
    const reader = this.#reader;
    if (reader.peek() !== ascii.openBrace) return this.#refuse('must be an object');
    // The walk rejects the span for this depth alone; what lies below is never read.
    if (message.schema === anyValue && depth > this.#anyValueDepthMax) return reader.skipValue();
    const segments = this.#segments;
    const mark = segments.count;
    let present = 0;
    let isOrdered = true;
    let lastNumber = 0;
    let before: JsonField | null = null;
    let misnamed: JsonField | null = null;
    /** By the number of the field in which each was found. */
    let findings: Map<number, Finding> | null = null;
    for (let more = reader.open(ascii.closeBrace); more; more = reader.next(ascii.closeBrace)) {
      const field = this.#key(message, before);
      if (field === null) {
        misnamed ??= fieldMisnamed(message, reader.text, reader.textStart, reader.textEnd);
        reader.takeColon();
        reader.skipValue();
        continue;
      }
      reader.takeColon();
      before = field;
      if ((present & field.bit) !== 0) {
        segments.remove(mark, field.number);
        present &= ~field.bit;
        findings?.delete(field.number);
      }
      if (reader.takeNull()) continue;
      present |= field.bit;
      isOrdered &&= field.number > lastNumber;
      lastNumber = field.number;
      segments.begin(field.number);
      if (field.schema.repeated) this.#list(field, depth);
      else if (field.message) this.#nested(field.tag, field.message, depth);
      else this.#scalar(message, field);
      if (this.#finding !== null) {
        this.#finding.path.push(field.schema.name);
        findings ??= new Map();
        findings.set(field.number, this.#finding);
        this.#finding = null;
      }
    }
    if (!isOrdered) segments.sort(mark);
    if (findings !== null) for (const finding of findings.values()) this.#find(finding);
    if (misnamed !== null && (present & misnamed.bit) === 0) this.#hintAtName(misnamed);
    if (message.schema.oneof && segments.count > mark + 1) this.#faultOfTwo(message, present);
    segments.count = mark;
  }

  /** The field of the key at the cursor, or null when it is unknown; then the reader holds it. */
  #key(message: JsonMessage, before: JsonField | null): JsonField | null {
    const reader = this.#reader;
    const guess = before === null ? message.first : before.follower;
    reader.peek();
    if (guess !== null && reader.take(guess.quotedName)) return guess;
    reader.readKey(nameBytesMax);
    const field = fieldNamed(message, reader.text, reader.textStart, reader.textEnd);
    if (field === null) return null;
    if (before === null) message.first = field;
    else before.follower = field;
    return field;
  }

  #list(field: JsonField, depth: number): void {
    const reader = this.#reader;
    if (reader.peek() !== ascii.openBracket) return this.#refuse('must be an array');
    let first: Finding | null = null;
    let index = 0;
    for (let more = reader.open(ascii.closeBracket); more; more = reader.next(ascii.closeBracket), index += 1) {
      // No later key can make an element good again, so nothing is left to find.
      if (first?.isFault) {
        reader.skipValue();
        continue;
      }
      if (field.message) this.#nested(field.tag, field.message, depth);
      else this.#text(field, true);
      if (this.#finding === null) continue;
      this.#finding.path.push(index);
      first = graver(first, this.#finding);
      this.#finding = null;
    }
    this.#finding = first;
  }

  #nested(tag: number, message: JsonMessage, depth: number): void {
    const contentStart = this.#writer.open(tag);
    this.#message(message, message.schema === anyValue ? depth + 1 : depth);
    this.#writer.close(contentStart);
  }

  #scalar(message: JsonMessage, field: JsonField): void {
    const keepDefault = message.schema.oneof;
    switch (field.schema.type) {
      case 'string':
        return this.#text(field, keepDefault);
      case 'id':
        return this.#id(message, field);
      case 'bytes':
        return this.#base64(field, keepDefault);
      case 'bool':
        return this.#boolean(field, keepDefault);
      case 'uint32':
        if (this.#unsigned32()) this.#varint(field, keepDefault);
        return;
      case 'fixed32':
        if (this.#unsigned32() && this.#integer.low !== 0) this.#writer.putFixed32(field.tag, this.#integer.low);
        return;
      case 'enum':
        if (this.#enum()) this.#varint(field, keepDefault);
        return;
      case 'int64':
        if (this.#signed64()) this.#varint(field, keepDefault);
        return;
      case 'fixed64':
        return this.#fixed64(field);
      case 'double':
        return this.#double(field, keepDefault);
      case 'message':
        throw new Error(`${field.schema.name} is a message, not a scalar`);
    }
  }

  #text({ tag }: JsonField, keepDefault: boolean): void {
    const reader = this.#reader;
    if (reader.peek() !== ascii.quote) return this.#refuse('must be a string');
    reader.readString();
    if (reader.textEnd === reader.textStart && !keepDefault) return;
    this.#writer.putBytes(tag, reader.text, reader.textStart, reader.textEnd);
  }

  #boolean({ tag }: JsonField, keepDefault: boolean): void {
    const byte = this.#reader.peek();
    if (byte !== ascii.t && byte !== ascii.f) return this.#refuse('must be true or false');
    const value = this.#reader.readBoolean();
    if (value || keepDefault) this.#writer.putVarint64(tag, 0, value ? 1 : 0);
  }

  #id(message: JsonMessage, field: JsonField): void {
    const reader = this.#reader;
    if (reader.peek() !== ascii.quote) return this.#refuse('must be a string of hex digits');
    reader.readString();
    const { text, textStart, textEnd } = reader;
    if (!isHex(text, textStart, textEnd)) return this.#notHex(message, field);
    if (textEnd === textStart) return;
    const contentStart = this.#writer.open(field.tag);
    for (let at = textStart; at < textEnd; at += 2)
      this.#writer.putByte((valueAt(hexValues, text, at) << 4) | valueAt(hexValues, text, at + 1));
    this.#writer.close(contentStart);
  }

  #notHex(message: JsonMessage, { schema: { name } }: JsonField): void {
    // A span without its own id is rejected alone. A reference must not be dropped in silence from a span that is kept.
    if (message.schema !== span || name === 'parentSpanId') return this.#fault('must be a string of hex digits');
    this.#hint(`must be ${name === 'traceId' ? 32 : 16} hex digits; ids are not base64 in OTLP JSON`);
  }

  #base64({ tag }: JsonField, keepDefault: boolean): void {
    const reader = this.#reader;
    const what = 'must be a string in base64';
    if (reader.peek() !== ascii.quote) return this.#refuse(what);
    reader.readString();
    const { text, textStart } = reader;
    let end = reader.textEnd;
    for (let padding = 0; padding < 2 && end > textStart && text[end - 1] === ascii.equals; padding += 1) end -= 1;
    if (!isBase64(text, textStart, end)) return this.#fault(what);
    if (end === textStart && !keepDefault) return;
    const contentStart = this.#writer.open(tag);
    let bits = 0;
    for (let at = textStart; at < end; at += 1) {
      bits = (bits << 6) | valueAt(base64Values, text, at);
      // The first of four characters completes no byte; each of the others completes one.
      const place = (at - textStart) & 3;
      if (place > 0) this.#writer.putByte((bits >>> (6 - 2 * place)) & 0xff);
    }
    this.#writer.close(contentStart);
  }

  #varint({ tag }: JsonField, keepDefault: boolean): void {
    const { high, low } = this.#integer;
    if (high !== 0 || low !== 0 || keepDefault) this.#writer.putVarint64(tag, high, low);
  }

  #fixed64({ tag }: JsonField): void {
    const integer = this.#integer;
    const isInRange = this.#readInteger() && integer.high < twoTo32 && !(integer.isNegative && !integer.isZero);
    if (!isInRange) return this.#fault('must be an integer from 0 to 18446744073709551615, as a string or a number');
    if (!integer.isZero) this.#writer.putFixed64(tag, integer.high, integer.low);
  }

  /** Reads an unsigned integer of 32 bits into `#integer`. Returns false when there is none. */
  #unsigned32(): boolean {
    const integer = this.#integer;
    if (this.#readInteger() && integer.high === 0 && !(integer.isNegative && !integer.isZero)) return true;
    this.#fault('must be an integer from 0 to 4294967295');
    return false;
  }

  /** Reads a signed integer of 32 bits into `#integer`, in two's complement of 64. Returns false when there is none. */
  #enum(): boolean {
    const integer = this.#integer;
    if (!isNumberStart(this.#reader.peek())) {
      this.#refuse('must be an integer: OTLP JSON does not use the names of enum values');
      return false;
    }
    if (this.#readInteger() && integer.high === 0 && integer.low < twoTo31 + (integer.isNegative ? 1 : 0)) {
      integer.toTwosComplement();
      return true;
    }
    this.#fault('must be an integer from -2147483648 to 2147483647');
    return false;
  }

  /** Reads a signed integer of 64 bits into `#integer`, in two's complement. Returns false when there is none. */
  #signed64(): boolean {
    const integer = this.#integer;
    if (this.#readInteger()) {
      const { isNegative, high, low } = integer;
      if (high < twoTo31 || (isNegative && high === twoTo31 && low === 0)) {
        integer.toTwosComplement();
        return true;
      }
    }
    this.#fault('must be an integer from -9223372036854775808 to 9223372036854775807, as a string or a number');
    return false;
  }

  /** Takes the value at the cursor, of any kind, and reads it into `#integer`. Returns false when it is no integer. */
  #readInteger(): boolean {
    const reader = this.#reader;
    const byte = reader.peek();
    if (byte === ascii.quote) {
      reader.readString();
      return this.#integer.readDigits(reader.text, reader.textStart, reader.textEnd);
    }
    if (isNumberStart(byte)) {
      reader.readNumber();
      return this.#integer.readNumber(reader.text, reader.textStart, reader.textEnd);
    }
    reader.skipValue();
    return false;
  }

  #double({ tag }: JsonField, keepDefault: boolean): void {
    const value = this.#readDouble();
    if (value === null) return this.#fault('must be a number, "NaN", "Infinity" or "-Infinity"');
    if (!Object.is(value, 0) || keepDefault) this.#writer.putDouble(tag, value);
  }

  /**
   * Takes the value at the cursor, of any kind. Returns null when it is no number, or one too large for a double: it is
   * refused, not rounded to infinity.
   */
  #readDouble(): number | null {
    const reader = this.#reader;
    const byte = reader.peek();
    if (byte === ascii.quote) {
      reader.readString();
      const { text, textStart, textEnd } = reader;
      if (numberEnd(text, textStart, textEnd) !== textEnd) return specialDouble(text, textStart, textEnd);
    } else if (isNumberStart(byte)) reader.readNumber();
    else {
      reader.skipValue();
      return null;
    }
    const value = doubleOf(reader.text, reader.textStart, reader.textEnd);
    return Number.isFinite(value) ? value : null;
  }

  /** The value at the cursor is of another kind: it is stepped over. */
  #refuse(what: string): void {
    this.#reader.skipValue();
    this.#fault(what);
  }

  #fault(what: string): void {
    this.#find({ isFault: true, what, path: [] });
  }

  #faultOfTwo({ fields }: JsonMessage, present: number): void {
    const [first, second] = fields.filter(({ bit }) => (present & bit) !== 0);
    this.#fault(`must hold one value, not both ${first?.schema.name} and ${second?.schema.name}`);
  }

  #hint(what: string): void {
    this.#find({ isFault: false, what, path: [] });
  }

  #hintAtName({ schema: { name }, snakeName }: JsonField): void {
    const what = `OTLP JSON names are lowerCamelCase: ${name}, not ${snakeName}`;
    this.#find({ isFault: false, what, path: [snakeName] });
  }

  #find(finding: Finding): void {
    this.#finding = graver(this.#finding, finding);
  }
}

/** Of two findings in one value the one to tell: a fault before a hint, then the first. */
function graver(first: Finding | null, second: Finding): Finding {
  return first === null || (second.isFault && !first.isFault) ? second : first;
}

function sentenceOf({ what, path }: Finding): string {
  const names = path.toReversed().map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`));
  return `${names.join('').slice(1) || 'the request body'}: ${what}`;
}

function isNumberStart(byte: number): boolean {
  return (byte >= ascii.zero && byte <= ascii.nine) || byte === ascii.minus;
}

function specialDouble(text: Buffer, start: number, end: number): number | null {
  if (end - start > '-Infinity'.length) return null;
  switch (text.toString('latin1', start, end)) {
    case 'NaN':
      return Number.NaN;
    case 'Infinity':
      return Number.POSITIVE_INFINITY;
    case '-Infinity':
      return Number.NEGATIVE_INFINITY;
    default:
      return null;
  }
}

/** What a character is worth in base64, standard or URL-safe; `noValue` for every other byte. */
const base64Values = new Uint8Array(256).fill(noValue);
for (const [value, letters] of [
  ...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789',
  '+-',
  '/_',
].entries())
  for (const letter of letters) base64Values[letter.charCodeAt(0)] = value;

function valueAt(values: Uint8Array, text: Buffer, at: number): number {
  return values[text[at] as number] as number;
}

function isHex(text: Buffer, start: number, end: number): boolean {
  return (end - start) % 2 === 0 && haveValues(hexValues, text, start, end);
}

/** Without its padding: three bytes are four characters, and one character alone is none. */
function isBase64(text: Buffer, start: number, end: number): boolean {
  return (end - start) % 4 !== 1 && haveValues(base64Values, text, start, end);
}

function haveValues(values: Uint8Array, text: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) if (valueAt(values, text, at) === noValue) return false;
  return true;
}
