/** One leader killed: how long until each survivor acknowledges again, and where the time went. */
import { setTimeout as delay } from 'node:timers/promises';
import type { LocalNode } from '../cluster/local-node.ts';
import { smallExport } from '../test/support/otlp-workload.ts';
import type { QuorateClient } from '../test/support/quorate-client.ts';
import type { SeededRandom } from '../test/support/seeded-random.ts';
import type { AckLedger } from './ack-ledger.ts';

/** A new export begins this often through each survivor, whatever became of those before. */
const beginEveryMs = 10;
const retryMs = 5;
const watchEveryMs = 3;
const patienceMs = 30_000;

/** All times in ms from the moment the signal was sent. */
export interface Failover {
  /** First ack of any export begun after the kill, by survivor. */
  readonly firstAckMs: ReadonlyMap<string, number>;
  /** Ack of the very first export after the kill, by survivor: what a client that was about to send had to wait. */
  readonly firstExportMs: ReadonlyMap<string, number>;
  /** A survivor had noticed: it was without a leader, or in a newer term. */
  readonly noticedMs: number;
  /** A survivor called itself the leader. */
  readonly electedMs: number;
  /** Terms that it took: 1, or more when votes were split. */
  readonly terms: number;
}

/** Kills `leader`, which led in `term`, and gives what its survivors did. Rejects when one of them does not ack in 30 s. */
export async function failover(
  leader: LocalNode,
  term: number,
  survivors: readonly QuorateClient[],
  { random, ledger }: { random: SeededRandom; ledger: AckLedger },
): Promise<Failover> {
  const startedMs = performance.now();
  const sinceMs = (): number => performance.now() - startedMs;
  const killed = leader.kill('SIGKILL');
  const firstAckMs = new Map<string, number>();
  const firstExportMs = new Map<string, number>();

  const exportUntilAcked = async (client: QuorateClient): Promise<void> => {
    const sent = smallExport(random, { spans: random.between(1, 3) });
    while (sinceMs() < patienceMs) {
      const { outcome } = await client.export(sent.body);
      if (outcome === 'ok') {
        ledger.acked(sent);
        return;
      }
      await delay(retryMs);
    }
    throw new Error(`an export through ${client.id} was not acknowledged within ${patienceMs} ms of the kill`);
  };
  const probe = async (client: QuorateClient): Promise<void> => {
    const begun: Promise<void>[] = [];
    while (!firstAckMs.has(client.id) && sinceMs() < patienceMs) {
      const isFirst = begun.length === 0;
      begun.push(
        exportUntilAcked(client).then(() => {
          if (!firstAckMs.has(client.id)) firstAckMs.set(client.id, sinceMs());
          if (isFirst) firstExportMs.set(client.id, sinceMs());
        }),
      );
      await Promise.race([delay(beginEveryMs), begun.at(-1)]);
    }
    await Promise.all(begun);
  };

  let noticedMs = Number.NaN;
  let electedMs = Number.NaN;
  let reached = term;
  const watch = async (client: QuorateClient): Promise<void> => {
    while (Number.isNaN(electedMs) && sinceMs() < patienceMs) {
      const view = await client.cluster();
      if (view !== undefined && Number.isNaN(noticedMs) && (view.term > term || view.leader === undefined))
        noticedMs = sinceMs();
      if (view !== undefined && view.role === 'leader' && view.term > term && Number.isNaN(electedMs)) {
        electedMs = sinceMs();
        reached = view.term;
      }
      await delay(watchEveryMs);
    }
  };

  await Promise.all([killed, ...survivors.flatMap((client) => [probe(client), watch(client)])]);
  return { firstAckMs, firstExportMs, noticedMs, electedMs, terms: reached - term };
}
