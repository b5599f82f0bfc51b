/** One byte budget over everything being taken in (protocol C6). */
import { Readable } from 'node:stream';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { Admission } from '../../src/api/admission.ts';
import { type Coding, readBody, type ReadBody, type Reserve } from '../../src/api/request-body.ts';

const MiB = 1024 * 1024;
const always = (): boolean => true;

interface Asked {
  readonly coding?: Coding;
  readonly requestBytesMax?: number;
  readonly inflationRatioMax?: number;
  readonly announcedBytes?: number;
  readonly reserve?: Reserve;
}

function read(chunks: readonly Uint8Array[], asked: Asked = {}): Promise<ReadBody> {
  const { coding = null, announcedBytes = null, reserve = always } = asked;
  const { requestBytesMax = 64 * MiB, inflationRatioMax = Number.POSITIVE_INFINITY } = asked;
  const body = { source: Readable.from(chunks), coding, announcedBytes };
  return readBody(body, { requestBytesMax, inflationRatioMax }, reserve);
}

const zeros = (...lengths: number[]): Buffer[] => lengths.map((length) => Buffer.alloc(length));

test('admits up to its budget, and again after a release', () => {
  const admission = new Admission(100);
  const first = admission.admit(60);
  expect(admission.admit(50)).toBeNull();
  expect(first?.grow(100)).toBe(true);
  expect(first?.grow(101)).toBe(false);
  first?.release();
  first?.release();
  expect(admission.bytes).toBe(0);
  expect(admission.admit(100)).not.toBeNull();
});

describe('room for a body', () => {
  const KiB = 1024;
  const asked = async (chunks: readonly Uint8Array[], how: Asked = {}): Promise<number[]> => {
    const reserved: number[] = [];
    const body = await read(chunks, { ...how, reserve: (total) => reserved.push(total) > 0 });
    expect(body.bytes.length).toBe(chunks.reduce((sum, { length }) => sum + length, 0));
    return reserved;
  };

  test('grows with what comes, and is asked for before that is kept', async () => {
    expect(await asked(zeros(10, 10, 10))).toEqual([64 * KiB]);
    expect(await asked(zeros(60 * KiB, 60 * KiB, 60 * KiB))).toEqual([60 * KiB, 240 * KiB]);
    const reserve = (total: number): boolean => total <= 100 * KiB;
    await expect(read(zeros(60 * KiB, 60 * KiB), { reserve })).rejects.toMatchObject({ code: 'overloaded' });
  });

  test('is what was announced, when that is enough', async () => {
    expect(await asked(zeros(10, 10), { announcedBytes: 20 })).toEqual([20]);
    expect(await asked(zeros(20), { announcedBytes: 20 })).toEqual([20]);
    expect(await asked(zeros(10, 20), { announcedBytes: 20 })).toEqual([20, 64 * KiB]);
  });

  test('is never more than a request may have', async () => {
    expect(await asked(zeros(60 * KiB, 30 * KiB), { requestBytesMax: 100 * KiB })).toEqual([60 * KiB, 100 * KiB]);
    await expect(read(zeros(10, 10, 10), { requestBytesMax: 20 })).rejects.toMatchObject({
      code: 'too-large',
      limit: 'requestBytesMax',
    });
  });

  test('bytes that come one by one are together what was sent', async () => {
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, at) => at % 251));
    const body = await read([...bytes].map((byte) => Buffer.of(byte)));
    expect(Buffer.compare(body.bytes, bytes)).toBe(0);
  });
});

describe.each([
  ['gzip', gzipSync],
  ['deflate', deflateSync],
  ['zstd', zstdCompressSync],
] as const)('%s', (coding, compress) => {
  test('is inflated as it comes, however it is cut', async () => {
    const raw = Buffer.from(Array.from({ length: 100_000 }, (_, at) => (at * 7919) >>> 5));
    const body = compress(raw);
    const { bytes, receivedBytes } = await read(
      [...body].map((byte) => Buffer.of(byte)),
      { coding },
    );
    expect(Buffer.compare(bytes, raw)).toBe(0);
    expect(receivedBytes).toBe(body.length);
  });

  test('every inflated byte is reserved before it is kept', async () => {
    const reserved: number[] = [];
    const reserve = (total: number): boolean => reserved.push(total) > 0 && total <= MiB;
    await expect(read([compress(Buffer.alloc(8 * MiB))], { coding, reserve })).rejects.toMatchObject({
      code: 'overloaded',
    });
    // It stopped there, and did not inflate the rest.
    expect(Math.max(...reserved)).toBeLessThanOrEqual(4 * MiB);
  });

  test('what inflates to more than a request may have', async () => {
    const bomb = read([compress(Buffer.alloc(3 * MiB))], { coding, requestBytesMax: 2 * MiB });
    await expect(bomb).rejects.toMatchObject({ code: 'too-large', limit: 'requestBytesMax' });
  });

  test('the ratio counts from the first MiB on', async () => {
    const limit = { coding, inflationRatioMax: 100 } as const;
    expect((await read([compress(Buffer.alloc(MiB))], limit)).bytes.length).toBe(MiB);
    await expect(read([compress(Buffer.alloc(2 * MiB))], limit)).rejects.toMatchObject({
      code: 'too-large',
      limit: 'inflationRatioMax',
    });
  });

  test('cut short, or something else', async () => {
    const body = compress(Buffer.from('some spans'));
    const behind = [
      Buffer.from('x'),
      Buffer.alloc(40, 'y'),
      Buffer.alloc(3),
      Buffer.concat([Buffer.alloc(1), body]),
    ].map((more) => Buffer.concat([body, more]));
    for (const bad of [body.subarray(0, -3), Buffer.from('plain text'), ...behind]) {
      await expect(read([bad], { coding })).rejects.toMatchObject({ code: 'bad-request' });
      const bytewise = [...bad].map((byte) => Buffer.of(byte));
      await expect(read(bytewise, { coding })).rejects.toMatchObject({ code: 'bad-request' });
    }
  });

  test('a second stream behind the first is read, or refused: never acknowledged unread', async () => {
    const two = Buffer.concat([compress(Buffer.alloc(500, 'a')), compress(Buffer.alloc(30, 'b'))]);
    if (coding === 'gzip') expect((await read([two], { coding })).bytes.length).toBe(530);
    else await expect(read([two], { coding })).rejects.toMatchObject({ code: 'bad-request' });
  });
});

test('several members of gzip are one body', async () => {
  const members = zeros(50_000, 10).map((raw) => gzipSync(raw));
  expect((await read(members, { coding: 'gzip' })).bytes.length).toBe(50_010);
  const bytewise = [...Buffer.concat(members)].map((byte) => Buffer.of(byte));
  expect((await read(bytewise, { coding: 'gzip' })).bytes.length).toBe(50_010);
});
