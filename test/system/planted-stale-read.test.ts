/** The check that every history goes through is itself checked: stale reads of real nodes must turn it red. */
import { expect, onTestFinished, test } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { assertLinearizable, checkHistory, HistoryRecorder } from '../support/history.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { eventually } from '../support/quorate-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { Traffic } from '../support/traffic.ts';

test('nodes whose reads do not ask the leader are found out by ordinary traffic', async () => {
  const cluster = await TestCluster.start({
    plant: {
      file: 'src/raft/read-gate.ts',
      find: 'this.#joining.add(reader);',
      replace: 'reader.cancelDeadline(); resolve(this.#applied); return;',
    },
  });
  onTestFinished(async () => cluster.stop());
  const traffic = new Traffic(cluster, 10);
  traffic.start();
  await traffic.moreAcks(300);
  await traffic.stop();
  const verdict = checkHistory(traffic.recorder.history());
  if (verdict.ok) throw new Error(`the stale reads of ${verdict.linearizableReads} were not noticed`);
  expect(verdict.fault).toMatch(/^(stale read|lost ack|read went backwards)$/);
});

test('the stale answer of a node that was away, passed off as linearizable, is found out', async () => {
  const cluster = await TestCluster.start();
  onTestFinished(async () => cluster.stop());
  const random = new SeededRandom(9);
  const { id: leader } = await cluster.leader();
  const [away, present] = cluster.others(leader);
  if (away === undefined || present === undefined) throw new Error('three nodes are needed');
  const first = smallExport(random, { spans: 1 });
  const second = smallExport(random, { spans: 1, traceId: first.traceId });

  const recorder = new HistoryRecorder(() => performance.now());
  for (const { body, spanIds } of [first, second]) {
    const adds = spanIds.map((span) => recorder.add('writer', first.traceId, span));
    const { outcome } = await present.export(body);
    for (const add of adds) add.settle(outcome);
    expect(outcome).toBe('ok');
    if (body === first.body) await cluster.node(away.id).kill('SIGKILL');
  }
  await Promise.all(cluster.others(away.id).map(async ({ id }) => cluster.node(id).kill('SIGKILL')));
  // Alone, and with what it had: it cannot know of the second span.
  cluster.node(away.id).spawn();
  const read = recorder.read(`reader of ${away.id}`, first.traceId, 'linearizable');
  read.returned(
    await eventually('a stale answer', async () => away.spanIds(first.traceId, 'stale').catch(() => undefined)),
  );

  const planted = recorder.history();
  const verdict = checkHistory(planted);
  expect(verdict).toMatchObject({ ok: false, fault: 'lost ack' });
  if (!verdict.ok) expect(verdict.explanation).toMatch(/reader of n\d .* lacks .*, acked to writer/);
  // The same answer under its true name is legal.
  assertLinearizable(
    planted.map((operation) => (operation.kind === 'read' ? { ...operation, consistency: 'stale' } : operation)),
  );
});
