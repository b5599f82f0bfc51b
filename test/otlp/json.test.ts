/** OTLP JSON in both directions. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exportFromJson, JsonError } from '../../src/otlp/json-decode.ts';
import { encodingJson, tracesToJson } from '../../src/otlp/json-encode.ts';
import { bytesField, doubleField, messageField, varintField } from '../support/protobuf-writer.ts';
import { attributeOf, exportOf, hex, spanFields, walk } from './bytes.ts';
import { encodeReference, exportArbitrary } from './reference.ts';

type Json = Record<string, unknown>;
const requestOf = (text: Uint8Array): Uint8Array => exportFromJson(text).request;
const fromJson = (document: unknown): Uint8Array => requestOf(Buffer.from(JSON.stringify(document)));
const ids = { traceId: '0102030405060708090a0b0c0d0e0f10', spanId: 'a1a2a3a4a5a6a7a8' };
const exportWith = (span: Json): Json => ({ resourceSpans: [{ scopeSpans: [{ spans: [{ ...ids, ...span }] }] }] });
/** The encoded span of an export of one. */
const spanOf = (span: Json): string => hex(fromJson(exportWith(span)));
const spanOfBytes = (...fields: Uint8Array[]): string => hex(exportOf(spanFields(...fields)));
const withValue = (value: unknown): Json => exportWith({ attributes: [{ key: 'key', value }] });
const valueBytes = (value: unknown): string => hex(fromJson(withValue(value)));
const valueOf = (anyValue: Uint8Array): string => spanOfBytes(attributeOf(anyValue));
/** The value of the one attribute in the JSON made from an export. */
function encodedValue(anyValue: Uint8Array): unknown {
  const json = JSON.parse(tracesToJson(exportOf(spanFields(attributeOf(anyValue))))) as {
    resourceSpans: { scopeSpans: { spans: { attributes: { value: unknown }[] }[] }[] }[];
  };
  return json.resourceSpans[0]?.scopeSpans[0]?.spans[0]?.attributes[0]?.value;
}

