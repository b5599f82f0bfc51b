/** The demo's verdict must be able to fail: it says what is missing, shown twice and made up. */
import type { SpanContext } from '@opentelemetry/api';
import { InMemorySpanExporter } from '@opentelemetry/sdk-trace-base';
import { expect, test } from 'vitest';
import type { Ack } from '../../demo/failover-exporter.ts';
import { Ledger } from '../../demo/ledger.ts';
import { Shop } from '../../demo/shop.ts';
import type { Order } from '../../demo/shop.ts';
import type { QuorateClient } from '../support/quorate-client.ts';

/** An ack of these spans, with only the parts that are looked at. */
function ackOf(traceId: string, spanIds: readonly string[], ackedMs: number): Ack {
  const spans = spanIds.map((spanId) => ({ spanContext: (): SpanContext => ({ traceId, spanId, traceFlags: 1 }) }));
  return { spans: spans as unknown as Ack['spans'], node: 0, sentMs: ackedMs - 1, ackedMs };
}
/** A node that shows exactly this. */
function showing(shown: Readonly<Record<string, readonly string[]>>): QuorateClient {
  return { spanIds: async (traceId: string) => shown[traceId] ?? [] } as unknown as QuorateClient;
}
const order = (traceId: string, ...spanIds: string[]): Order => ({ traceId, spanIds, failed: false });

test('every acked span once is what is asked for; spans that were never acked may be there or not', async () => {
  const ledger = new Ledger();
  ledger.sent(order('t', 'a', 'b', 'c'));
  ledger.sent(order('u', 'd'));
  ledger.acked(ackOf('t', ['a', 'b'], 5));
  expect(ledger).toMatchObject({ spansSent: 4, spansAcked: 2, tracesAcked: 0 });
  for (const shown of [
    ['a', 'b'],
    ['b', 'a', 'c'],
  ]) {
    const verdict = await ledger.verify(showing({ t: shown }));
    expect(verdict).toEqual({ traces: 1, found: 2, missing: [], repeated: [], strangers: [] });
  }
});

test('a missing span, a repeated one and a stranger are told apart', async () => {
  const ledger = new Ledger();
  ledger.sent(order('t', 'a', 'b'));
  ledger.sent(order('u', 'c'));
  ledger.acked(ackOf('t', ['a', 'b'], 5));
  ledger.acked(ackOf('u', ['c'], 9));
  const verdict = await ledger.verify(showing({ t: ['a', 'a', 'x'] }));
  expect(verdict).toMatchObject({ traces: 2, found: 1, repeated: ['a'], strangers: ['x'] });
  expect(new Set(verdict.missing)).toEqual(new Set(['b', 'c']));
  expect(ledger.tracesAcked).toBe(2);
  expect(ledger.firstAckedAfter(6)?.traceId).toBe('u');
});

test('the shop sends what it says, through five services, one order in eight failed', async () => {
  const exporter = new InMemorySpanExporter();
  const shop = new Shop(() => exporter);
  const orders = Array.from({ length: 16 }, () => shop.order());
  await shop.flush();
  const exported = Map.groupBy(exporter.getFinishedSpans(), (span) => span.spanContext().traceId);
  const names = new Set(exporter.getFinishedSpans().map((span) => span.resource.attributes['service.name']));
  await shop.shutdown();
  expect(orders.filter(({ failed }) => failed)).toHaveLength(2);
  expect(names).toEqual(new Set(['frontend', 'cart', 'checkout', 'payment', 'shipping']));
  for (const { traceId, spanIds } of orders) {
    expect(new Set(exported.get(traceId)?.map((span) => span.spanContext().spanId))).toEqual(new Set(spanIds));
  }
});
