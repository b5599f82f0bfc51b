/**
 * The structural check of one encoded message against the schema: every tag, length and wire type of everything the
 * schema knows, at every depth, without building anything. It runs over each byte of each export, so it is the hottest
 * loop on the way in.
 *
 * Always holds: a range that passed can be read by any protobuf parser up to the depth that was checked.
 */
import { anyValue, keyValue, wireTypeOf, type MessageSchema } from './schema.ts';
import type { SpanFault, SpanLimits } from './span-fault.ts';
import { tagOf, WireError, WireReader, wireTypes } from './wire.ts';

/** A message's fields as a table over tags: fields 1 to 31, which covers the schema. */
export interface TagTable {
  /** One of the `check...` constants below. */
  readonly check: Uint8Array;
  readonly child: readonly (TagTable | null)[];
  /** Whether entering the message counts as one more level of AnyValue. */
  readonly isAnyValue: boolean;
  readonly isKeyValue: boolean;
  /** Whether the key-value pairs in it are attributes, which are counted, and not the entries of a value. */
  readonly holdsAttributes: boolean;
}
const tagTableSize = 256;

// Plain constants, not an object: the compiler folds them into the loop.
const checkUnknown = 0;
const checkMessage = 1;
const checkBytes = 2;
const checkVarint = 3;
const checkWrongType = 4;

const tables = new Map<MessageSchema, TagTable>();

/** The table of `message`, made once. */
export function tagTableOf(message: MessageSchema): TagTable {
  const known = tables.get(message);
  if (known) return known;
  const check = new Uint8Array(tagTableSize);
  const child: (TagTable | null)[] = Array.from({ length: tagTableSize }, () => null);
  const table: TagTable = {
    check,
    child,
    isAnyValue: message === anyValue,
    isKeyValue: message === keyValue,
    holdsAttributes: message.fields.some(({ name }) => name === 'attributes'),
  };
  tables.set(message, table);
  for (const field of message.fields) {
    const tag = tagOf(field.number, wireTypeOf(field));
    if (tag >= tagTableSize) throw new Error(`field ${field.name} has a number too large for the tag table`);
    check.fill(checkWrongType, field.number * 8, field.number * 8 + 8);
    check[tag] = checkOf(field.message, tag);
    child[tag] = field.message && tagTableOf(field.message);
  }
  return table;
}

function checkOf(message: MessageSchema | null, tag: number): number {
  if (message) return checkMessage;
  switch (tag & 7) {
    case wireTypes.varint:
      return checkVarint;
    case wireTypes.bytes:
      return checkBytes;
    default:
      // Fixed sizes are stepped over as in an unknown field.
      return checkUnknown;
  }
}

/** AnyValues inside one another that can be checked. */
const anyValueDepthLimit = 1_000;
/**
 * The messages around the one at hand, their tables and ends: the schema's own levels, and three for each AnyValue (kvlist,
 * its entry, the value). One stack serves all, because a check runs to its end in one turn.
 */
const outerTables: TagTable[] = [];
const outerEnds = new Uint32Array(8 + 3 * anyValueDepthLimit);

/** Checks messages inside one buffer. */
export class StructureChecker {
  /**
   * The first limit that was passed since `begin`. The check goes on behind it, because damage is worse, but looks neither
   * into a value that is nested too deep nor behind the last field that may be.
   */
  fault: SpanFault | null = null;
  /** Fields that may still be looked at; what counts some of its own takes them from here. */
  fieldsLeft = 0;
  readonly #bytes: Uint8Array;
  readonly #limits: SpanLimits;
  /** For what the fast path does not take: long varints, unknown fields, errors. */
  readonly #reader: WireReader;

  constructor(bytes: Uint8Array, limits: SpanLimits) {
    if (limits.anyValueDepthMax > anyValueDepthLimit)
      throw new RangeError(`nesting can be checked up to ${anyValueDepthLimit}, not ${limits.anyValueDepthMax}`);
    this.#bytes = bytes;
    this.#limits = limits;
    this.#reader = new WireReader(bytes);
  }

  /** Begins with what is judged as a whole: a span, or a resource with its scope. */
  begin(): void {
    this.fault = null;
    this.fieldsLeft = this.#limits.fieldsMax;
  }

