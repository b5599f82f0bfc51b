/** Why a span may be rejected, by what protobufjs says of it: each reason of the walk, found out another way. */
import type { SpanFault, SpanLimits } from '../../src/otlp/span-fault.ts';
import { measuresOf, type ReferenceSpan } from './reference-export.ts';

const sentences: Readonly<Record<SpanFault, RegExp>> = {
  'trace-id': /trace id must/,
  'span-id': /span id must/,
  'span-bytes': /a span must have at most \d+ bytes/,
  'shared-bytes': /its resource and scope must have at most \d+ bytes/,
  'shared-ratio': /a resource must not be repeated/,
  depth: /must not be nested deeper than/,
  attributes: /must have at most \d+ attributes/,
  events: /must have at most \d+ events/,
  links: /must have at most \d+ links/,
  fields: /must each have at most \d+ fields at all depths/,
  'key-bytes': /the key of an attribute must have/,
  'value-bytes': /the value of an attribute must have/,
  'spans-per-request': /a request must have at most \d+ spans/,
};

export interface SpanFaults {
  /** A span with one of these must be rejected. */
  readonly certain: readonly SpanFault[];
  /** These may be why a span is rejected: what protobufjs has merged does not tell. */
  readonly possible: readonly SpanFault[];
}

/** What is wrong with `span` under `limits` when `before` spans of its request stand before it. */
export function faultsOf(span: ReferenceSpan, limits: SpanLimits, before: number): SpanFaults {
  const certain: SpanFault[] = [];
  const possible: SpanFault[] = [];
  const { content, group } = span;
  const { shared } = group;
  const bytes = span.end - span.start;
  const sharedBytes = group.resourcePart.length + group.scopePart.length;
  const own = measuresOf(content);
  if (!isId(content.traceId, 16)) certain.push('trace-id');
  if (!isId(content.spanId, 8)) certain.push('span-id');
  if (bytes > limits.spanBytesMax) certain.push('span-bytes');
  if (sharedBytes > limits.spanBytesMax) certain.push('shared-bytes');
  if (Math.max(own.depth, shared.depth) > limits.anyValueDepthMax) certain.push('depth');
  if (own.attributes > limits.attributesMax) certain.push('attributes');
  if (content.events.length > limits.eventsMax) certain.push('events');
  if (content.links.length > limits.linksMax) certain.push('links');
  if (Math.max(own.keyBytes, shared.keyBytes) > limits.keyBytesMax) certain.push('key-bytes');
  if (before >= limits.spansPerRequestMax) certain.push('spans-per-request');
  // Two resources were merged into one, and so may have been their attributes.
  if (shared.attributes > limits.attributesMax) possible.push('attributes');
  // An earlier key or value may have been longer than the last one, which counts.
  if (Math.max(bytes, sharedBytes) > limits.keyBytesMax) possible.push('key-bytes');
  if (Math.max(bytes, sharedBytes) > limits.valueBytesMax) possible.push('value-bytes');
  // protobufjs does not say how many fields it read; each takes a byte at least.
  if (Math.max(bytes, sharedBytes) > limits.fieldsMax) possible.push('fields');
  return { certain, possible };
}

/** Whether `reason` names one of `found`. */
export function isReasonTrue(reason: string, found: SpanFaults): boolean {
  return [...found.certain, ...found.possible].some((fault) => sentences[fault].test(reason));
}

function isId(id: Uint8Array, length: number): boolean {
  if (id.length !== length) return false;
  for (const byte of id) if (byte !== 0) return true;
  return false;
}
