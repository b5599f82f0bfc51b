/**
 * Exports by the rules of the schema, as fast as they can be written: SDKs' habits most of the time, their opposites often
 * enough. The schema is the reference's, so that a wrong number in the product's own table is met.
 */
import protobuf from 'protobufjs';
import type { SeededRandom } from '../support/seeded-random.ts';
import { ByteSink } from './byte-sink.ts';
import { interestingInteger, writeUnknownField } from './interesting.ts';
import { tracesType } from './reference-export.ts';

type Kind = 'message' | 'any-value' | 'bytes' | 'trace-id' | 'span-id' | 'varint' | 'time' | 'fixed32' | 'double';

interface FieldPlan {
  readonly tag: number;
  readonly kind: Kind;
  readonly repeated: boolean;
  readonly message: MessagePlan | null;
  /** Of 100 messages, how many have the field. */
  readonly likelihood: number;
}
interface MessagePlan {
  readonly fields: readonly FieldPlan[];
}

const likelihoods: Readonly<Record<string, number>> = {
  resourceSpans: 97,
  scopeSpans: 95,
  spans: 95,
  traceId: 98,
  spanId: 98,
  name: 80,
  key: 95,
  value: 95,
  startTimeUnixNano: 80,
  endTimeUnixNano: 70,
  attributes: 60,
};
const kinds: Readonly<Record<string, Kind>> = {
  bytes: 'bytes',
  fixed64: 'time',
  fixed32: 'fixed32',
  double: 'double',
};
const idKinds: Readonly<Record<string, Kind>> = { traceId: 'trace-id', spanId: 'span-id', parentSpanId: 'span-id' };

const plans = new Map<protobuf.Type, MessagePlan>();

function planOf(type: protobuf.Type): MessagePlan {
  const known = plans.get(type);
  if (known) return known;
  const fields: FieldPlan[] = [];
  const plan = { fields };
  plans.set(type, plan);
  for (const { id, name, type: typeName, repeated, resolvedType } of type.fieldsArray) {
    const message = resolvedType instanceof protobuf.Type ? planOf(resolvedType) : null;
    const kind =
      message === null
        ? (idKinds[name] ?? kinds[typeName] ?? 'varint')
        : typeName === 'AnyValue'
          ? 'any-value'
          : 'message';
    fields.push({
      tag: id * 8 + wireTypeOf(kind),
      kind,
      repeated,
      message,
      likelihood: likelihoods[name] ?? 25,
    });
  }
  return plan;
}

function wireTypeOf(kind: Kind): number {
  if (kind === 'varint') return 0;
  if (kind === 'time' || kind === 'double') return 1;
  return kind === 'fixed32' ? 5 : 2;
}

const requestPlan = planOf(tracesType);
const anyValuePlan = planOf(tracesType.root.lookupType('AnyValue'));
const sink = new ByteSink();

/** Few different ones, so that spans meet again. */
const traceIds = [1, 2, 3].map((seed) => Buffer.alloc(16, seed));
const spanIds = [1, 2, 3, 4, 5].map((seed) => Buffer.alloc(8, seed));
const longTexts = [126, 127, 128, 129, 300].map((length) => Buffer.alloc(length, 'long text '));
const hugeText = Buffer.alloc(16_384, 'huge');
const texts = ['', 'a', 'key', 'http.route', 'GET /cart/{id}', 'größer', '漢字 🜁', 'tab\tquote"\\'].map((text) =>
  Buffer.from(text),
);
const notUtf8 = [Buffer.from([0xff, 0xfe]), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from([0xc3])];

/** One export: most are well-formed, some hold faults of single spans, none is longer than a few KiB. */
export function generateExport(random: SeededRandom): Uint8Array {
  const budget = { fields: random.below(20) === 0 ? 100 : 20 };
  writeMessage(requestPlan, random, budget);
  return sink.take();
}

/** Fields left to write: what keeps a request small, and what ends recursion. */
interface Budget {
  fields: number;
}

