/** The body of a request, read and inflated as it comes, each byte reserved before it is kept (protocol C6). */
import type { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { errorOf, QuorateError } from '../errors.ts';

export interface Body {
  /** Ended early by whoever reads it without any harm to its connection, which still has to carry the answer. */
  readonly source: AsyncIterable<Uint8Array>;
  readonly coding: Coding;
  /** How much was announced; null when nobody said. */
  readonly announcedBytes: number | null;
}

export interface BodyLimits {
  readonly requestBytesMax: number;
  readonly inflationRatioMax: number;
}

export interface ReadBody {
  readonly bytes: Uint8Array;
  /** Before it was inflated. */
  readonly receivedBytes: number;
}

/** Reserves room for so many bytes in all; false when there is none. */
export type Reserve = (total: number) => boolean;

const KiB = 1024;
const MiB = 1024 * KiB;
/** Inflated bytes before their ratio to what was received counts: a small message may be as repetitive as it likes. */
const ratioFreeBytes = MiB;
/** Bytes inflated in one go: enough for a usual export, so that it takes one trip to the thread pool. */
const inflatedChunkBytes = 256 * KiB;
/** The window a decoder of zstd must offer and need not exceed (RFC 9659): 8 MiB. */
const zstdWindowLogMax = 23;

const inflaters = {
  gzip: () => createGunzip({ chunkSize: inflatedChunkBytes }),
  deflate: () => createInflate({ chunkSize: inflatedChunkBytes }),
  zstd: () =>
    createZstdDecompress({
      chunkSize: inflatedChunkBytes,
      params: { [constants.ZSTD_d_windowLogMax]: zstdWindowLogMax },
    }),
} as const satisfies Record<string, () => Transform & { readonly bytesWritten: number }>;

/** How a body is compressed; null when it is not. */
export type Coding = keyof typeof inflaters | null;

/** What is taken, best first, for a client that asks. */
export const codingNames = Object.keys(inflaters).join(', ');

const codingsByName: Readonly<Record<string, Coding>> = {
  '': null,
  identity: null,
  gzip: 'gzip',
  'x-gzip': 'gzip',
  deflate: 'deflate',
  // What collectors call the same.
  zlib: 'deflate',
  zstd: 'zstd',
};

/** The coding behind a Content-Encoding or grpc-encoding; undefined when it is none of ours, or several. */
export function codingOf(name: string | undefined): Coding | undefined {
  const key = name?.trim().toLowerCase() ?? '';
  return Object.hasOwn(codingsByName, key) ? codingsByName[key] : undefined;
}

/**
 * All bytes of `body`, inflated. Rejects with `too-large`, with `overloaded` when there is no room, with `bad-request` when it
 * is not what its coding says, or with what its source throws.
 */
export async function readBody(body: Body, limits: BodyLimits, reserve: Reserve): Promise<ReadBody> {
  const { requestBytesMax } = limits;
  if ((body.announcedBytes ?? 0) > requestBytesMax) throw tooLarge(requestBytesMax);
  const received = new Counted(body.source, requestBytesMax);
  if (body.coding === null)
    return { bytes: await collect(received.chunks(), limits, reserve), receivedBytes: received.bytes };
  let bytes: Uint8Array = new Uint8Array(0);
  const inflater = inflaters[body.coding]();
  try {
    await pipeline(received.chunks(), inflater, async (inflated: AsyncIterable<Uint8Array>) => {
      bytes = await collect(inflated, limits, reserve, received);
    });
  } catch (error) {
    if (error instanceof QuorateError) throw error;
    throw new QuorateError('bad-request', `the body is not valid ${body.coding}: ${errorOf(error).message}`);
  }
  // Node.js stops at the end of the first frame and says nothing; what stands behind it must not be acknowledged unread.
  // gzip is no such case: its members are read one after the other, and only padding is left.
  if (body.coding !== 'gzip' && inflater.bytesWritten !== received.bytes) {
    throw new QuorateError(
      'bad-request',
      `the body goes on behind its ${body.coding} stream: send one stream a request`,
    );
  }
  return { bytes, receivedBytes: received.bytes };
}

/** A source that counts what it gave, and gives no more than a bound. */
class Counted {
  bytes = 0;
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #bytesMax: number;

  constructor(source: AsyncIterable<Uint8Array>, bytesMax: number) {
    this.#source = source;
    this.#bytesMax = bytesMax;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of this.#source) {
      this.bytes += chunk.length;
      if (this.bytes > this.#bytesMax) throw tooLarge(this.#bytesMax);
      yield chunk;
    }
  }
}

async function collect(
  source: AsyncIterable<Uint8Array>,
  { requestBytesMax, inflationRatioMax }: BodyLimits,
  reserve: Reserve,
  received?: Counted,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of source) {
    length += chunk.length;
    if (length > requestBytesMax) throw tooLarge(requestBytesMax);
    if (received !== undefined && length > ratioFreeBytes && length > inflationRatioMax * received.bytes) {
      throw new QuorateError(
        'too-large',
        `the request inflates to more than ${inflationRatioMax} times its size: send it less compressed, or smaller`,
        { limit: 'inflationRatioMax' },
      );
    }
    if (!reserve(length)) throw noRoom();
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, length);
}

function tooLarge(bytesMax: number): QuorateError {
  return new QuorateError('too-large', `the request is larger than ${bytesMax} bytes: send smaller batches`, {
    limit: 'requestBytesMax',
  });
}

export function noRoom(): QuorateError {
  return new QuorateError('overloaded', 'this node is taking in as much as it may: send it again later', {
    limit: 'admissionBytesMax',
  });
}

/** The bytes of an incoming stream, which is left open when reading stops early. Throws `bad-request` when the client went away. */
export async function* bytesOf(stream: Readable): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield* stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
  } catch {
    throw new QuorateError('bad-request', 'the request ended before its body was whole: send it again');
  }
}