describe('JSON to protobuf', () => {
  test('is what protobufjs encodes, whatever the message', () => {
    fc.assert(
      fc.property(exportArbitrary, (traces) => {
        const bytes = encodeReference('TracesData', traces);
        const again = requestOf(Buffer.from(tracesToJson(bytes)));
        expect(tracesToJson(again)).toBe(tracesToJson(bytes));
        expect(hex(again)).toBe(hex(bytes));
      }),
      { numRuns: 300 },
    );
  });

  test('the order of keys does not matter', () => {
    const span = { ...ids, name: 'n', kind: 2, startTimeUnixNano: '5', status: { message: 'm', code: 1 }, flags: 3 };
    const reversed = Object.fromEntries(Object.entries(span).toReversed());
    const wrap = (inner: Json): Json => ({ resourceSpans: [{ schemaUrl: 'u', scopeSpans: [{ spans: [inner] }] }] });
    expect(hex(fromJson(wrap(reversed)))).toBe(hex(fromJson(wrap(span))));
  });

  test('ids are hex of any case', () => {
    const upper = { traceId: ids.traceId.toUpperCase(), spanId: ids.spanId.toUpperCase() };
    expect(spanOf(upper)).toBe(spanOfBytes());
  });

  test('null, missing and default are the same', () => {
    const defaults = { name: '', kind: 0, flags: 0, startTimeUnixNano: '0', endTimeUnixNano: 0, attributes: [] };
    const nulls = { name: null, kind: null, flags: null, startTimeUnixNano: null, attributes: null, status: null };
    expect(spanOf(defaults)).toBe(spanOfBytes());
    expect(spanOf(nulls)).toBe(spanOfBytes());
  });

  test('unknown keys are ignored: snake_case, old names, hostile ones', () => {
    const text = `{"resource_spans": 7, "instrumentationLibrarySpans": [], "__proto__": {"resourceSpans": 5},
      "constructor": {"prototype": {"name": "x"}}, "resourceSpans": []}`;
    expect(requestOf(Buffer.from(text))).toHaveLength(0);
    expect(spanOf({ trace_state: 5, start_time_unix_nano: 'x' })).toBe(spanOfBytes());
    expect(({} as Json)['name']).toBeUndefined();
  });

  test.each([
    ['stringValue', '', bytesField(1, '')],
    ['boolValue', false, varintField(2, 0)],
    ['intValue', 0, varintField(3, 0)],
    ['intValue', '0', varintField(3, 0)],
    ['doubleValue', 0, doubleField(4, 0)],
    ['arrayValue', {}, messageField(5, [])],
    ['kvlistValue', {}, messageField(6, [])],
    ['bytesValue', '', bytesField(7, '')],
    ['doubleValue', 'NaN', doubleField(4, Number.NaN)],
    ['doubleValue', '-Infinity', doubleField(4, -Infinity)],
    ['doubleValue', '1.5e3', doubleField(4, 1500)],
    ['bytesValue', '+/8=', bytesField(7, Buffer.from([0xfb, 0xff]))],
    ['bytesValue', '-_8', bytesField(7, Buffer.from([0xfb, 0xff]))],
    ['unknownValue', 5, Buffer.alloc(0)],
    ['stringValueStrindex', 5, Buffer.alloc(0)],
  ])('an AnyValue of %s %j', (name, value, bytes) => {
    expect(valueBytes({ [name]: value })).toBe(valueOf(bytes));
  });

  test.each([
    ['9007199254740993', 9_007_199_254_740_993n],
    ['-9223372036854775808', -9_223_372_036_854_775_808n],
    ['9223372036854775807', 9_223_372_036_854_775_807n],
    ['-1', -1n],
    ['1e3', 1000n],
  ])('the integer %s is exact, as a number and as a string', (text, value) => {
    const bytes = (literal: string): Uint8Array =>
      requestOf(Buffer.from(JSON.stringify(withValue({ intValue: 'here' })).replace('"here"', literal)));
    expect(tracesToJson(bytes(text))).toContain(`{"intValue":"${value}"}`);
    if (!text.includes('e')) expect(hex(bytes(`"${text}"`))).toBe(hex(bytes(text)));
  });

  test('a time beyond 2^53 as a number, next to other numbers', () => {
    const text = JSON.stringify(
      exportWith({ kind: 2, startTimeUnixNano: 1, attributes: [{ value: { doubleValue: 2.5 } }] }),
    );
    const json = tracesToJson(
      requestOf(Buffer.from(text.replace('"startTimeUnixNano":1', '"startTimeUnixNano":18446744073709551615'))),
    );
    expect(json).toContain('"startTimeUnixNano":"18446744073709551615"');
    expect(json).toContain('"doubleValue":2.5');
    expect(json).toContain('"kind":2');
  });
});

