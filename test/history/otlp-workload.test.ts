import { constants, zstdCompressSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { OtlpWorkload, smallExport } from '../support/otlp-workload.ts';
import { SeededRandom } from '../support/seeded-random.ts';

/** Fields of one protobuf message in order, read independently of the writer under test. */
interface Field {
  readonly number: number;
  readonly value: Buffer | bigint;
}
function fields(message: Buffer): Field[] {
  const out: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      const byte = message.readUInt8(at);
      at += 1;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const take = (length: number): Buffer => {
    if (at + length > message.length) throw new Error('a field is cut off');
    at += length;
    return message.subarray(at - length, at);
  };
  while (at < message.length) {
    const tag = Number(varint());
    const type = tag % 8;
    if (type !== 0 && type !== 1 && type !== 2 && type !== 5) throw new Error(`wire type ${type}`);
    const value = type === 0 ? varint() : take(type === 1 ? 8 : type === 5 ? 4 : Number(varint()));
    out.push({ number: Math.floor(tag / 8), value });
  }
  return out;
}
const children = (message: Buffer, number: number): Buffer[] =>
  fields(message).flatMap((field) => (field.number === number && Buffer.isBuffer(field.value) ? [field.value] : []));

interface Span {
  readonly traceId: string;
  readonly id: string;
  readonly parent: string | undefined;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: number;
  readonly service: string;
}
function spansOf(body: Buffer): Span[] {
  return children(body, 1).flatMap((resourceSpans) => {
    const resource = children(resourceSpans, 1).at(0) ?? Buffer.alloc(0);
    const name = children(resource, 1).find((pair) => pair.includes('service.name'));
    const service =
      children(children(name ?? Buffer.alloc(0), 2).at(0) ?? Buffer.alloc(0), 1)
        .at(0)
        ?.toString() ?? '';
    const spans = children(resourceSpans, 2).flatMap((scopeSpans) => children(scopeSpans, 2));
    return spans.map((span) => {
      const hex = (number: number): string | undefined => children(span, number).at(0)?.toString('hex');
      const time = (number: number): bigint => children(span, number).at(0)?.readBigUInt64LE() ?? 0n;
      return {
        traceId: hex(1) ?? '',
        id: hex(2) ?? '',
        parent: hex(4),
        startNs: time(7),
        endNs: time(8),
        attributes: children(span, 9).length,
        service,
      };
    });
  });
}

describe('OTLP workload', () => {
  const options = { seed: 7, batches: 24, spansPerBatch: 512, startMs: 1_750_000_000_000 };
  let workload: OtlpWorkload;
  let spans: Span[];
  beforeAll(() => {
    workload = new OtlpWorkload(options);
    spans = Array.from({ length: options.batches }, (_, batch) => spansOf(workload.body(batch))).flat();
  });

  it('batches of 512 well-formed spans of about 283 bytes with 7 to 12 attributes, of 10 services', () => {
    expect(spans).toHaveLength(24 * 512);
    expect(new Set(spans.map((span) => span.id)).size).toBe(24 * 512);
    expect(Math.min(...spans.map((span) => span.attributes))).toBe(7);
    expect(Math.max(...spans.map((span) => span.attributes))).toBe(12);
    expect(new Set(spans.map((span) => span.service)).size).toBe(10);
    expect(spans.every((span) => span.endNs > span.startNs)).toBe(true);
    expect(workload.averageBytes / 512).toBeGreaterThan(270);
    expect(workload.averageBytes / 512).toBeLessThan(296);
  });

  it('traces of 5 to 50 spans, whole, with their parents, scattered over several batches', () => {
    const traces = Map.groupBy(spans, (span) => span.traceId);
    const sizes = [...traces.values()].map((trace) => trace.length);
    expect(Math.min(...sizes)).toBeGreaterThanOrEqual(5);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(50);
    for (const trace of traces.values()) {
      const ids = new Set(trace.map((span) => span.id));
      expect(trace.filter((span) => span.parent === undefined)).toHaveLength(1);
      expect(trace.every((span) => span.parent === undefined || ids.has(span.parent))).toBe(true);
    }
    const perBatch = Array.from(
      { length: 12 },
      (_, batch) => new Set(spansOf(workload.body(batch)).map((span) => span.traceId)).size,
    );
    const average = perBatch.reduce((sum, n) => sum + n, 0) / perBatch.length;
    expect(average).toBeGreaterThan(70);
    expect(average).toBeLessThan(150);
  });

  it('compresses as real spans do: between four and five and a half times', () => {
    const level = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
    const body = workload.body(5);
    const ratio = body.length / zstdCompressSync(body, level).length;
    expect(ratio).toBeGreaterThan(4);
    expect(ratio).toBeLessThan(5.5);
  });

  it('the same seed gives the same bytes', () => {
    const again = new OtlpWorkload(options);
    expect(again.body(3).equals(workload.body(3))).toBe(true);
    expect(again.body(77).equals(workload.body(77))).toBe(true);
  });

  it('a later round has the same shape with other ids and later times, links and parents moved along', () => {
    const first = spansOf(workload.body(2));
    const later = spansOf(workload.body(2 + 24 * 3));
    const ids = new Set(spans.map((span) => span.id));
    const traceIds = new Set(spans.map((span) => span.traceId));
    expect(later).toHaveLength(512);
    later.forEach((span, n) => {
      const before = first[n];
      expect(ids.has(span.id) || traceIds.has(span.traceId)).toBe(false);
      expect(span.parent === undefined).toBe(before?.parent === undefined);
      expect(span.startNs - (before?.startNs ?? 0n)).toBe(BigInt(Math.round(((24 * 512) / 20) * 3)) * 1_000_000n);
      expect(workload.ids(2 + 24 * 3, 0).traceId).not.toBe(workload.ids(2, 0).traceId);
    });
    // Nothing of the first round is left in the bytes, wherever an id may stand.
    const body = workload.body(2 + 24 * 3);
    expect(first.some((span) => body.includes(Buffer.from(span.traceId, 'hex')))).toBe(false);
    expect(first.some((span) => body.includes(Buffer.from(span.id, 'hex')))).toBe(false);
  });

  it('names the spans of an export as they stand in it', () => {
    const bySpan = new Map(spansOf(workload.body(2 + 24)).map((span) => [span.id, span.traceId]));
    for (const n of [0, 100, 511]) {
      const { traceId, spanId } = workload.ids(2 + 24, n);
      expect(bySpan.get(spanId.toString('hex'))).toBe(traceId);
    }
  });
});

describe('small exports', () => {
  it('one trace, spans with ids of their own, also for a trace that exists', () => {
    const random = new SeededRandom(1);
    const first = smallExport(random, { spans: 3 });
    const second = smallExport(random, { spans: 2, traceId: first.traceId });
    expect(spansOf(first.body).map((span) => span.id)).toEqual(first.spanIds);
    expect(spansOf(second.body).every((span) => span.traceId === first.traceId)).toBe(true);
    expect(new Set([...first.spanIds, ...second.spanIds]).size).toBe(5);
  });
});
