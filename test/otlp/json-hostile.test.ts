/** OTLP JSON as nobody means it: too deep, too many, of the wrong kind, twice, cut off. And what the hints say. */
import { describe, expect, test } from 'vitest';
import { exportFromJson, JsonError } from '../../src/otlp/json-decode.ts';
import { tracesToJson } from '../../src/otlp/json-encode.ts';
import { anyValue, type FieldSchema, type MessageSchema, tracesData } from '../../src/otlp/schema.ts';
import { bytesField, fixed64Field, varintField } from '../support/protobuf-writer.ts';
import { acceptedSpans, attributeOf, exportOf, hex, spanFields, walk } from './bytes.ts';
import { compareJsonDecoders } from './json-reference.ts';

const ids = '"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"a1a2a3a4a5a6a7a8"';
const decode = (text: string): Uint8Array => exportFromJson(Buffer.from(text)).request;
const hintOf = (text: string): string | null => exportFromJson(Buffer.from(text)).hint;
/** An export of spans with ids, each with these members. */
const spansText = (...members: string[]): string =>
  `{"resourceSpans":[{"scopeSpans":[{"spans":[${members.map((member) => `{${ids}${member && `,${member}`}}`).join()}]}]}]}`;
const attributeText = (value: string): string => `"attributes":[{"key":"key","value":${value}}]`;

describe('bounded whatever comes', () => {
  test.each([10_000, 1_000_000])('nested %i deep in an unknown field', (depth) => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
      ['[{"traceId":', '}]'],
    ] as const) {
      const value = open.repeat(depth) + '1' + close.repeat(depth);
      expect(hex(decode(`{"x":${value},${spansText('').slice(1)}`))).toBe(hex(exportOf(spanFields())));
      expect(hex(decode(spansText(`"x":${value}`)))).toBe(hex(exportOf(spanFields())));
    }
  });

  test.each([10_000, 1_000_000])('nested %i deep in a value: that span alone is rejected', (depth) => {
    const value = `${'{"arrayValue":{"values":['.repeat(depth)}{}${']}}'.repeat(depth)}`;
    const request = decode(spansText('', attributeText(value), '"name":"c"'));
    expect(walk(request)).toMatchObject({ spanCount: 2, rejected: { count: 1 } });
    expect(acceptedSpans(request).map(({ span }) => span)).toEqual([
      hex(spanFields()),
      hex(spanFields(bytesField(5, 'c'))),
    ]);
  });

  test.each([
    ['unclosed', '['.repeat(1_000_000)],
    ['closed by the wrong bracket', `${'['.repeat(1_000_000)}}`],
    ['closed once too often', `${'['.repeat(100_000)}${']'.repeat(100_001)}`],
    ['an object closed as an array', `${'[{"a":'.repeat(1_000)}1${']}'.repeat(1_000)}`],
  ])('deep nesting %s', (_name, value) => {
    expect(() => decode(`{"x":${value}}`)).toThrow(JsonError);
  });

  test('100,000 attributes', () => {
    const attributes = Array.from(
      { length: 100_000 },
      (_, index) => `{"key":"k","value":{"intValue":"${index % 100}"}}`,
    );
    const expected = spanFields(
      ...Array.from({ length: 100_000 }, (_, index) =>
        Buffer.from([0x4a, 7, 0x0a, 1, 0x6b, 0x12, 2, 0x18, index % 100]),
      ),
    );
    expect(Buffer.compare(decode(spansText(`"attributes":[${attributes.join()}]`)), exportOf(expected))).toBe(0);
  });

  test('5 MB of empty arrays take no memory', () => {
    const arrays = `[${'[],'.repeat(1_700_000)}[]]`;
    const request = decode(`{"x":${arrays}}`);
    expect(request).toHaveLength(0);
    expect(request.buffer.byteLength).toBeLessThan(100_000);
    expect(() => decode(`{"resourceSpans":${arrays}}`)).toThrow('resourceSpans[0]: must be an object');
  });

  test('a key repeated a million times leaves its last value, and no bytes of the others', () => {
    const request = decode(spansText(`${'"name":"a","kind":1,"traceState":"b",'.repeat(300_000)}"name":"last"`));
    expect(hex(request)).toBe(hex(exportOf(spanFields(bytesField(3, 'b'), bytesField(5, 'last'), varintField(6, 1)))));
    expect(request.buffer.byteLength).toBeLessThan(100_000);
  });

  test('lengths at which a varint grows', () => {
    for (const length of [0, 1, 126, 127, 128, 129, 16_382, 16_383, 16_384, 2_097_151, 2_097_152]) {
      const text = 'x'.repeat(length);
      const expected = exportOf(spanFields(attributeOf(bytesField(1, text))));
      expect(Buffer.compare(decode(spansText(attributeText(`{"stringValue":"${text}"}`))), expected)).toBe(0);
    }
  });
});

