import { describe, expect, test } from 'vitest';
import { contentTypeOf, exportResponse, statusBody } from '../../src/otlp/responses.ts';
import { referenceObject } from './reference.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

test('content types', () => {
  expect(contentTypeOf('protobuf')).toBe('application/x-protobuf');
  expect(contentTypeOf('json')).toBe('application/json');
});

describe('an answer to an export', () => {
  test('full success has no partial_success', () => {
    const success = { rejectedSpans: 0, message: '' };
    expect(exportResponse('protobuf', success)).toHaveLength(0);
    expect(text(exportResponse('json', success))).toBe('{}');
  });

  test.each([
    [
      { rejectedSpans: 3, message: 'span 0: trace id must be 16 bytes, not 8' },
      { rejectedSpans: '3', errorMessage: 'span 0: trace id must be 16 bytes, not 8' },
    ],
    [{ rejectedSpans: 2 ** 40, message: '' }, { rejectedSpans: '1099511627776' }],
    [{ rejectedSpans: 0, message: 'a warning, ü' }, { errorMessage: 'a warning, ü' }],
  ])('partial success %j', (partial, partialSuccess) => {
    expect(referenceObject('ExportTraceServiceResponse', exportResponse('protobuf', partial))).toEqual({
      partialSuccess,
    });
    expect(JSON.parse(text(exportResponse('json', partial)))).toEqual({ partialSuccess });
  });
});

test.each([
  { code: 14, message: 'no leader: send it again' },
  { code: 3, message: '' },
  { code: 0, message: 'm' },
])('google.rpc.Status %j', (status) => {
  expect(JSON.parse(text(statusBody('json', status)))).toEqual(status);
  const decoded = { code: 0, message: '', ...referenceObject('RpcStatus', statusBody('protobuf', status)) };
  expect(decoded).toEqual(status);
});
