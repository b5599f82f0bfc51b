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
  /** Reads a body that is not compressed into a buffer of just the bytes announced, instead of `source`; not every protocol can. */
  readonly fill?: (buffer: Uint8Array) => Promise<void>;
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
/** Room to begin with for a body that does not say how large it is. */
export const unannouncedBytes = 64 * KiB;
/** The least first chunk that is kept as it is. */
const wholeChunkBytesMin = 4 * KiB;
const noBytes: Uint8Array = new Uint8Array(0);
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
  const received = new Counted(body.source, requestBytesMax);
  if (body.coding === null) {
    const { announcedBytes } = body;
    const bytes = await collect(received.chunks(), { limits, reserve, announcedBytes });
    return { bytes, receivedBytes: received.bytes };
  }
  const inflater = inflaters[body.coding]();
  let bytes = noBytes;
  // A pipeline that failed waits for its source to end, and that for a client that may have fallen silent.
  const { promise: refused, reject: refuse } = Promise.withResolvers<never>();
  try {
    const inflating = pipeline(received.chunks(), inflater, async (inflated: AsyncIterable<Uint8Array>) => {
      bytes = await collect(inflated, { limits, reserve, announcedBytes: null, received }).catch((error: unknown) => {
        refuse(error);
        throw error;
      });
    });
    await Promise.race([inflating, refused]);
  } catch (error) {
    if (error instanceof QuorateError) throw error;
    throw new QuorateError('bad-request', `the body is not valid ${body.coding}: ${errorOf(error).message}`);
  }
  // Node.js stops at the end of the first stream, of gzip at padding, and says nothing: what stands behind it must not be
  // acknowledged unread.
  if (inflater.bytesWritten !== received.bytes) {
    throw new QuorateError(
      'bad-request',
      `the body goes on behind its ${body.coding} stream: send one stream a request`,
    );
  }
  return { bytes, receivedBytes: received.bytes };
}

interface CollectOptions {
  readonly limits: BodyLimits;
  readonly reserve: Reserve;
  readonly announcedBytes: number | null;
  /** What went into an inflater, when the source is what came out. */
  readonly received?: Counted;
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

/** All bytes of `source` in one buffer, which grows as they come: joining pieces at the end would take one long turn. */
async function collect(
  source: AsyncIterable<Uint8Array>,
  { limits, reserve, announcedBytes, received }: CollectOptions,
): Promise<Uint8Array> {
  const { requestBytesMax, inflationRatioMax } = limits;
  let buffer = noBytes;
  let length = 0;
  for await (const chunk of source) {
    const total = length + chunk.length;
    if (total > requestBytesMax) throw tooLarge(requestBytesMax);
    if (received !== undefined && total > ratioFreeBytes && total > inflationRatioMax * received.bytes) {
      throw new QuorateError(
        'too-large',
        `the request inflates to more than ${inflationRatioMax} times its size: send it less compressed, or smaller`,
        { limit: 'inflationRatioMax' },
      );
    }
    if (total > buffer.length) {
      // Mostly a body is one chunk: that is then the buffer, for as long as nothing follows.
      const isAnnounced = announcedBytes !== null && announcedBytes >= total;
      const isWhole = length === 0 && (isAnnounced ? total === announcedBytes : total >= wholeChunkBytesMin);
      const room = isAnnounced ? announcedBytes : Math.min(Math.max(2 * total, unannouncedBytes), requestBytesMax);
      const size = isWhole ? total : room;
      if (!reserve(size)) throw noRoom();
      buffer = isWhole ? chunk : grown(buffer, length, size);
    }
    if (buffer !== chunk) buffer.set(chunk, length);
    length = total;
  }
  return buffer.subarray(0, length);
}

function grown(buffer: Uint8Array, length: number, size: number): Uint8Array {
  const larger = Buffer.allocUnsafe(size);
  larger.set(buffer.subarray(0, length));
  return larger;
}

export function tooLarge(bytesMax: number): QuorateError {
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
    throw cutShort();
  }
}

/** Reads `stream` into `buffer`, to the last byte. Rejects with `bad-request` when it holds fewer, or more. */
export function fillFrom(stream: Readable, buffer: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    let at = 0;
    let isWhole = false;
    // Every stream closes in the end, and the stack of an error that nobody sees is dear.
    const fail = (): void => {
      if (!isWhole) reject(cutShort());
    };
    stream.on('data', (chunk: Uint8Array) => {
      if (at + chunk.length <= buffer.length) buffer.set(chunk, at);
      at += chunk.length;
    });
    stream.once('end', () => {
      isWhole = at === buffer.length;
      if (isWhole) resolve();
      else fail();
    });
    stream.once('error', fail);
    stream.once('close', fail);
  });
}

function cutShort(): QuorateError {
  return new QuorateError('bad-request', 'the request ended before its body was whole: send it again');
}