describe('what is of another kind', () => {
  const accepted: Readonly<Record<FieldSchema['type'], readonly string[]>> = {
    string: ['"text"', '"1.5"', '"\\ud800"'],
    id: [],
    // Four characters of base64.
    bytes: ['"text"'],
    bool: ['true'],
    uint32: ['5'],
    fixed32: ['5'],
    enum: ['5'],
    int64: ['5'],
    fixed64: ['5'],
    double: ['5', '1.5', '"1.5"'],
    message: ['{}'],
  };
  const samples = ['true', '5', '1.5', '"1.5"', '"text"', '{}', '[]', '[null]', '[[]]', '1e999', '"\\ud800"'];

  interface Place {
    readonly field: FieldSchema;
    readonly path: string;
    readonly wrap: (value: string) => string;
  }
  /** Every field of the schema where it first occurs, with the document around it. */
  function places(message: MessageSchema, path: string, wrap: Place['wrap'], seen = new Set<MessageSchema>()): Place[] {
    if (seen.has(message)) return [];
    seen.add(message);
    return message.fields.flatMap((field) => {
      const place: Place = {
        field,
        path: `${path}${path && '.'}${field.name}`,
        wrap: (value) => wrap(`{"${field.name}":${value}}`),
      };
      const inner = field.repeated ? `${place.path}[0]` : place.path;
      const inside: Place['wrap'] = (value) => place.wrap(field.repeated ? `[${value}]` : value);
      return [place, ...(field.message ? places(field.message, inner, inside, seen) : [])];
    });
  }
  const all = places(tracesData, '', (value) => value);

  test.each(all.map((place) => [place.path, place] as const))('%s', (path, { field, wrap }) => {
    const isOwnId = /spans\[0\]\.(?:traceId|spanId)$/.test(path);
    for (const sample of samples) {
      const isAccepted = field.repeated
        ? sample === '[]'
        : accepted[field.type].includes(sample) || (isOwnId && sample.startsWith('"'));
      const text = wrap(sample);
      if (isAccepted) expect(() => decode(text)).not.toThrow();
      else {
        const thrown = thrownBy(text);
        expect(thrown.message.startsWith(path), `${thrown.message}, at ${text}`).toBe(true);
      }
      compareJsonDecoders(Buffer.from(text));
    }
  });

  test('the table above knows every type', () => {
    expect(new Set(all.map(({ field }) => field.type))).toEqual(new Set(Object.keys(accepted)));
    expect(all.some(({ path }) => path.endsWith('.bytesValue'))).toBe(true);
    expect(anyValue.fields.length).toBe(7);
  });

  test.each([
    '{"a":01}',
    '{"a":+1}',
    '{"a":1.}',
    '{"a":.5}',
    '{"a":1e}',
    '{"a":-}',
    '{"a":tru}',
    '{"a":nul}',
    '{"a":NaN}',
    '{"a":1,}',
    '{,}',
    '{"a"}',
    '{"a":}',
    '{a:1}',
    "{'a':1}",
    '{"a":[1,]}',
    '{"a":[,]}',
    '{"a":[1 2]}',
    '{"a":1 "b":2}',
    '{"a":"\t"}',
    '{"\n":1}',
    '{"a":"\\x"}',
    '{"a":"\\u12g4"}',
    '{"a":"\\u12"}',
    '{"a":"\\',
    '{"a":1}}',
    '{"a":1}\u0000',
    '{"resourceSpans":[{}],}',
    '{"resourceSpans":[{},]}',
    '{"resourceSpans":[{"schemaUrl":"\u0001"}]}',
    '{"resourceSpans":[{"schemaUrl":"a\\u0041\u0001"}]}',
    '//\n{}',
    '\ufeff\ufeff{}',
    '\u00a0{}',
  ])('%j is not JSON', (text) => {
    expect(thrownBy(text).message).toMatch(/^the request body is not JSON: /);
    expect(compareJsonDecoders(Buffer.from(text))).toBe('refused');
  });

  test('a byte order mark is no part of the text', () => {
    expect(hex(decode(`\ufeff ${spansText('')}`))).toBe(hex(exportOf(spanFields())));
  });

  test.each([[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]])(
    'bytes that are no UTF-8, even where nobody looks: %j',
    (...bytes) => {
      const text = Buffer.concat([Buffer.from('{"x":"'), Buffer.from(bytes), Buffer.from('"}')]);
      expect(() => exportFromJson(text)).toThrow('the request body is not UTF-8');
    },
  );

  test('a document cut off at any byte is refused, and nothing else happens', () => {
    const text = Buffer.from(
      ` {"resourceSpans" : [{"x":[{"a":-1.5e3},true],"scopeSpans":[{"spans":[{${ids},"n\\u0061me":"\\ud83d\\ude00é","kind":2,
      "startTimeUnixNano":"12345678901234567890","attributes":[{"key":"k","value":{"arrayValue":{"values":[{"doubleValue":
      1.5e3},{"boolValue":false},{"bytesValue":"AQI="}]}}}],"unknown":{"a":[null,true,"\\n"]},"status":null}]}]}]}`,
    );
    expect(compareJsonDecoders(text)).toBe('accepted');
    for (let length = 0; length < text.length; length += 1) {
      const cut = text.subarray(0, length);
      expect(() => exportFromJson(cut), `${length} bytes`).toThrow(JsonError);
      expect(compareJsonDecoders(cut)).toBe('refused');
    }
  });
});