function writeMessage(plan: MessagePlan, random: SeededRandom, budget: Budget): void {
  const { fields } = plan;
  // Out of order once in a while: the wire allows it.
  const from = random.below(10) === 0 ? random.below(fields.length) : 0;
  for (let index = 0; index < fields.length; index += 1) {
    const field = fields[(from + index) % fields.length];
    if (field === undefined || random.below(100) >= field.likelihood) continue;
    writeOccurrences(field, random, budget);
  }
  if (random.below(40) === 0) writeUnknownField(sink, random, 17 + random.below(20));
}

function writeOccurrences(field: FieldPlan, random: SeededRandom, budget: Budget): void {
  const again = field.repeated ? random.below(3) : random.below(40) === 0 ? 1 : 0;
  for (let left = again; left >= 0 && budget.fields > 0; left -= 1) {
    budget.fields -= 1;
    writeField(field, random, budget);
  }
}

function writeField(field: FieldPlan, random: SeededRandom, budget: Budget): void {
  switch (field.kind) {
    case 'message':
    case 'any-value': {
      const mark = sink.open(field.tag);
      if (field.kind === 'any-value') writeAnyValue(random, budget);
      else if (field.message && random.below(30) > 0) writeMessage(field.message, random, budget);
      return sink.close(mark, random.below(100) === 0 ? 1 + random.below(3) : 0);
    }
    case 'trace-id':
      return writeBytes(field.tag, random.below(60) === 0 ? Buffer.alloc(random.below(34)) : random.pick(traceIds));
    case 'span-id':
      return writeBytes(field.tag, random.below(60) === 0 ? Buffer.alloc(random.below(18)) : random.pick(spanIds));
    case 'bytes':
      return writeBytes(field.tag, pickText(random));
    case 'varint':
      sink.varint(field.tag);
      return sink.varint(interestingInteger(random), random.below(60) === 0 ? random.below(3) : 0);
    case 'time':
      sink.varint(field.tag);
      sink.uint32(random.below(3) === 0 ? random.uint32() : random.below(3));
      return sink.uint32(random.below(3) === 0 ? random.uint32() : 0x18_0000);
    case 'fixed32':
      sink.varint(field.tag);
      return sink.uint32(interestingInteger(random));
    case 'double':
      sink.varint(field.tag);
      return sink.double(random.pick([0, -0, 1.5, -1e300, Number.NaN, Infinity, -Infinity, 5e-324, 1 / 3]));
  }
}

/** One kind of value, as a oneof has it; now and then several, or none. */
function writeAnyValue(random: SeededRandom, budget: Budget): void {
  if (random.below(40) === 0) return writeNested(random);
  const count = random.below(30) === 0 ? random.below(4) : 1;
  for (let left = count; left > 0 && budget.fields > 0; left -= 1) {
    budget.fields -= 1;
    writeField(random.pick(anyValuePlan.fields), random, budget);
  }
}

/** Lists in lists, about as deep as is allowed, with something at the bottom that may not be well-formed. */
function writeNested(random: SeededRandom): void {
  const levels = random.pick([1, 2, 3, 29, 30, 31, 32, 33, 40]);
  const marks: number[] = [];
  for (let level = 0; level < levels; level += 1) {
    const isMap = random.below(2) === 0;
    marks.push(sink.open(isMap ? 0x32 : 0x2a), sink.open(0x0a));
    if (isMap) marks.push(sink.open(0x12));
  }
  if (random.below(6) === 0) sink.byte(random.below(256));
  else writeBytes(0x0a, pickText(random));
  for (const mark of marks.toReversed()) sink.close(mark);
}

function writeBytes(tag: number, value: Uint8Array): void {
  const mark = sink.open(tag);
  sink.bytes(value);
  sink.close(mark);
}

function pickText(random: SeededRandom): Uint8Array {
  const kind = random.below(60);
  // A length of three bytes, and of two bytes around it.
  if (kind === 2 && random.below(200) === 0) return hugeText;
  if (kind === 0) return random.pick(longTexts);
  return kind === 1 ? random.pick(notUtf8) : random.pick(texts);
}
