import { describe, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import type { SpanFault } from '../../src/otlp/span-fault.ts';
import { walkingExport } from '../../src/otlp/walk.ts';
import { WireError } from '../../src/otlp/wire.ts';
import {
  bytesField,
  doubleField,
  fixed32Field,
  fixed64Field,
  messageField,
  varintField,
  type Encoded,
} from '../support/protobuf-writer.ts';
import {
  acceptedSpans,
  attributeOf,
  atTime,
  exportOf,
  hex,
  nestedAnyValue,
  spanFields,
  spanIdA,
  traceIdA,
  walk,
} from './bytes.ts';

describe('what the walk finds', () => {
  test('an empty request, and envelopes without spans, hold nothing', () => {
    expect(walk(new Uint8Array(0))).toMatchObject({
      spanCount: 0,
      groups: [],
      rejected: { count: 0, firstReason: null },
    });
    expect(walk(messageField(1, [messageField(2, [])]))).toMatchObject({ spanCount: 0, groups: [] });
  });

  test('where a span lies, its ids and its times', () => {
    const start = 0xfedc_ba98_7654_3210n;
    const request = exportOf(spanFields(atTime(start), fixed64Field(8, 7n)), spanFields());
    const { spanCount, spans } = walk(request);
    expect(spanCount).toBe(2);
    expect(hex(request.subarray(spans.traceIdAt[0], (spans.traceIdAt[0] ?? 0) + 16))).toBe(hex(traceIdA));
    expect(hex(request.subarray(spans.spanIdAt[1], (spans.spanIdAt[1] ?? 0) + 8))).toBe(hex(spanIdA));
    expect([spans.startTimeHigh[0], spans.startTimeLow[0]]).toEqual([0xfedc_ba98, 0x7654_3210]);
    expect([spans.endTimeHigh[0], spans.endTimeLow[0]]).toEqual([0, 7]);
    expect([spans.startTimeHigh[1], spans.startTimeLow[1]], 'absent times are 0').toEqual([0, 0]);
    expect(spans.group).toHaveLength(2);
  });

  test('a request inside a larger buffer', () => {
    const request = exportOf(spanFields(atTime(5n)));
    const inside = Buffer.concat([Buffer.alloc(13), request, Buffer.alloc(3)]).subarray(13, 13 + request.length);
    expect(acceptedSpans(inside)).toEqual(acceptedSpans(request));
    expect(walk(inside).spans.startTimeLow[0]).toBe(5);
  });

  test('a thousand spans: the table grows', () => {
    const { spanCount, spans } = walk(
      exportOf(...Array.from({ length: 1000 }, (_, at) => spanFields(atTime(BigInt(at))))),
    );
    expect(spanCount).toBe(1000);
    expect([...spans.startTimeLow]).toEqual(Array.from({ length: 1000 }, (_, at) => at));
  });

  test('parts keep every byte around the spans, also from behind them, and unknown fields', () => {
    const resource = messageField(1, [
      messageField(1, [bytesField(1, 'service.name'), bytesField(2, bytesField(1, 'shop'))]),
    ]);
    const unknown = bytesField(1000, 'mystery');
    const resourceUrl = bytesField(3, 'https://r');
    const scope = messageField(1, [bytesField(1, 'lib')]);
    const scopeUrl = bytesField(3, 'https://s');
    const span = bytesField(2, spanFields(varintField(99, 7)));
    const scopeSpans = messageField(2, [scope, span, scopeUrl, span, unknown]);
    const request = messageField(1, [resource, scopeSpans, unknown, resourceUrl]);
    const row = {
      resource: hex(Buffer.concat([resource, unknown, resourceUrl])),
      scope: hex(Buffer.concat([scope, scopeUrl, unknown])),
      span: hex(spanFields(varintField(99, 7))),
    };
    expect(acceptedSpans(request)).toEqual([row, row]);
  });

  test('parts that stand together are not copied', () => {
    const scope = messageField(1, [bytesField(1, 'lib')]);
    const request = messageField(1, [messageField(2, [scope, bytesField(2, spanFields())])]);
    expect(walk(request).groups[0]?.scopePart.buffer).toBe(request.buffer);
  });

  test('groups follow the request; all scopes of a resource share its part', () => {
    const scopeSpans = messageField(2, [bytesField(2, spanFields())]);
    const resourceSpans = messageField(1, [bytesField(3, 'url'), scopeSpans, messageField(2, []), scopeSpans]);
    const { groups, spans } = walk(Buffer.concat([resourceSpans, resourceSpans]));
    expect([...spans.group]).toEqual([0, 1, 2, 3]);
    expect(groups[0]?.resourcePart).toBe(groups[1]?.resourcePart);
  });
});

describe('a faulty span is rejected alone', () => {
  const good = spanFields();
  const faults: [string, Uint8Array, string][] = [
    ['no trace id', bytesField(2, spanIdA), 'trace id must be 16 bytes, not 0'],
    ['a short trace id', spanFields(bytesField(1, Buffer.alloc(8, 1))), 'trace id must be 16 bytes, not 8'],
    ['a trace id of zeros', spanFields(bytesField(1, Buffer.alloc(16))), 'trace id must not be all zero'],
    ['no span id', bytesField(1, traceIdA), 'span id must be 8 bytes, not 0'],
    ['a long span id', spanFields(bytesField(2, Buffer.alloc(200, 1))), 'span id must be 8 bytes, not 200'],
    ['a span id of zeros', spanFields(bytesField(2, Buffer.alloc(8))), 'span id must not be all zero'],
    [
      'a deep list',
      spanFields(attributeOf(nestedAnyValue(33, 'list'))),
      'attribute values must not be nested deeper than 32',
    ],
    [
      'a deep map',
      spanFields(attributeOf(nestedAnyValue(33, 'map'))),
      'attribute values must not be nested deeper than 32',
    ],
    [
      'a deep value in an event',
      spanFields(messageField(11, [messageField(3, [bytesField(2, nestedAnyValue(33, 'map'))])])),
      'attribute values must not be nested deeper than 32',
    ],
  ];
  test.each(faults)('%s', (_name, bad, reason) => {
    const walked = walk(exportOf(good, good, bad, good, bad));
    expect(walked.spanCount).toBe(3);
    expect(walked.rejected).toMatchObject({ count: 2, firstReason: `span 2: ${reason}` });
    expect(walked.groups).toHaveLength(1);
  });

  test('values nested exactly as deep as allowed are accepted', () => {
    const values = [attributeOf(nestedAnyValue(32, 'map')), attributeOf(nestedAnyValue(32, 'list'))];
    expect(walk(exportOf(spanFields(...values))).spanCount).toBe(1);
  });

  test('many values side by side are not deep', () => {
    const list = messageField(
      5,
      Array.from({ length: 100 }, () => bytesField(1, bytesField(1, 'leaf'))),
    );
    expect(walk(exportOf(spanFields(attributeOf(list)))).spanCount).toBe(1);
  });

  test('nesting that would exhaust a stack is a rejected span, not a crash', () => {
    expect(walk(exportOf(spanFields(attributeOf(nestedAnyValue(3_000, 'list'))))).rejected.count).toBe(1);
  });

  test('a span over the size limit', () => {
    const small = { ...limits, spanBytesMax: 40 };
    const large = spanFields(bytesField(5, 'x'.repeat(40)));
    const walked = walk(exportOf(large, good), small);
    expect(walked.spanCount).toBe(1);
    expect(walked.rejected.firstReason).toBe('span 0: a span must have at most 40 bytes');
  });

  test.each(['resource', 'scope'] as const)('a %s nested too deep rejects the spans under it', (place) => {
    const deep = messageField(1, [
      messageField(place === 'resource' ? 1 : 3, [bytesField(2, nestedAnyValue(33, 'list'))]),
    ]);
    const spans = [bytesField(2, good), bytesField(2, good)];
    const scopeSpans = messageField(2, place === 'scope' ? [...spans, deep] : spans);
    const bad = messageField(1, place === 'resource' ? [scopeSpans, deep] : [scopeSpans]);
    const walked = walk(Buffer.concat([bad, exportOf(good)]));
    expect(walked.spanCount).toBe(1);
    expect(walked.rejected.count).toBe(2);
    expect(walked.rejected.firstReason).toContain('span 0: in its resource or scope attribute values must not');
  });

  test('a resource and scope over the size limit: no block could carry them to another node', () => {
    const small = { ...limits, spanBytesMax: 40 };
    const large = messageField(1, [
      messageField(2, [bytesField(2, good)]),
      messageField(1, [bytesField(1, 'x'.repeat(40))]),
    ]);
    const walked = walk(Buffer.concat([large, exportOf(good)]), small);
    expect(walked.spanCount).toBe(1);
    expect(walked.rejected).toEqual({
      count: 1,
      firstReason: 'span 0: its resource and scope must have at most 40 bytes',
      byFault: new Map([['shared-bytes', 1]]),
    });
  });

  describe('counts and sizes: at the limit taken, above it rejected', () => {
    const small = { ...limits, attributesMax: 3, eventsMax: 2, linksMax: 1, keyBytesMax: 200, valueBytesMax: 300 };
    const attribute = (number: number, key = 'k', value = 'v'): Encoded =>
      messageField(number, [bytesField(1, key), bytesField(2, bytesField(1, value))]);
    const times = (count: number, one: Encoded): Encoded[] => Array.from({ length: count }, () => one);
    const long = 'y'.repeat(150);
    const rows: [string, SpanFault, (over: number) => Encoded][] = [
      ['short attributes', 'attributes', (over) => spanFields(...times(3 + over, attribute(9)))],
      ['long attributes', 'attributes', (over) => spanFields(...times(3 + over, attribute(9, 'k', long)))],
      [
        'attributes of every length',
        'attributes',
        (over) => spanFields(attribute(9), ...times(2 + over, attribute(9, 'k', long))),
      ],
      [
        'attributes of an event',
        'attributes',
        (over) => spanFields(messageField(11, times(3, attribute(3))), messageField(11, times(3 + over, attribute(3)))),
      ],
      [
        'attributes of a link',
        'attributes',
        (over) => spanFields(messageField(13, times(3 + over, attribute(4, 'k', long)))),
      ],
      ['events', 'events', (over) => spanFields(...times(2 + over, messageField(11, [bytesField(2, 'e')])))],
      ['links', 'links', (over) => spanFields(...times(1 + over, messageField(13, [bytesField(3, 'l')])))],
      ['a key', 'key-bytes', (over) => spanFields(attribute(9, 'k'.repeat(200 + over)))],
      [
        'a key in a map',
        'key-bytes',
        (over) => spanFields(messageField(9, [bytesField(2, messageField(6, [attribute(1, 'k'.repeat(200 + over))]))])),
      ],
      // Tag and length of a string of this size take three bytes.
      ['a value', 'value-bytes', (over) => spanFields(attribute(9, 'k', 'v'.repeat(297 + over)))],
      [
        'groups in a value',
        'depth',
        (over) => {
          const depth = 31 + over;
          const groups = Buffer.from(
            [...times(depth, Buffer.of(0x7b)), ...times(depth, Buffer.of(0x7c))].flatMap((b) => [...b]),
          );
          return spanFields(messageField(9, [bytesField(2, groups)]));
        },
      ],
    ];
    test.each(rows)('%s', (_, fault, span) => {
      expect(walk(exportOf(span(0), good), small).spanCount).toBe(2);
      const { spanCount, rejected } = walk(exportOf(good, span(1), good), small);
      expect([spanCount, [...rejected.byFault], rejected.firstReason]).toEqual([
        2,
        [[fault, 1]],
        expect.stringMatching(/^span 1: .+ must /),
      ]);
    });

    test('attributes of a resource reject the spans under it, of a scope those of that scope', () => {
      const spans = bytesField(2, spanFields());
      const tooMany = messageField(1, times(4, attribute(1)));
      const crowded = messageField(1, times(4, attribute(3)));
      const resource = messageField(1, [tooMany, messageField(2, [spans]), messageField(2, [spans])]);
      const scope = messageField(1, [messageField(2, [crowded, spans]), messageField(2, [spans])]);
      const { spanCount, rejected } = walk(Buffer.concat([resource, scope]), small);
      expect([spanCount, [...rejected.byFault]]).toEqual([1, [['attributes', 3]]]);
    });

    test('spans of one request: those behind are rejected', () => {
      const { spanCount, rejected } = walk(exportOf(...times(5, spanFields())), { ...small, spansPerRequestMax: 3 });
      expect([spanCount, rejected.firstReason]).toEqual([
        3,
        'span 3: a request must have at most 3 spans: send smaller batches',
      ]);
    });
  });

  test('100,000 attributes cost their span alone', () => {
    const attributes = Buffer.concat(
      Array.from({ length: 100_000 }, () => messageField(9, [bytesField(1, 'k'), bytesField(2, bytesField(1, 'v'))])),
    );
    const { spanCount, rejected } = walk(exportOf(spanFields(attributes), spanFields()));
    expect([spanCount, [...rejected.byFault]]).toEqual([1, [['attributes', 1]]]);
  });

  describe('fields of one span, at every depth', () => {
    const few = { ...limits, fieldsMax: 20 };
    const rows: [string, (count: number) => Uint8Array][] = [
      ['unknown ones', (count) => spanFields(...Array.from({ length: count }, () => varintField(99, 1)))],
      [
        'in an event',
        (count) =>
          spanFields(
            messageField(
              11,
              Array.from({ length: count }, () => varintField(99, 1)),
            ),
          ),
      ],
      [
        'in a value',
        (count) =>
          spanFields(
            attributeOf(
              messageField(
                5,
                Array.from({ length: count }, () => varintField(99, 1)),
              ),
            ),
          ),
      ],
      [
        'before the ids',
        (count) => Buffer.concat([...Array.from({ length: count }, () => varintField(99, 1)), spanFields()]),
      ],
    ];
    test.each(rows)('%s: too many reject it, and nothing behind them is looked at', (_, span) => {
      expect(walk(exportOf(span(5), good), few).spanCount).toBe(2);
      const { spanCount, rejected } = walk(exportOf(span(30), good), few);
      expect([spanCount, [...rejected.byFault]]).toEqual([1, [['fields', 1]]]);
    });

    test.each([1, 2])('of a resource or scope reject the spans under it', (level) => {
      const unknown = Array.from({ length: 30 }, () => varintField(99, 1));
      const scope = messageField(2, [...(level === 2 ? unknown : []), bytesField(2, good)]);
      const request = messageField(1, [...(level === 1 ? unknown : []), scope]);
      const { spanCount, rejected } = walk(Buffer.concat([request, exportOf(good)]), few);
      expect([spanCount, [...rejected.byFault]]).toEqual([1, [['fields', 1]]]);
    });
  });

  test('a resource that is repeated for so many scopes that they dwarf the request', () => {
    const resource = messageField(1, [bytesField(99, Buffer.alloc(100_000))]);
    const scope = messageField(2, [bytesField(3, 'u'), bytesField(2, good)]);
    const scopes = (count: number): Encoded[] => Array.from({ length: count }, () => scope);
    // A MiB is free, whatever the request.
    expect(walk(messageField(1, [resource, ...scopes(10)]), { ...limits, sharedRatioMax: 1 }).spanCount).toBe(10);
    const { spanCount, rejected } = walk(messageField(1, [resource, ...scopes(100)]), limits);
    expect(spanCount).toBeGreaterThan(10);
    expect(spanCount).toBeLessThan(20);
    expect([...rejected.byFault]).toEqual([['shared-ratio', 100 - spanCount]]);
  });

  test('fields in groups are fields', () => {
    const group = Buffer.concat([
      Buffer.from('a306', 'hex'),
      ...Array.from({ length: 30 }, () => varintField(1, 1)),
      Buffer.from('a406', 'hex'),
    ]);
    const few = { ...limits, fieldsMax: 100 };
    expect(walk(exportOf(spanFields(group, varintField(99, 1))), few).spanCount).toBe(1);
    const { spanCount, rejected } = walk(
      exportOf(spanFields(group, group, group, group, varintField(99, 1)), good),
      few,
    );
    expect([spanCount, [...rejected.byFault]]).toEqual([1, [['fields', 1]]]);
  });

  test('more resources and scopes than a request may have are damage, empty or not', () => {
    const few = { ...limits, spansPerRequestMax: 2 };
    const empty = Buffer.of(0x0a, 0);
    expect(walk(Buffer.concat([empty, empty, empty, empty]), few).spanCount).toBe(0);
    expect(() => walk(Buffer.concat([empty, empty, empty, empty, empty]), few)).toThrow('more than 4 resources');
  });

  test('a long walk pauses, and finds the same', () => {
    const request = exportOf(...Array.from({ length: 20_000 }, () => spanFields()));
    const job = walkingExport(request, limits);
    let pauses = 0;
    for (;;) {
      const step = job.next();
      if (step.done === true) {
        expect(step.value.spanCount).toBe(20_000);
        break;
      }
      pauses += 1;
    }
    // Each pass over the bytes has its own.
    expect(pauses).toBeGreaterThan(request.length / 65_536);
  });

  test('of an id that occurs twice the last one counts', () => {
    const healed = Buffer.concat([bytesField(1, Buffer.alloc(3)), spanFields()]);
    expect(walk(exportOf(healed)).spanCount).toBe(1);
    expect(walk(exportOf(spanFields(bytesField(1, Buffer.alloc(0))))).spanCount).toBe(0);
  });
});

describe('structural damage refuses the whole request', () => {
  const inSpan = (...more: Uint8Array[]): Uint8Array => exportOf(spanFields(...more));
  const inValue = (bytes: Uint8Array): Uint8Array => inSpan(attributeOf(bytes));
  const raw = (text: string): Uint8Array => Buffer.from(text, 'hex');
  const damaged: [string, Uint8Array][] = [
    ['field 0', raw('0000')],
    ['text instead of protobuf', Buffer.from('{"resourceSpans":[]}')],
    ['resource_spans as a varint', varintField(1, 5)],
    ['resource_spans past the end', raw('0a05')],
    ['scope_spans as a varint', messageField(1, [varintField(2, 5)])],
    ['resource as fixed32', messageField(1, [fixed32Field(1, 5)])],
    ['resource damaged', messageField(1, [bytesField(1, raw('0a'))])],
    [
      'resource attribute damaged behind the spans',
      Buffer.concat([exportOf(spanFields()), messageField(1, [bytesField(1, raw('0a0112'))])]),
    ],
    ['entity ref damaged', messageField(1, [messageField(1, [bytesField(3, raw('1a02'))])])],
    ['schema url as a varint', messageField(1, [varintField(3, 1)])],
    ['scope damaged', messageField(1, [messageField(2, [bytesField(1, raw('12ff'))])])],
    ['spans as fixed64', messageField(1, [messageField(2, [fixed64Field(2, 1n)])])],
    ['span past its scope', messageField(1, [bytesField(2, raw('1210'))])],
    ['trace id as a varint', inSpan(varintField(1, 1))],
    ['span id past the span', exportOf(Buffer.concat([bytesField(1, traceIdA), raw('12080102')]))],
    ['name as fixed32', inSpan(fixed32Field(5, 1))],
    ['kind as bytes', inSpan(bytesField(6, 'x'))],
    ['kind cut off', inSpan(raw('30ff'))],
    ['start time as a varint', inSpan(varintField(7, 1))],
    ['start time cut off', inSpan(raw('3901020304050607'))],
    ['end time cut off', inSpan(raw('41010203'))],
    ['flags as a varint', inSpan(varintField(16, 1))],
    ['flags cut off', inSpan(raw('8501010203'))],
    ['event damaged', inSpan(bytesField(11, raw('0901')))],
    ['event attribute damaged', inSpan(messageField(11, [bytesField(3, raw('1204'))]))],
    ['link damaged', inSpan(bytesField(13, raw('0a10')))],
    ['status damaged', inSpan(bytesField(15, raw('18')))],
    ['attribute key as a varint', inSpan(messageField(9, [varintField(1, 1)]))],
    ['attribute value past the attribute', inSpan(bytesField(9, raw('0a016b1205')))],
    ['string value past the value', inValue(raw('0a05'))],
    ['string value one byte past the value', inValue(raw('0a0261'))],
    ['int value cut off', inValue(raw('18ff'))],
    ['int value of eleven bytes', inValue(raw(`18${'ff'.repeat(10)}01`))],
    ['double value cut off', inValue(raw('2101020304'))],
    ['double value as bytes', inValue(bytesField(4, 'x'))],
    ['list value damaged', inValue(bytesField(5, raw('0a')))],
    ['map value damaged', inValue(bytesField(6, raw('0a020a05')))],
    ['unknown field cut off', inSpan(raw('ba0605'))],
    ['unknown group without end', inSpan(raw('a306'))],
    ['wire type 7', inSpan(raw('9f06'))],
  ];
  test.each(damaged)('%s', (_name, request) => {
    expect(() => walk(request)).toThrow(WireError);
    expect(() => walk(Buffer.concat([exportOf(spanFields()), request])), 'also behind good spans').toThrow(WireError);
  });

  test('a cut anywhere in a request of one resource is noticed', () => {
    const request = exportOf(spanFields(attributeOf(bytesField(1, 'value')), attributeOf(doubleField(4, 1))));
    for (let length = 1; length < request.length; length += 1) {
      expect(() => walk(request.subarray(0, length)), `cut to ${length}`).toThrow(WireError);
    }
  });
});
