/**
 * OpenTelemetry's own exporters against a cluster that loses its leader, and for a while its majority: what they report as
 * exported is on every node, each span once, although their own retries sent some of it twice.
 */
import { expect, onTestFinished, test } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { metric } from '../support/metrics.ts';
import { eventually } from '../support/quorate-client.ts';
import { SdkSender, senderKinds } from '../support/sdk-sender.ts';

test(
  'the leader is killed, then the majority is gone: exporters retry, nothing is lost, nothing is shown twice',
  { timeout: 240_000 },
  async () => {
    const cluster = await TestCluster.start();
    onTestFinished(async () => cluster.stop());
    const leader = await cluster.leader();
    const [survivor, other] = cluster.others(leader.id).map(({ id }) => cluster.node(id));
    if (survivor === undefined || other === undefined) throw new Error('three nodes have two followers');
    // Through a node that lives; and through both others, to have every path from a node to the leader.
    const senders = senderKinds.map((kind) => new SdkSender({ kind, ...survivor }));
    const others = senderKinds.map((kind) => new SdkSender({ kind, ...other }));
    const all = [...senders, ...others];
    const batches = (): number => Math.min(...all.map((sender) => sender.batches));
    const more = async (count: number): Promise<void> => {
      const enough = batches() + count;
      await eventually(`${count} more batches of each`, async () => batches() >= enough, { timeoutMs: 60_000 });
    };
    for (const sender of all) sender.start();
    await more(20);

    // A leader that dies: its successor is elected inside the deadline of a write, and no exporter notices.
    await cluster.node(leader.id).kill('SIGKILL');
    await more(20);
    expect(all.map(({ failures }) => failures)).toEqual(all.map(() => 0));

    // Without a majority the survivor answers 503, and the HTTP exporters try again until there is one.
    const refusals = async (encoding: string, protocol: string): Promise<number> =>
      metric(
        survivor.http,
        `quorate_otlp_requests_total{protocol="${protocol}",encoding="${encoding}",code="unavailable"}`,
      );
    const before = await Promise.all([refusals('json', 'http'), refusals('protobuf', 'http')]);
    await other.kill('SIGSTOP');
    await eventually(
      'a 503 to each HTTP exporter',
      async () =>
        (await refusals('json', 'http')) > (before[0] ?? 0) && (await refusals('protobuf', 'http')) > (before[1] ?? 0),
      { timeoutMs: 30_000 },
    );
    await other.kill('SIGCONT');
    await cluster.startAll();
    await more(20);
    await Promise.all(all.map(async (sender) => sender.stop()));

    // The gRPC exporter for JavaScript reports UNAVAILABLE as a failure and does not try again; the others never failed.
    for (const { kind, failures } of all) if (kind !== 'grpc') expect([kind, failures]).toEqual([kind, 0]);
    let spans = 0;
    for (const { acked } of all) {
      for (const [traceId, spanIds] of acked) {
        spans += spanIds.size;
        for (const client of cluster.clients) {
          expect((await client.spanIds(traceId)).toSorted()).toEqual([...spanIds].toSorted());
        }
      }
    }
    expect(spans).toBeGreaterThan(6 * 60 * 10 - 100);
    console.log(`${spans} spans reported as exported by ${all.length} exporters, each found once on each of 3 nodes`);
  },
);