describe('keys', () => {
  const named = (...fields: Uint8Array[]): string => hex(exportOf(spanFields(...fields)));

  test.each([
    ['the last of two', '"name":"a","name":"b"', [bytesField(5, 'b')]],
    ['the last of two, whatever was wrong with the first', '"name":5,"name":"b"', [bytesField(5, 'b')]],
    ['null after a value', '"name":"a","kind":2,"name":null', [varintField(6, 2)]],
    ['null after a fault', '"name":5,"name":null', []],
    ['a default after a value', '"name":"a","name":""', []],
    ['a value after null', '"name":null,"name":"b"', [bytesField(5, 'b')]],
    ['lists are not joined', `${attributeText('{"intValue":1}')},"attributes":[]`, []],
    [
      'messages are not merged',
      '"status":{"code":2},"status":{"message":"m"}',
      [Buffer.from([0x7a, 3, 0x12, 1, 0x6d])],
    ],
    [
      'in any order',
      '"kind":2,"name":"b","kind":3,"traceState":"s"',
      [bytesField(3, 's'), bytesField(5, 'b'), varintField(6, 3)],
    ],
    ['an escape in a key', '"n\\u0061m\\u0065":"b"', [bytesField(5, 'b')]],
    ['an escaped key and a plain one', '"n\\u0061me":"a","name":"b"', [bytesField(5, 'b')]],
    ['inherited names', '"__proto__":{"name":"a"},"constructor":5,"toString":[],"hasOwnProperty":1', []],
    ['a known name that goes on', '"names":5,"nam":5,"name\\u0000":5,"Name":5', []],
    ['a very long key of escapes', `"${'\\u006e'.repeat(1000)}":1`, []],
  ])('%s', (_name, members, fields) => {
    expect(hex(decode(spansText(members)))).toBe(named(...fields));
    expect(compareJsonDecoders(Buffer.from(spansText(members)))).toBe('accepted');
  });

  test('a fault goes with the list that held it, at any height', () => {
    const bad = spansText('"name":5').slice(1, -1);
    const good = spansText('').slice(1, -1);
    expect(hex(decode(`{${bad},${good}}`))).toBe(named());
    expect(() => decode(`{${good},${bad}}`)).toThrow('resourceSpans[0].scopeSpans[0].spans[0].name: must be a string');
  });

  test('two kinds of value, one of them null or twice', () => {
    const one = named(attributeOf(varintField(3, 1)));
    for (const value of ['{"stringValue":"a","intValue":1,"stringValue":null}', '{"intValue":2,"intValue":1}'])
      expect(hex(decode(spansText(attributeText(value))))).toBe(one);
    expect(() => decode(spansText(attributeText('{"intValue":1,"boolValue":false}')))).toThrow(
      'attributes[0].value: must hold one value, not both boolValue and intValue',
    );
  });
});

