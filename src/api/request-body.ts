/** The body of a request: read, then inflated, each byte reserved before it is taken in (protocol C6). */
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';

const gunzipAsync = promisify(gunzip);

/** Reserves room for so many bytes in all; false when there is none. */
export type Reserve = (total: number) => boolean;

const tooLarge = (bytesMax: number): QuorateError =>
  new QuorateError('too-large', `the request is larger than ${bytesMax} bytes: send smaller batches`);
const overloaded = (): QuorateError =>
  new QuorateError('overloaded', 'this node is taking in as much as it may: send it again later');

/** Whether a Content-Encoding means that the body has to be inflated. */
export function isCompressed(encoding: string | undefined): boolean {
  const coding = encoding?.trim().toLowerCase() ?? '';
  return coding !== '' && coding !== 'identity';
}

/**
 * All bytes of `stream`, at most `bytesMax`. Rejects with `too-large`, with `overloaded` when there is no room, or with `bad-request` when the
 * client went away before the end.
 */
export async function readBody(stream: Readable, bytesMax: number, reserve: Reserve): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      length += chunk.length;
      if (length > bytesMax) throw tooLarge(bytesMax);
      if (!reserve(length)) throw overloaded();
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof QuorateError) throw error;
    throw new QuorateError('bad-request', 'the request ended before its body was whole: send it again');
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, length);
}

/**
 * The bytes behind `encoding`, a Content-Encoding. Rejects with `unsupported-media-type`, `too-large`, `overloaded` or
 * `bad-request`.
 */
export async function inflate(body: Uint8Array, encoding: string | undefined, reserve: Reserve): Promise<Uint8Array> {
  if (!isCompressed(encoding)) return body;
  if (encoding?.trim().toLowerCase() !== 'gzip') {
    throw new QuorateError(
      'unsupported-media-type',
      `Content-Encoding "${encoding}" is not supported: send gzip or none`,
    );
  }
  // What the stream says of itself is believed only as a first bound; a liar needs room for the largest request.
  const announced = Math.min(sizeAnnouncedBy(body), limits.requestBytesMax);
  for (const bytesMax of new Set([announced, limits.requestBytesMax])) {
    const inflated = await gunzipWithin(body, bytesMax, reserve);
    if (inflated !== null) return inflated;
  }
  throw tooLarge(limits.requestBytesMax);
}

/** The last four bytes of a gzip stream: the size of its last member, modulo 2^32. */
function sizeAnnouncedBy(body: Uint8Array): number {
  if (body.length < 18) return 0;
  return new DataView(body.buffer, body.byteOffset, body.length).getUint32(body.length - 4, true);
}

/** The inflated body; null when it is larger than `bytesMax`. */
async function gunzipWithin(body: Uint8Array, bytesMax: number, reserve: Reserve): Promise<Uint8Array | null> {
  if (!reserve(body.length + bytesMax)) throw overloaded();
  try {
    return await gunzipAsync(body, { maxOutputLength: Math.max(bytesMax, 1) });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') return null;
    throw new QuorateError('bad-request', 'the body is not valid gzip');
  }
}