describe('faults of one span reach the walk, which rejects that span alone', () => {
  const nested = (depth: number): Json =>
    depth === 1 ? { intValue: 1 } : { arrayValue: { values: [nested(depth - 1)] } };

  test.each([
    [{ traceId: 'abcd' }, 'span 0: trace id must be 16 bytes, not 2'],
    [{ traceId: 'no hex at all' }, 'span 0: trace id must be 16 bytes, not 0'],
    [{ traceId: `${ids.traceId}0` }, 'span 0: trace id must be 16 bytes, not 0'],
    [{ spanId: '' }, 'span 0: span id must be 8 bytes, not 0'],
    [{ spanId: 'zz' }, 'span 0: span id must be 8 bytes, not 0'],
    [{ attributes: [{ value: nested(33) }] }, 'span 0: attribute values must not be nested deeper than 32'],
    [{ attributes: [{ value: nested(500) }] }, 'span 0: attribute values must not be nested deeper than 32'],
  ])('%j', (fault, reason) => {
    const document = { resourceSpans: [{ scopeSpans: [{ spans: [{ ...ids, ...fault }, ids] }] }] };
    expect(walk(fromJson(document))).toMatchObject({ spanCount: 1, rejected: { count: 1, firstReason: reason } });
  });

  test('nesting that would exhaust our stack', () => {
    const value = `${'{"arrayValue":{"values":['.repeat(20_000)}{}${']}}'.repeat(20_000)}`;
    const text = JSON.stringify(withValue('here')).replace('"here"', value);
    expect(walk(requestOf(Buffer.from(text))).rejected.count).toBe(1);
  });

  test('values nested exactly as deep as allowed are accepted', () => {
    const request = fromJson(withValue(nested(32)));
    expect(walk(request).spanCount).toBe(1);
    expect(tracesToJson(request)).toContain(JSON.stringify(nested(32)).replace(':1}', ':"1"}'));
  });
});

describe('documents of another kind are refused, with the path', () => {
  const inSpan = 'resourceSpans[0].scopeSpans[0].spans[0]';
  const inValue = `${inSpan}.attributes[0].value`;
  test.each<[unknown, string]>([
    [[], 'the request body: must be an object'],
    [null, 'the request body: must be an object'],
    [{ resourceSpans: {} }, 'resourceSpans: must be an array'],
    [{ resourceSpans: [null] }, 'resourceSpans[0]: must be an object'],
    [{ resourceSpans: [{}, { resource: [] }] }, 'resourceSpans[1].resource: must be an object'],
    [
      { resourceSpans: [{ resource: { entityRefs: [{ idKeys: [1] }] } }] },
      'resourceSpans[0].resource.entityRefs[0].idKeys[0]: must be a string',
    ],
    [exportWith({ traceId: 5 }), `${inSpan}.traceId: must be a string of hex digits`],
    [exportWith({ parentSpanId: 'xyz' }), `${inSpan}.parentSpanId: must be a string of hex digits`],
    [exportWith({ links: [{ traceId: 'q' }] }), `${inSpan}.links[0].traceId: must be a string of hex digits`],
    [exportWith({ name: 5 }), `${inSpan}.name: must be a string`],
    [exportWith({ kind: 'SPAN_KIND_SERVER' }), `${inSpan}.kind: must be an integer: OTLP JSON does not use`],
    [exportWith({ kind: 2 ** 31 }), `${inSpan}.kind: must be an integer from -2147483648 to 2147483647`],
    [exportWith({ flags: -1 }), `${inSpan}.flags: must be an integer from 0 to 4294967295`],
    [exportWith({ startTimeUnixNano: 'yesterday' }), `${inSpan}.startTimeUnixNano: must be an integer from 0 to`],
    [exportWith({ startTimeUnixNano: '-1' }), `${inSpan}.startTimeUnixNano: must be an integer from 0 to`],
    [exportWith({ startTimeUnixNano: 1.5 }), `${inSpan}.startTimeUnixNano: must be an integer from 0 to`],
    [exportWith({ startTimeUnixNano: 1e30 }), `${inSpan}.startTimeUnixNano: must be an integer from 0 to`],
    [withValue('text'), `${inValue}: must be an object`],
    [withValue({ boolValue: 'true' }), `${inValue}.boolValue: must be true or false`],
    [
      withValue({ intValue: '9223372036854775808' }),
      `${inValue}.intValue: must be an integer from -9223372036854775808 to`,
    ],
    [withValue({ intValue: true }), `${inValue}.intValue: must be an integer`],
    [withValue({ doubleValue: 'nan' }), `${inValue}.doubleValue: must be a number, "NaN"`],
    [withValue({ bytesValue: 'a*b' }), `${inValue}.bytesValue: must be a string in base64`],
    [
      withValue({ stringValue: 'a', intValue: 1 }),
      `${inValue}: must hold one value, not both stringValue and intValue`,
    ],
    [withValue({ arrayValue: { values: [null] } }), `${inValue}.arrayValue.values[0]: must be an object`],
  ])('%j', (document, sentence) => {
    expect(() => fromJson(document)).toThrow(sentence);
    expect(() => fromJson(document)).toThrow(JsonError);
  });

  test.each([
    ['', 'the request body is not JSON'],
    ['{"resourceSpans":[', 'the request body is not JSON'],
    ['{"resourceSpans":[]} x', 'the request body is not JSON'],
    ['\u00ff', 'the request body is not UTF-8'],
  ])('the text %j', (text, sentence) => {
    expect(() => requestOf(Buffer.from(text, 'latin1'))).toThrow(sentence);
  });

  test('a document that would exhaust the stack of a recursive parser', () => {
    const deep = `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`;
    expect(requestOf(Buffer.from(deep))).toHaveLength(0);
    const exact = `{"x":${deep},"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":9007199254740993}]}]}]}`;
    expect(tracesToJson(requestOf(Buffer.from(exact)))).toContain('"startTimeUnixNano":"9007199254740993"');
  });

  test('any JSON at all is encoded or refused, and what is encoded can be walked', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        for (const document of [text, `{"resourceSpans":[{"scopeSpans":[{"spans":[${text}]}]}]}`]) {
          try {
            walk(requestOf(Buffer.from(document)));
          } catch (error) {
            expect(error).toBeInstanceOf(JsonError);
          }
        }
      }),
    );
  });
});

