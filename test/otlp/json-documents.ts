/** Generators of OTLP JSON texts: made from the schema, then spelled and damaged in every way a client could think of. */
import fc from 'fast-check';
import { anyValue, type FieldSchema, type MessageSchema, tracesData } from '../../src/otlp/schema.ts';

const anyValueDepthMax = 3;

const mostly = (usual: fc.Arbitrary<string>, rare: fc.Arbitrary<string>, times = 40): fc.Arbitrary<string> =>
  fc.oneof({ weight: times, arbitrary: usual }, { weight: 1, arbitrary: rare });

/** A character of a JSON string as itself or as its escape. */
const escaped = (character: string): string =>
  [...Array(character.length).keys()]
    .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`)
    .join('');
const spelled = (text: string): fc.Arbitrary<string> =>
  fc.infiniteStream(fc.nat(7)).map((stream) => {
    const characters = [...text].map((character) => {
      const choice = stream.next().value;
      if (choice === 0) return escaped(character);
      if (choice === 1) return escaped(character).toUpperCase().replaceAll('U', 'u');
      return character === '/' && choice === 2 ? String.raw`\/` : JSON.stringify(character).slice(1, -1);
    });
    return `"${characters.join('')}"`;
  });
const plain = (text: string): string => JSON.stringify(text);
const quoted = (texts: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  texts.chain((text) => mostly(fc.constant(plain(text)), spelled(text), 4));

const surrogates = fc.constantFrom(
  String.raw`"\ud800"`,
  String.raw`"\udc00\ud800"`,
  String.raw`"a\ud83d\ude00b"`,
  String.raw`"\uD83D\ud83d\uDE00"`,
  String.raw`"\ud800\u0041\ud800\n\ud800é"`,
);
const strings = fc.oneof(
  { weight: 8, arbitrary: quoted(fc.string({ unit: 'binary', maxLength: 12 })) },
  { weight: 1, arbitrary: surrogates },
  { weight: 1, arbitrary: quoted(fc.string({ unit: 'grapheme', minLength: 100, maxLength: 300 })) },
);

const numberSpellings = [
  ...['0', '-0', '-0.0', '0e9', '0E-9', '0.000', '1', '-1', '5.0', '1e3', '1E+2', '12e-1', '120e-1', '0.5', '0.0001e4'],
  ...['2147483647', '2147483648', '-2147483648', '-2147483649', '4294967295', '4294967296', '4294967295.00000000001'],
  ...['9007199254740993', '9007199254740991.4', '9223372036854775807', '9223372036854775808', '-9223372036854775808'],
  ...['-9223372036854775809', '18446744073709551615', '18446744073709551616', '99999999999999999999', '1e18', '1.5e19'],
  ...['100000000000000000000', '1e20', '0e99999999999', '1e99999999999', '1e-99999999999', '1e308', '1e309', '-1e400'],
  ...['123.4500e2', '0.1', '2.2250738585072011e-308', '5e-324', '1e-400', '9007199254740993.0', '123456789012345.6'],
  ...['01', '+1', '1.', '.5', '1e', '1e+', '-', '--1', '0x10', '1_0', 'NaN', 'Infinity', '-Infinity', '', ' 1', '1 '],
  ...['00000000000000000007', '000000000000000000007', '1'.repeat(40), `1.${'0'.repeat(50)}`, `${'1'.repeat(30)}e-29`],
];
const oddNumbers = fc.constantFrom(...numberSpellings);
const maybeQuoted = (numbers: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(numbers, fc.nat(2))
    .chain(([number, choice]) => (choice === 0 ? fc.constant(number) : quoted(fc.constant(number))));
const integers = (least: bigint, most: bigint): fc.Arbitrary<string> => fc.bigInt(least, most).map(String);

const hex = (length: number): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length }),
      fc.boolean(),
    )
    .map(([id, isUpper]) => (isUpper ? id.toUpperCase() : id));
const ids = fc.oneof(
  { weight: 20, arbitrary: hex(32) },
  { weight: 20, arbitrary: hex(16) },
  { weight: 2, arbitrary: fc.nat(40).chain(hex) },
  { weight: 1, arbitrary: fc.constantFrom('', 'g', '0g', 'AQIDBAUGBwgJCgsMDQ4PEA==') },
);
const base64 = fc.oneof(
  { weight: 20, arbitrary: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('base64')) },
  { weight: 10, arbitrary: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('base64url')) },
  { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom(...'AQgw0+/-_=*'), maxLength: 9 }) },
);

const scalars: Readonly<Record<Exclude<FieldSchema['type'], 'message'>, fc.Arbitrary<string>>> = {
  string: strings,
  id: quoted(ids),
  bytes: quoted(base64),
  bool: fc.constantFrom('true', 'false'),
  uint32: maybeQuoted(integers(0n, 2n ** 32n - 1n)),
  fixed32: maybeQuoted(integers(0n, 2n ** 32n - 1n)),
  enum: integers(-(2n ** 31n), 2n ** 31n - 1n),
  int64: maybeQuoted(fc.oneof(integers(-200n, 200n), integers(-(2n ** 63n), 2n ** 63n - 1n))),
  fixed64: maybeQuoted(fc.oneof(integers(0n, 200n), integers(0n, 2n ** 64n - 1n))),
  double: maybeQuoted(fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }).map(String), fc.constant('-0'))),
};

const whitespace = mostly(fc.constant(''), fc.constantFrom(' ', '\n', '\t \r\n'), 5);
const list = (items: fc.Arbitrary<string>, maxLength: number): fc.Arbitrary<string> =>
  fc.tuple(fc.array(items, { maxLength }), whitespace).map(([texts, gap]) => `[${gap}${texts.join(`,${gap}`)}${gap}]`);

const anyJson = fc.oneof(
  fc.json({ maxDepth: 4 }),
  fc.constantFrom(
    'null',
    '[]',
    '{}',
    '[[[]],{"a":[{}]}]',
    '{"__proto__":{"name":1},"constructor":1}',
    '1e999',
    '"\\ud800"',
  ),
  maybeQuoted(oddNumbers),
);
const unknownKeys = quoted(
  fc.constantFrom(
    '__proto__',
    'constructor',
    'toString',
    'trace_id',
    'spans_',
    'Name',
    'names',
    'x'.repeat(200),
    '',
    'é',
  ),
);

const known = new Map<string, fc.Arbitrary<string>>();

/** Texts of one message inside `depth` AnyValues. */
function messageText(message: MessageSchema, depth: number): fc.Arbitrary<string> {
  const key = `${message.name} ${depth}`;
  const made = known.get(key);
  if (made) return made;
  const fields = message.fields.filter((field) => !(field.message && depth >= anyValueDepthMax));
  const members = fc
    .constantFrom(...fields)
    .chain((field) =>
      fc.tuple(
        quoted(fc.constant(field.name)),
        fc.oneof(
          { weight: 200, arbitrary: fieldText(message, field, depth) },
          { weight: 10, arbitrary: fc.constant('null') },
          { weight: 1, arbitrary: anyJson },
        ),
      ),
    );
  const unknowns = fc.tuple(unknownKeys, anyJson);
  const member = fc.oneof({ weight: 12, arbitrary: members }, { weight: 1, arbitrary: unknowns });
  const count = message.oneof ? fc.constantFrom(0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2) : fc.nat(6);
  const text = fc
    .tuple(count, whitespace)
    .chain(([length, gap]) =>
      fc
        .array(member, { minLength: length, maxLength: length })
        .map((pairs) => `{${gap}${pairs.map(([name, value]) => `${name}${gap}:${value}${gap}`).join(`,${gap}`)}}`),
    );
  known.set(key, text);
  return text;
}

function fieldText(message: MessageSchema, field: FieldSchema, depth: number): fc.Arbitrary<string> {
  const { type, message: inner, repeated } = field;
  // Only made when it is drawn: the schema is deep, and most of it is the same.
  if (inner && type === 'message') {
    const text = fc.constant(null).chain(() => messageText(inner, inner === anyValue ? depth + 1 : depth));
    return repeated ? list(text, message === tracesData ? 2 : 3) : text;
  }
  if (type === 'message') throw new Error(`${field.name} has no message`);
  const usual = mostly(scalars[type], type === 'string' || type === 'bool' ? anyJson : maybeQuoted(oddNumbers), 60);
  return repeated ? list(usual, 3) : usual;
}

/** An export of OTLP JSON. Most are valid. */
export const documentText: fc.Arbitrary<string> = messageText(tracesData, 0);

/** The same with the way down to a span, so that spans are not rare. */
export const spanDocumentText: fc.Arbitrary<string> = fc
  .constant(null)
  .chain(() => messageText(tracesData.fields[0]?.message?.fields[1]?.message?.fields[1]?.message ?? tracesData, 0))
  .map((span) => `{"resourceSpans":[{"scopeSpans":[{"spans":[${span}]}]}]}`);

interface Mutation {
  readonly kind: 'flip' | 'set' | 'insert' | 'remove' | 'cut' | 'repeat';
  readonly at: number;
  readonly byte: number;
}
const mutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('flip', 'set', 'insert', 'remove', 'cut', 'repeat'),
    at: fc.nat(),
    byte: fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[]",:\\0-.eEnu tf/'))),
  }),
  { minLength: 1, maxLength: 2 },
);

/** Texts with bytes changed, added and taken away: mostly no JSON, or no UTF-8. */
export const damagedDocument: fc.Arbitrary<Uint8Array> = fc
  .tuple(fc.oneof(documentText, spanDocumentText), mutations)
  .map(([text, changes]) => changes.reduce(mutate, Buffer.from(text)));

function mutate(bytes: Buffer, { kind, at, byte }: Mutation): Buffer {
  const index = at % (bytes.length + 1);
  const before = bytes.subarray(0, index);
  const after = bytes.subarray(index + 1);
  const replacements: Readonly<Record<Mutation['kind'], () => readonly Uint8Array[]>> = {
    flip: () => [Buffer.from([(bytes[index] ?? 0) ^ (1 << (byte & 7))]), after],
    set: () => [Buffer.from([byte]), after],
    insert: () => [Buffer.from([byte]), bytes.subarray(index)],
    remove: () => [after],
    cut: () => [],
    repeat: () => [bytes.subarray(index, index + (byte & 15)), bytes.subarray(index)],
  };
  return Buffer.concat([before, ...replacements[kind]()]);
}
