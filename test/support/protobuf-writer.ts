/** The few protobuf encodings OTLP uses, into buffers: enough to make exports without a schema or a library. */

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** An encoded field or message. Fields of a message are joined in the order of their numbers, as every encoder does. */
export type Encoded = Buffer;

export function varintField(field: number, value: number): Encoded {
  return Buffer.from([...varint(field * 8 + VARINT), ...varint(value)]);
}

export function fixed32Field(field: number, value: number): Encoded {
  const tag = varint(field * 8 + FIXED32);
  const out = Buffer.alloc(tag.length + 4);
  out.set(tag);
  out.writeUInt32LE(value, tag.length);
  return out;
}

export function fixed64Field(field: number, value: bigint): Encoded {
  const out = Buffer.alloc(9);
  out[0] = field * 8 + FIXED64;
  out.writeBigUInt64LE(value, 1);
  return out;
}

export function doubleField(field: number, value: number): Encoded {
  const out = Buffer.alloc(9);
  out[0] = field * 8 + FIXED64;
  out.writeDoubleLE(value, 1);
  return out;
}

/** A string, bytes, or an already encoded message. */
export function bytesField(field: number, value: string | Uint8Array): Encoded {
  const content = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([bytesHeader(field, content.length), content]);
}

export function messageField(field: number, parts: readonly Encoded[]): Encoded {
  return bytesField(field, Buffer.concat(parts));
}

/** What stands before the content of a bytes field: its tag and its length. */
export function bytesHeader(field: number, contentBytes: number): Encoded {
  return Buffer.from([...varint(field * 8 + BYTES), ...varint(contentBytes)]);
}

function varint(value: number): number[] {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`a varint here is a natural number, not ${value}`);
  const out: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128);
  out.push(rest);
  return out;
}
