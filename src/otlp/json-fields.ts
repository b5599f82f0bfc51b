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
  /** trace_id for traceId: its name in the protobuf schema. */
  readonly snakeName: string;
  readonly quotedSnakeName: Buffer;
  /** The message in the field. */
  readonly message: JsonMessage | null;
  /** The field that stood behind this one when it was last seen. */
  follower: JsonField | null;
}

export interface JsonMessage {
  readonly schema: MessageSchema;
  readonly fields: readonly JsonField[];
  /** Fields that have another name in the protobuf schema. */
  readonly misnamed: readonly JsonField[];
  /** The field that stood first when the message was last seen. */
  first: JsonField | null;
}

/** No name in the schema is longer, in either case, so a longer key is unknown without a look at it. */
export const nameBytesMax = 24;

const messages = new Map<MessageSchema, JsonMessage>();

/** The table of `schema`, made once. */
export function jsonMessageOf(schema: MessageSchema): JsonMessage {
  const known = messages.get(schema);
  if (known) return known;
  const fields: JsonField[] = [];
  const misnamed: JsonField[] = [];
  const message: JsonMessage = { schema, fields, misnamed, first: null };
  messages.set(schema, message);
  for (const field of schema.fields) {
    const snakeName = field.name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (field.number > 31 || snakeName.length > nameBytesMax)
      throw new Error(`field ${field.name} does not fit into the table of JSON names`);
    const entry: JsonField = {
      schema: field,
      number: field.number,
      bit: 1 << field.number,
      tag: tagOf(field.number, wireTypeOf(field)),
      quotedName: Buffer.from(`"${field.name}"`),
      snakeName,
      quotedSnakeName: Buffer.from(`"${snakeName}"`),
      message: field.message && jsonMessageOf(field.message),
      follower: null,
    };
    fields.push(entry);
    if (snakeName !== field.name) misnamed.push(entry);
  }
  return message;
}

/** The field of the name text[start, end), or null. */
export function fieldNamed({ fields }: JsonMessage, text: Buffer, start: number, end: number): JsonField | null {
  for (const field of fields) if (isQuoted(field.quotedName, text, start, end)) return field;
  return null;
}

/** The field whose name in the protobuf schema is text[start, end), where JSON has another: trace_id for traceId. */
export function fieldMisnamed({ misnamed }: JsonMessage, text: Buffer, start: number, end: number): JsonField | null {
  for (const field of misnamed) if (isQuoted(field.quotedSnakeName, text, start, end)) return field;
  return null;
}

function isQuoted(quoted: Buffer, text: Buffer, start: number, end: number): boolean {
  if (quoted.length - 2 !== end - start) return false;
  // Names of one length differ at their end as often as at their beginning.
  for (let index = quoted.length - 2; index > 0; index -= 1)
    if (quoted[index] !== text[start + index - 1]) return false;
  return true;
}
