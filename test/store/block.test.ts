import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { walkExport } from '../../src/otlp/walk.ts';
import type { Codec } from '../../src/platform/codec.ts';
import { realCodec } from '../../src/platform/real/codec.ts';
import { blockIdOf, readBlockHeader } from '../../src/store/block.ts';
import { limits } from '../../src/limits.ts';
import { BlockBuilder, type SealedBlock } from '../../src/store/block-builder.ts';
import { BlockReader } from '../../src/store/block-reader.ts';
import { DamagedError, UnsupportedFormatError } from '../../src/store/damaged.ts';
import { none, PartTable } from '../../src/store/part-table.ts';
import { bytesField, messageField } from '../support/protobuf-writer.ts';
import { fingerprintOf } from '../../src/store/fingerprint.ts';
import { writeChecksum } from '../../src/store/record.ts';
import { anyExports, exportOf, type SpanText, spansIn, traceIdOf } from './exports.ts';

const builder = '0123456789abcdef'.repeat(2);
const walkLimits = { ...limits, spanBytesMax: 1 << 20 };
const targets = { blockRawBytesTarget: 3_000, frameRawBytesTarget: 600 };

/** The blocks that these exports become, one builder after the other. */
function build(exports: readonly (readonly SpanText[])[], options = targets): SealedBlock[] {
  const blocks: SealedBlock[] = [];
  let current = new BlockBuilder({ codec: realCodec, builder, ...options });
  for (const spans of exports) {
    const request = exportOf(spans);
    const walked = walkExport(request, walkLimits);
    let from = 0;
    for (;;) {
      from = current.add(request, walked, from);
      if (from === walked.spanCount) break;
      blocks.push(current.seal(blocks.length));
      current = new BlockBuilder({ codec: realCodec, builder, ...options });
    }
  }
  if (!current.isEmpty) blocks.push(current.seal(blocks.length));
  return blocks;
}

const sorted = (spans: readonly SpanText[]): string[] => spans.map((span) => JSON.stringify(span)).toSorted();

const oneTrace = (count: number, text = 'x'): SpanText[] =>
  Array.from({ length: count }, (_, number) => ({
    trace: 1,
    resource: 'r',
    scope: 's',
    text: `${number} ${text}`,
    startNs: 5,
    endNs: 9,
  }));

const onlyBlock = (spans: readonly SpanText[]): Uint8Array => {
  const [block] = build([spans], { blockRawBytesTarget: 1e6, frameRawBytesTarget: 600 });
  if (block === undefined) throw new Error('there is no block');
  return block.payload;
};

const slicesOf = (reader: BlockReader, trace: number): Uint8Array[] =>
  [...reader.slicesOf(fingerprintOf(traceIdOf(trace)))].filter((slice) => slice !== null);

