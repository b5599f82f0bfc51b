/**
 * Encoded messages as plain objects in the shape of OTLP JSON: hex ids, integers for enums, decimal strings for 64-bit
 * integers, base64, defaults left out, unknown fields dropped. A message that occurs twice is merged as protobuf
 * prescribes; of a scalar the last occurrence counts.
 */
import { wireTypeOf, type FieldSchema, type MessageSchema } from './schema.ts';
import { tagOf, WireError, WireReader, wireTypes } from './wire.ts';

export type JsonValue = string | number | boolean | JsonObject | JsonValue[];
export interface JsonObject {
  [name: string]: JsonValue;
}

/** Messages inside one another at most. Stored spans stay far below: the walk bounded them. */
const depthMax = 200;

interface FieldTable {
  readonly byTag: ReadonlyMap<number, FieldSchema>;
  readonly numbers: ReadonlySet<number>;
}
const fieldTables = new Map<MessageSchema, FieldTable>();

function fieldTableOf(message: MessageSchema): FieldTable {
  let table = fieldTables.get(message);
  if (!table) {
    table = {
      byTag: new Map(message.fields.map((field) => [tagOf(field.number, wireTypeOf(field)), field])),
      numbers: new Set(message.fields.map(({ number }) => number)),
    };
    fieldTables.set(message, table);
  }
  return table;
}

/**
 * The message in the reader's range, read to its end. Fields for which `skipTag` stands are left out.
 *
 * @throws WireError when the bytes are not such a message.
 */
export function readObject(message: MessageSchema, reader: WireReader, skipTag = 0): JsonObject {
  const object: JsonObject = {};
  readInto(object, message, reader, skipTag, 0);
  return object;
}

function readInto(
  object: JsonObject,
  message: MessageSchema,
  reader: WireReader,
  skipTag: number,
  depth: number,
): void {
  if (depth > depthMax) throw new WireError(`messages are nested deeper than ${depthMax}`, reader.at);
  const { byTag, numbers } = fieldTableOf(message);
  while (reader.at < reader.end) {
    const tag = reader.readTag();
    const field = byTag.get(tag);
    if (tag === skipTag || !field) {
      if (!field && numbers.has(tag >>> 3))
        throw new WireError(`field ${tag >>> 3} has wire type ${tag & 7}, which the schema does not allow`, reader.at);
      reader.skip(tag);
    } else if (field.repeated) {
      const list = object[field.name];
      const item = field.message ? readNested({}, field.message, reader, depth) : readScalar(field, reader);
      if (Array.isArray(list)) list.push(item);
      else object[field.name] = [item];
    } else {
      const before = object[field.name];
      if (message.oneof) for (const name of Object.keys(object)) if (name !== field.name) delete object[name];
      if (field.message) {
        const nested = typeof before === 'object' && !Array.isArray(before) ? before : {};
        object[field.name] = readNested(nested, field.message, reader, depth);
      } else {
        const value = readScalar(field, reader);
        if (message.oneof || !isDefault(value)) object[field.name] = value;
        else delete object[field.name];
      }
    }
  }
}

function readNested(object: JsonObject, message: MessageSchema, reader: WireReader, depth: number): JsonObject {
  const length = reader.readLength();
  const outerEnd = reader.end;
  reader.end = reader.at + length;
  readInto(object, message, reader, 0, depth + 1);
  reader.end = outerEnd;
  return object;
}

function isDefault(value: JsonValue): boolean {
  return value === '' || value === 0 || value === false;
}

function readScalar(field: FieldSchema, reader: WireReader): JsonValue {
  switch (field.type) {
    case 'string':
      return readBuffer(reader).toString('utf8');
    case 'id':
      return readBuffer(reader).toString('hex');
    case 'bytes':
      return readBuffer(reader).toString('base64');
    case 'bool':
      reader.readVarint64();
      return reader.low !== 0 || reader.high !== 0;
    case 'uint32':
      return reader.readUint32();
    case 'enum':
      return reader.readUint32() | 0;
    case 'fixed32':
      return reader.readFixed32();
    case 'int64':
      reader.readVarint64();
      return decimal(reader.high | 0, reader.low);
    case 'fixed64':
      reader.readFixed64();
      // The number, so that it is told from a string field that holds "0"; as a default it is left out.
      return reader.high === 0 && reader.low === 0 ? 0 : decimal(reader.high, reader.low);
    case 'double': {
      const at = reader.at;
      reader.advance(8);
      return jsonDouble(Buffer.from(reader.bytes.buffer, reader.bytes.byteOffset + at, 8).readDoubleLE());
    }
    case 'message':
      break;
  }
  throw new Error(`${field.name} is a message, not a scalar`);
}

function readBuffer(reader: WireReader): Buffer {
  const length = reader.readLength();
  const at = reader.at;
  reader.advance(length);
  return Buffer.from(reader.bytes.buffer, reader.bytes.byteOffset + at, length);
}

/** high * 2^32 + low as decimal digits. */
function decimal(high: number, low: number): string {
  const isSafe = high >= -0x20_0000 && high < 0x20_0000;
  return isSafe ? String(high * 2 ** 32 + low) : String((BigInt(high) << 32n) + BigInt(low));
}

/** What JSON has no number for becomes a string, minus zero among it, whose sign JSON.stringify would drop. */
function jsonDouble(value: number): JsonValue {
  if (Object.is(value, -0)) return '-0';
  return Number.isFinite(value) ? value : String(value);
}

/** A reader over one length-delimited field at a time: the bytes of every field with `tag` in the reader's range, in order. */
export function* nestedRanges(reader: WireReader, tag: number): Generator<WireReader, void, void> {
  while (reader.at < reader.end) {
    const found = reader.readTag();
    if (found === tag) {
      const length = reader.readLength();
      yield new WireReader(reader.bytes, reader.at, reader.at + length);
      reader.advance(length);
    } else reader.skip(found);
  }
}

/** The tag of field `number` when it holds a message. */
export function messageTag(number: number): number {
  return tagOf(number, wireTypes.bytes);
}
