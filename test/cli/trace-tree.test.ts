import { describe, expect, it } from 'vitest';
import { readTraceJson } from '../../src/cli/trace-json.ts';
import { formatDuration, renderTrace } from '../../src/cli/trace-tree.ts';

interface SpanGiven {
  readonly service?: string;
  readonly id: string;
  readonly parent?: string;
  readonly name: string;
  /** Microseconds after the trace's beginning. */
  readonly from: number;
  readonly to: number;
  readonly more?: object;
}
const beginning = 1_767_225_600_000_000_000n; // 2026-01-01T00:00:00Z
const nanos = (micros: number): string => String(beginning + BigInt(micros) * 1_000n);

/** An OTLP JSON answer with a resource for each span, as a node would give. */
function answer(...spans: readonly SpanGiven[]): string {
  return JSON.stringify({
    resourceSpans: spans.map(({ service = 'shop', id, parent = '', name, from, to, more }) => ({
      resource: { attributes: [{ key: 'service.name', value: { stringValue: service } }] },
      scopeSpans: [
        {
          spans: [
            {
              traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
              spanId: id,
              parentSpanId: parent,
              name,
              startTimeUnixNano: nanos(from),
              endTimeUnixNano: nanos(to),
              ...more,
            },
          ],
        },
      ],
    })),
  });
}
const tree = (json: string, options = { width: 80, colour: false }): string =>
  renderTrace(readTraceJson(json), options);
const body = (text: string): string[] => text.split('\n').slice(3);
const declined = {
  status: { code: 2 },
  events: [
    { name: 'retry' },
    { name: 'exception', attributes: [{ key: 'exception.message', value: { stringValue: 'card declined' } }] },
  ],
};
const order = answer(
  { service: 'web', id: 'a1', name: 'GET /checkout', from: 0, to: 100_000 },
  { service: 'payment', id: 'c1', parent: 'b1', name: 'charge', from: 40_000, to: 80_000, more: declined },
  { service: 'checkout', id: 'b1', parent: 'a1', name: 'place order', from: 10_000, to: 95_000, more: { links: [{}] } },
  { service: 'stock', id: 'c2', parent: 'b1', name: 'reserve', from: 12_000, to: 12_000 },
);

describe('a trace as a tree', () => {
  it('shows services, durations, bars, errors, events and links', () => {
    expect(`\n${tree(order)}\n`).toBe(`
trace 4bf92f3577b34da6a3ce929d0e0e4736
4 spans, 4 services, 1 error, 100 ms, from 2026-01-01 00:00:00.000 UTC

web  GET /checkout                    100 ms  ██████████████████████████████████
└─ checkout  place order (1 link)    85.0 ms     █████████████████████████████
   ├─ stock  reserve                    0 ns      ▏
   └─ payment  charge (2 events)     40.0 ms               ██████████████
      ✗ card declined
`);
  });

  it('keeps to the width of the terminal', () => {
    for (const width of [40, 60, 100, 200]) {
      for (const line of body(tree(order, { width, colour: false }))) expect(line.length).toBeLessThanOrEqual(width);
    }
    expect(`\n${body(tree(order, { width: 40, colour: false })).join('\n')}\n`).toBe(`
web  GET /checkout       100 ms
└─ checkout  place …    85.0 ms
   ├─ stock  reserve       0 ns
   └─ payment  char…    40.0 ms
      ✗ card declined
`);
  });

  it('colours services and errors only when asked to', () => {
    expect(tree(order)).not.toContain('\u001B');
    const coloured = tree(order, { width: 80, colour: true });
    expect(coloured).toMatch(/\u001B\[31m *✗ card declined/);
    expect(coloured.replaceAll(/\u001B\[\d+m/g, '')).toBe(tree(order));
  });
});

describe('a damaged trace still shows every span once', () => {
  it('a span whose parent is missing is a root and says so', () => {
    const json = answer({ id: 'b1', parent: 'gone', name: 'orphan', from: 0, to: 10 });
    expect(body(tree(json))[0]).toMatch(/^shop {2}orphan \(its parent is missing\) /);
  });

  it('a ring of parents, and a span that is its own parent', () => {
    const json = answer(
      { id: 'a1', parent: 'b1', name: 'first', from: 0, to: 10 },
      { id: 'b1', parent: 'a1', name: 'second', from: 1, to: 9 },
      { id: 'c1', parent: 'c1', name: 'third', from: 2, to: 8 },
    );
    expect(body(tree(json)).map((line) => line.split('  ')[1]?.trim().split(' ')[0])).toEqual([
      'first',
      'second',
      'third',
    ]);
  });

  it('the same span id with two contents: both, the children under the first', () => {
    const json = answer(
      { id: 'a1', name: 'root', from: 0, to: 10 },
      { id: 'a1', name: 'root again', from: 0, to: 12 },
      { id: 'b1', parent: 'a1', name: 'child', from: 1, to: 2 },
    );
    expect(body(tree(json)).map((line) => line.slice(0, 18).trimEnd())).toEqual([
      'shop  root',
      '└─ shop  child',
      'shop  root again',
    ]);
  });

  it('names that try to write to the terminal are made harmless', () => {
    const json = answer({
      service: 'e\u001B[31mvil',
      id: 'a1',
      name: 'a\u0007b\u001B]0;title\u0007c\r\nd\u202Ee',
      from: 0,
      to: 1,
    });
    const text = tree(json);
    expect(text).not.toMatch(/[^\P{C}\n]/u);
    expect(body(text)).toHaveLength(1);
  });

  it('a chain of 100,000 spans', () => {
    const chain = Array.from({ length: 100_000 }, (_, index) => ({
      id: `s${index}`,
      parent: index === 0 ? '' : `s${index - 1}`,
      name: 'step',
      from: index,
      to: 100_000,
    }));
    const lines = body(tree(answer(...chain)));
    expect(lines).toHaveLength(100_000);
    expect(Math.max(...lines.slice(-10).map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it('an empty answer', () => {
    expect(tree('{}')).toBe('An empty trace.');
    expect(() => tree('<html>')).toThrow('The answer is not JSON: is --url a Quorate node?');
  });
});

it('wide and combining characters keep the columns', () => {
  const json = answer({ id: 'a1', name: '支払い', from: 0, to: 10 }, { id: 'b1', name: 'cafe\u0301', from: 0, to: 10 });
  const [wide = '', combining = ''] = body(tree(json));
  expect(wide.indexOf('10.0 µs') + 3).toBe(combining.indexOf('10.0 µs') - 1);
});

it('durations have three digits and a unit', () => {
  const shown = [0n, 999n, 1_500n, 12_345_678n, 123_456_789n, 61_000_000_000n, -1_000_000n].map(formatDuration);
  expect(shown).toEqual(['0 ns', '999 ns', '1.50 µs', '12.3 ms', '123 ms', '61.0 s', '-1.00 ms']);
});
