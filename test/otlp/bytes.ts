/** Small helpers for exports written by hand in tests. Built on test/support/protobuf-writer, not on the product's writer. */
import { limits } from '../../src/limits.ts';
import type { SpanLimits } from '../../src/otlp/span-fault.ts';
import { walkExport, type WalkedExport } from '../../src/otlp/walk.ts';
import { bytesField, fixed64Field, messageField } from '../support/protobuf-writer.ts';

const testLimits: SpanLimits = limits;

export const traceIdA = Buffer.from('0102030405060708090a0b0c0d0e0f10', 'hex');
export const traceIdB = Buffer.from('0102030405060708090a0b0c0d0e0fff', 'hex');
export const spanIdA = Buffer.from('a1a2a3a4a5a6a7a8', 'hex');

/** The fields of a span that is accepted, with more fields behind them. */
export function spanFields(...more: Uint8Array[]): Buffer {
  return Buffer.concat([bytesField(1, traceIdA), bytesField(2, spanIdA), ...more]);
}

/** One export: one resource, one scope, these spans. */
export function exportOf(...spans: Uint8Array[]): Uint8Array {
  return messageField(1, [
    messageField(
      2,
      spans.map((span) => bytesField(2, span)),
    ),
  ]);
}

/** An attribute of a span whose AnyValue has these bytes. */
export function attributeOf(anyValue: Uint8Array): Uint8Array {
  return messageField(9, [bytesField(1, 'key'), bytesField(2, anyValue)]);
}

/** An AnyValue nested to `depth`, as lists or as maps. */
export function nestedAnyValue(depth: number, kind: 'list' | 'map'): Uint8Array {
  let value: Uint8Array = bytesField(1, 'leaf');
  for (let level = 1; level < depth; level += 1) {
    value =
      kind === 'list'
        ? messageField(5, [bytesField(1, value)])
        : messageField(6, [messageField(1, [bytesField(1, 'k'), bytesField(2, value)])]);
  }
  return value;
}

export const atTime = (ns: bigint): Uint8Array => fixed64Field(7, ns);

export function walk(request: Uint8Array, limits_: SpanLimits = testLimits): WalkedExport {
  return walkExport(request, limits_);
}

/** The accepted spans in words: their bytes and the bytes of what stands around them, in hex. */
export function acceptedSpans(request: Uint8Array): { resource: string; scope: string; span: string }[] {
  const { spanCount, groups, spans } = walk(request);
  return Array.from({ length: spanCount }, (_, row) => {
    const group = groups[spans.group[row] ?? -1];
    const span = request.subarray(spans.start[row], spans.end[row]);
    return { resource: hex(group?.resourcePart), scope: hex(group?.scopePart), span: hex(span) };
  });
}

export function hex(bytes: Uint8Array = new Uint8Array(0)): string {
  return Buffer.from(bytes).toString('hex');
}
