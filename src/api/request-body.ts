/** The body of a request: read within a bound, then inflated within the same bound. */
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { QuorateError } from '../errors.ts';
import { limits } from '../limits.ts';

const gunzipAsync = promisify(gunzip);

const tooLarge = (): QuorateError =>
  new QuorateError('too-large', `the request is larger than ${limits.requestBytesMax} bytes: send smaller batches`);

/** All bytes of `stream`. Rejects with `too-large`, or `bad-request` when the client went away before the end. */
export async function readBody(stream: Readable): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      length += chunk.length;
      if (length > limits.requestBytesMax) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof QuorateError) throw error;
    throw new QuorateError('bad-request', 'the request ended before its body was whole: send it again');
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, length);
}

/** The bytes behind `encoding`, a Content-Encoding. Rejects with `unsupported-media-type`, `too-large` or `bad-request`. */
export async function inflate(body: Uint8Array, encoding: string | undefined): Promise<Uint8Array> {
  const coding = encoding?.trim().toLowerCase() ?? 'identity';
  if (coding === 'identity' || coding === '') return body;
  if (coding !== 'gzip') {
    throw new QuorateError(
      'unsupported-media-type',
      `Content-Encoding "${coding}" is not supported: send gzip or none`,
    );
  }
  try {
    return await gunzipAsync(body, { maxOutputLength: limits.requestBytesMax });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge();
    throw new QuorateError('bad-request', 'the body is not valid gzip');
  }
}
