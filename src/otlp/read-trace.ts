/** Stored traces as plain objects, for those who look at single spans: other APIs, the command line, tests. */
import { resourceSpans, scopeSpans, span } from './schema.ts';
import { messageTag, nestedRanges, readObject, type JsonObject, type JsonValue } from './trace-object.ts';
import { WireReader } from './wire.ts';

/** An attribute's value; null for an empty one, bigint for an integer, number for a double. */
export type AttributeValue =
  | null
  | string
  | boolean
  | bigint
  | number
  | Uint8Array
  | readonly AttributeValue[]
  | Attributes;
/** Of a key that occurs twice the last value counts. */
export type Attributes = ReadonlyMap<string, AttributeValue>;

export interface ReadResource {
  /** `service.name`, or '' when the resource does not say. */
  readonly serviceName: string;
  readonly attributes: Attributes;
  readonly schemaUrl: string;
}

export interface ReadScope {
  readonly name: string;
  readonly version: string;
  readonly attributes: Attributes;
  readonly schemaUrl: string;
}

export interface ReadSpan {
  /** The same object for all spans that stand under it. */
  readonly resource: ReadResource;
  readonly scope: ReadScope;
  /** Ids are lower-case hex; '' when absent. */
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly flags: number;
  readonly name: string;
  /** Span.SpanKind: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  readonly startTimeUnixNano: bigint;
  readonly endTimeUnixNano: bigint;
  readonly attributes: Attributes;
  readonly droppedAttributesCount: number;
  readonly events: readonly ReadEvent[];
  readonly droppedEventsCount: number;
  readonly links: readonly ReadLink[];
  readonly droppedLinksCount: number;
  /** Status.StatusCode: 0 unset, 1 ok, 2 error. */
  readonly status: { readonly code: number; readonly message: string };
}

export interface ReadEvent {
  readonly timeUnixNano: bigint;
  readonly name: string;
  readonly attributes: Attributes;
  readonly droppedAttributesCount: number;
}

export interface ReadLink {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceState: string;
  readonly flags: number;
  readonly attributes: Attributes;
  readonly droppedAttributesCount: number;
}

/** The spans of TracesData bytes, in their order. Throws WireError when the bytes are damaged. */
export function readTrace(traces: Uint8Array): ReadSpan[] {
  const spans: ReadSpan[] = [];
  for (const inResource of nestedRanges(new WireReader(traces), messageTag(1))) {
    const resource = toResource(readObject(resourceSpans, restOf(inResource), messageTag(2)));
    for (const inScope of nestedRanges(inResource, messageTag(2))) {
      const scope = toScope(readObject(scopeSpans, restOf(inScope), messageTag(2)));
      for (const range of nestedRanges(inScope, messageTag(2)))
        spans.push(toSpan(readObject(span, range), resource, scope));
    }
  }
  return spans;
}

function restOf({ bytes, at, end }: WireReader): WireReader {
  return new WireReader(bytes, at, end);
}

function toResource(json: JsonObject): ReadResource {
  const attributes = attributesOf(objectOf(json, 'resource'));
  const serviceName = attributes.get('service.name');
  return {
    serviceName: typeof serviceName === 'string' ? serviceName : '',
    attributes,
    schemaUrl: textOf(json, 'schemaUrl'),
  };
}

function toScope(json: JsonObject): ReadScope {
  const scope = objectOf(json, 'scope');
  return {
    name: textOf(scope, 'name'),
    version: textOf(scope, 'version'),
    attributes: attributesOf(scope),
    schemaUrl: textOf(json, 'schemaUrl'),
  };
}

function toSpan(json: JsonObject, resource: ReadResource, scope: ReadScope): ReadSpan {
  const status = objectOf(json, 'status');
  return {
    resource,
    scope,
    traceId: textOf(json, 'traceId'),
    spanId: textOf(json, 'spanId'),
    parentSpanId: textOf(json, 'parentSpanId'),
    traceState: textOf(json, 'traceState'),
    flags: numberOf(json, 'flags'),
    name: textOf(json, 'name'),
    kind: numberOf(json, 'kind'),
    startTimeUnixNano: BigInt(textOf(json, 'startTimeUnixNano')),
    endTimeUnixNano: BigInt(textOf(json, 'endTimeUnixNano')),
    attributes: attributesOf(json),
    droppedAttributesCount: numberOf(json, 'droppedAttributesCount'),
    events: objectsOf(json, 'events').map((event) => ({
      timeUnixNano: BigInt(textOf(event, 'timeUnixNano')),
      name: textOf(event, 'name'),
      attributes: attributesOf(event),
      droppedAttributesCount: numberOf(event, 'droppedAttributesCount'),
    })),
    droppedEventsCount: numberOf(json, 'droppedEventsCount'),
    links: objectsOf(json, 'links').map((link) => ({
      traceId: textOf(link, 'traceId'),
      spanId: textOf(link, 'spanId'),
      traceState: textOf(link, 'traceState'),
      flags: numberOf(link, 'flags'),
      attributes: attributesOf(link),
      droppedAttributesCount: numberOf(link, 'droppedAttributesCount'),
    })),
    droppedLinksCount: numberOf(json, 'droppedLinksCount'),
    status: { code: numberOf(status, 'code'), message: textOf(status, 'message') },
  };
}

function attributesOf(json: JsonObject, name = 'attributes'): Attributes {
  return new Map(objectsOf(json, name).map((entry) => [textOf(entry, 'key'), valueOf(objectOf(entry, 'value'))]));
}

function valueOf(json: JsonObject): AttributeValue {
  const [name] = Object.keys(json);
  switch (name) {
    case 'stringValue':
      return textOf(json, name);
    case 'boolValue':
      return json[name] === true;
    case 'intValue':
      return BigInt(textOf(json, name));
    case 'doubleValue':
      return Number(json[name]);
    case 'arrayValue':
      return objectsOf(objectOf(json, name), 'values').map(valueOf);
    case 'kvlistValue':
      return attributesOf(objectOf(json, name), 'values');
    case 'bytesValue':
      return Buffer.from(textOf(json, name), 'base64');
    default:
      return null;
  }
}

function textOf(json: JsonObject, name: string): string {
  const value = json[name];
  return typeof value === 'string' ? value : '';
}

function numberOf(json: JsonObject, name: string): number {
  const value = json[name];
  return typeof value === 'number' ? value : 0;
}

function objectOf(json: JsonObject, name: string): JsonObject {
  return asObject(json[name]);
}

function objectsOf(json: JsonObject, name: string): JsonObject[] {
  const value = json[name];
  return Array.isArray(value) ? value.map(asObject) : [];
}

function asObject(value: JsonValue | undefined): JsonObject {
  return typeof value === 'object' && !Array.isArray(value) ? value : {};
}
