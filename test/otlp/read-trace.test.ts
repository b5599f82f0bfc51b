import { expect, test } from 'vitest';
import { exportFromJson } from '../../src/otlp/json-decode.ts';
import { readTrace } from '../../src/otlp/read-trace.ts';

test('a span in plain words', () => {
  const [root, child] = readTrace(
    exportFromJson(
      Buffer.from(
        JSON.stringify({
          resourceSpans: [
            {
              resource: { attributes: [{ key: 'service.name', value: { stringValue: 'shop' } }] },
              schemaUrl: 'https://r',
              scopeSpans: [
                {
                  scope: { name: 'lib', version: '1', attributes: [{ key: 'beta', value: { boolValue: true } }] },
                  schemaUrl: 'https://s',
                  spans: [
                    { traceId: '0102030405060708090A0B0C0D0E0F10', spanId: 'a1a2a3a4a5a6a7a8' },
                    {
                      traceId: '0102030405060708090a0b0c0d0e0f10',
                      spanId: 'b1b2b3b4b5b6b7b8',
                      parentSpanId: 'a1a2a3a4a5a6a7a8',
                      traceState: 'k=v',
                      flags: 257,
                      name: 'GET /',
                      kind: 2,
                      startTimeUnixNano: '1700000000000000001',
                      endTimeUnixNano: '1700000000000000002',
                      attributes: [
                        { key: 'int', value: { intValue: '-9223372036854775808' } },
                        { key: 'double', value: { doubleValue: 'NaN' } },
                        { key: 'bytes', value: { bytesValue: 'AQI=' } },
                        { key: 'empty', value: {} },
                        { key: 'none' },
                        { key: 'list', value: { arrayValue: { values: [{ stringValue: '' }, { boolValue: false }] } } },
                        { key: 'map', value: { kvlistValue: { values: [{ key: 'k', value: { intValue: 1 } }] } } },
                      ],
                      droppedAttributesCount: 1,
                      events: [
                        { timeUnixNano: '5', name: 'e', attributes: [{ key: 'a', value: { stringValue: 'b' } }] },
                      ],
                      droppedEventsCount: 2,
                      links: [{ traceId: 'ff', spanId: 'ee', traceState: 'l=1', flags: 1 }],
                      droppedLinksCount: 3,
                      status: { code: 2, message: 'it broke' },
                    },
                  ],
                },
              ],
            },
          ],
        }),
      ),
    ).request,
  );
  expect(root).toEqual({
    resource: { serviceName: 'shop', attributes: new Map([['service.name', 'shop']]), schemaUrl: 'https://r' },
    scope: { name: 'lib', version: '1', attributes: new Map([['beta', true]]), schemaUrl: 'https://s' },
    traceId: '0102030405060708090a0b0c0d0e0f10',
    spanId: 'a1a2a3a4a5a6a7a8',
    parentSpanId: '',
    traceState: '',
    flags: 0,
    name: '',
    kind: 0,
    startTimeUnixNano: 0n,
    endTimeUnixNano: 0n,
    attributes: new Map(),
    droppedAttributesCount: 0,
    events: [],
    droppedEventsCount: 0,
    links: [],
    droppedLinksCount: 0,
    status: { code: 0, message: '' },
  });
  expect(child).toEqual({
    ...root,
    spanId: 'b1b2b3b4b5b6b7b8',
    parentSpanId: 'a1a2a3a4a5a6a7a8',
    traceState: 'k=v',
    flags: 257,
    name: 'GET /',
    kind: 2,
    startTimeUnixNano: 1_700_000_000_000_000_001n,
    endTimeUnixNano: 1_700_000_000_000_000_002n,
    attributes: new Map<string, unknown>([
      ['int', -9_223_372_036_854_775_808n],
      ['double', Number.NaN],
      ['bytes', Buffer.from([1, 2])],
      ['empty', null],
      ['none', null],
      ['list', ['', false]],
      ['map', new Map([['k', 1n]])],
    ]),
    droppedAttributesCount: 1,
    events: [{ timeUnixNano: 5n, name: 'e', attributes: new Map([['a', 'b']]), droppedAttributesCount: 0 }],
    droppedEventsCount: 2,
    links: [
      { traceId: 'ff', spanId: 'ee', traceState: 'l=1', flags: 1, attributes: new Map(), droppedAttributesCount: 0 },
    ],
    droppedLinksCount: 3,
    status: { code: 2, message: 'it broke' },
  });
  expect(child?.resource).toBe(root?.resource);
});
