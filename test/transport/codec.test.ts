/** Frames and messages: what goes in comes out, and nothing from outside does worse than a FrameError. */
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../src/platform/digest.ts';
import { asIndex, asTerm, type Entry, zeroHash } from '../../src/raft/core/types.ts';
import { encodeEntry } from '../../src/store/entry.ts';
import { decodeMessage, encodeMessage } from '../../src/transport/codec.ts';
import { packFields } from '../../src/transport/fields.ts';
import { encodeFrame, FrameError, FrameReader, type Frame } from '../../src/transport/frame.ts';
import { decodeSignal, encodeSignal, refusalOf, type Signal } from '../../src/transport/handshake.ts';
import { limits } from '../../src/limits.ts';
import { anyMessage, chain, helloOf, n2 } from './samples.ts';

const join = (pieces: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(pieces));

/** Frames read from a stream that arrives in pieces of the given sizes, over and over. */
function read(
  stream: Uint8Array,
  sizes: readonly number[] = [Infinity],
  frameBytesMax: number = limits.frameBytesMax,
): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader({
    frameBytesMax,
    onFrame: ({ header, body }) => frames.push({ header: header.slice(), body: body.slice() }),
  });
  for (let at = 0, turn = 0; at < stream.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    reader.push(stream.subarray(at, at + size));
    at += size;
  }
  return frames;
}

const frameOf = (header: unknown, body: readonly Uint8Array[] = []): Frame => {
  const [frame] = read(join(encodeFrame(packFields(header as Record<string, unknown>), body)));
  if (frame === undefined) throw new Error('no frame');
  return frame;
};

describe('messages', () => {
  it('every message survives the way, however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(anyMessage, { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        (messages, sizes) => {
          const stream = join(messages.flatMap((message) => encodeMessage(message)));
          expect(read(stream, sizes).map((frame) => decodeMessage(frame))).toEqual(messages);
        },
      ),
    );
  });

  it('a block is passed on as it is, not copied', () => {
    const payload = new Uint8Array(1000).fill(7);
    expect(encodeMessage({ kind: 'forward', term: asTerm(1), payload })).toContain(payload);
  });

  it('a message larger than any node takes is not encoded', () => {
    const payload = new Uint8Array(limits.frameBytesMax);
    expect(() => encodeMessage({ kind: 'forward', term: asTerm(1), payload })).toThrow(RangeError);
  });

  it('a changed byte is a FrameError, or changes nothing: never another message, never another error', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(), fc.integer({ min: 1, max: 255 }), (message, where, change) => {
        const stream = join(encodeMessage(message));
        const at = where % stream.length;
        stream[at] = (stream[at] ?? 0) ^ change;
        let decoded: unknown[];
        try {
          decoded = read(stream).map((frame) => decodeMessage(frame));
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
          return;
        }
        // A longer body than sent is a frame that never ends; all others are caught by a checksum.
        expect(decoded).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it('any header in a valid frame is a message or a FrameError', () => {
    const kinds = fc.constantFrom(
      'raft',
      'forward',
      'found',
      'fetch',
      'fetched',
      'lacking',
      'trimmed',
      'change-members',
      'members-changed',
      'hand-over',
      'not-handed-over',
      'report',
      'hello',
      'append',
      'vote',
      'timeout-now',
      '__proto__',
    );
    const value = fc.oneof(fc.anything({ withBigInt: false, maxDepth: 2 }), kinds);
    const header = fc.record(
      {
        kind: kinds,
        signal: kinds,
        message: fc.record({ type: kinds, from: value, term: value, sizes: value }),
        term: value,
        voters: value,
        index: value,
        hash: value,
        id: value,
        to: value,
        code: value,
        reason: value,
      },
      { requiredKeys: ['kind'] },
    );
    fc.assert(
      fc.property(header, fc.uint8Array({ maxLength: 20 }), (fields, body) => {
        for (const decode of [decodeMessage, decodeSignal]) {
          let frame: Frame;
          try {
            frame = frameOf(fields, [body]);
          } catch {
            return;
          }
          try {
            decode(frame);
          } catch (error) {
            expect(error).toBeInstanceOf(FrameError);
          }
        }
      }),
    );
  });
});

