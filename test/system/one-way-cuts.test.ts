/**
 * Each direction of each link cut by itself, under load, the nasty way: nothing is closed, what is sent stands still. The other
 * direction works, so what one node believes of the other is not what that one believes of it.
 *
 * What holds, whoever leads: every node that is not an end of the cut goes on acknowledging, and so does one of its ends at
 * least: a majority is connected both ways, and the one that is not heard by the leader, or does not hear it, does not disturb.
 * Healed, all nodes serve again. In the end every history is linearizable and all nodes hold the same.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { TestCluster } from '../support/cluster.ts';
import { LinkProxies, type CutKind } from '../support/link-proxies.ts';
import { eventually } from '../support/quorate-client.ts';
import { Traffic } from '../support/traffic.ts';

const quorate = join(import.meta.dirname, '../../bin/quorate');
/** Until the ends have given up connections on which they hear nothing. */
const cutMs = limits.controlSilenceMs + 2 * limits.pingMs;

const allKinds: readonly CutKind[] = ['bytes', 'calls'];

test.each([
  { nodes: 3, kindsOf: () => allKinds },
  // Twenty links: one kind each, in turns.
  { nodes: 5, kindsOf: (link: number) => [allKinds[link % 2] ?? 'bytes'] },
])(
  'each directed link of $nodes nodes cut in turn: the others go on, and healed nothing is missing anywhere',
  { timeout: 600_000 },
  async ({ nodes, kindsOf }) => {
    const links = new LinkProxies();
    onTestFinished(() => links.close());
    const cluster = await TestCluster.start({ nodes, reach: async (...link) => links.open(...link) });
    onTestFinished(async () => cluster.stop());
    const directed = cluster.ids.flatMap((from) => cluster.others(from).map(({ id: to }) => ({ from, to })));
    expect(directed).toHaveLength(nodes * (nodes - 1));
    const traffic = new Traffic(cluster, nodes);
    traffic.start();
    for (const [at, { from, to }] of directed.entries()) {
      for (const kind of kindsOf(at)) {
        const { id: leader } = await cluster.leader();
        links.cut(from, to, kind);
        await delay(cutMs);
        const deaf = from === leader ? to : to === leader ? from : null;
        // It says so, and who sends to the ready nodes alone has nothing to wait for; unless another one leads by now.
        if (deaf !== null) {
          const [third] = cluster.others(from, to);
          await eventually(`${deaf} to miss the leader ${leader}`, async () => {
            if (!(await cluster.client(deaf).isReady())) return true;
            const view = await third?.cluster();
            return view?.leader !== undefined && view.leader !== leader;
          });
        }
        const before = new Map(cluster.ids.map((id) => [id, traffic.acks([id])]));
        const acks = (id: string): number => traffic.acks([id]) - (before.get(id) ?? 0);
        await eventually(
          `acks while ${from} -> ${to} is cut (${kind}; ${leader} leads)`,
          async () => {
            const ends = Math.max(acks(from), acks(to));
            return ends >= 5 && cluster.others(from, to).every(({ id }) => acks(id) >= 5);
          },
          { timeoutMs: 20_000 },
        );
        links.heal();
        await Promise.all(cluster.ids.map(async (id) => traffic.moreAcks(3, [id])));
      }
    }
    const counts = await traffic.settle();
    expect(counts.acked).toBeGreaterThan(directed.length * 10);
    const { stdout } = await promisify(execFile)(quorate, ['verify', '--url', cluster.nodes[0]?.http ?? '']);
    expect(stdout).toMatch(new RegExp(`^${nodes} nodes at entry \\d+: equal\\.`));
  },
);
