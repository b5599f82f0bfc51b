/**
 * OTLP JSON into protobuf, so that everything behind the door is one path (protocol C4: identity is over canonical
 * bytes). The mapping is proto3 JSON with OTLP's deviations: ids in hex, enums as integers, unknown fields ignored,
 * lowerCamelCase alone.
 *
 * Always holds: the same document, whatever the order of its keys, gives the same bytes: fields ascending, defaults
 * left out (but a default inside an AnyValue kept: it says which kind the value is). No 64-bit integer passes through
 * a Number that cannot hold it.
 */
import { limits } from '../limits.ts';
import { ReverseWriter } from './reverse-writer.ts';
import { anyValue, span, tracesData, wireTypeOf, type FieldSchema, type MessageSchema } from './schema.ts';

/** The text is not an OTLP JSON export. The sentence begins with the path of what is wrong. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
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
): Uint8Array {
  const json = decodeText(text);
  const encode = (document: unknown, isExact: boolean): Uint8Array =>
    new JsonExport({ anyValueDepthMax, isExact, expectedBytes: text.length >>> 1 }).encode(document);
  try {
    return encode(parse(json), false);
  } catch (error) {
    if (!(error instanceof InexactNumber)) throw error;
  }
  // Parsing with a reviver costs several times more, so it waits for a document that needs it.
  return encode(parse(json, keepLargeIntegers), true);
}

interface JsonExportOptions {
  readonly anyValueDepthMax: number;
  /** Integers too large for a Number come as BigInt. */
  readonly isExact: boolean;
  readonly expectedBytes: number;
}

type JsonObject = Readonly<Record<string, unknown>>;
type Reviver = (this: unknown, key: string, value: unknown, context: { readonly source?: string }) => unknown;

/** A 64-bit field holds a JSON number that a Number cannot hold exactly; parse again and keep it as written. */
class InexactNumber extends Error {}

function decodeText(text: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(text);
  } catch {
    throw new JsonError('the request body is not UTF-8');
  }
}

