/** Leader after leader killed under a small load through every node; in the end all that was acked is asked for everywhere. */
import { setTimeout as delay } from 'node:timers/promises';
import type { LocalCluster } from '../cluster/local-cluster.ts';
import { smallExport } from '../test/support/otlp-workload.ts';
import { agreedLeader, QuorateClient } from '../test/support/quorate-client.ts';
import { SeededRandom } from '../test/support/seeded-random.ts';
import { AckLedger } from './ack-ledger.ts';
import { failover } from './failover-round.ts';
import type { Failover } from './failover-round.ts';

/** Between two exports of the load that goes through each node all the time. */
const loadRestMs = 10;

export interface Kills {
  readonly rounds: readonly Failover[];
  /** Acked spans, and those of them that some node does not show, as `trace/span`. */
  readonly spans: number;
  readonly missing: readonly string[];
}

export async function killLeaders(
  cluster: LocalCluster,
  kills: number,
  onRound: (killed: string, round: Failover) => void,
): Promise<Kills> {
  const random = new SeededRandom(Date.now() % 2 ** 31);
  const ledger = new AckLedger();
  const clients = cluster.nodes.map(({ id, http }) => new QuorateClient({ id, url: http }));
  let isOver = false;
  const load = Promise.all(
    clients.map(async (client) => {
      while (!isOver) {
        const sent = smallExport(random, { spans: random.between(1, 3) });
        if ((await client.export(sent.body)).outcome === 'ok') ledger.acked(sent);
        await delay(loadRestMs);
      }
    }),
  );
  const rounds: Failover[] = [];
  try {
    while (rounds.length < kills) {
      const { id, term } = await agreedLeader(clients);
      // At no particular moment between two heartbeats.
      await delay(300 + random.below(300));
      const node = cluster.node(id);
      const survivors = clients.filter((client) => client.id !== id);
      const round = await failover(node, term, survivors, { random, ledger });
      rounds.push(round);
      onRound(id, round);
      await node.start();
    }
    isOver = true;
    await load;
    const missing = (await Promise.all(clients.map(async (client) => ledger.missingOn(client)))).flat();
    return { rounds, spans: ledger.spans, missing };
  } finally {
    isOver = true;
    await load;
    for (const client of clients) client.close();
  }
}
