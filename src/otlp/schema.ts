/**
 * The messages of opentelemetry-proto 1.11 that make up a trace (trace.proto, common.proto, resource.proto), as a table:
 * the walker takes wire types from it, JSON takes names. What is not here is an unknown field: the walker keeps it
 * in the bytes, JSON ignores it.
 *
 * Left out on purpose: AnyValue.string_value_strindex and KeyValue.key_strindex, which belong to profiles; a trace
 * receiver must treat them as absent.
 */
import { wireTypes, type WireType } from './wire.ts';

export type ScalarType =
  | 'string'
  | 'bytes'
  | 'id'
  | 'bool'
  | 'uint32'
  | 'fixed32'
  | 'enum'
  | 'int64'
  | 'fixed64'
  | 'double';

export interface FieldSchema {
  readonly number: number;
  /** The lowerCamelCase name of OTLP JSON. */
  readonly name: string;
  readonly repeated: boolean;
  readonly type: ScalarType | 'message';
  /** The message in the field; itself only for type `message`. */
  readonly message: MessageSchema | null;
}

export interface MessageSchema {
  readonly name: string;
  /** All fields exclude one another, and a default value that is present counts (AnyValue). */
  readonly oneof: boolean;
  /** Ascending by number. */
  readonly fields: readonly FieldSchema[];
}

const wireTypeOfType: Readonly<Record<FieldSchema['type'], WireType>> = {
  string: wireTypes.bytes,
  bytes: wireTypes.bytes,
  id: wireTypes.bytes,
  message: wireTypes.bytes,
  bool: wireTypes.varint,
  uint32: wireTypes.varint,
  enum: wireTypes.varint,
  int64: wireTypes.varint,
  fixed64: wireTypes.fixed64,
  double: wireTypes.fixed64,
  fixed32: wireTypes.fixed32,
};

/** The wire type of a field's values. */
export function wireTypeOf(field: FieldSchema): WireType {
  return wireTypeOfType[field.type];
}

function scalar(number: number, name: string, type: ScalarType): FieldSchema {
  return { number, name, type, repeated: false, message: null };
}
function scalars(number: number, name: string, type: ScalarType): FieldSchema {
  return { number, name, type, repeated: true, message: null };
}
function one(number: number, name: string, message: MessageSchema): FieldSchema {
  return { number, name, type: 'message', repeated: false, message };
}
function many(number: number, name: string, message: MessageSchema): FieldSchema {
  return { number, name, type: 'message', repeated: true, message };
}
function define(name: string, fields: readonly FieldSchema[]): MessageSchema {
  return { name, oneof: false, fields };
}

// AnyValue holds lists of itself, so its fields are filled in once the lists exist.
const anyValueFields: FieldSchema[] = [];
export const anyValue: MessageSchema = { name: 'AnyValue', oneof: true, fields: anyValueFields };
export const keyValue = define('KeyValue', [scalar(1, 'key', 'string'), one(2, 'value', anyValue)]);
const arrayValue = define('ArrayValue', [many(1, 'values', anyValue)]);
const keyValueList = define('KeyValueList', [many(1, 'values', keyValue)]);
anyValueFields.push(
  scalar(1, 'stringValue', 'string'),
  scalar(2, 'boolValue', 'bool'),
  scalar(3, 'intValue', 'int64'),
  scalar(4, 'doubleValue', 'double'),
  one(5, 'arrayValue', arrayValue),
  one(6, 'kvlistValue', keyValueList),
  scalar(7, 'bytesValue', 'bytes'),
);

const entityRef = define('EntityRef', [
  scalar(1, 'schemaUrl', 'string'),
  scalar(2, 'type', 'string'),
  scalars(3, 'idKeys', 'string'),
  scalars(4, 'descriptionKeys', 'string'),
]);

const resource = define('Resource', [
  many(1, 'attributes', keyValue),
  scalar(2, 'droppedAttributesCount', 'uint32'),
  many(3, 'entityRefs', entityRef),
]);

const instrumentationScope = define('InstrumentationScope', [
  scalar(1, 'name', 'string'),
  scalar(2, 'version', 'string'),
  many(3, 'attributes', keyValue),
  scalar(4, 'droppedAttributesCount', 'uint32'),
]);

const event = define('Event', [
  scalar(1, 'timeUnixNano', 'fixed64'),
  scalar(2, 'name', 'string'),
  many(3, 'attributes', keyValue),
  scalar(4, 'droppedAttributesCount', 'uint32'),
]);

const link = define('Link', [
  scalar(1, 'traceId', 'id'),
  scalar(2, 'spanId', 'id'),
  scalar(3, 'traceState', 'string'),
  many(4, 'attributes', keyValue),
  scalar(5, 'droppedAttributesCount', 'uint32'),
  scalar(6, 'flags', 'fixed32'),
]);

const status = define('Status', [scalar(2, 'message', 'string'), scalar(3, 'code', 'enum')]);

export const span = define('Span', [
  scalar(1, 'traceId', 'id'),
  scalar(2, 'spanId', 'id'),
  scalar(3, 'traceState', 'string'),
  scalar(4, 'parentSpanId', 'id'),
  scalar(5, 'name', 'string'),
  scalar(6, 'kind', 'enum'),
  scalar(7, 'startTimeUnixNano', 'fixed64'),
  scalar(8, 'endTimeUnixNano', 'fixed64'),
  many(9, 'attributes', keyValue),
  scalar(10, 'droppedAttributesCount', 'uint32'),
  many(11, 'events', event),
  scalar(12, 'droppedEventsCount', 'uint32'),
  many(13, 'links', link),
  scalar(14, 'droppedLinksCount', 'uint32'),
  one(15, 'status', status),
  scalar(16, 'flags', 'fixed32'),
]);

export const scopeSpans = define('ScopeSpans', [
  one(1, 'scope', instrumentationScope),
  many(2, 'spans', span),
  scalar(3, 'schemaUrl', 'string'),
]);

export const resourceSpans = define('ResourceSpans', [
  one(1, 'resource', resource),
  many(2, 'scopeSpans', scopeSpans),
  scalar(3, 'schemaUrl', 'string'),
]);

/** ExportTraceServiceRequest and TracesData alike: the two have the same fields. */
export const tracesData = define('TracesData', [many(1, 'resourceSpans', resourceSpans)]);