describe('entries', () => {
  const entries = chain([new Uint8Array([1, 2, 3]), new Uint8Array([4, 5]), new Uint8Array()]);
  const envelope = { from: 'n1#aa', to: 'n2#bb', term: 1, boot: 'b', session: 1, previousTerm: 0, commit: 0 };
  const appendOf = (
    records: readonly Uint8Array[],
    previousIndex = 0,
    sizes = records.map((record) => record.length),
  ): Frame => frameOf({ kind: 'raft', message: { ...envelope, type: 'append', previousIndex, sizes } }, records);
  const records = entries.map((entry) => encodeEntry(entry));

  it('arrive as they were sealed', () => {
    expect(decodeMessage(appendOf(records))).toMatchObject({ message: { entries } });
  });

  it.each([
    ['in another order', () => appendOf([records[1], records[0], records[2]] as Uint8Array[])],
    ['at another index', () => appendOf(records, 1)],
    [
      'cut short',
      () =>
        appendOf(
          records.slice(0, 2),
          0,
          records.map((record) => record.length),
        ),
    ],
    [
      'with bytes behind them',
      () =>
        appendOf(
          records,
          0,
          records.slice(0, 2).map((record) => record.length),
        ),
    ],
    [
      'that do not follow one another',
      () =>
        appendOf([
          records[0],
          ...chain([new Uint8Array([9])], { index: 1, term: 1, hash: zeroHash }).map((entry) => encodeEntry(entry)),
        ] as Uint8Array[]),
    ],
    ['at the end of all numbers', () => appendOf(records, Number.MAX_SAFE_INTEGER)],
  ])('%s are a FrameError', (_, frame) => {
    expect(() => decodeMessage(frame())).toThrow(FrameError);
  });

  it('with a valid checksum over a payload of another hash are a FrameError', () => {
    const record = (records[0] ?? new Uint8Array()).slice();
    record[record.length - 1] = 99;
    new DataView(record.buffer).setUint32(0, crc32(record.subarray(4)));
    expect(() => decodeMessage(appendOf([record]))).toThrow(/entry 1 arrived damaged/);
  });
});

describe('a fetch', () => {
  const [first, second] = chain([new Uint8Array([1, 2, 3]), new Uint8Array([4, 5])]) as [Entry, Entry];
  const fetched = (index: unknown, body: Uint8Array): Frame => frameOf({ kind: 'fetched', index }, [body]);

  it.each([
    ['without a hash', { kind: 'fetch', index: 1 }],
    ['of a shorter hash', { kind: 'fetch', index: 1, hash: '00' }],
    ['of a longer hash', { kind: 'fetch', index: 1, hash: `${zeroHash}00` }],
    ['of what is no hash', { kind: 'fetch', index: 1, hash: zeroHash.replace('0', 'A') }],
    ['of no index', { kind: 'fetch', index: -1, hash: zeroHash }],
  ])('%s is a FrameError', (_, header) => {
    expect(() => decodeMessage(frameOf(header))).toThrow(FrameError);
  });

  it('has no body', () => {
    expect(() => decodeMessage(frameOf({ kind: 'fetch', index: 1, hash: zeroHash }, [new Uint8Array(1)]))).toThrow(
      'a fetch with a body',
    );
  });

  it('is answered with exactly one entry, the one at its index, whole', () => {
    expect(decodeMessage(fetched(1, encodeEntry(first)))).toEqual({ kind: 'fetched', entry: first });
    expect(() => decodeMessage(fetched(1, encodeEntry(second)))).toThrow(FrameError);
    expect(() => decodeMessage(fetched(undefined, encodeEntry(first)))).toThrow(FrameError);
    expect(() => decodeMessage(fetched(1, new Uint8Array(0)))).toThrow(FrameError);
    expect(() => decodeMessage(fetched(1, join([encodeEntry(first), encodeEntry(second)])))).toThrow(FrameError);
  });

  it('is not answered with a payload of another hash, be its checksum right', () => {
    const record = encodeEntry(first).slice();
    record[record.length - 1] = 99;
    new DataView(record.buffer).setUint32(0, crc32(record.subarray(4)));
    expect(() => decodeMessage(fetched(1, record))).toThrow(/entry 1 arrived damaged/);
  });
});

