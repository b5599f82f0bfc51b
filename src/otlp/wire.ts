/**
 * The protobuf wire format, read in place and written by hand: varints, tags, lengths, skipping.
 *
 * Always holds while reading: 0 <= at <= end <= bytes.length. Every read that would pass `end` throws a WireError
 * instead, so a message can never reach into its neighbour.
 */

export const wireTypes = { varint: 0, fixed64: 1, bytes: 2, groupStart: 3, groupEnd: 4, fixed32: 5 } as const;
export type WireType = (typeof wireTypes)[keyof typeof wireTypes];

/** Groups nested in one unknown field; the depth at which protobuf implementations give up by default. */
const groupDepthMax = 100;
/** Fields in one group, its inner groups included: a bound on the time that stepping over one takes. Nobody sends groups. */
const groupFieldsMax = 65_536;
const varintBytesMax = 10;
const shortVarintBytesMax = 5;
const uint32Max = 0xffff_ffff;

/** The bytes are not a well-formed protobuf message of the expected shape. */
export class WireError extends Error {
  override readonly name = 'WireError';
  /** Where in the outermost buffer reading stopped. */
  readonly offset: number;

  constructor(what: string, offset: number) {
    super(`${what} (at byte ${offset})`);
    this.offset = offset;
  }
}

/** The tag of field `field` with wire type `type`, as it stands before the value. */
export function tagOf(field: number, type: WireType): number {
  return field * 8 + type;
}

/**
 * A cursor over one message, meant to be reused: entering a nested message is setting `end`, leaving it is putting
 * `end` back. 64-bit values come out as two halves, so that reading allocates nothing.
 */
export class WireReader {
  readonly bytes: Uint8Array;
  at: number;
  end: number;
  /** The halves of the last value that readVarint64 or readFixed64 took, unsigned. */
  low = 0;
  high = 0;
  /** Groups inside one another in the deepest group that was stepped over. */
  deepestGroup = 0;
  /** Fields that were stepped over in groups. */
  groupFields = 0;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    if (!(at >= 0 && at <= end && end <= bytes.length))
      throw new RangeError(`not a range of ${bytes.length} bytes: ${at}..${end}`);
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  /** The next tag: field number * 8 + wire type. Refuses field 0, numbers above 2^29 - 1 and unknown wire types. */
  readTag(): number {
    const at = this.at;
    const tag = this.#readShortVarint();
    if (tag < 8) throw new WireError('a field has number 0', at);
    if ((tag & 7) > 5) throw new WireError(`wire type ${tag & 7} does not exist`, at);
    return tag;
  }

  /** The length of a value that begins where the cursor then stands and ends at or before `end`. */
  readLength(): number {
    const at = this.at;
    const length = this.#readShortVarint();
    if (length > this.end - this.at)
      throw new WireError(`a length of ${length} reaches past the end of its message`, at);
    return length;
  }

  /** Reads a varint of at most ten bytes into `low` and `high`. */
  readVarint64(): void {
    this.low = 0;
    this.high = 0;
    const start = this.at;
    for (let index = 0; ; index += 1) {
      const byte = this.#nextVarintByte(start, index);
      const bits = byte & 0x7f;
      if (index < 4) this.low |= bits << (7 * index);
      else if (index === 4) {
        this.low |= bits << 28;
        this.high = bits >>> 4;
      } else this.high |= bits << (7 * index - 32);
      if (byte < 0x80) break;
    }
    this.low >>>= 0;
    this.high >>>= 0;
  }

  /** The low 32 bits of a varint, unsigned: how protobuf reads uint32, and int32 or an enum before the sign. */
  readUint32(): number {
    this.readVarint64();
    return this.low;
  }

  /** Reads eight little-endian bytes into `low` and `high`. */
  readFixed64(): void {
    this.low = this.readFixed32();
    this.high = this.readFixed32();
  }

  /** Four little-endian bytes, unsigned. */
  readFixed32(): number {
    const { bytes, at } = this;
    this.advance(4);
    return (
      ((bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24)) >>>
      0
    );
  }

