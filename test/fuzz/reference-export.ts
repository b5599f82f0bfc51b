/**
 * An export as protobufjs sees it: its spans in order, with where they lie, what they say, and what stands around them.
 * Ranges and parts come from decoders of one level each, so they are found without the product's own reading.
 */
import { decodeReference, groupDepthOf, referenceType, type ReferenceMessage } from './reference-schema.ts';

export interface ReferenceSpan {
  /** The span message is request[start, end). */
  readonly start: number;
  readonly end: number;
  readonly content: SpanContent;
  readonly group: ReferenceGroup;
}

/** What all spans of one ScopeSpans share. */
export interface ReferenceGroup {
  readonly resourcePart: Uint8Array;
  readonly scopePart: Uint8Array;
  readonly shared: Measures;
}

/** What limits are about. */
export interface Measures {
  /** AnyValues inside one another, and the groups in unknown fields inside them. */
  readonly depth: number;
  /** Attributes of one message at most. */
  readonly attributes: number;
  readonly keyBytes: number;
}

interface Integer64 {
  readonly low: number;
  readonly high: number;
}
interface AnyValue extends ReferenceMessage {
  readonly arrayValue?: ReferenceMessage & { readonly values: readonly AnyValue[] };
  readonly kvlistValue?: ReferenceMessage & { readonly values: readonly KeyValue[] };
}
interface KeyValue extends ReferenceMessage {
  readonly key: Uint8Array;
  readonly value?: AnyValue;
}
interface Attributed extends ReferenceMessage {
  readonly attributes: readonly KeyValue[];
}
export interface SpanContent extends Attributed {
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  readonly startTimeUnixNano: Integer64;
  readonly endTimeUnixNano: Integer64;
  readonly events: readonly Attributed[];
  readonly links: readonly Attributed[];
  readonly status?: ReferenceMessage;
}
interface ScopeSpans extends ReferenceMessage {
  readonly scope?: Attributed;
  readonly spans: readonly SpanContent[];
}
interface ResourceSpans extends ReferenceMessage {
  readonly resource?: Attributed & { readonly entityRefs: readonly ReferenceMessage[] };
  readonly scopeSpans: readonly ScopeSpans[];
}
export interface TracesData extends ReferenceMessage {
  readonly resourceSpans: readonly ResourceSpans[];
}

export const tracesType = referenceType('TracesData');
const requestOutline = referenceType('RequestOutline');
const resourceOutline = referenceType('ResourceOutline');
const scopeOutline = referenceType('ScopeOutline');

/** The request decoded, or null when protobufjs refuses it. */
export function decodeTraces(request: Uint8Array): TracesData | null {
  try {
    return decodeReference(tracesType, request) as TracesData;
  } catch {
    return null;
  }
}

/** The spans of `request`, which `traces` was decoded from. */
export function spansOf(request: Uint8Array, traces: TracesData): ReferenceSpan[] {
  const spans: ReferenceSpan[] = [];
  const requestChildren = childrenOf(requestOutline, request, 'resourceSpans').children;
  traces.resourceSpans.forEach((resource, resourceAt) => {
    const outer = childrenOf(resourceOutline, requestChildren[resourceAt], 'scopeSpans');
    resource.scopeSpans.forEach((scope, scopeAt) => {
      if (scope.spans.length === 0) return;
      const inner = childrenOf(scopeOutline, outer.children[scopeAt], 'spans');
      const shared = new Measure();
      shared.message(resource, 0);
      shared.message(scope, 0);
      if (resource.resource) shared.attributed(resource.resource);
      for (const entity of resource.resource?.entityRefs ?? []) shared.message(entity, 0);
      if (scope.scope) shared.attributed(scope.scope);
      const group = { resourcePart: outer.rest, scopePart: inner.rest, shared };
      scope.spans.forEach((content, at) => {
        const bytes = inner.children[at] ?? new Uint8Array(0);
        const start = bytes.byteOffset - request.byteOffset;
        spans.push({ start, end: start + bytes.length, content, group });
      });
    });
  });
  return spans;
}

/** What limits are about, of a span without what it shares. */
export function measuresOf(span: SpanContent): Measures {
  const measure = new Measure();
  measure.attributed(span);
  for (const event of span.events) measure.attributed(event);
  for (const link of span.links) measure.attributed(link);
  if (span.status) measure.message(span.status, 0);
  return measure;
}

class Measure implements Measures {
  depth = 0;
  attributes = 0;
  keyBytes = 0;

  attributed(message: Attributed): void {
    this.message(message, 0);
    this.attributes = Math.max(this.attributes, message.attributes.length);
    for (const attribute of message.attributes) this.#keyValue(attribute, 0);
  }

  message({ $unknowns }: ReferenceMessage, depth: number): void {
    for (const unknown of $unknowns ?? []) this.depth = Math.max(this.depth, depth + groupDepthOf(unknown));
  }

  #keyValue(keyValue: KeyValue, depth: number): void {
    this.message(keyValue, depth);
    this.keyBytes = Math.max(this.keyBytes, keyValue.key.length);
    if (keyValue.value) this.#value(keyValue.value, depth + 1);
  }

  #value(value: AnyValue, depth: number): void {
    this.depth = Math.max(this.depth, depth);
    this.message(value, depth);
    if (value.arrayValue) {
      this.message(value.arrayValue, depth);
      for (const item of value.arrayValue.values) this.#value(item, depth + 1);
    }
    if (value.kvlistValue) {
      this.message(value.kvlistValue, depth);
      for (const item of value.kvlistValue.values) this.#keyValue(item, depth);
    }
  }
}

/** The children in `bytes`, by the only field that `outline` knows, and the bytes of all other fields in order. */
function childrenOf(
  outline: typeof requestOutline,
  bytes: Uint8Array = new Uint8Array(0),
  field: string,
): { readonly children: readonly Uint8Array[]; readonly rest: Uint8Array } {
  const message = decodeReference(outline, bytes);
  const children = (message as unknown as Readonly<Record<string, readonly Uint8Array[]>>)[field] ?? [];
  return { children, rest: Buffer.concat(message.$unknowns ?? []) };
}