describe('frames from outside', () => {
  const prefix = (bodyBytes: number, headerBytes: number): Uint8Array => {
    const bytes = new Uint8Array(12);
    new DataView(bytes.buffer).setUint32(0, bodyBytes);
    new DataView(bytes.buffer).setUint32(4, headerBytes);
    return bytes;
  };

  it('are judged by their lengths before anything is kept for them', () => {
    expect(() => read(prefix(0xffffffff, 100))).toThrow(/at most 33554432 are taken here/);
    expect(() => read(prefix(0, limits.frameHeaderBytesMax + 1))).toThrow(/at most 16384 are taken/);
    expect(() => read(prefix(0, 0))).toThrow(FrameError);
    expect(() => read(join(encodeFrame(packFields({ kind: 'x' }), [new Uint8Array(5000)])), [Infinity], 4096)).toThrow(
      FrameError,
    );
  });

  it('of pure noise are a FrameError or wait for more', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        try {
          expect(read(noise)).toEqual([]);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }),
    );
  });

  const headerOf = (bytes: readonly number[]): Frame => {
    const [frame] = read(join(encodeFrame(Uint8Array.from(bytes))));
    if (frame === undefined) throw new Error('no frame');
    return frame;
  };
  const list = [0xdc, 0x3f, 0x00];
  it.each([
    ['lists in lists that promise gigabytes', Array.from({ length: 3000 }, () => list).flat()],
    ['a list of four billion', [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ['a string longer than the header', [0xdb, 0xff, 0xff, 0xff, 0xff, 1]],
    ['lists sixteen thousand deep', Array<number>(16_000).fill(0x91)],
    ['sixteen thousand lists, closed', [...Array<number>(16_000).fill(0x91), 1]],
    ['an extension', [0xd4, 0x01, 0x00]],
    ['a date', [...new Packr({ useRecords: false }).pack({ kind: new Date() })]],
    ['binary', [0xc4, 0x01, 0x00]],
    ['two values', [0x80, 0x80]],
    ['no map', [0x01]],
    ['the middle of a number', [0xcd, 0x01]],
  ])('%s in a header are a FrameError', (_, bytes) => {
    expect(() => decodeMessage(headerOf(bytes))).toThrow(FrameError);
  });
});

describe('signals', () => {
  it.each<Signal>([
    { signal: 'hello', to: n2, channel: 'bulk', hello: helloOf('n1', { clusterId: null, founded: false }) },
    { signal: 'welcome', hello: helloOf('n2') },
    ...[0, 31, 32, 255, 256, 1024].map((length): Signal => ({
      signal: 'refuse',
      code: 'stranger',
      sentence: 'x'.repeat(length),
    })),
    { signal: 'ping' },
    { signal: 'pong' },
  ])('$signal survives the way', (signal) => {
    expect(read(join(encodeSignal(signal))).map((frame) => decodeSignal(frame))).toEqual([signal]);
  });

  it('a hello of a replica that is another node is a FrameError', () => {
    const hello = helloOf('n1', { node: n2 });
    expect(() => decodeSignal(frameOf({ signal: 'welcome', hello }))).toThrow(/belongs to another node/);
  });

  it.each([
    ['of 0.1.0, which says none', {}],
    ['of a version that knows more of them', { code: 'of another age' }],
  ])('the code of a refusal %s is any other', (_, code) => {
    const sentence = 'n2 belongs to the cluster as it was before `quorate recover`';
    expect(decodeSignal(frameOf({ signal: 'refuse', sentence, ...code }))).toEqual({
      signal: 'refuse',
      code: 'other',
      sentence,
    });
  });

  it('whoever answers must be the one who was expected', () => {
    expect(refusalOf(helloOf('n1'), helloOf('n2'), n2)).toBeNull();
    expect(refusalOf(helloOf('n1'), helloOf('n3'), n2)).toEqual({
      code: 'misdirected',
      sentence: 'n3 answers where n1 expects n2; correct the addresses in --cluster',
    });
  });

  it('a message is no signal', () => {
    const [frame] = read(
      join(
        encodeMessage({
          kind: 'report',
          applied: asIndex(1),
          ready: true,
          recovering: false,
          hardStateCounter: 1,
          writeMicros: null,
          space: 'ample',
          handOver: null,
          clockMs: null,
        }),
      ),
    );
    expect(frame && decodeSignal(frame)).toBeNull();
  });
});
