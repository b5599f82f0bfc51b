/** What was sent and what was acknowledged, span by span; and whether a node shows it all. */
import type { QuorateClient } from '../test/support/quorate-client.ts';
import type { Ack } from './failover-exporter.ts';
import type { Order } from './shop.ts';

const lookupsAtOnce = 8;

/** What one node shows of the acknowledged traces. */
export interface Verdict {
  readonly traces: number;
  /** Acknowledged spans the node shows. */
  readonly found: number;
  readonly missing: readonly string[];
  /** Spans shown more than once, and spans nobody sent. */
  readonly repeated: readonly string[];
  readonly strangers: readonly string[];
}

interface SentTrace {
  readonly order: Order;
  readonly acked: Set<string>;
  lastAckMs: number;
}

export class Ledger {
  readonly #traces = new Map<string, SentTrace>();

  sent(order: Order): void {
    this.#traces.set(order.traceId, { order, acked: new Set(), lastAckMs: 0 });
  }

  acked({ spans, ackedMs }: Ack): void {
    for (const span of spans) {
      const { traceId, spanId } = span.spanContext();
      const trace = this.#traces.get(traceId);
      if (trace === undefined) throw new Error(`a span of trace ${traceId} was exported and never sent`);
      trace.acked.add(spanId);
      trace.lastAckMs = ackedMs;
    }
  }

  get spansSent(): number {
    return this.#sum((trace) => trace.order.spanIds.length);
  }

  get spansAcked(): number {
    return this.#sum((trace) => trace.acked.size);
  }

  /** Traces all of whose spans are acknowledged. */
  get tracesAcked(): number {
    return this.#sum((trace) => (isWhole(trace) ? 1 : 0));
  }

  /** The first whole trace of which something was acknowledged only after `afterMs`. */
  firstAckedAfter(afterMs: number): Order | undefined {
    return this.#traces.values().find((trace) => isWhole(trace) && !trace.order.failed && trace.lastAckMs > afterMs)
      ?.order;
  }

  /** Looks up, linearizable, every trace of which a span was acknowledged, through one node. */
  async verify(client: QuorateClient): Promise<Verdict> {
    const missing: string[] = [];
    const repeated: string[] = [];
    const strangers: string[] = [];
    let found = 0;
    const left = [...this.#traces.values()].filter((trace) => trace.acked.size > 0);
    const traces = left.length;
    const lookUp = async (): Promise<void> => {
      for (let trace = left.pop(); trace !== undefined; trace = left.pop()) {
        const shown = await client.spanIds(trace.order.traceId);
        const once = new Set(shown);
        const sent = new Set(trace.order.spanIds);
        missing.push(...trace.acked.difference(once));
        strangers.push(...once.difference(sent));
        repeated.push(...shown.filter((id, at) => shown.indexOf(id) !== at));
        found += trace.acked.intersection(once).size;
      }
    };
    await Promise.all(Array.from({ length: lookupsAtOnce }, lookUp));
    return { traces, found, missing, repeated, strangers };
  }

  #sum(of: (trace: SentTrace) => number): number {
    return this.#traces.values().reduce((sum, trace) => sum + of(trace), 0);
  }
}

function isWhole({ order, acked }: SentTrace): boolean {
  return acked.size === order.spanIds.length;
}
