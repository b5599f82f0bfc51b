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
    for (let left = random.pick([1, 1, 2, 3]); left > 0; left -= 1) changed = mutateBytes(changed, other, random);
    // Most damage must pass the checksum, or nothing behind it is tried.
    return random.below(8) === 0 ? changed : sealed(changed, random);
  },
  reduce: (input, random) => {
    const smaller = reduceBytes(input, random);
    return random.below(2) === 0 ? smaller : sealed(smaller, random);
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
    const outcome = finding === null ? (whole.refusal === null ? 'accepted' : 'refused') : 'finding';
    return { outcome, shape, finding };
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

/** The first frame with lengths that fit, mostly, and a checksum that does. */
function sealed(stream: Uint8Array, random: SeededRandom): Uint8Array {
  if (stream.length <= prefixBytes) return stream;
  const frame = new Uint8Array(stream);
  const view = new DataView(frame.buffer);
  if (random.below(4) > 0) {
    const headerBytes = Math.min(view.getUint32(4), frame.length - prefixBytes);
    view.setUint32(4, headerBytes);
    view.setUint32(0, frame.length - prefixBytes - headerBytes);
  }
  const headerEnd = Math.min(frame.length, prefixBytes + view.getUint32(4));
  view.setUint32(8, crc32(frame.subarray(prefixBytes, headerEnd), crc32(frame.subarray(0, 8))));
  return frame;
}
