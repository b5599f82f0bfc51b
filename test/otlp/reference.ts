/**
 * A second opinion: the same schema in protobufjs, and generators of messages. The product's own schema table is not
 * used, so a wrong number there is found.
 */
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { referenceSchema } from './reference-schema.ts';

const { root } = protobuf.parse(referenceSchema);
/** The same with every string as bytes: for structure alone, without the check of UTF-8. */
const structureRoot = protobuf.parse(referenceSchema.replaceAll(/\bstring (?=\w+ = )/g, 'bytes ')).root;

/** Whether protobufjs reads the bytes as that message; strings need not be UTF-8. */
export function referenceAccepts(message: string, bytes: Uint8Array): boolean {
  try {
    structureRoot.lookupType(message).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** The message as a plain object: names in lowerCamelCase, 64-bit integers and bytes as strings (decimal, base64). */
export function referenceObject(message: string, bytes: Uint8Array): Record<string, unknown> {
  const type = root.lookupType(message);
  return type.toObject(type.decode(bytes), { longs: String, bytes: String, json: true });
}

export function encodeReference(message: string, value: object): Uint8Array {
  const type = root.lookupType(message);
  return type.encode(type.fromObject(value)).finish();
}

const nonZero = (length: number): fc.Arbitrary<Uint8Array> =>
  fc
    .uint8Array({ minLength: length, maxLength: length })
    .map((id) => (id.every((byte) => byte === 0) ? id.fill(1) : id));

const text = fc.oneof(fc.string({ maxLength: 12 }), fc.string({ unit: 'binary', maxLength: 200 }));
const uint32 = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 0xffff_ffff }));
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
const uint64 = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 2n ** 53n + 1n)).map(String);
/** Left out, or there: what a client may send of any field. */
const maybe = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(value, { nil: undefined, freq: 3 });

const { keyValue } = fc.letrec<{ value: object; keyValue: object }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'any' },
    { weight: 3, arbitrary: text.map((stringValue) => ({ stringValue })) },
    { weight: 1, arbitrary: fc.boolean().map((boolValue) => ({ boolValue })) },
    { weight: 2, arbitrary: int64.map((intValue) => ({ intValue })) },
    { weight: 1, arbitrary: fc.double().map((doubleValue) => ({ doubleValue })) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map((bytesValue) => ({ bytesValue })) },
    { weight: 1, arbitrary: fc.constant({}) },
    {
      weight: 1,
      arbitrary: fc
        .array(tie('value'), { maxLength: 3, depthIdentifier: 'any' })
        .map((values) => ({ arrayValue: { values } })),
    },
    {
      weight: 1,
      arbitrary: fc
        .array(tie('keyValue'), { maxLength: 3, depthIdentifier: 'any' })
        .map((values) => ({ kvlistValue: { values } })),
    },
  ),
  keyValue: fc.record({ key: text, value: maybe(tie('value')) }),
}));

const attributes = fc.array(keyValue, { maxLength: 4 });

/** A span that nothing is wrong with. */
const spanArbitrary = fc.record({
  traceId: nonZero(16),
  spanId: nonZero(8),
  traceState: maybe(text),
  parentSpanId: maybe(nonZero(8)),
  name: maybe(text),
  kind: maybe(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
  startTimeUnixNano: maybe(uint64),
  endTimeUnixNano: maybe(uint64),
  attributes,
  droppedAttributesCount: maybe(uint32),
  events: fc.array(
    fc.record({ timeUnixNano: maybe(uint64), name: maybe(text), attributes, droppedAttributesCount: maybe(uint32) }),
    { maxLength: 2 },
  ),
  droppedEventsCount: maybe(uint32),
  links: fc.array(
    fc.record({
      traceId: nonZero(16),
      spanId: nonZero(8),
      traceState: maybe(text),
      attributes,
      droppedAttributesCount: maybe(uint32),
      flags: maybe(uint32),
    }),
    { maxLength: 2 },
  ),
  droppedLinksCount: maybe(uint32),
  status: maybe(fc.record({ message: maybe(text), code: maybe(fc.nat(2)) })),
  flags: maybe(uint32),
});

const entityRef = fc.record({
  schemaUrl: maybe(text),
  type: maybe(text),
  idKeys: fc.array(text, { maxLength: 2 }),
  descriptionKeys: fc.array(text, { maxLength: 2 }),
});

/** A whole export as a plain object that `encodeReference('TracesData', ...)` takes. */
export const exportArbitrary = fc.record({
  resourceSpans: fc.array(
    fc.record({
      resource: maybe(
        fc.record({
          attributes,
          droppedAttributesCount: maybe(uint32),
          entityRefs: fc.array(entityRef, { maxLength: 2 }),
        }),
      ),
      scopeSpans: fc.array(
        fc.record({
          scope: maybe(
            fc.record({ name: maybe(text), version: maybe(text), attributes, droppedAttributesCount: maybe(uint32) }),
          ),
          spans: fc.array(spanArbitrary, { maxLength: 3 }),
          schemaUrl: maybe(text),
        }),
        { maxLength: 2 },
      ),
      schemaUrl: maybe(text),
    }),
    { maxLength: 2 },
  ),
});
