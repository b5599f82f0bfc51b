/**
 * An application with one of OpenTelemetry's own exporters: makes traces with the SDK and exports them batch by batch, one
 * after the other as the SDK's batch processor does. What the exporter reports is all it knows.
 */
import { OTLPTraceExporter as GrpcExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, type ReadableSpan, type SpanExporter } from '@opentelemetry/sdk-trace-base';

export const senderKinds = ['http/json', 'http/protobuf', 'grpc'] as const;
export type SenderKind = (typeof senderKinds)[number];

/** ExportResultCode.SUCCESS, of a package that applications do not depend on themselves. */
const succeeded = 0;
/** Long enough for the exporter's own retries to outlast a missing majority. */
const timeoutMillis = 40_000;
const spansPerBatch = 10;

export interface SenderOptions {
  readonly kind: SenderKind;
  /** Base URL of the node's HTTP API, and `HOST:PORT` of its gRPC. */
  readonly http: string;
  readonly grpc: string;
}

export class SdkSender {
  readonly kind: SenderKind;
  /** Span ids by trace id, of every batch that the exporter reported as a success. */
  readonly acked = new Map<string, Set<string>>();
  /** Batches that it gave up. */
  failures = 0;
  batches = 0;
  readonly #exporter: SpanExporter;
  readonly #ended: ReadableSpan[] = [];
  readonly #provider: BasicTracerProvider;
  #running: Promise<void> | null = null;
  #stopped = false;

  constructor({ kind, http, grpc }: SenderOptions) {
    this.kind = kind;
    const url = `${http}/v1/traces`;
    this.#exporter =
      kind === 'grpc'
        ? new GrpcExporter({ url: `http://${grpc}`, timeoutMillis })
        : kind === 'http/json'
          ? new JsonExporter({ url, timeoutMillis })
          : new ProtobufExporter({ url, timeoutMillis });
    this.#provider = new BasicTracerProvider({
      resource: resourceFromAttributes({ 'service.name': `sender ${kind}` }),
      spanProcessors: [
        {
          onStart: () => undefined,
          onEnd: (span) => void this.#ended.push(span),
          forceFlush: async () => undefined,
          shutdown: async () => undefined,
        },
      ],
    });
  }

  /** Exports batches until `stop`. */
  start(): void {
    this.#running = this.#run();
  }

  /** Resolves once the batch under way is reported. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    await this.#exporter.shutdown();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) await this.exportBatch();
  }

  /** Makes a trace and exports it. Resolves with what the exporter reported. */
  async exportBatch(): Promise<'success' | 'failure'> {
    const tracer = this.#provider.getTracer('test', '1.0');
    for (let n = 0; n < spansPerBatch; n += 1) {
      const span = tracer.startSpan(`step ${n}`, {
        attributes: { step: n, share: n / 7, big: 2 ** 53 - 1, tags: ['a', 'b'] },
      });
      span.addEvent('begun', { n });
      span.end();
    }
    const spans = this.#ended.splice(0);
    const { code } = await new Promise<{ readonly code: number }>((resolve) => this.#exporter.export(spans, resolve));
    this.batches += 1;
    if (code !== succeeded) {
      this.failures += 1;
      return 'failure';
    }
    for (const span of spans) {
      const { traceId, spanId } = span.spanContext();
      this.acked.set(traceId, (this.acked.get(traceId) ?? new Set()).add(spanId));
    }
    return 'success';
  }
}
