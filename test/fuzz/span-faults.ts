/**
 * Why a span may be rejected, by what protobufjs says of it. Limits that the product may not have yet are in the table as
 * well: a rejection is right when it is true.
 */
import type { WalkLimits } from '../../src/otlp/walk.ts';
import { measuresOf, type ReferenceSpan } from './reference-export.ts';

/** The limits that the walk takes, and more that it may take. */
export type SpanLimits = WalkLimits & {
  readonly attributesMax?: number;
  readonly eventsMax?: number;
  readonly linksMax?: number;
  readonly keyBytesMax?: number;
  readonly valueBytesMax?: number;
  readonly spansPerRequestMax?: number;
};

const faults = {
  traceId: /trace id must/,
  spanId: /span id must/,
  spanBytes: /a span must have at most \d+ bytes/,
  sharedBytes: /its resource and scope must have at most \d+ bytes/,
  depth: /must not be nested deeper than/,
  attributes: /must have at most \d+ attributes/,
  events: /must have at most \d+ events/,
  links: /must have at most \d+ links/,
  keyBytes: /the key of an attribute must have/,
  valueBytes: /the value of an attribute must have/,
  spansPerRequest: /a request must have at most \d+ spans/,
} as const;
type Fault = keyof typeof faults;

export interface SpanFaults {
  /** A span with one of these must be rejected. */
  readonly certain: readonly Fault[];
  /** These may be why a span is rejected: the reference cannot tell, or the product need not. */
  readonly possible: readonly Fault[];
}

/** What is wrong with `span` under `limits`. */
export function faultsOf(span: ReferenceSpan, limits: SpanLimits): SpanFaults {
  const certain: Fault[] = [];
  const possible: Fault[] = [];
  const { content, group } = span;
  const bytes = span.end - span.start;
  const sharedBytes = group.resourcePart.length + group.scopePart.length;
  const own = measuresOf(content);
  const highest = (measure: keyof typeof own): number => Math.max(own[measure], group.shared[measure]);
  if (!isId(content.traceId, 16)) certain.push('traceId');
  if (!isId(content.spanId, 8)) certain.push('spanId');
  if (bytes > limits.spanBytesMax) certain.push('spanBytes');
  if (sharedBytes > limits.spanBytesMax) certain.push('sharedBytes');
  if (highest('depth') > limits.anyValueDepthMax) certain.push('depth');
  else if (highest('depthWithGroups') > limits.anyValueDepthMax) possible.push('depth');
  if (highest('attributes') > (limits.attributesMax ?? Infinity)) possible.push('attributes');
  if (content.events.length > (limits.eventsMax ?? Infinity)) possible.push('events');
  if (content.links.length > (limits.linksMax ?? Infinity)) possible.push('links');
  // An earlier key or value may have been longer than the last one, which counts.
  if (Math.max(bytes, sharedBytes) > (limits.keyBytesMax ?? Infinity)) possible.push('keyBytes');
  if (Math.max(bytes, sharedBytes) > (limits.valueBytesMax ?? Infinity)) possible.push('valueBytes');
  if (span.position >= (limits.spansPerRequestMax ?? Infinity)) possible.push('spansPerRequest');
  return { certain, possible };
}

/** Whether `reason` names one of `found`. */
export function isReasonTrue(reason: string, found: SpanFaults): boolean {
  return [...found.certain, ...found.possible].some((fault) => faults[fault].test(reason));
}

function isId(id: Uint8Array, length: number): boolean {
  if (id.length !== length) return false;
  for (const byte of id) if (byte !== 0) return true;
  return false;
}
