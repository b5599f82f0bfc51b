import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { fillFrom } from '../../src/api/request-body.ts';
import { RequestBuffers } from '../../src/api/request-buffers.ts';
import { limits } from '../../src/limits.ts';

const KiB = 1024;
const always = (): boolean => true;

describe('buffers of requests', () => {
  test('one that was given back is used again, by one request at a time', () => {
    const buffers = new RequestBuffers();
    const first = buffers.take(100 * KiB, always);
    expect(first.length).toBe(100 * KiB);
    buffers.give(first);
    const second = buffers.take(90 * KiB, always);
    const third = buffers.take(90 * KiB, always);
    expect(second.buffer).toBe(first.buffer);
    expect(third.buffer).not.toBe(first.buffer);
    expect(second.length).toBe(90 * KiB);
  });

  test("one that is given back twice, or comes from elsewhere, is nobody else's", () => {
    const buffers = new RequestBuffers();
    const taken = buffers.take(100 * KiB, always);
    buffers.give(taken);
    buffers.give(taken);
    const foreign = Buffer.allocUnsafeSlow(128 * KiB).subarray(0, 100 * KiB);
    buffers.give(foreign);
    const next = [1, 2, 3].map(() => buffers.take(100 * KiB, always).buffer);
    expect(next[0]).toBe(taken.buffer);
    expect(next).not.toContain(foreign.buffer);
    expect(new Set(next).size).toBe(3);
  });

  test('what is reserved is what is taken up', () => {
    const reserved: number[] = [];
    const taken = new RequestBuffers().take(100 * KiB, (bytes) => reserved.push(bytes) > 0);
    expect(reserved).toEqual([128 * KiB]);
    expect(taken.buffer.byteLength).toBe(128 * KiB);
  });

  test('without room for more than the body itself, it gets no more', () => {
    const buffers = new RequestBuffers();
    const taken = buffers.take(100 * KiB, () => false);
    expect(taken.buffer.byteLength).toBe(100 * KiB);
    buffers.give(taken);
    expect(buffers.take(100 * KiB, always).buffer).not.toBe(taken.buffer);
  });

  test('so many bytes are kept, and no more', () => {
    const buffers = new RequestBuffers();
    const size = 256 * KiB;
    const many = Array.from({ length: limits.spareBufferBytesMax / size + 1 }, () => buffers.take(size, always));
    for (const each of many) buffers.give(each);
    const again = new Set(many.map(() => buffers.take(size, always).buffer));
    expect(many.filter(({ buffer }) => again.has(buffer))).toHaveLength(many.length - 1);
  });

  test('a body of any length gets room for just that', () => {
    const buffers = new RequestBuffers();
    for (const bytes of [0, 1, 8 * KiB - 1, 8 * KiB, 16 * KiB, 1024 * KiB, 1024 * KiB + 1]) {
      const taken = buffers.take(bytes, always);
      expect(taken.length).toBe(bytes);
      buffers.give(taken);
    }
  });
});

describe('a body of announced length', () => {
  const filled = async (announced: number, ...chunks: readonly string[]): Promise<string> => {
    const stream = new PassThrough();
    const buffer = new Uint8Array(announced);
    const done = fillFrom(stream, buffer);
    for (const chunk of chunks) stream.write(chunk);
    stream.end();
    await done;
    return Buffer.from(buffer).toString();
  };

  test('is put together', async () => {
    expect(await filled(7, 'ab', 'cde', 'fg')).toBe('abcdefg');
    expect(await filled(0)).toBe('');
  });

  test('that is shorter, longer, or cut off is refused', async () => {
    await expect(filled(7, 'abc')).rejects.toMatchObject({ code: 'bad-request' });
    await expect(filled(2, 'a', 'bc')).rejects.toMatchObject({ code: 'bad-request' });
    const stream = new PassThrough();
    const done = fillFrom(stream, new Uint8Array(7));
    stream.write('abc');
    stream.destroy();
    await expect(done).rejects.toMatchObject({ code: 'bad-request' });
  });
});
