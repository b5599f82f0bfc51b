/**
 * What an application does that may not lose a span: it exports through the OpenTelemetry exporter, which retries a
 * 503 by itself, and when that has failed for good it sends the same spans again through another node. Sending again
 * is safe: Quorate shows exact duplicates once. Only what some node acknowledged counts as acked.
 */
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';

type ExportResult = Parameters<Parameters<SpanExporter['export']>[1]>[0];
/** ExportResultCode.SUCCESS, of a package that applications do not depend on themselves. */
const succeeded = 0;

/** The SDK's own retries end after this long; then another node is tried. */
const exporterTimeoutMs = 2_500;
const attemptsMax = 20;

export interface Ack {
  readonly spans: readonly ReadableSpan[];
  /** Index of the node that acknowledged. */
  readonly node: number;
  /** performance.now() when it was handed to that node's exporter, and when the ack came. */
  readonly sentMs: number;
  readonly ackedMs: number;
}

export class FailoverExporter implements SpanExporter {
  readonly #exporters: readonly OTLPTraceExporter[];
  readonly #onAck: (ack: Ack) => void;
  readonly #pending = new Set<Promise<void>>();
  #node: number;
  #resent = 0;

  constructor({ urls, firstNode, onAck }: { urls: readonly string[]; firstNode: number; onAck: (ack: Ack) => void }) {
    this.#exporters = urls.map(
      (url) => new OTLPTraceExporter({ url: `${url}/v1/traces`, timeoutMillis: exporterTimeoutMs }),
    );
    this.#node = firstNode % urls.length;
    this.#onAck = onAck;
  }

  /** Exports that went through another node after the first had failed. */
  get resent(): number {
    return this.#resent;
  }

  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    const exporting: Promise<void> = this.#exportSomewhere(spans)
      .then(resultCallback)
      .finally(() => this.#pending.delete(exporting));
    this.#pending.add(exporting);
  }

  /** Resolves when no export is under way. */
  async forceFlush(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  async shutdown(): Promise<void> {
    await this.forceFlush();
    await Promise.all(this.#exporters.map(async (exporter) => exporter.shutdown()));
  }

  async #exportSomewhere(spans: ReadableSpan[]): Promise<ExportResult> {
    for (let attempt = 1; ; attempt += 1) {
      const node = this.#node;
      const exporter = this.#exporters[node];
      if (exporter === undefined) throw new Error('there is no node to export to');
      const sentMs = performance.now();
      const result = await new Promise<ExportResult>((resolve) => exporter.export(spans, resolve));
      if (Object.is(result.code, succeeded)) {
        this.#onAck({ spans, node, sentMs, ackedMs: performance.now() });
        return result;
      }
      if (attempt === attemptsMax) return result;
      this.#resent += 1;
      if (this.#node === node) this.#node = (node + 1) % this.#exporters.length;
    }
  }
}
