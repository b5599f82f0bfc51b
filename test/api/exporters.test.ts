/** OpenTelemetry's own exporters against one node: what they send is stored, and a 429 makes them send it again. */
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { QuorateClient, eventually } from '../support/quorate-client.ts';
import { SdkSender, senderKinds } from '../support/sdk-sender.ts';
import { OneNode } from './one-node.ts';

const MiB = 1 << 20;
const busy = 'quorate_limits_met_total{limit="admissionBytesMax"}';

let node: OneNode;
beforeAll(async () => {
  node = await OneNode.start({ requestBytesMax: MiB, admissionBytesMax: 1.5 * MiB });
});
afterAll(async () => node.stop());

const senderOf = (kind: (typeof senderKinds)[number]): SdkSender =>
  new SdkSender({ kind, http: node.url, grpc: node.grpcAddress });

async function expectStored({ acked }: SdkSender): Promise<void> {
  const client = new QuorateClient({ id: 'n1', url: node.url });
  for (const [traceId, spanIds] of acked) expect(new Set(await client.spanIds(traceId))).toEqual(spanIds);
  client.close();
}

test.each(senderKinds)('%s', async (kind) => {
  const sender = senderOf(kind);
  expect(await sender.exportBatch()).toBe('success');
  expect(sender.acked.size).toBe(10);
  await expectStored(sender);
  await sender.stop();
});

test.each(['http/json', 'http/protobuf'] as const)('%s is refused with 429 and sends it again', async (kind) => {
  const sender = senderOf(kind);
  const before = await node.metric(busy);
  // Two bodies that never come hold all the room there is.
  const hogs = [MiB, MiB / 2].map((length) => {
    const socket = connect(node.node.http.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(
      `POST /v1/traces HTTP/1.1\r\nhost: n1\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`,
    );
    return socket;
  });
  await eventually('no room', async () => (await node.metric('quorate_admitted_bytes')) === 1.5 * MiB);
  const exported = sender.exportBatch();
  await eventually('a 429', async () => (await node.metric(busy)) > before);
  for (const socket of hogs) socket.destroy();
  expect(await exported).toBe('success');
  await expectStored(sender);
  await sender.stop();
});