describe('strings and numbers', () => {
  test.each([
    ['\\ud800', '\ufffd'],
    ['\\udc00', '\ufffd'],
    ['a\\ud800b', 'a\ufffdb'],
    ['\\ud83d\\ude00', '😀'],
    ['\\uD83D\\uDE00', '😀'],
    ['\\ud83d\\ud83d\\ude00', '\ufffd😀'],
    ['\\ude00\\ud83d', '\ufffd\ufffd'],
    ['\\ud83d\\n\\ude00', '\ufffd\n\ufffd'],
    ['\\ud83d😀', '\ufffd😀'],
    ['\\u0000\\u007f\\u0080\\u07ff\\u0800\\uffff', '\u0000\u007f\u0080\u07ff\u0800\uffff'],
    ['\\"\\\\\\/\\b\\f\\n\\r\\t', '"\\/\b\f\n\r\t'],
    ['é\u007f\u2028', 'é\u007f\u2028'],
  ])('the string "%s"', (text, value) => {
    expect(hex(decode(spansText(`"name":"${text}"`)))).toBe(hex(exportOf(spanFields(bytesField(5, value)))));
  });

  test.each<[string, bigint | null]>([
    ['18446744073709551615', 18_446_744_073_709_551_615n],
    ['18446744073709551616', null],
    ['99999999999999999999', null],
    ['100000000000000000000', null],
    ['9007199254740993', 9_007_199_254_740_993n],
    ['9007199254740993.0', 9_007_199_254_740_993n],
    ['9007199254740993.5', null],
    ['900719925474099.3e1', 9_007_199_254_740_993n],
    ['1e19', 10n ** 19n],
    ['1e20', null],
    ['1e-1', null],
    ['10e-1', 1n],
    ['-0', 0n],
    ['-1', null],
    ['0e99999999999999999999', 0n],
    ['1e99999999999999999999', null],
    ['1e-99999999999999999999', null],
    [`1.${'0'.repeat(100_000)}`, 1n],
    [`1${'0'.repeat(100_000)}e-100000`, 1n],
  ])('the time %.30s', (text, value) => {
    const document = spansText(`"startTimeUnixNano":${text}`);
    if (value === null) expect(() => decode(document)).toThrow('startTimeUnixNano: must be an integer from 0');
    else expect(hex(decode(document))).toBe(hex(exportOf(spanFields(...(value ? [fixed64Field(7, value)] : [])))));
  });

  test('doubles are rounded as JSON.parse rounds them', () => {
    for (const text of [
      '0.1',
      '1e23',
      '5e-324',
      '1.7976931348623157e308',
      '123456789012345.6',
      '-0',
      '0.30000000000000004',
    ])
      expect(tracesToJson(decode(spansText(attributeText(`{"doubleValue":${text}}`))))).toContain(
        text === '-0' ? '"doubleValue":"-0"' : `"doubleValue":${JSON.stringify(Number(text))}}`,
      );
  });
});

describe('hints', () => {
  const spanPath = 'resourceSpans[0].scopeSpans[0].spans';
  const other = (members: string): string =>
    `{"resourceSpans":[{"scopeSpans":[{"spans":[{${ids}},{},{${members}}]}]}]}`;

  test.each<[string, string | null]>([
    [other(ids), null],
    [
      other('"traceId":"AQIDBAUGBwgJCgsMDQ4PEA=="'),
      `${spanPath}[2].traceId: must be 32 hex digits; ids are not base64 in OTLP JSON`,
    ],
    [other('"spanId":"abc"'), `${spanPath}[2].spanId: must be 16 hex digits; ids are not base64 in OTLP JSON`],
    [other('"trace_id":"ab"'), `${spanPath}[2].trace_id: OTLP JSON names are lowerCamelCase: traceId, not trace_id`],
    ['{"resource_spans":[]}', 'resource_spans: OTLP JSON names are lowerCamelCase: resourceSpans, not resource_spans'],
    // Of several, the first; a name that is there in its right form as well is no mistake.
    [
      other('"spanId":"x","traceId":"y"'),
      `${spanPath}[2].spanId: must be 16 hex digits; ids are not base64 in OTLP JSON`,
    ],
    [other(`${ids},"trace_id":"ab"`), null],
    [other(`"trace_id":"ab",${ids}`), null],
    // Nobody's name, and a place that is not read.
    [other(`${ids},"trace_ids":1,"_":1,"x_y":1`), null],
    [other(`${ids},"x":{"trace_id":"ab","traceId":"%"}`), null],
    // What was replaced is not told.
    [other(`"traceId":"%",${ids}`), null],
    [`{"resourceSpans":[{"scope_spans":[]}],"resourceSpans":[]}`, null],
  ])('%s', (text, hint) => {
    expect(hintOf(text)).toBe(hint);
  });

  test('a fault comes before a hint', () => {
    expect(() => decode(other('"traceId":"%","name":5'))).toThrow(`${spanPath}[2].name: must be a string`);
  });
});

/** The error with which the text is refused. */
function thrownBy(text: string): JsonError {
  try {
    decode(text);
  } catch (error) {
    expect(error).toBeInstanceOf(JsonError);
    return error as JsonError;
  }
  throw new Error(`not refused: ${text}`);
}