  /** Moves over `count` bytes. */
  advance(count: number): void {
    if (count > this.end - this.at)
      throw new WireError(`a value of ${count} bytes reaches past the end of its message`, this.at);
    this.at += count;
  }

  /** Moves over a varint. */
  skipVarint(): void {
    const start = this.at;
    for (let index = 0; this.#nextVarintByte(start, index) >= 0x80; index += 1);
  }

  /** Moves over the value that follows `tag`, whatever its wire type. */
  skip(tag: number): void {
    switch (tag & 7) {
      case wireTypes.varint:
        return this.skipVarint();
      case wireTypes.fixed64:
        return this.advance(8);
      case wireTypes.bytes:
        return this.advance(this.readLength());
      case wireTypes.fixed32:
        return this.advance(4);
      case wireTypes.groupStart:
        return this.#skipGroup(tag);
      default:
        throw new WireError(`group ${tag >>> 3} ends without having begun`, this.at);
    }
  }

  #skipGroup(tag: number): void {
    const open = [tag];
    for (let fields = 0; open.length > 0; fields += 1) {
      if (fields === groupFieldsMax) throw new WireError(`a group has more than ${groupFieldsMax} fields`, this.at);
      this.groupFields += 1;
      this.deepestGroup = Math.max(this.deepestGroup, open.length);
      const inner = this.readTag();
      if ((inner & 7) === wireTypes.groupStart) {
        if (open.length === groupDepthMax)
          throw new WireError(`groups are nested deeper than ${groupDepthMax}`, this.at);
        open.push(inner);
      } else if (inner - 1 === open.at(-1)) open.pop();
      else this.skip(inner);
    }
  }

  /** The varint of a tag or length: at most five bytes and 32 bits, as every writer makes it. */
  #readShortVarint(): number {
    const { bytes, at: start, end } = this;
    if (start + 1 < end) {
      const first = bytes[start] as number;
      const second = bytes[start + 1] as number;
      if (first < 0x80) {
        this.at = start + 1;
        return first;
      }
      if (second < 0x80) {
        this.at = start + 2;
        return (first & 0x7f) | (second << 7);
      }
    }
    let value = 0;
    for (let index = 0, weight = 1; index < shortVarintBytesMax; index += 1, weight *= 0x80) {
      const byte = this.#nextVarintByte(start, index);
      value += (byte & 0x7f) * weight;
      if (byte >= 0x80) continue;
      if (value > uint32Max) break;
      return value;
    }
    throw new WireError('a tag or length is longer than 32 bits', start);
  }

  #nextVarintByte(start: number, index: number): number {
    if (this.at >= this.end) throw new WireError('a varint is cut off', start);
    const byte = this.bytes[this.at] as number;
    // The tenth byte carries bit 63 alone.
    if (index === varintBytesMax - 1 && byte > 1) throw new WireError('a varint is longer than 64 bits', start);
    this.at += 1;
    return byte;
  }
}

/** Bytes that `value` takes as a varint; `value` is an integer from 0 to 2^53. */
export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
  return size;
}

/** Writes `value`, an integer from 0 to 2^53, as a varint at `at` and returns where it ends. */
export function putVarint(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  let next = at;
  while (rest >= 0x80) {
    target[next] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
    next += 1;
  }
  target[next] = rest;
  return next + 1;
}

/** Bytes that a length-delimited field takes with its tag: `putTagged` and a value of `length` bytes. */
export function taggedSize(field: number, length: number): number {
  return varintSize(tagOf(field, wireTypes.bytes)) + varintSize(length) + length;
}

/** Writes tag and length of a length-delimited field at `at` and returns where its value begins. */
export function putTagged(target: Uint8Array, at: number, field: number, length: number): number {
  return putVarint(target, putVarint(target, at, tagOf(field, wireTypes.bytes)), length);
}

/** Copies `bytes` to `at` and returns where they end. */
export function putBytes(target: Uint8Array, at: number, bytes: Uint8Array): number {
  target.set(bytes, at);
  return at + bytes.length;
}
