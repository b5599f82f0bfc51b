/**
 * Frames between nodes: whatever the stream, however it is cut, it is messages or a FrameError; and a message that was
 * read is the same after it was written and read again.
 */
import { isDeepStrictEqual } from 'node:util';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { decodeMessage, encodeMessage } from '../../../src/transport/codec.ts';
import { FrameError, FrameReader } from '../../../src/transport/frame.ts';
import type { PeerMessage } from '../../../src/transport/transport.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import { anyMessage } from '../../transport/samples.ts';
import { mutateBytes, reduceBytes } from '../mutate-bytes.ts';
import type { Finding, Target } from '../target.ts';

/** Far less than nodes take: a length in a damaged frame costs no memory here. */
const frameBytesMax = 1 << 16;
const prefixBytes = 12;

/** Messages are made once: fast-check is too slow to be asked for each input. */
const samples: readonly Uint8Array[] = fc
  .sample(anyMessage, { numRuns: 400, seed: 1 })
  .map((message) => new Uint8Array(Buffer.concat(encodeMessage(message))));

export const framesTarget: Target = {
  name: 'frames',
  generate: (random) => random.pick(samples),
  mutate(input, other, random) {
    let changed = input;
    for (let left = random.pick([1, 1, 2, 3]); left > 0; left -= 1)
      changed = random.below(4) === 0 ? mutateBytes(changed, other, random) : mutateFrame(changed, other, random);
    return changed;
  },
  reduce(input, random) {
    const frame = partsOf(input);
    if (frame === null || random.below(2) === 0) return reduceBytes(input, random);
    return frameOf(reduceBytes(frame.header, random), frame.body);
  },
  judge(stream) {
    const whole = read([stream]);
    const middle = stream.length >>> 1;
    const cut = read([stream.subarray(0, middle), stream.subarray(middle)]);
    const kinds = whole.messages.map((message) => (message.kind === 'raft' ? message.message.type : message.kind));
    const reason = whole.refusal?.replaceAll(/\d+/g, 'n') ?? '';
    const shape = `${kinds.slice(0, 3).join(' ')} ${32 - Math.clz32(stream.length)} ${reason}`;
    const finding = isDeepStrictEqual(whole, cut)
      ? differenceOf(whole.messages)
      : { kind: 'another reading of a stream in two pieces', detail: `${whole.refusal} | ${cut.refusal}` };
    if (finding !== null) return { outcome: 'finding', shape, finding };
    const isWaiting = whole.refusal === null && whole.messages.length === 0;
    return { outcome: isWaiting ? 'no whole frame' : whole.refusal === null ? 'accepted' : 'refused', shape, finding };
  },
};

interface Read {
  readonly messages: readonly PeerMessage[];
  /** Why the stream is not read any further; null when it may go on. */
  readonly refusal: string | null;
}

function read(pieces: readonly Uint8Array[]): Read {
  const messages: PeerMessage[] = [];
  const reader = new FrameReader({ frameBytesMax, onFrame: (frame) => messages.push(decodeMessage(frame)) });
  try {
    for (const piece of pieces) reader.push(piece);
    return { messages, refusal: null };
  } catch (error) {
    if (error instanceof FrameError) return { messages, refusal: error.message };
    throw error;
  }
}

function differenceOf(messages: readonly PeerMessage[]): Finding | null {
  for (const message of messages) {
    const again = read(encodeMessage(message));
    if (!isDeepStrictEqual(again, { messages: [message], refusal: null }))
      return { kind: 'another message after it was written', detail: JSON.stringify([message, again]) };
  }
  return null;
}

/** A change of the header or the body, with lengths and checksum that fit: what is behind them must be tried as well. */
function mutateFrame(stream: Uint8Array, other: Uint8Array, random: SeededRandom): Uint8Array {
  const frame = partsOf(stream);
  if (frame === null) return mutateBytes(stream, other, random);
  const { header, body } = frame;
  const theirs = partsOf(other)?.header ?? other;
  if (body.length > 0 && random.below(4) === 0) return frameOf(header, mutateBytes(body, other, random));
  return frameOf(mutateBytes(header, theirs, random), body);
}

interface Parts {
  readonly header: Uint8Array;
  /** All that is behind the header. */
  readonly body: Uint8Array;
}

/** The stream as one frame, or null when not even its header is whole. */
function partsOf(stream: Uint8Array): Parts | null {
  if (stream.length <= prefixBytes) return null;
  const headerEnd = prefixBytes + new DataView(stream.buffer, stream.byteOffset).getUint32(4);
  if (headerEnd > stream.length) return null;
  return { header: stream.subarray(prefixBytes, headerEnd), body: stream.subarray(headerEnd) };
}

function frameOf(header: Uint8Array, body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(prefixBytes + header.length + body.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, body.length);
  view.setUint32(4, header.length);
  view.setUint32(8, crc32(header, crc32(frame.subarray(0, 8))));
  frame.set(header, prefixBytes);
  frame.set(body, prefixBytes + header.length);
  return frame;
}
