/**
 * The walk against protobufjs, on generated exports and on damaged ones. Where the two may differ, on purpose:
 * the walk refuses a known field of a wrong wire type (protobuf calls it unknown; the OTLP collector refuses it too),
 * a varint of more than 64 bits, and a tag or length of more than 32; protobufjs reads on. UTF-8 is left out of both.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WireError } from '../../src/otlp/wire.ts';
import { bytesField } from '../support/protobuf-writer.ts';
import { acceptedSpans, hex, walk } from './bytes.ts';
import { encodeReference, exportArbitrary, referenceAccepts, referenceObject } from './reference.ts';

interface ReferenceSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly startTimeUnixNano?: string;
  readonly endTimeUnixNano?: string;
}
interface ReferenceTraces {
  readonly resourceSpans?: readonly {
    readonly scopeSpans?: readonly { readonly spans?: readonly ReferenceSpan[] }[];
  }[];
}

const exportBytes = exportArbitrary.map((traces) => encodeReference('TracesData', traces));
const runs = { numRuns: 300 };

test('every generated span is found, with its ids and times', () => {
  fc.assert(
    fc.property(exportBytes, (request) => {
      const { spanCount, rejected, spans } = walk(request);
      const traces = referenceObject('TracesData', request) as ReferenceTraces;
      const expected = (traces.resourceSpans ?? []).flatMap(({ scopeSpans }) =>
        (scopeSpans ?? []).flatMap((scope) => scope.spans ?? []),
      );
      expect(rejected.count).toBe(0);
      expect(
        Array.from({ length: spanCount }, (_, row) => ({
          traceId: base64At(request, spans.traceIdAt[row], 16),
          spanId: base64At(request, spans.spanIdAt[row], 8),
          start: join(spans.startTimeHigh[row], spans.startTimeLow[row]),
          end: join(spans.endTimeHigh[row], spans.endTimeLow[row]),
        })),
      ).toEqual(
        expected.map((span) => ({
          traceId: span.traceId,
          spanId: span.spanId,
          start: span.startTimeUnixNano ?? '0',
          end: span.endTimeUnixNano ?? '0',
        })),
      );
    }),
    runs,
  );
});

test('resource part, scope part and span bytes put together again are the request', () => {
  fc.assert(
    fc.property(exportBytes, (request) => {
      const rebuilt = acceptedSpans(request).map(({ resource, scope, span }) => {
        const scopeBytes = Buffer.concat([unhex(scope), bytesField(2, unhex(span))]);
        return referenceObject(
          'TracesData',
          bytesField(1, Buffer.concat([unhex(resource), bytesField(2, scopeBytes)])),
        );
      });
      expect(rebuilt).toEqual(singles(referenceObject('TracesData', request)));
    }),
    runs,
  );
});

describe('damaged requests', () => {
  const mutation = fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat(7) }),
    fc.record({ kind: fc.constant('set' as const), at: fc.nat(), byte: fc.nat(255) }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }),
    fc.record({ kind: fc.constant('insert' as const), at: fc.nat(), byte: fc.nat(255) }),
    fc.record({ kind: fc.constant('remove' as const), at: fc.nat() }),
  );
  type Mutation = typeof mutation extends fc.Arbitrary<infer Value> ? Value : never;

  function mutate(bytes: Uint8Array, change: Mutation): Uint8Array {
    if (bytes.length === 0) return bytes;
    const at = change.at % bytes.length;
    const byte = bytes[at] ?? 0;
    const replacements: Record<Mutation['kind'], () => number[]> = {
      flip: () => [byte ^ (1 << ('bit' in change ? change.bit : 0))],
      set: () => ['byte' in change ? change.byte : 0],
      cut: () => [],
      insert: () => [byte, 'byte' in change ? change.byte : 0],
      remove: () => [],
    };
    const after = change.kind === 'cut' ? bytes.subarray(bytes.length) : bytes.subarray(at + 1);
    return Buffer.concat([bytes.subarray(0, at), Buffer.from(replacements[change.kind]()), after]);
  }

  const stricter = /which the schema does not allow|longer than 64 bits|longer than 32 bits/;

  test('the walk and protobufjs agree on what is damaged', () => {
    const seen = { accepted: 0, refused: 0, stricter: 0 };
    fc.assert(
      fc.property(exportBytes, fc.array(mutation, { minLength: 1, maxLength: 3 }), (request, mutations) => {
        const damaged = mutations.reduce(mutate, request);
        const refusal = refusalOf(damaged);
        const isAcceptedByReference = referenceAccepts('TracesData', damaged);
        if (refusal === null) seen.accepted += 1;
        else if (stricter.test(refusal)) seen.stricter += 1;
        else seen.refused += 1;
        if (refusal === null) expect(isAcceptedByReference, hex(damaged)).toBe(true);
        else if (!stricter.test(refusal)) expect(isAcceptedByReference, `${refusal}: ${hex(damaged)}`).toBe(false);
      }),
      { numRuns: 2_000 },
    );
    expect(Math.min(seen.accepted, seen.refused, seen.stricter), JSON.stringify(seen)).toBeGreaterThan(50);
  });

  test('any bytes at all are walked or refused, never worse', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        refusalOf(bytes);
      }),
      { numRuns: 2_000 },
    );
  });
});

/** Why the walk refuses the request; null when it does not. Anything but a WireError is a failure of the test. */
function refusalOf(request: Uint8Array): string | null {
  try {
    walk(request);
    return null;
  } catch (error) {
    if (error instanceof WireError) return error.message;
    throw error;
  }
}

/** The request taken apart into requests of one span each, in order. */
function singles(traces: Record<string, unknown>): Record<string, unknown>[] {
  type Nested = Record<string, unknown> & { scopeSpans?: Nested[]; spans?: unknown[] };
  return ((traces['resourceSpans'] ?? []) as Nested[]).flatMap((resource) =>
    (resource.scopeSpans ?? []).flatMap((scope) =>
      (scope.spans ?? []).map((span) => ({
        resourceSpans: [{ ...resource, scopeSpans: [{ ...scope, spans: [span] }] }],
      })),
    ),
  );
}

const unhex = (text: string): Uint8Array => Buffer.from(text, 'hex');

function base64At(request: Uint8Array, at: number | undefined, length: number): string {
  return Buffer.from(request.subarray(at, (at ?? 0) + length)).toString('base64');
}

function join(high = 0, low = 0): string {
  return String((BigInt(high) << 32n) + BigInt(low));
}