function parse(json: string, reviver?: Reviver): unknown {
  try {
    return JSON.parse(json, reviver as Parameters<typeof JSON.parse>[1]);
  } catch (error) {
    // A reviver recurses; a document nested deeply enough exhausts its stack.
    if (error instanceof RangeError) throw new JsonError('the request body is nested too deep');
    throw new JsonError(`the request body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const keepLargeIntegers: Reviver = (_key, value, { source }) =>
  typeof value === 'number' && !Number.isSafeInteger(value) && source !== undefined && /^-?\d{1,20}$/.test(source)
    ? BigInt(source)
    : value;

const integerText = /^-?\d{1,20}$/;
const numberText = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const base64Text = /^[A-Za-z0-9+/_-]*={0,2}$/;
const hexText = /^(?:[0-9a-fA-F]{2})*$/;

const uint32Max = 0xffff_ffff;
const int32Min = -0x8000_0000;
const int32Max = 0x7fff_ffff;
const int64Min = -(2n ** 63n);
const int64Max = 2n ** 63n - 1n;
const uint64Max = 2n ** 64n - 1n;

class JsonExport {
  readonly #anyValueDepthMax: number;
  readonly #isExact: boolean;
  readonly #writer: ReverseWriter;
  /** Field names and list positions from the top to the value at hand. */
  readonly #path: (string | number)[] = [];

  constructor({ anyValueDepthMax, isExact, expectedBytes }: JsonExportOptions) {
    this.#anyValueDepthMax = anyValueDepthMax;
    this.#isExact = isExact;
    this.#writer = new ReverseWriter(expectedBytes);
  }

  encode(document: unknown): Uint8Array {
    this.#message(tracesData, document, 0);
    return this.#writer.finish();
  }

  /** `depth` counts the AnyValues around the message. */
  #message(message: MessageSchema, value: unknown, depth: number): void {
    if (!isObject(value)) throw this.#error('must be an object');
    if (message === anyValue) {
      // The walk rejects the span for this depth alone; what lies below is never read.
      if (depth > this.#anyValueDepthMax) return;
      this.#checkOneValue(message, value);
    }
    for (let index = message.fields.length - 1; index >= 0; index -= 1) {
      const field = message.fields[index] as FieldSchema;
      const content = value[field.name];
      if (!isPresent(content)) continue;
      this.#path.push(field.name);
      if (field.repeated) this.#list(field, content, depth);
      else if (field.message) this.#nested(field, field.message, content, depth);
      else this.#scalar(message, field, content);
      this.#path.pop();
    }
  }

  #checkOneValue(message: MessageSchema, value: JsonObject): void {
    let first: string | null = null;
    for (const { name } of message.fields) {
      if (!isPresent(value[name])) continue;
      if (first !== null) throw this.#error(`must hold one value, not both ${first} and ${name}`);
      first = name;
    }
  }

  #list(field: FieldSchema, content: unknown, depth: number): void {
    if (!Array.isArray(content)) throw this.#error('must be an array');
    const items: readonly unknown[] = content;
    for (let index = items.length - 1; index >= 0; index -= 1) {
      this.#path.push(index);
      if (field.message) this.#nested(field, field.message, items[index], depth);
      else this.#text(field, items[index], true);
      this.#path.pop();
    }
  }

  #nested(field: FieldSchema, message: MessageSchema, content: unknown, depth: number): void {
    const mark = this.#writer.length;
    this.#message(message, content, message === anyValue ? depth + 1 : depth);
    this.#writer.prependLength(field.number, mark);
  }

  #scalar(message: MessageSchema, field: FieldSchema, content: unknown): void {
    const writer = this.#writer;
    const keepDefault = message.oneof;
    switch (field.type) {
      case 'string':
        return this.#text(field, content, keepDefault);
      case 'id':
        return this.#bytes(field, this.#id(message, content), false);
      case 'bytes':
        return this.#bytes(field, this.#base64(content), keepDefault);
      case 'bool':
        if (typeof content !== 'boolean') throw this.#error('must be true or false');
        if (!content && !keepDefault) return;
        writer.prependVarint(content ? 1 : 0);
        break;
      case 'uint32': {
        const value = this.#integer32(content, 0, uint32Max);
        if (value === 0) return;
        writer.prependVarint(value);
        break;
      }
      case 'fixed32': {
        const value = this.#integer32(content, 0, uint32Max);
        if (value === 0) return;
        writer.prependFixed32(value);
        break;
      }
      case 'enum': {
        if (typeof content !== 'number')
          throw this.#error('must be an integer: OTLP JSON does not use the names of enum values');
        const value = this.#integer32(content, int32Min, int32Max);
        if (value === 0) return;
        writer.prependVarint64(BigInt(value));
        break;
      }
      case 'int64': {
        const value = this.#integer64(content, int64Min, int64Max);
        if (value === 0n && !keepDefault) return;
        writer.prependVarint64(value);
        break;
      }
      case 'fixed64': {
        const value = this.#integer64(content, 0n, uint64Max);
        if (value === 0n) return;
        writer.prependFixed64(value);
        break;
      }
      case 'double': {
        const value = this.#double(content);
        if (Object.is(value, 0) && !keepDefault) return;
        writer.prependDouble(value);
        break;
      }
      case 'message':
        throw new Error(`${field.name} is a message, not a scalar`);
    }
    writer.prependTag(field.number, wireTypeOf(field));
  }

  #text(field: FieldSchema, content: unknown, keepDefault: boolean): void {
    if (typeof content !== 'string') throw this.#error('must be a string');
    if (content === '' && !keepDefault) return;
    const mark = this.#writer.length;
    this.#writer.prependString(content);
    this.#writer.prependLength(field.number, mark);
  }

  #bytes(field: FieldSchema, bytes: Uint8Array, keepDefault: boolean): void {
    if (bytes.length === 0 && !keepDefault) return;
    const mark = this.#writer.length;
    this.#writer.prependBytes(bytes);
    this.#writer.prependLength(field.number, mark);
  }

  #id(message: MessageSchema, content: unknown): Uint8Array {
    if (typeof content !== 'string') throw this.#error('must be a string of hex digits');
    if (hexText.test(content)) return Buffer.from(content, 'hex');
    // A span without its own id is rejected alone. A reference must not be dropped in silence from a span that is kept.
    const isOwnId = message === span && this.#path.at(-1) !== 'parentSpanId';
    if (isOwnId) return Buffer.alloc(0);
    throw this.#error('must be a string of hex digits');
  }

  #base64(content: unknown): Uint8Array {
    if (typeof content === 'string' && base64Text.test(content) && content.replace(/=+$/, '').length % 4 !== 1) {
      return Buffer.from(content, 'base64');
    }
    throw this.#error('must be a string in base64');
  }

  #integer32(content: unknown, least: number, most: number): number {
    const value = typeof content === 'string' && integerText.test(content) ? Number(content) : content;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    throw this.#error(`must be an integer from ${least} to ${most}`);
  }

  #integer64(content: unknown, least: bigint, most: bigint): bigint {
    const value = this.#exactInteger(content);
    if (value !== null && value >= least && value <= most) return value;
    throw this.#error(`must be an integer from ${least} to ${most}, as a string or a number`);
  }

  #exactInteger(content: unknown): bigint | null {
    switch (typeof content) {
      case 'bigint':
        return content;
      case 'string':
        return integerText.test(content) ? BigInt(content) : null;
      case 'number':
        if (Number.isSafeInteger(content)) return BigInt(content);
        if (Number.isInteger(content) && !this.#isExact) throw new InexactNumber();
        return null;
      default:
        return null;
    }
  }

  #double(content: unknown): number {
    const value = toNumber(content);
    if (value !== null) return value;
    throw this.#error('must be a number, "NaN", "Infinity" or "-Infinity"');
  }

  #error(what: string): JsonError {
    const path = this.#path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('');
    return new JsonError(`${path.slice(1) || 'the request body'}: ${what}`);
  }
}

/** A JSON number, or its text. A number too large for a double is refused, not rounded to infinity. */
function toNumber(content: unknown): number | null {
  if (typeof content === 'bigint') return Number(content);
  if (content === 'NaN') return Number.NaN;
  if (content === 'Infinity') return Number.POSITIVE_INFINITY;
  if (content === '-Infinity') return Number.NEGATIVE_INFINITY;
  const value = typeof content === 'string' && numberText.test(content) ? Number(content) : content;
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** Missing and null both mean the default. */
function isPresent(content: unknown): boolean {
  return content !== undefined && content !== null;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
