/** The answer to a lookup depends on the set of spans alone (protocol C4). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mergeTrace, mergingTrace, spanIdentity } from '../../src/otlp/trace-merge.ts';
import { readTrace } from '../../src/otlp/read-trace.ts';
import { WireError } from '../../src/otlp/wire.ts';
import { bytesField, messageField, varintField } from '../support/protobuf-writer.ts';
import {
  acceptedSpans,
  atTime,
  attributeOf,
  exportOf,
  hex,
  nestedAnyValue,
  spanFields,
  traceIdA,
  traceIdB,
} from './bytes.ts';

interface PlainSpan {
  readonly trace: 'a' | 'b';
  readonly resource: number;
  readonly scope: number;
  readonly start: number;
  readonly id: number;
  readonly content: number;
}

// Few values each, so that equal keys, equal spans and shared resources are common.
const spanOfTrace = (trace: fc.Arbitrary<'a' | 'b'>): fc.Arbitrary<PlainSpan> =>
  fc.record({ trace, resource: fc.nat(2), scope: fc.nat(2), start: fc.nat(3), id: fc.nat(2), content: fc.nat(2) });
const plainSpans = fc.array(spanOfTrace(fc.constantFrom('a', 'a', 'a', 'b')), { maxLength: 30 });

const resourceParts = [Buffer.alloc(0), bytesField(3, 'r1'), bytesField(1000, 'r2')];
const scopeParts = [Buffer.alloc(0), messageField(1, [bytesField(1, 's1')]), bytesField(3, 's2')];

function bytesOf({ trace, start, id, content }: PlainSpan): Uint8Array {
  const ids = [
    bytesField(1, trace === 'a' ? traceIdA : traceIdB),
    bytesField(2, Buffer.from([0, 0, 0, id, 255, 0, 0, 9])),
  ];
  return Buffer.concat([...ids, atTime(BigInt(start) << 31n), varintField(777, content)]);
}

/** Spans as TracesData: each under a resource and a scope of its own, in the order given. */
function sliceOf(spans: readonly PlainSpan[]): Uint8Array {
  return Buffer.concat(
    spans.map((span) =>
      messageField(1, [
        resourceParts[span.resource] ?? Buffer.alloc(0),
        messageField(2, [scopeParts[span.scope] ?? Buffer.alloc(0), bytesField(2, bytesOf(span))]),
      ]),
    ),
  );
}

const keyOf = (span: { resource: string; scope: string; span: string }): string =>
  `${span.resource}|${span.scope}|${span.span}`;
const expectedKey = (span: PlainSpan): string =>
  keyOf({ resource: hex(resourceParts[span.resource]), scope: hex(scopeParts[span.scope]), span: hex(bytesOf(span)) });

describe('the set of spans decides', () => {
  test('any order, any repetition, any cut into slices gives the same bytes', () => {
    const cut = fc.record({
      order: fc.infiniteStream(fc.nat()),
      sizes: fc.infiniteStream(fc.integer({ min: 1, max: 6 })),
    });
    fc.assert(
      fc.property(plainSpans, fc.array(fc.nat(), { maxLength: 10 }), cut, (spans, repeated, { order, sizes }) => {
        const again = spans.length === 0 ? [] : repeated.map((at) => spans[at % spans.length] as PlainSpan);
        const shuffled = [...spans, ...again]
          .map((span) => ({ span, rank: order.next().value }))
          .toSorted((a, b) => a.rank - b.rank)
          .map(({ span }) => span);
        const slices: Uint8Array[] = [];
        for (let at = 0, size = 0; at < shuffled.length; at += size) {
          size = sizes.next().value;
          slices.push(sliceOf(shuffled.slice(at, at + size)));
        }
        expect(hex(mergeTrace(slices, traceIdA))).toBe(hex(mergeTrace([sliceOf(spans)], traceIdA)));
      }),
      { numRuns: 500 },
    );
  });

  test('every distinct span of the trace once, none of another trace, bytes untouched', () => {
    fc.assert(
      fc.property(plainSpans, (spans) => {
        const merged = acceptedSpans(mergeTrace([sliceOf(spans)], traceIdA)).map(keyOf);
        const expected = new Set(spans.filter(({ trace }) => trace === 'a').map(expectedKey));
        expect(merged.toSorted()).toEqual([...expected].toSorted());
      }),
      { numRuns: 500 },
    );
  });

  test('merging a merged trace changes nothing', () => {
    fc.assert(
      fc.property(plainSpans, plainSpans, (some, others) => {
        const merged = mergeTrace([sliceOf(some), sliceOf(others)], traceIdA);
        expect(hex(mergeTrace([merged], traceIdA))).toBe(hex(merged));
        expect(hex(mergeTrace([merged, sliceOf(some)], traceIdA))).toBe(hex(merged));
      }),
    );
  });
});