describe('block', () => {
  test('every span comes back by its trace, under its resource and scope, once, however exports and blocks are cut', () => {
    fc.assert(
      fc.property(anyExports, (exports) => {
        const readers = build(exports).map(({ payload }) => new BlockReader(payload, realCodec));
        const all = exports.flat();
        for (const trace of new Set(all.map((span) => span.trace))) {
          const slices = readers.flatMap((reader) => slicesOf(reader, trace));
          expect(sorted(slices.flatMap(spansIn))).toEqual(sorted(all.filter((span) => span.trace === trace)));
        }
        expect(readers.reduce((sum, { header }) => sum + header.spanCount, 0)).toBe(all.length);
      }),
      { numRuns: 60 },
    );
  });

  test('walking a block slice by slice gives the same, with the fingerprint of each', () => {
    fc.assert(
      fc.property(anyExports, (exports) => {
        const spans: SpanText[] = [];
        for (const { payload } of build(exports)) {
          const reader = new BlockReader(payload, realCodec);
          const named: number[] = [];
          for (const { fingerprint, slice } of reader.slices()) {
            named.push(fingerprint);
            for (const span of spansIn(slice)) {
              expect(fingerprintOf(traceIdOf(span.trace))).toBe(fingerprint);
              spans.push(span);
            }
          }
          expect(named).toEqual([...reader.fingerprints()]);
          expect(new Set(named).size).toBe(reader.header.traceCount);
        }
        expect(sorted(spans)).toEqual(sorted(exports.flat()));
      }),
      { numRuns: 40 },
    );
  });

  test('the header names builder, counter, counts and time bounds', () => {
    const spans = [
      { trace: 1, resource: 'r', scope: 's', text: 'a', startNs: 70, endNs: 80 },
      { trace: 2, resource: 'r', scope: 's', text: 'b', startNs: 50, endNs: 60 },
      { trace: 1, resource: 'r', scope: 's', text: 'c', startNs: 60, endNs: 99 },
    ];
    const request = exportOf(spans);
    const started = new BlockBuilder({ codec: realCodec, builder });
    started.add(request, walkExport(request, walkLimits));
    const { id, payload, spanCount } = started.seal(2 ** 33 + 7);
    expect([id, spanCount]).toEqual([`${builder}:8589934599`, 3]);
    expect(blockIdOf(payload)).toBe(id);
    expect(readBlockHeader(payload)).toMatchObject({
      id,
      spanCount: 3,
      traceCount: 2,
      minStartUnixNano: 50n,
      maxEndUnixNano: 99n,
    });
  });

  test('several exports share a block; spans of one trace lie together', () => {
    const [block, ...others] = build([oneTrace(2, 'first'), oneTrace(3, 'second')]);
    expect(others).toEqual([]);
    const slices = slicesOf(new BlockReader(block?.payload ?? new Uint8Array(0), realCodec), 1);
    expect(slices.map((slice) => spansIn(slice).length)).toEqual([5]);
  });

  test('a trace larger than a frame is cut into slices and frames of that size, each with its resource', () => {
    const frameBytes: number[] = [];
    const measuring: Codec = {
      ...realCodec,
      compress: (raw) => {
        frameBytes.push(raw.length);
        return realCodec.compress(raw);
      },
    };
    const spans = oneTrace(20, 'y'.repeat(100));
    const request = exportOf(spans);
    const started = new BlockBuilder({ codec: measuring, builder, frameRawBytesTarget: 600 });
    started.add(request, walkExport(request, walkLimits));
    const slices = slicesOf(new BlockReader(started.seal(1).payload, realCodec), 1);
    expect(slices.length).toBeGreaterThan(3);
    expect(Math.max(...frameBytes)).toBeLessThanOrEqual(600);
    expect(sorted(slices.flatMap(spansIn))).toEqual(sorted(spans));
  });

  test('a large resource is not repeated for every frame', () => {
    const spans = oneTrace(40, 'y'.repeat(100)).map((span) => ({ ...span, resource: 'r'.repeat(2_000) }));
    const payload = onlyBlock(spans);
    const slices = slicesOf(new BlockReader(payload, realCodec), 1);
    expect(slices.length).toBeGreaterThan(1);
    expect(slices.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(3 * 40 * 170);
    expect(sorted(slices.flatMap(spansIn))).toEqual(sorted(spans));
  });

  test('a trace of many frames is read in a step for each', () => {
    const payload = onlyBlock(oneTrace(40, 'y'.repeat(100)));
    let opened = 0;
    const counting = {
      ...realCodec,
      decompress: (frame: Uint8Array, rawBytes: number) => {
        opened += 1;
        return realCodec.decompress(frame, rawBytes);
      },
    };
    const job = new BlockReader(payload, counting).slicesOf(fingerprintOf(traceIdOf(1)));
    for (let before = opened, step = job.next(); step.done !== true; before = opened, step = job.next()) {
      // The first step also opens the frame with the parts.
      expect(opened - before).toBeLessThanOrEqual(before === 0 ? 2 : 1);
    }
    expect(opened).toBeGreaterThan(5);
  });

  test('only the frames of the trace asked for are opened', () => {
    let opened = 0;
    const counting = {
      ...realCodec,
      decompress: (frame: Uint8Array, rawBytes: number) => {
        opened += 1;
        return realCodec.decompress(frame, rawBytes);
      },
    };
    const spans = Array.from({ length: 30 }, (_, trace) => ({
      ...(oneTrace(1, 'z'.repeat(90))[0] as SpanText),
      trace: trace + 1,
    }));
    const reader = new BlockReader(onlyBlock(spans), counting);
    expect(slicesOf(reader, 17)).toHaveLength(1);
    // Its own frame, and the one with the parts.
    expect(opened).toBe(2);
    expect(slicesOf(reader, 999)).toEqual([]);
    expect(opened).toBe(2);
  });

  test('scopes of one resource are told apart without a look at the resource for each', () => {
    const scopes = 2_000;
    const resource = Buffer.alloc(500_000, 7);
    const groups = Array.from({ length: scopes }, (_, n) => ({ resourcePart: resource, scopePart: Buffer.of(n % 3) }));
    const table = new PartTable();
    const numbers = groups.map((group) => {
      const found = table.find(group);
      return found === none ? table.add(group) : found;
    });
    expect(new Set(numbers)).toEqual(new Set([0, 1, 2]));
    expect(table.parts.map(({ resourcePart }) => resourcePart)).toEqual([resource, resource, resource]);
    // Equal bytes in another object are the same resource; other bytes are not.
    expect(table.find({ resourcePart: Buffer.from(resource), scopePart: Buffer.of(1) })).toBe(1);
    expect(table.find({ resourcePart: resource.subarray(1), scopePart: Buffer.of(1) })).toBe(none);
  });

  test('a large resource over many equal scopes fills one block, not one for each', () => {
    const span = messageField(2, [bytesField(1, traceIdOf(1)), bytesField(2, 'spanspan')]);
    const scopes = Array.from({ length: 300 }, () => messageField(2, [bytesField(3, 's'), span]));
    const request = messageField(1, [bytesField(3, 'r'.repeat(1_000_000)), ...scopes]);
    const started = new BlockBuilder({ codec: realCodec, builder });
    const unbounded = { ...walkLimits, sharedRatioMax: Number.POSITIVE_INFINITY };
    expect(started.add(request, walkExport(request, unbounded))).toBe(300);
    expect(started.rawBytes).toBeLessThan(1_100_000);
  });

  test('what spans share is stored once, however many traces and exports share it', () => {
    const spans = Array.from({ length: 20 }, (_, trace) => ({
      ...(oneTrace(1)[0] as SpanText),
      trace: trace + 1,
      resource: 'r'.repeat(500),
    }));
    const [block, ...others] = build([spans, spans]);
    expect(others).toEqual([]);
    expect(block?.rawBytes).toBeLessThan(targets.blockRawBytesTarget);
  });

  test('a span larger than a block is a block of its own', () => {
    const blocks = build([[...oneTrace(3), ...oneTrace(1, 'y'.repeat(5_000)), ...oneTrace(3)]]);
    expect(blocks.map(({ spanCount }) => spanCount)).toEqual([3, 1, 3]);
  });

  test('any changed byte and any cut is damage, found before or at the frame it hits', () => {
    const payload = onlyBlock(oneTrace(20, 'y'.repeat(100)));
    const readAll = (bytes: Uint8Array) => () => new BlockReader(bytes, realCodec).verifyFrames();
    readAll(payload)();
    for (let at = 0; at < payload.length; at += 1) {
      const flipped = payload.slice();
      flipped[at] = (flipped[at] ?? 0) ^ 0x10;
      expect(readAll(flipped)).toThrow(DamagedError);
      expect(readAll(payload.subarray(0, at))).toThrow(DamagedError);
    }
  });

  test('a block of a newer version is refused, and not called damage (protocol B4)', () => {
    const payload = onlyBlock(oneTrace(1)).slice();
    const { headBytes } = readBlockHeader(payload);
    payload[8] = 2;
    writeChecksum(payload.subarray(0, headBytes));
    expect(() => readBlockHeader(payload)).toThrow(UnsupportedFormatError);
  });

  test('a section that a reader does not know is skipped', () => {
    const payload = onlyBlock(oneTrace(3));
    const { headBytes } = readBlockHeader(payload);
    const extra = Uint8Array.of(200, 0, 0, 0, 3, 1, 2, 3);
    const longer = new Uint8Array(payload.length + extra.length);
    longer.set(payload.subarray(0, headBytes));
    longer.set(extra, headBytes);
    longer.set(payload.subarray(headBytes), headBytes + extra.length);
    const view = new DataView(longer.buffer);
    view.setUint32(60, view.getUint32(60) + extra.length);
    writeChecksum(longer.subarray(0, headBytes + extra.length));
    expect(slicesOf(new BlockReader(longer, realCodec), 1).flatMap(spansIn)).toHaveLength(3);
  });
});
