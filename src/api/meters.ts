/** What clients sent and what they were answered, counted in one place so that HTTP and gRPC count alike. */
import { Counter, Gauge, Registry } from 'prom-client';
import type { ErrorCode, QuorateError } from '../errors.ts';
import type { OtlpEncoding } from '../otlp/responses.ts';
import { spanFaults, type SpanFault } from '../otlp/span-fault.ts';

export type Protocol = 'http' | 'grpc';

export class Meters {
  readonly registry = new Registry();
  readonly #requests: Counter<'protocol' | 'encoding' | 'code'>;
  readonly #receivedBytes: Counter<'protocol'>;
  readonly #inflatedBytes: Counter<'protocol'>;
  readonly #spansAccepted: Counter;
  readonly #spansRejected: Counter<'reason'>;
  readonly #limitsMet: Counter<'limit'>;
  readonly #connections: Gauge<'protocol'>;

  constructor() {
    const registers = [this.registry];
    this.#requests = new Counter({
      name: 'quorate_otlp_requests_total',
      help: 'Exports by how they came and what they were answered: ok, partial, or the code of an error.',
      labelNames: ['protocol', 'encoding', 'code'],
      registers,
    });
    this.#receivedBytes = new Counter({
      name: 'quorate_otlp_received_bytes_total',
      help: 'Bytes of exports as received, before inflation.',
      labelNames: ['protocol'],
      registers,
    });
    this.#inflatedBytes = new Counter({
      name: 'quorate_otlp_inflated_bytes_total',
      help: 'Bytes of exports after inflation.',
      labelNames: ['protocol'],
      registers,
    });
    this.#spansAccepted = new Counter({
      name: 'quorate_otlp_spans_accepted_total',
      help: 'Spans acknowledged.',
      registers,
    });
    this.#spansRejected = new Counter({
      name: 'quorate_otlp_spans_rejected_total',
      help: 'Spans rejected by partial_success, by reason.',
      labelNames: ['reason'],
      registers,
    });
    for (const reason of spanFaults) this.#spansRejected.inc({ reason }, 0);
    this.#limitsMet = new Counter({
      name: 'quorate_limits_met_total',
      help: 'Requests and connections refused because of a limit, by its name in docs/limits.md.',
      labelNames: ['limit'],
      registers,
    });
    this.#connections = new Gauge({
      name: 'quorate_connections',
      help: 'Open connections of clients.',
      labelNames: ['protocol'],
      registers,
    });
  }

  received(protocol: Protocol, bytes: { readonly received: number; readonly inflated: number }): void {
    this.#receivedBytes.inc({ protocol }, bytes.received);
    this.#inflatedBytes.inc({ protocol }, bytes.inflated);
  }

  spans(accepted: number, rejected: ReadonlyMap<SpanFault, number>): void {
    this.#spansAccepted.inc(accepted);
    for (const [reason, count] of rejected) this.#spansRejected.inc({ reason }, count);
  }

  answered(
    protocol: Protocol,
    encoding: OtlpEncoding | 'unknown',
    code: 'ok' | 'partial' | 'deadline-exceeded' | ErrorCode,
  ): void {
    this.#requests.inc({ protocol, encoding, code });
  }

  /** Counts the limit behind a refusal, if there is one. */
  refused({ limit }: Pick<QuorateError, 'limit'>): void {
    if (limit !== null) this.#limitsMet.inc({ limit });
  }

  connections(protocol: Protocol, change: 1 | -1): void {
    this.#connections.inc({ protocol }, change);
  }
}
