/**
 * The names of the schema as bytes, to look up the keys of OTLP JSON without making a string of each. Writers put keys in
 * the same order every time, so each field remembers which one came after it: a guess, which one comparison confirms.
 */
import { type FieldSchema, type MessageSchema, wireTypeOf } from './schema.ts';
import { tagOf } from './wire.ts';

export interface JsonField {
  readonly schema: FieldSchema;
  readonly number: number;
  /** A bit of its own among the fields of the message. */
  readonly bit: number;
  readonly tag: number;
  /** The name in its quotes. */
  readonly quotedName: Buffer;
  /** The message in the field. */
  readonly message: JsonMessage | null;
  /** The field that stood behind this one when it was last seen. */
  follower: JsonField | null;
}

export interface JsonMessage {
  readonly schema: MessageSchema;
  readonly fields: readonly JsonField[];
  readonly byName: ReadonlyMap<string, JsonField>;
  /** The field that stood first when the message was last seen. */
  first: JsonField | null;
}

/** No name in the schema is longer, so a longer key is unknown without a look at it. */
export const nameBytesMax = 24;

const messages = new Map<MessageSchema, JsonMessage>();

/** The table of `schema`, made once. */
export function jsonMessageOf(schema: MessageSchema): JsonMessage {
  const known = messages.get(schema);
  if (known) return known;
  const fields: JsonField[] = [];
  const byName = new Map<string, JsonField>();
  const message: JsonMessage = { schema, fields, byName, first: null };
  messages.set(schema, message);
  for (const field of schema.fields) {
    if (field.number > 31 || field.name.length > nameBytesMax)
      throw new Error(`field ${field.name} does not fit into the table of JSON names`);
    const entry: JsonField = {
      schema: field,
      number: field.number,
      bit: 1 << field.number,
      tag: tagOf(field.number, wireTypeOf(field)),
      quotedName: Buffer.from(`"${field.name}"`),
      message: field.message && jsonMessageOf(field.message),
      follower: null,
    };
    fields.push(entry);
    byName.set(field.name, entry);
  }
  return message;
}

/** The field of the name text[start, end), or null. */
export function fieldNamed({ fields }: JsonMessage, text: Buffer, start: number, end: number): JsonField | null {
  for (const field of fields) {
    const { quotedName } = field;
    if (quotedName.length - 2 === end - start && isNameAt(quotedName, text, start)) return field;
  }
  return null;
}

function isNameAt(quotedName: Buffer, text: Buffer, start: number): boolean {
  // Names of one length mostly differ at their end or at their beginning.
  for (let index = quotedName.length - 2; index > 0; index -= 1)
    if (quotedName[index] !== text[start + index - 1]) return false;
  return true;
}

/** The field that the snake_case name text[start, end) was meant for: traceId for trace_id. Null for any other text. */
export function fieldMisnamed({ byName }: JsonMessage, text: Buffer, start: number, end: number): JsonField | null {
  // An underscore takes a byte more, and there are few.
  if (end - start > 2 * nameBytesMax) return null;
  const name = text.toString('latin1', start, end);
  const camelCase = name.replaceAll(/_([a-z])/g, (_match: string, letter: string) => letter.toUpperCase());
  return camelCase === name ? null : (byName.get(camelCase) ?? null);
}

/** trace_id for traceId: the name of the field in the protobuf schema. */
export function snakeCaseOf({ name }: FieldSchema): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
