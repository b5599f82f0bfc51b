/** Members come, go and lose their disks under load; nothing else restarts, and every history is linearizable (protocol B2, G4). */
import { rmSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { eventually, type QuorateClient } from '../support/quorate-client.ts';
import { Traffic } from '../support/traffic.ts';

const members = '/api/v1/cluster/members';

/** Asks until it is done: while another change is under way, or the leader changes, the answer is to ask again. */
async function change(asked: QuorateClient, method: 'POST' | 'DELETE', path: string, body?: object): Promise<void> {
  await eventually(`${method} ${path} ${JSON.stringify(body ?? {})}`, async () => {
    const { status, answer } = await asked
      .admin(method, path, body)
      .catch((error: unknown) => ({ status: 0, answer: error }));
    // Done already, by the answer that was lost.
    const done = status === 409 && /is a member already|is no member/.test(JSON.stringify(answer));
    if (status !== 200 && !done && ![0, 409, 503].includes(status))
      throw new Error(`${status}: ${JSON.stringify(answer)}`);
    return status === 200 || done;
  });
}

test(
  'added, replaced, removed, a disk replaced, the leader removed: nothing acked is missing anywhere',
  { timeout: 600_000 },
  async () => {
    const cluster = await TestCluster.start();
    onTestFinished(async () => cluster.stop());
    const traffic = new Traffic(cluster, 11);
    traffic.start();
    await traffic.moreAcks(200);

    const n4 = await cluster.newcomer('n4');
    await change(cluster.client('n2'), 'POST', members, { id: 'n4' });
    await cluster.node('n4').waitUntilReady();
    traffic.through(n4);
    await traffic.moreAcks(50, ['n4']);

    const hurt = cluster.others((await cluster.leader()).id, 'n4')[0]?.id ?? '';
    await cluster.node(hurt).kill('SIGKILL');
    rmSync(cluster.node(hurt).data, { recursive: true });
    await cluster.node(hurt).start();
    await traffic.moreAcks(50, [hurt]);

    const n5 = await cluster.newcomer('n5');
    const leaving = cluster.others((await cluster.leader(cluster.others('n5'))).id, 'n4', 'n5')[0]?.id ?? '';
    await change(n4, 'POST', members, { id: 'n5', replaces: leaving });
    await cluster.node('n5').waitUntilReady();
    await eventually(`${leaving} is no member`, async () => !(await cluster.node(leaving).isReady()));
    expect(await cluster.retire(leaving)).toBe('exit code 0');
    traffic.through(n5);
    await traffic.moreAcks(50, ['n5']);

    const former = await cluster.leader();
    await change(cluster.others(former.id)[0] ?? n5, 'DELETE', `${members}/${former.id}`);
    await eventually(`${former.id} is no member`, async () => !(await cluster.node(former.id).isReady()));
    expect(await cluster.retire(former.id)).toBe('exit code 0');
    const next = await cluster.leader();
    expect(next.term).toBeGreaterThan(former.term);
    expect(cluster.ids.length).toBe(3);

    // Three are left, two of which are a majority: one of them may go.
    const last = cluster.others(next.id)[0]?.id ?? '';
    await cluster.node(last).kill('SIGKILL');
    await traffic.moreAcks(
      50,
      cluster.others(last).map(({ id }) => id),
    );
    // A node that joined once knows the members by its log.
    await cluster.node(last).start();
    await traffic.moreAcks(50, [last]);
    const counts = await traffic.settle();
    expect(counts.acked).toBeGreaterThan(500);
  },
);
