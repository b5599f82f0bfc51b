/**
 * OTLP JSON. An input is text, or protobuf when the walk finds spans in it. Text is decoded or refused with a JsonError,
 * by every decoder alike; what was decoded is walked without damage and is canonical: to JSON and back gives the same
 * bytes. Spans as the store keeps them give JSON that is decoded, and the same JSON again.
 */
import { isDeepStrictEqual } from 'node:util';
import { limits } from '../../../src/limits.ts';
import { tracesToJson } from '../../../src/otlp/json-encode.ts';
import { walkExport } from '../../../src/otlp/walk.ts';
import { WireError } from '../../../src/otlp/wire.ts';
import { generateExport } from '../generate-export.ts';
import { productDecoder, referenceDecoder } from '../json-decoders.ts';
import { mutateJson, reduceJson } from '../mutate-json.ts';
import { mutateWire, reduceWire } from '../mutate-wire.ts';
import { storedSpans } from '../stored-spans.ts';
import type { Finding, Target } from '../target.ts';

export const jsonTarget: Target = {
  name: 'json',
  generate(random) {
    const request = generateExport(random);
    const stored = random.below(3) === 0 ? null : storedOf(request);
    return stored === null ? request : Buffer.from(tracesToJson(stored));
  },
  mutate: (input, other, random) =>
    isText(input) ? mutateJson(input, other, random) : mutateWire(input, other, random),
  reduce: (input, random) => (isText(input) ? reduceJson(input, random) : reduceWire(input, random)),
  judge(input) {
    const size = 32 - Math.clz32(input.length);
    const stored = isText(input) ? null : storedOf(input);
    if (stored !== null) {
      const finding = roundTripDifference(stored);
      return { outcome: finding === null ? 'accepted' : 'finding', shape: `protobuf ${size}`, finding };
    }
    const decoded = productDecoder(input);
    const difference = disagreement(decoded, referenceDecoder(input));
    if (difference !== null) return { outcome: 'finding', shape: '', finding: difference };
    if (decoded instanceof Error) {
      const shape = isText(input)
        ? `${decoded.message.replaceAll(/\d+|at position.*|"[^"]*"|'[^']*'|\.\.\..*/g, '')} ${size}`
        : '';
      return { outcome: 'refused', shape, finding: null };
    }
    const { spanCount, rejected } = walkExport(decoded, limits);
    const shape = `${Math.min(spanCount, 4)} ${rejected.firstReason?.replaceAll(/\d+/g, '')} ${size} ${decoded.length >>> 4}`;
    const finding = canonicalDifference(decoded);
    return { outcome: finding === null ? 'accepted' : 'finding', shape, finding };
  },
};

/** Texts here begin with a brace. As a tag that would begin a group, so no export made here begins like that. */
function isText(input: Uint8Array): boolean {
  return input[0] === 0x7b;
}

/** The accepted spans of `request`, or null when the walk finds none: such bytes are what JSON is made of. */
function storedOf(request: Uint8Array): Uint8Array | null {
  try {
    const walked = walkExport(request, limits);
    return walked.spanCount === 0 ? null : storedSpans(request, walked);
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
}

function roundTripDifference(stored: Uint8Array): Finding | null {
  const json = tracesToJson(stored);
  const canonical = productDecoder(Buffer.from(json));
  if (canonical instanceof Error)
    return { kind: 'JSON of stored spans is refused', detail: `${canonical.message}: ${json}` };
  const again = tracesToJson(canonical);
  // Fields of a message may stand in any order on the wire, and do in the first text.
  return json === again || isDeepStrictEqual(JSON.parse(json), JSON.parse(again))
    ? canonicalDifference(canonical)
    : { kind: 'another JSON after a round trip', detail: `${json}\n  ${again}` };
}

function canonicalDifference(canonical: Uint8Array): Finding | null {
  const json = tracesToJson(canonical);
  const again = productDecoder(Buffer.from(json));
  if (again instanceof Error) return { kind: 'JSON of decoded JSON is refused', detail: `${again.message}: ${json}` };
  return Buffer.compare(canonical, again) === 0
    ? null
    : {
        kind: 'other bytes after a round trip',
        detail: [canonical, again].map((bytes) => Buffer.from(bytes).toString('hex')).join(' | '),
      };
}

function disagreement(ours: Uint8Array | Error, theirs: Uint8Array | Error): Finding | null {
  if (ours instanceof Error && theirs instanceof Error) return null;
  if (ours instanceof Error) return { kind: 'refused by the product alone', detail: ours.message };
  if (theirs instanceof Error) return { kind: 'accepted by the product alone', detail: theirs.message };
  return Buffer.compare(ours, theirs) === 0 ? null : { kind: 'two decoders, other bytes', detail: '' };
}
