/** `grpc.health.v1.Health`: whether this node can serve, for load balancers and Kubernetes. */
import type { ServerHttp2Stream } from 'node:http2';
import { QuorateError } from '../errors.ts';
import { tagOf, WireError, WireReader, wireTypes } from '../otlp/wire.ts';
import type { Clock } from '../platform/clock.ts';
import { beginAnswer, frameOf } from './grpc-framing.ts';

const servingStatus = { serving: 1, notServing: 2, serviceUnknown: 3 } as const;
type ServingStatus = (typeof servingStatus)[keyof typeof servingStatus];

/** Often enough for whoever takes traffic away from a node. */
const watchEveryMs = 250;
const serviceTag = tagOf(1, wireTypes.bytes);

export interface HealthOptions {
  readonly clock: Clock;
  readonly isReady: () => boolean;
  /** Names of the services whose health is the node's own; '' is always one. */
  readonly services: readonly string[];
}

/** The answer to `Check`. Throws `not-found` for a service that is not here. */
export function checkHealth(request: Uint8Array, options: HealthOptions): Uint8Array {
  const status = statusOf(serviceIn(request), options);
  if (status === servingStatus.serviceUnknown) throw new QuorateError('not-found', 'there is no such service here');
  return healthResponse(status);
}

/** A `Watch` under way. */
export interface Watch {
  /** The node stops: tells so, and ends the call. */
  readonly end: () => void;
}

/** Answers `Watch`: the status now, and each time it changes, until the client goes away. */
export function watchHealth(stream: ServerHttp2Stream, request: Uint8Array, options: HealthOptions): Watch {
  const service = serviceIn(request);
  let told: ServingStatus | null = null;
  let cancel: () => void = () => undefined;
  const tell = (): void => {
    const status = statusOf(service, options);
    if (status !== told && !stream.writableEnded) stream.write(frameOf(healthResponse(status)));
    told = status;
    cancel = options.clock.after(watchEveryMs, tell);
  };
  beginAnswer(stream);
  stream.once('close', () => cancel());
  tell();
  return {
    end: () => {
      cancel();
      stream.end(frameOf(healthResponse(servingStatus.notServing)));
    },
  };
}

function statusOf(service: string, { isReady, services }: HealthOptions): ServingStatus {
  if (service !== '' && !services.includes(service)) return servingStatus.serviceUnknown;
  return isReady() ? servingStatus.serving : servingStatus.notServing;
}

/** HealthCheckRequest { service = 1 }. */
function serviceIn(request: Uint8Array): string {
  const reader = new WireReader(request);
  let service = '';
  try {
    while (reader.at < reader.end) {
      const tag = reader.readTag();
      if (tag === serviceTag) {
        const end = reader.readLength() + reader.at;
        service = Buffer.from(request.subarray(reader.at, end)).toString('utf8');
        reader.at = end;
      } else reader.skip(tag);
    }
  } catch (error) {
    if (error instanceof WireError) throw new QuorateError('bad-request', `the request is damaged: ${error.message}`);
    throw error;
  }
  return service;
}

/** HealthCheckResponse { status = 1 }. */
function healthResponse(status: ServingStatus): Uint8Array {
  return Uint8Array.of(tagOf(1, wireTypes.varint), status);
}
