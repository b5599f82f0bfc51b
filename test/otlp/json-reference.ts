/**
 * A second decoder of OTLP JSON, made to be right and nothing else: JSON.parse of the whole text, every number kept as it
 * was written, then the object tree from the top. It shares the schema with the product's decoder and no other code.
 */
import { isDeepStrictEqual } from 'node:util';
import { limits } from '../../src/limits.ts';
import { exportFromJson, JsonError } from '../../src/otlp/json-decode.ts';
import { anyValue, type FieldSchema, type MessageSchema, span, tracesData } from '../../src/otlp/schema.ts';
import { bytesField, doubleField, fixed32Field, fixed64Field } from '../support/protobuf-writer.ts';

/** What the two decoders made of a text that they agree on. */
export type Agreement = 'accepted' | 'refused' | 'not compared';

/** Throws unless both decoders make the same bytes of `text`, or both refuse it with a JsonError. */
export function compareJsonDecoders(text: Uint8Array): Agreement {
  const actual = outcomeOf(() => exportFromJson(text).request);
  let expected: Buffer | null;
  try {
    expected = outcomeOf(() => referenceFromJson(text));
  } catch (error) {
    // JSON.parse with a reviver recurses, so it gives up where the product must not.
    if (error instanceof RangeError) return 'not compared';
    throw error;
  }
  if (!isDeepStrictEqual(actual, expected)) {
    const inWords = (outcome: Buffer | null): string => outcome?.toString('hex') ?? 'refused';
    throw new Error(`${inWords(actual)}, not ${inWords(expected)}, from ${Buffer.from(text).toString('latin1')}`);
  }
  return expected === null ? 'refused' : 'accepted';
}

function outcomeOf(decode: () => Uint8Array): Buffer | null {
  try {
    return Buffer.from(decode());
  } catch (error) {
    if (error instanceof JsonError) return null;
    throw error;
  }
}

/** The bytes of an ExportTraceServiceRequest. Throws JsonError; a RangeError for what is too deep for JSON.parse with a reviver. */
export function referenceFromJson(text: Uint8Array): Uint8Array {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text), keepLiteral as Parse[1]);
  } catch (error) {
    if (error instanceof RangeError) throw error;
    throw new JsonError('not JSON in UTF-8');
  }
  return encode(tracesData, document, 0);
}

type Parse = Parameters<typeof JSON.parse>;

/** A number as it stands in the text. */
class Literal {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}

function keepLiteral(_key: string, value: unknown, { source }: { readonly source?: string }): unknown {
  return typeof value === 'number' && source !== undefined ? new Literal(source) : value;
}

/** The message's bytes. `depth` counts the AnyValues around it. */
function encode(message: MessageSchema, value: unknown, depth: number): Buffer {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Literal)
    throw new JsonError('must be an object');
  if (message === anyValue && depth > limits.anyValueDepthMax) return Buffer.alloc(0);
  const object = value as Readonly<Record<string, unknown>>;
  const present = message.fields.filter(({ name }) => (object[name] ?? null) !== null);
  if (message.oneof && present.length > 1) throw new JsonError('must hold one value');
  return Buffer.concat(present.map((field) => encodeField(message, field, object[field.name], depth)));
}

function encodeField(message: MessageSchema, field: FieldSchema, content: unknown, depth: number): Buffer {
  if (!field.repeated) return encodeValue(message, field, content, depth, message.oneof);
  if (!Array.isArray(content)) throw new JsonError('must be an array');
  return Buffer.concat(content.map((item) => encodeValue(message, field, item, depth, true)));
}

