/** The one door for exports: what is refused there before a byte of it is read, and that room is given back. */
import { expect, test } from 'vitest';
import { Intake } from '../../src/api/intake.ts';
import { Meters } from '../../src/api/meters.ts';
import { QuorateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { exportFromJson } from '../../src/otlp/json-decode.ts';
import { exportOf, spanFields } from '../otlp/bytes.ts';

const overloaded = new QuorateError('overloaded', 'behind', { limit: 'queueWaitMsMax' });

function setUp({ refusal = null }: { refusal?: QuorateError | null } = {}) {
  const written: Uint8Array[] = [];
  const intake = new Intake({
    store: {
      refusal,
      write: async (request) => {
        written.push(request);
        return { accepted: 1, rejected: 0, firstReason: null, byFault: new Map() };
      },
    },
    json: { decode: async (text, decodeLimits) => exportFromJson(text, decodeLimits) },
    limits,
    meters: new Meters(),
  });
  let reads = 0;
  const body = (bytes: Uint8Array, announcedBytes: number | null = bytes.length) => ({
    coding: null,
    announcedBytes,
    source: (async function* () {
      reads += 1;
      yield bytes;
    })(),
  });
  return { intake, written, body, reads: () => reads };
}

const request = exportOf(spanFields());

test('a store that is behind refuses before the body is read', async () => {
  const { intake, body, reads } = setUp({ refusal: overloaded });
  await expect(intake.take({ protocol: 'http', encoding: 'protobuf', body: body(request) })).rejects.toBe(overloaded);
  expect([reads(), intake.admittedBytes]).toEqual([0, 0]);
});

test('what can never be taken is told so, also by a store that is behind: it must not be sent again', async () => {
  const { intake, body, reads } = setUp({ refusal: overloaded });
  const large = body(request, limits.requestBytesMax + 1);
  await expect(intake.take({ protocol: 'grpc', encoding: 'protobuf', body: large })).rejects.toMatchObject({
    code: 'too-large',
    limit: 'requestBytesMax',
  });
  expect(reads()).toBe(0);
});

test('protobuf goes on as it came, JSON as protobuf; room is given back', async () => {
  const { intake, body, written } = setUp();
  const json = Buffer.from(
    '{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"a1a2a3a4a5a6a7a8"}]}]}]}',
  );
  await intake.take({ protocol: 'http', encoding: 'protobuf', body: body(request) });
  expect(await intake.take({ protocol: 'http', encoding: 'json', body: body(json) })).toEqual({
    rejectedSpans: 0,
    message: '',
  });
  expect(written.map((bytes) => Buffer.from(bytes).toString('hex'))).toEqual([
    Buffer.from(request).toString('hex'),
    Buffer.from(request).toString('hex'),
  ]);
  await expect(intake.take({ protocol: 'http', encoding: 'json', body: body(Buffer.from('{')) })).rejects.toMatchObject(
    { code: 'bad-request' },
  );
  expect(intake.admittedBytes).toBe(0);
});