describe('order', () => {
  const plain = (span: Partial<PlainSpan>): PlainSpan => ({
    trace: 'a',
    resource: 0,
    scope: 0,
    start: 0,
    id: 0,
    content: 0,
    ...span,
  });
  const inOrder = (...spans: PlainSpan[]): number[] =>
    acceptedSpans(mergeTrace([sliceOf(spans)], traceIdA)).map((found) =>
      spans.findIndex((span) => expectedKey(span) === keyOf(found)),
    );

  test('by start time, then span id', () => {
    expect(
      inOrder(plain({ start: 3 }), plain({ start: 1, id: 2 }), plain({ start: 1, id: 1 }), plain({ start: 0 })),
    ).toEqual([3, 2, 1, 0]);
  });

  test('times compare as unsigned 64-bit numbers', () => {
    const late = exportOf(spanFields(atTime(2n ** 63n + 1n), varintField(777, 1)));
    const early = exportOf(spanFields(atTime(2n ** 63n - 1n), varintField(777, 2)));
    const times = readTrace(mergeTrace([late, early], traceIdA)).map((span) => span.startTimeUnixNano);
    expect(times).toEqual([2n ** 63n - 1n, 2n ** 63n + 1n]);
  });

  test('the same id and start with other bytes, or another resource, by identity', () => {
    const spans = [plain({ content: 1 }), plain({ content: 2 }), plain({ content: 1, resource: 1 })];
    const identities = spans.map((span) =>
      hex(
        spanIdentity(
          { resourcePart: resourceParts[span.resource] as Buffer, scopePart: Buffer.alloc(0) },
          bytesOf(span),
        ),
      ),
    );
    const merged = acceptedSpans(mergeTrace([sliceOf(spans)], traceIdA)).map(keyOf);
    expect(merged).toHaveLength(3);
    const sameResource = identities.slice(0, 2).toSorted();
    expect(merged.filter((key) => key.startsWith('|'))).toEqual(
      sameResource.map((identity) => expectedKey(spans[identities.indexOf(identity)] as PlainSpan)),
    );
  });

  test('spans of one resource and scope stand together, groups where their first span puts them', () => {
    const spans = [
      plain({ start: 1, resource: 2 }),
      plain({ start: 2, resource: 1 }),
      plain({ start: 3, resource: 2, scope: 1 }),
      plain({ start: 3, resource: 2, id: 1 }),
    ];
    const merged = mergeTrace([sliceOf(spans)], traceIdA);
    expect(hex(merged)).toBe(
      hex(
        Buffer.concat([
          messageField(1, [
            resourceParts[2] as Buffer,
            messageField(2, [
              bytesField(2, bytesOf(spans[0] as PlainSpan)),
              bytesField(2, bytesOf(spans[3] as PlainSpan)),
            ]),
            messageField(2, [scopeParts[1] as Buffer, bytesField(2, bytesOf(spans[2] as PlainSpan))]),
          ]),
          messageField(1, [
            resourceParts[1] as Buffer,
            messageField(2, [bytesField(2, bytesOf(spans[1] as PlainSpan))]),
          ]),
        ]),
      ),
    );
  });
});

describe('identity', () => {
  test('bytes cannot move between resource, scope and span', () => {
    const [a, b] = [Buffer.from('a'), Buffer.from('b')];
    const none = Buffer.alloc(0);
    const identities = [
      spanIdentity({ resourcePart: a, scopePart: b }, none),
      spanIdentity({ resourcePart: Buffer.from('ab'), scopePart: none }, none),
      spanIdentity({ resourcePart: a, scopePart: none }, b),
      spanIdentity({ resourcePart: none, scopePart: none }, Buffer.from('ab')),
    ];
    expect(new Set(identities.map(hex)).size).toBe(4);
  });

  test('resource and scope whose bytes join to the same are not the same', () => {
    const whole = bytesField(3, 'u');
    const asResource = messageField(1, [whole, messageField(2, [bytesField(2, spanFields())])]);
    const asScope = messageField(1, [messageField(2, [whole, bytesField(2, spanFields())])]);
    expect(acceptedSpans(mergeTrace([asResource, asScope], traceIdA))).toHaveLength(2);
  });
});

test('nothing of the trace is nothing', () => {
  expect(mergeTrace([], traceIdA)).toHaveLength(0);
  expect(mergeTrace([exportOf(spanFields())], traceIdB)).toHaveLength(0);
});

test('a span stored under larger limits is still read', () => {
  expect(readTrace(mergeTrace([exportOf(spanFields(attributeOf(nestedAnyValue(60, 'list'))))], traceIdA))).toHaveLength(
    1,
  );
});

test('a damaged slice is an error, never a smaller answer', () => {
  const good = exportOf(spanFields());
  expect(() => mergeTrace([good, good.subarray(0, 20)], traceIdA)).toThrow(WireError);
  expect(() => mergeTrace([exportOf(bytesField(2, 'no trace'))], traceIdA)).toThrow('a stored span is invalid');
});

test('a trace of 20,000 spans is merged in many short steps', () => {
  const spans = Array.from({ length: 20_000 }, (_, at) => spanFields(atTime(BigInt((at * 7919) % 20_000))));
  const slices = Array.from({ length: 10 }, (_, part) => exportOf(...spans.slice(part * 2_000, (part + 1) * 2_000)));
  const job = mergingTrace(slices, traceIdA);
  let steps = 0;
  let step = job.next();
  for (; !step.done; step = job.next()) steps += 1;
  expect(steps).toBeGreaterThan(30);
  expect(readTrace(step.value).map((span) => span.startTimeUnixNano)).toEqual(spans.map((_, at) => BigInt(at)));
});

test('one span sent 5,000 times is merged in as many short steps', () => {
  const other = exportOf(spanFields(varintField(777, 1)));
  const slices = Array.from({ length: 50 }, () => exportOf(...Array<Uint8Array>(100).fill(spanFields())));
  const job = mergingTrace([...slices, other], traceIdA);
  let steps = 0;
  let step = job.next();
  for (; !step.done; step = job.next()) steps += 1;
  expect(steps).toBeGreaterThan(5_000);
  expect(acceptedSpans(step.value)).toHaveLength(2);
});