  /**
   * Checks the fields in bytes[start, end) as those of the message of `table`.
   *
   * One loop with its own stack and its state in local variables: fields whose tag and length take one byte, which is
   * nearly all of them, cost no call.
   *
   * @throws WireError at the first damage.
   */
  check(table: TagTable, start: number, end: number): void {
    const bytes = this.#bytes;
    const { anyValueDepthMax, attributesMax, keyBytesMax, valueBytesMax } = this.#limits;
    let inner = table;
    let check = table.check;
    let innerEnd = end;
    let at = start;
    let level = 0;
    let anyValues = 0;
    // One call sees one field of a message, so at most one event, link, resource or scope.
    let attributes = 0;
    let { fieldsLeft } = this;
    for (;;) {
      while (at === innerEnd) {
        if (level === 0) {
          this.fieldsLeft = fieldsLeft;
          return;
        }
        if (inner.isAnyValue) anyValues -= 1;
        level -= 1;
        innerEnd = outerEnds[level] as number;
        inner = outerTables[level] as TagTable;
        check = inner.check;
      }
      fieldsLeft -= 1;
      if (fieldsLeft < 0) {
        this.fault = 'fields';
        this.fieldsLeft = 0;
        return;
      }
      const tag = bytes[at] as number;
      const todo = tag < 0x80 ? check[tag] : checkUnknown;
      let length = at + 1 < innerEnd ? (bytes[at + 1] as number) : 0x80;
      if (length < 0x80 && todo === checkBytes && length <= innerEnd - at - 2) {
        at += 2 + length;
        continue;
      }
      if (length < 0x80 && todo === checkVarint) {
        at += 2;
        continue;
      }
      let child: TagTable | null = null;
      if (length < 0x80 && todo === checkMessage && length <= innerEnd - at - 2) {
        at += 2;
        child = inner.child[tag] as TagTable;
      } else {
        const reader = this.#reader;
        const fieldStart = at;
        reader.at = at;
        reader.end = innerEnd;
        reader.deepestGroup = 0;
        reader.groupFields = 0;
        child = takeField(reader, inner);
        at = reader.at;
        length = reader.end - at;
        fieldsLeft -= reader.groupFields;
        if (anyValues + reader.deepestGroup > anyValueDepthMax) this.fault ??= 'depth';
        if (child === null) {
          if (inner.isKeyValue && keyLengthAt(reader, fieldStart) > keyBytesMax) this.fault ??= 'key-bytes';
          continue;
        }
      }
      if (child.isKeyValue && inner.holdsAttributes) {
        attributes += 1;
        if (attributes > attributesMax) this.fault ??= 'attributes';
      }
      if (child.isKeyValue && anyValues < anyValueDepthMax && isPlainKeyValue(bytes, at, at + length)) {
        at += length;
        continue;
      }
      if (child.isAnyValue && anyValues === anyValueDepthMax) {
        // The span is lost anyway, and going on would let the client choose how much we remember.
        this.fault ??= 'depth';
        at += length;
        continue;
      }
      if (child.isAnyValue) {
        if (length > valueBytesMax) this.fault ??= 'value-bytes';
        anyValues += 1;
      }
      outerTables[level] = inner;
      outerEnds[level] = innerEnd;
      level += 1;
      inner = child;
      check = child.check;
      innerEnd = at + length;
    }
  }
}

/**
 * Takes the field at the reader's cursor, of any form. A known message is entered: its table is returned, and the
 * reader stands on its bytes. Everything else is stepped over.
 */
function takeField(reader: WireReader, table: TagTable): TagTable | null {
  const start = reader.at;
  const tag = reader.readTag();
  switch (tag < tagTableSize ? table.check[tag] : checkUnknown) {
    case checkMessage:
      reader.end = reader.readLength() + reader.at;
      return table.child[tag] ?? null;
    case checkWrongType:
      throw new WireError(`field ${tag >>> 3} has wire type ${tag & 7}, which the schema does not allow`, start);
    default:
      reader.skip(tag);
      return null;
  }
}

/** The length of the key in the field at `start` of a KeyValue, known to be whole; 0 when it is another field. */
function keyLengthAt(reader: WireReader, start: number): number {
  reader.at = start;
  return reader.readTag() === keyTag ? reader.readLength() : 0;
}

const keyTag = tagOf(1, wireTypes.bytes);
const valueTag = tagOf(2, wireTypes.bytes);
const stringValueTag = tagOf(1, wireTypes.bytes);
const boolValueTag = tagOf(2, wireTypes.varint);
const intValueTag = tagOf(3, wireTypes.varint);
const doubleValueTag = tagOf(4, wireTypes.fixed64);

/**
 * Whether bytes[start, end) are a KeyValue as every SDK writes it: a key and a string, number or bool, each once, in
 * order, keys and strings shorter than 128 bytes. Says no whenever in doubt; the general loop then decides. More than
 * half of a typical span is attributes, and this halves the whole check.
 */
export function isPlainKeyValue(bytes: Uint8Array, start: number, end: number): boolean {
  // The shortest: key tag, length 0, value tag, length 2, a tag and one byte.
  if (end - start < 6 || bytes[start] !== keyTag) return false;
  const keyLength = bytes[start + 1] as number;
  const value = start + 2 + keyLength;
  if (keyLength >= 0x80 || value + 4 > end || bytes[value] !== valueTag) return false;
  const valueLength = bytes[value + 1] as number;
  if (valueLength >= 0x80 || value + 2 + valueLength !== end) return false;
  const first = bytes[value + 3] as number;
  switch (bytes[value + 2]) {
    case stringValueTag:
      return first < 0x80 && value + 4 + first === end;
    case intValueTag:
    case boolValueTag:
      return value + 4 === end
        ? first < 0x80
        : value + 5 === end && first >= 0x80 && (bytes[value + 4] as number) < 0x80;
    case doubleValueTag:
      return value + 11 === end;
    default:
      return false;
  }
}
