/** One byte budget over everything being taken in (protocol C6). */
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { Admission } from '../../src/api/admission.ts';
import { inflate, readBody } from '../../src/api/request-body.ts';

const streamOf = (...chunks: number[]): Readable => Readable.from(chunks.map((length) => Buffer.alloc(length)));

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

test('a body without an announced length is reserved chunk by chunk', async () => {
  const reserved: number[] = [];
  const reserve = (total: number): boolean => {
    reserved.push(total);
    return total <= 25;
  };
  await expect(readBody(streamOf(10, 10, 10), 1_000, reserve)).rejects.toMatchObject({ code: 'overloaded' });
  expect(reserved).toEqual([10, 20, 30]);
  await expect(readBody(streamOf(10, 10, 10), 20, () => true)).rejects.toMatchObject({ code: 'too-large' });
});

test('what a gzip inflates to is reserved before it is inflated', async () => {
  const body = gzipSync(Buffer.alloc(1_000_000));
  await expect(inflate(body, 'gzip', (total) => total < 1_000_000)).rejects.toMatchObject({ code: 'overloaded' });
  expect((await inflate(body, 'GZIP', () => true)).length).toBe(1_000_000);
});

test('a gzip that lies about its size, or has several members, is inflated whole once there is room for it', async () => {
  const reserved: number[] = [];
  const members = Buffer.concat([gzipSync(Buffer.alloc(50_000)), gzipSync(Buffer.alloc(10))]);
  const inflated = await inflate(members, 'gzip', (total) => reserved.push(total) > 0);
  expect(inflated.length).toBe(50_010);
  expect(reserved).toHaveLength(2);
});