describe('protobuf to JSON', () => {
  test('an empty trace', () => {
    expect(tracesToJson(new Uint8Array(0))).toBe('{}');
    expect(tracesToJson(messageField(1, []))).toBe('{"resourceSpans":[{}]}');
  });

  test.each<[string, Uint8Array, unknown]>([
    ['an empty value', Buffer.alloc(0), {}],
    ['a string of no characters', bytesField(1, ''), { stringValue: '' }],
    ['minus one', Buffer.concat([Buffer.from([0x18]), Buffer.alloc(9, 0xff), Buffer.from([1])]), { intValue: '-1' }],
    ['NaN', doubleField(4, Number.NaN), { doubleValue: 'NaN' }],
    ['infinity', doubleField(4, Infinity), { doubleValue: 'Infinity' }],
    ['minus zero', doubleField(4, -0), { doubleValue: '-0' }],
    ['bytes', bytesField(7, Buffer.from([0xfb, 0xff])), { bytesValue: '+/8=' }],
    ['the last of two kinds', Buffer.concat([bytesField(1, 'a'), varintField(2, 1)]), { boolValue: true }],
    ['a profile string index', Buffer.concat([bytesField(1, 'a'), varintField(8, 1)]), { stringValue: 'a' }],
    ['invalid UTF-8', bytesField(1, Buffer.from([0x61, 0xff])), { stringValue: 'a\ufffd' }],
  ])('%s', (_name, bytes, value) => {
    expect(encodedValue(bytes)).toEqual(value);
  });

  test('a long trace can be encoded in many steps', () => {
    const traces = exportOf(...Array.from({ length: 50 }, () => spanFields()));
    const job = encodingJson(traces);
    let steps = 0;
    let step = job.next();
    for (; !step.done; step = job.next()) steps += 1;
    expect(steps).toBe(50);
    expect(step.value).toBe(tracesToJson(traces));
  });

  test('a message that occurs twice is merged, a later default clears a scalar', () => {
    const twice = spanFields(
      messageField(15, [bytesField(2, 'm')]),
      messageField(15, [varintField(3, 2)]),
      varintField(6, 2),
      varintField(6, 0),
    );
    const json = tracesToJson(exportOf(twice));
    expect(json).toContain('"status":{"message":"m","code":2}');
    expect(json).not.toContain('kind');
  });
});
