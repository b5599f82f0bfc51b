/**
 * One field somewhere in encoded protobuf, found without a schema, and putting something else in its place while the
 * lengths around it stay right: a change deep inside must not end at the first length outside.
 */
import type { SeededRandom } from '../support/seeded-random.ts';
import { ByteSink } from './byte-sink.ts';

export interface Spot {
  /** The field is bytes[start, end); its value, behind tag and length, begins at `valueStart`. */
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
  readonly tag: number;
  /** The messages around it, outermost first. */
  readonly outer: readonly Outer[];
}

interface Outer {
  /** Where the varint of its length begins; the message itself is bytes[start, end). */
  readonly lengthAt: number;
  readonly start: number;
  readonly end: number;
}

interface Field {
  readonly start: number;
  readonly tag: number;
  readonly lengthAt: number;
  readonly valueStart: number;
  readonly end: number;
}

const depthMax = 120;
const sink = new ByteSink();

/** A field at any depth, or null when `bytes` are no sequence of fields. */
export function pickSpot(bytes: Uint8Array, random: SeededRandom): Spot | null {
  const outer: Outer[] = [];
  let field = pickField(bytes, 0, bytes.length, random);
  while (field !== null && outer.length < depthMax) {
    const isDeeper = (field.tag & 7) === 2 && field.end - field.valueStart >= 2 && random.below(8) > 0;
    const inner = isDeeper ? pickField(bytes, field.valueStart, field.end, random) : null;
    if (inner === null) break;
    outer.push({ lengthAt: field.lengthAt, start: field.valueStart, end: field.end });
    field = inner;
  }
  return field && { start: field.start, valueStart: field.valueStart, end: field.end, tag: field.tag, outer };
}

/** `bytes` with the field at `spot` replaced; lengths around it are made right. */
export function withField(bytes: Uint8Array, { start, end, outer }: Spot, field: Uint8Array): Uint8Array {
  let content = field;
  let { start: from, end: to } = { start, end };
  for (const { lengthAt, start: outerStart, end: outerEnd } of outer.toReversed()) {
    const head = bytes.subarray(outerStart, from);
    const tail = bytes.subarray(to, outerEnd);
    sink.varint(head.length + content.length + tail.length);
    sink.bytes(head);
    sink.bytes(content);
    sink.bytes(tail);
    content = sink.take();
    from = lengthAt;
    to = outerEnd;
  }
  return Buffer.concat([bytes.subarray(0, from), content, bytes.subarray(to)]);
}

/** One field of bytes[start, end) at random; null unless they are fields from start to end. */
function pickField(bytes: Uint8Array, start: number, end: number, random: SeededRandom): Field | null {
  let picked: Field | null = null;
  let count = 0;
  for (let at = start; at < end;) {
    const field = fieldAt(bytes, at, end);
    if (field === null) return null;
    count += 1;
    // The last of equally likely ones: a reservoir of one.
    if (random.below(count) === 0) picked = field;
    at = field.end;
  }
  return picked;
}

function fieldAt(bytes: Uint8Array, start: number, end: number): Field | null {
  const lengthAt = varintEnd(bytes, start, end);
  const tag = varintAt(bytes, start, lengthAt);
  const make = (valueStart: number, fieldEnd: number): Field | null =>
    lengthAt > 0 && valueStart > 0 && fieldEnd <= end && fieldEnd > start
      ? { start, tag, lengthAt, valueStart, end: fieldEnd }
      : null;
  switch (tag & 7) {
    case 0:
      return make(lengthAt, varintEnd(bytes, lengthAt, end));
    case 1:
      return make(lengthAt, lengthAt + 8);
    case 2: {
      const valueStart = varintEnd(bytes, lengthAt, end);
      return make(valueStart, valueStart + varintAt(bytes, lengthAt, valueStart));
    }
    case 5:
      return make(lengthAt, lengthAt + 4);
    default:
      // A group's tags count as fields of their own.
      return make(lengthAt, lengthAt);
  }
}

/** Where the varint at `at` ends; 0 when it does not. */
function varintEnd(bytes: Uint8Array, at: number, end: number): number {
  for (let next = at; next < end; next += 1) if ((bytes[next] as number) < 0x80) return next + 1;
  return 0;
}

function varintAt(bytes: Uint8Array, at: number, end: number): number {
  let value = 0;
  for (let index = at, weight = 1; index < end; index += 1, weight *= 0x80)
    value += ((bytes[index] as number) & 0x7f) * weight;
  return value;
}
