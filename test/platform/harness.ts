/**
 * How a conformance test drives an implementation: the real one just runs, the simulated one needs its scheduler turned.
 * `drive` runs a test's story to its end.
 */
import { expect } from 'vitest';

export interface Drive {
  <Result>(story: () => Promise<Result>): Promise<Result>;
}

export const driveReal: Drive = (story) => story();

/** Bytes from numbers or the characters of a string. */
export function bytes(content: string | readonly number[]): Uint8Array {
  return typeof content === 'string' ? new Uint8Array(Buffer.from(content)) : Uint8Array.from(content);
}

/** The characters of bytes, so that a failed expectation can be read. */
export function text(value: Uint8Array): string {
  return Buffer.from(value).toString('latin1');
}

export async function expectRejection(
  promise: Promise<unknown>,
  shape: { code?: string; message?: RegExp },
): Promise<void> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  if (shape.code !== undefined) expect(error).toMatchObject({ code: shape.code });
  if (shape.message !== undefined) expect((error as Error).message).toMatch(shape.message);
}
