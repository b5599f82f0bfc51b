/** What was acknowledged, to be asked for at the end: of every node, span by span. */
import type { SmallExport } from '../test/support/otlp-workload.ts';
import type { QuorateClient } from '../test/support/quorate-client.ts';
import { eventually } from '../test/support/quorate-client.ts';

/** Lookups under way at a time, of each node. */
const lookupsMax = 8;

export class AckLedger {
  /** Acked span ids by trace id. */
  readonly #acked = new Map<string, string[]>();
  #spans = 0;

  /** Spans acknowledged so far. */
  get spans(): number {
    return this.#spans;
  }

  acked({ traceId, spanIds }: SmallExport): void {
    const of = this.#acked.get(traceId) ?? [];
    this.#acked.set(traceId, of);
    of.push(...spanIds);
    this.#spans += spanIds.length;
  }

  /** Acked spans that this node does not show, as `trace/span`. Rejects when the node goes on giving no answer. */
  async missingOn(client: QuorateClient): Promise<string[]> {
    const missing: string[] = [];
    const left = this.#acked.entries();
    const look = async (): Promise<void> => {
      for (const [traceId, spanIds] of left) {
        const answer = await eventually(`${client.id} to answer`, async () =>
          client.spanIds(traceId).catch(() => undefined),
        );
        const shown = new Set(answer);
        missing.push(...spanIds.filter((id) => !shown.has(id)).map((id) => `${traceId}/${id}`));
      }
    };
    await Promise.all(Array.from({ length: lookupsMax }, look));
    return missing;
  }
}
