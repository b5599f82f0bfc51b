/** Small exports made of text, and their spans read back with a naive decoder that shares nothing with the product. */
import fc from 'fast-check';
import { bytesField, fixed64Field, messageField } from '../support/protobuf-writer.ts';

export interface SpanText {
  readonly trace: number;
  readonly resource: string;
  readonly scope: string;
  readonly text: string;
  readonly startNs: number;
  readonly endNs: number;
}

export function traceIdOf(trace: number): Uint8Array {
  const id = new Uint8Array(16);
  new DataView(id.buffer).setUint32(12, trace);
  return id;
}

/** An export request: neighbours with equal resource and scope share a group. Names stand in schema URLs and span names. */
export function exportOf(spans: readonly SpanText[]): Uint8Array {
  const groups: SpanText[][] = [];
  for (const span of spans) {
    const last = groups.at(-1);
    if (last?.[0]?.resource === span.resource && last[0].scope === span.scope) last.push(span);
    else groups.push([span]);
  }
  return Buffer.concat(
    groups.map((group) => messageField(1, [scopeSpans(group), bytesField(3, group[0]?.resource ?? '')])),
  );
}

function scopeSpans(group: readonly SpanText[]): Buffer {
  const encoded = group.map((span) =>
    messageField(2, [
      bytesField(1, traceIdOf(span.trace)),
      bytesField(2, Buffer.from('spanspan')),
      bytesField(5, span.text),
      fixed64Field(7, BigInt(span.startNs)),
      fixed64Field(8, BigInt(span.endNs)),
    ]),
  );
  return messageField(2, [...encoded, bytesField(3, group[0]?.scope ?? '')]);
}

/** The spans of a `TracesData` message made of what `exportOf` makes. */
export function spansIn(message: Uint8Array): SpanText[] {
  return fieldsOf(message).flatMap(({ value: resourceSpans }) => {
    const outer = fieldsOf(resourceSpans);
    return all(outer, 2).flatMap((scope) => {
      const inner = fieldsOf(scope);
      return all(inner, 2).map((span) => {
        const fields = fieldsOf(span);
        return {
          trace: only(fields, 1).readUInt32BE(12),
          resource: only(outer, 3).toString(),
          scope: only(inner, 3).toString(),
          text: only(fields, 5).toString(),
          startNs: Number(only(fields, 7).readBigUInt64LE()),
          endNs: Number(only(fields, 8).readBigUInt64LE()),
        };
      });
    });
  });
}

interface Field {
  readonly number: number;
  readonly value: Buffer;
}

function fieldsOf(message: Uint8Array): Field[] {
  const bytes = Buffer.from(message);
  const fields: Field[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes.readUInt8(at);
    at += 1;
    let length = 8;
    if ((tag & 7) === 2) {
      length = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = bytes.readUInt8(at);
        at += 1;
        length |= (byte & 0x7f) << shift;
        if (byte < 0x80) break;
      }
    }
    fields.push({ number: tag >>> 3, value: bytes.subarray(at, at + length) });
    at += length;
  }
  return fields;
}

const all = (fields: readonly Field[], number: number): Buffer[] =>
  fields.filter((field) => field.number === number).map(({ value }) => value);

function only(fields: readonly Field[], number: number): Buffer {
  const [value, ...others] = all(fields, number);
  if (value === undefined || others.length > 0) throw new Error(`field ${number} must be there once`);
  return value;
}

const anySpan: fc.Arbitrary<SpanText> = fc.record({
  trace: fc.integer({ min: 1, max: 6 }),
  resource: fc.constantFrom('', 'checkout', 'cart'),
  scope: fc.constantFrom('', 'http'),
  text: fc.oneof(
    fc.string({ maxLength: 20 }),
    fc.nat(900).map((length) => 'w'.repeat(length)),
  ),
  startNs: fc.nat(),
  endNs: fc.nat(),
});

export const anyExports = fc.array(fc.array(anySpan, { minLength: 1, maxLength: 25 }), { maxLength: 6 });