function encodeValue(
  message: MessageSchema,
  { number, name, type, message: inner }: FieldSchema,
  content: unknown,
  depth: number,
  keepDefault: boolean,
): Buffer {
  if (inner) return bytesField(number, encode(inner, content, inner === anyValue ? depth + 1 : depth));
  const unless = (isDefault: boolean, field: Buffer): Buffer => (isDefault && !keepDefault ? Buffer.alloc(0) : field);
  const varint = (value: bigint): Buffer => unless(value === 0n, Buffer.concat([tag(number), varint64(value)]));
  switch (type) {
    case 'string':
      if (typeof content !== 'string') throw new JsonError('must be a string');
      return unless(content === '', bytesField(number, content));
    case 'id': {
      const isOwnId = message === span && name !== 'parentSpanId';
      if (typeof content !== 'string') throw new JsonError('must be a string');
      const isHex = /^(?:[0-9a-fA-F]{2})*$/.test(content);
      if (!isHex && !isOwnId) throw new JsonError('must be hex');
      return unless(!isHex || content === '', bytesField(number, Buffer.from(isHex ? content : '', 'hex')));
    }
    case 'bytes':
      if (typeof content !== 'string' || !/^[\w+/-]*={0,2}$/.test(content) || /^[^=]{1}(?:[^=]{4})*=*$/.test(content))
        throw new JsonError('must be base64');
      return unless(content.replaceAll('=', '') === '', bytesField(number, Buffer.from(content, 'base64')));
    case 'bool':
      if (typeof content !== 'boolean') throw new JsonError('must be a boolean');
      return varint(content ? 1n : 0n);
    case 'uint32':
      return varint(integer(content, 0n, 2n ** 32n - 1n));
    case 'enum':
      if (!(content instanceof Literal)) throw new JsonError('must be a number');
      return varint(integer(content, -(2n ** 31n), 2n ** 31n - 1n));
    case 'int64':
      return varint(integer(content, -(2n ** 63n), 2n ** 63n - 1n));
    case 'fixed32': {
      const value = Number(integer(content, 0n, 2n ** 32n - 1n));
      return unless(value === 0, fixed32Field(number, value));
    }
    case 'fixed64': {
      const value = integer(content, 0n, 2n ** 64n - 1n);
      return unless(value === 0n, fixed64Field(number, value));
    }
    case 'double': {
      const value = double(content);
      return unless(Object.is(value, 0), doubleField(number, value));
    }
    case 'message':
      break;
  }
  throw new Error('a message, not a scalar');
}

function tag(number: number): Buffer {
  return varint64(BigInt(number * 8));
}

function varint64(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) + 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

function integer(content: unknown, least: bigint, most: bigint): bigint {
  const value = content instanceof Literal ? wholeNumber(content.source) : integerText(content);
  if (value === null || value < least || value > most) throw new JsonError(`must be from ${least} to ${most}`);
  return value;
}

function integerText(content: unknown): bigint | null {
  return typeof content === 'string' && /^-?\d{1,20}$/.test(content) ? BigInt(content) : null;
}

/** The value of a JSON number when it is whole and below 10^20. */
function wholeNumber(source: string): bigint | null {
  const [, sign = '', whole = '', fraction = '', power = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source) ?? [];
  const digits = BigInt(whole + fraction);
  const exponent = Number(power) - fraction.length;
  if (digits === 0n) return 0n;
  // Beyond, the value is no integer or far too large, whatever the digits of a text that a test makes.
  if (Math.abs(exponent) > 10_000) return null;
  const scale = 10n ** BigInt(Math.abs(exponent));
  if (exponent < 0 && digits % scale !== 0n) return null;
  const value = exponent < 0 ? digits / scale : digits * scale;
  return sign === '-' ? -value : value;
}

function double(content: unknown): number {
  if (content === 'NaN') return Number.NaN;
  if (content === 'Infinity') return Infinity;
  if (content === '-Infinity') return -Infinity;
  const source = content instanceof Literal ? content.source : content;
  if (typeof source !== 'string' || !/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(source))
    throw new JsonError('must be a number');
  const value = Number(source);
  if (!Number.isFinite(value)) throw new JsonError('must be a number that a double holds');
  return value;
}
