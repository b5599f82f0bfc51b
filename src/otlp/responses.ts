/**
 * What an OTLP endpoint answers, in the encoding the request came in: ExportTraceServiceResponse, or google.rpc.Status
 * for every 4xx and 5xx (OTLP specification, "OTLP/HTTP Response").
 */
import { putBytes, putTagged, putVarint, taggedSize, tagOf, varintSize, wireTypes } from './wire.ts';

export type OtlpEncoding = 'protobuf' | 'json';

const contentTypes: Readonly<Record<OtlpEncoding, string>> = {
  protobuf: 'application/x-protobuf',
  json: 'application/json',
};

/** The Content-Type of a request or answer in `encoding`. */
export function contentTypeOf(encoding: OtlpEncoding): string {
  return contentTypes[encoding];
}

/**
 * The body of a 200. Without rejected spans and message it is full success: no partial_success at all. A message with
 * no rejected span is a warning.
 */
export function exportResponse(
  encoding: OtlpEncoding,
  { rejectedSpans, message }: { readonly rejectedSpans: number; readonly message: string },
): Uint8Array {
  const isFullSuccess = rejectedSpans === 0 && message === '';
  if (encoding === 'protobuf') {
    return isFullSuccess ? new Uint8Array(0) : nested(1, countAndText(1, rejectedSpans, 2, message));
  }
  const partialSuccess = {
    ...(rejectedSpans > 0 && { rejectedSpans: String(rejectedSpans) }),
    ...(message !== '' && { errorMessage: message }),
  };
  return jsonBytes(isFullSuccess ? {} : { partialSuccess });
}

export interface RpcStatus {
  /** A gRPC status code. */
  readonly code: number;
  readonly message: string;
  /** Given when the client is to send the same again: becomes a google.rpc.RetryInfo. Seconds, a whole number. */
  readonly retryAfterSeconds?: number;
}

const retryInfoType = 'type.googleapis.com/google.rpc.RetryInfo';

/** The body of an error: google.rpc.Status. In protobuf also what gRPC carries as `grpc-status-details-bin`. */
export function statusBody(encoding: OtlpEncoding, { code, message, retryAfterSeconds }: RpcStatus): Uint8Array {
  if (encoding === 'json') {
    const details = { details: [{ '@type': retryInfoType, retryDelay: `${retryAfterSeconds}s` }] };
    return jsonBytes({ code, message, ...(retryAfterSeconds === undefined ? {} : details) });
  }
  const status = countAndText(1, code, 2, message);
  if (retryAfterSeconds === undefined) return status;
  // RetryInfo { retry_delay = 1: Duration { seconds = 1 } } inside Any { type_url = 1, value = 2 } inside `details`.
  const retryInfo = nested(1, countAndText(1, retryAfterSeconds, 2, ''));
  const any = Buffer.concat([nested(1, Buffer.from(retryInfoType)), nested(2, retryInfo)]);
  return Buffer.concat([status, nested(3, any)]);
}

/** A message of one non-negative integer and one string, defaults left out. */
function countAndText(countField: number, count: number, textField: number, text: string): Uint8Array {
  const textBytes = Buffer.from(text);
  const countTag = tagOf(countField, wireTypes.varint);
  const countSize = count === 0 ? 0 : varintSize(countTag) + varintSize(count);
  const textSize = textBytes.length === 0 ? 0 : taggedSize(textField, textBytes.length);
  const body = new Uint8Array(countSize + textSize);
  let at = 0;
  if (countSize > 0) at = putVarint(body, putVarint(body, 0, countTag), count);
  if (textSize > 0) putBytes(body, putTagged(body, at, textField, textBytes.length), textBytes);
  return body;
}

function nested(field: number, value: Uint8Array): Uint8Array {
  const body = new Uint8Array(taggedSize(field, value.length));
  putBytes(body, putTagged(body, 0, field, value.length), value);
  return body;
}

function jsonBytes(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
