/**
 * Frame headers: msgpack maps of plain values, and the checked way to read them. What comes from outside is scanned before
 * it is unpacked, so that no length in it can ask for more memory than the bytes themselves, and no extension type is made.
 */
import { Packr, Unpackr } from 'msgpackr';
import { type Frame, FrameError } from './frame.ts';

const packr = new Packr({ useRecords: false, structuredClone: false, moreTypes: false, variableMapSize: true });
// Maps and not objects: one object shape for each kind of message makes every look at a field slow, and names come from outside.
const unpackr = new Unpackr({
  useRecords: false,
  structuredClone: false,
  moreTypes: false,
  int64AsType: 'number',
  mapsAsObjects: false,
});

export function packFields(fields: Readonly<Record<string, unknown>>): Uint8Array {
  return packr.pack(fields);
}

/** The fields of a frame's header, unpacked once: it is looked at as a signal first, and then as a message. Throws `FrameError`. */
export function fieldsOf(frame: Frame): Fields {
  frame.fields ??= unpackFields(frame.header);
  return frame.fields;
}

/** Throws `FrameError` unless the bytes are exactly one map. */
function unpackFields(bytes: Uint8Array): Fields {
  scan(bytes);
  try {
    return new Fields(unpackr.unpack(bytes), 'the header');
  } catch (error) {
    if (error instanceof FrameError) throw error;
    throw new FrameError(`a header that is not msgpack (${String(error)})`);
  }
}

/** A map from outside; every read names the kind of value it must be. */
export class Fields {
  readonly #values: ReadonlyMap<unknown, unknown>;
  readonly #name: string;

  constructor(value: unknown, name: string) {
    if (!(value instanceof Map)) throw new FrameError(`${name} is not a map`);
    this.#values = value;
    this.#name = name;
  }

  names(): string[] {
    return [...this.#values.keys()].map(String);
  }

  has(field: string): boolean {
    return this.#values.has(field);
  }

  /** A whole number from 0 to 2^53 - 1. */
  integer(field: string): number {
    return integerIn(this.#get(field), `${field} in ${this.#name}`);
  }

  string(field: string, lengthMax = 256): string {
    return stringIn(this.#get(field), lengthMax, `${field} in ${this.#name}`);
  }

  boolean(field: string): boolean {
    const value = this.#get(field);
    if (typeof value !== 'boolean') throw new FrameError(`${field} in ${this.#name} is not true or false`);
    return value;
  }

  map(field: string): Fields {
    return new Fields(this.#get(field), `${field} in ${this.#name}`);
  }

  integers(field: string, lengthMax: number): number[] {
    return this.#list(field, lengthMax).map((value) => integerIn(value, `an item of ${field} in ${this.#name}`));
  }

  strings(field: string, lengthMax: number): string[] {
    return this.#list(field, lengthMax).map((item) => stringIn(item, 256, `an item of ${field} in ${this.#name}`));
  }

  isNull(field: string): boolean {
    return this.#get(field) === null;
  }

  /** Null, or not there at all: from a version that did not know it. */
  isMissing(field: string): boolean {
    return !this.has(field) || this.isNull(field);
  }

  #list(field: string, lengthMax: number): readonly unknown[] {
    const value = this.#get(field);
    if (!Array.isArray(value) || value.length > lengthMax) {
      throw new FrameError(`${field} in ${this.#name} is not a list of at most ${lengthMax} items`);
    }
    return value;
  }

  #get(field: string): unknown {
    return this.#values.get(field);
  }
}

function stringIn(value: unknown, lengthMax: number, where: string): string {
  if (typeof value === 'string' && value.length <= lengthMax) return value;
  throw new FrameError(`${where} is not a string of at most ${lengthMax} characters`);
}

function integerIn(value: unknown, where: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new FrameError(`${where} is not a whole number`);
  return value as number;
}

/**
 * Walks one msgpack value of maps, lists, strings, numbers, booleans and nil that must fill `bytes` exactly.
 * Every value takes a byte at least, so nothing that passes has more of them than bytes.
 */
function scan(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  const sized = (lengthBytes: 1 | 2 | 4): number => {
    if (at + lengthBytes > bytes.length) throw new FrameError('a header that ends in the middle');
    const length = lengthBytes === 1 ? view.getUint8(at) : lengthBytes === 2 ? view.getUint16(at) : view.getUint32(at);
    at += lengthBytes;
    return length;
  };
  const skip = (count: number): void => {
    at += count;
  };
  for (let values = 1; values > 0; values--) {
    const token = sized(1);
    if (token <= 0x7f || token >= 0xe0) continue;
    if (token <= 0x8f) values += 2 * (token & 0x0f);
    else if (token <= 0x9f) values += token & 0x0f;
    else if (token <= 0xbf) skip(token & 0x1f);
    else {
      switch (token) {
        case 0xc0:
        case 0xc2:
        case 0xc3:
          break;
        case 0xca:
        case 0xce:
        case 0xd2:
          skip(4);
          break;
        case 0xcb:
        case 0xcf:
        case 0xd3:
          skip(8);
          break;
        case 0xcc:
        case 0xd0:
          skip(1);
          break;
        case 0xcd:
        case 0xd1:
          skip(2);
          break;
        case 0xd9:
          skip(sized(1));
          break;
        case 0xda:
          skip(sized(2));
          break;
        case 0xdb:
          skip(sized(4));
          break;
        case 0xdc:
          values += sized(2);
          break;
        case 0xdd:
          values += sized(4);
          break;
        case 0xde:
          values += 2 * sized(2);
          break;
        case 0xdf:
          values += 2 * sized(4);
          break;
        default:
          throw new FrameError(`a header with a value of an unknown type (0x${token.toString(16)})`);
      }
    }
  }
  if (at !== bytes.length) throw new FrameError('a header with bytes behind its end');
}
