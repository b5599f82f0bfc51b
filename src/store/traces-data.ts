/** Writes a `TracesData` message of OTLP around bytes that are already encoded: nothing inside them is looked at. */
import { varintBytes, writeVarint } from './varint.ts';

/** Spans of one resource and scope. */
export interface SharedSpans {
  /** All fields of ResourceSpans but scope_spans, tags included. */
  readonly resourcePart: Uint8Array;
  /** All fields of ScopeSpans but spans, tags included. */
  readonly scopePart: Uint8Array;
  /** Span messages, without tag and length. */
  readonly spans: Uint8Array[];
}

const resourceSpansTag = 0x0a;
/** scope_spans in ResourceSpans, spans in ScopeSpans. */
const childTag = 0x12;

/** One ResourceSpans with one ScopeSpans for each of `groups`, in their order. */
export function encodeTracesData(groups: readonly SharedSpans[]): Uint8Array {
  const sized = groups.map((group) => {
    const scopeBytes = group.scopePart.length + group.spans.reduce((sum, span) => sum + fieldBytes(span.length), 0);
    return { ...group, scopeBytes, resourceBytes: group.resourcePart.length + fieldBytes(scopeBytes) };
  });
  const message = new Uint8Array(sized.reduce((sum, { resourceBytes }) => sum + fieldBytes(resourceBytes), 0));
  let at = 0;
  const head = (tag: number, length: number): void => {
    message[at] = tag;
    at = writeVarint(message, at + 1, length);
  };
  const put = (bytes: Uint8Array): void => {
    message.set(bytes, at);
    at += bytes.length;
  };
  for (const { resourcePart, scopePart, spans, resourceBytes, scopeBytes } of sized) {
    head(resourceSpansTag, resourceBytes);
    put(resourcePart);
    head(childTag, scopeBytes);
    put(scopePart);
    for (const span of spans) {
      head(childTag, span.length);
      put(span);
    }
  }
  return message;
}

/** Bytes of a field with a one-byte tag and this many bytes of value. */
function fieldBytes(length: number): number {
  return 1 + varintBytes(length) + length;
}
