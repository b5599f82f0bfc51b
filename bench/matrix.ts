/** Every other load that clients bring, one short phase each: how figures depend on what is sent, and through whom. */
import type { LoadOrder } from './load-messages.ts';
import { runPhase } from './phases.ts';
import type { Phase } from './phases.ts';
import type { QuorateContender } from './quorate-contender.ts';
import { spansPerBatch } from './rounds.ts';

export interface MatrixOptions {
  readonly seconds: number;
  readonly say: (what: string) => void;
}

const usual = 16;
const connectionsMany = 256;
const readers = { lookupsInFlight: 3, lookupPauseMs: 50 } as const;
const noReaders = { lookupsInFlight: 0, lookupPauseMs: 0 } as const;
const closed = (inFlight = usual): Omit<LoadOrder, 'seconds'> => ({
  ingest: { kind: 'closed', inFlight },
  ...noReaders,
});

interface Cell {
  readonly name: string;
  readonly batch?: number;
  readonly order: Omit<LoadOrder, 'seconds'>;
}

interface Through {
  readonly name: string;
  readonly through: readonly number[];
}

/** Places in the cluster, the leader's first. */
function parts([leader = 0, ...followers]: readonly number[]): Through[] {
  return [
    { name: 'through the leader alone', through: [leader] },
    { name: 'through a follower alone', through: followers.slice(0, 1) },
    ...(followers.length > 2 ? [{ name: 'through three nodes', through: [leader, ...followers.slice(0, 2)] }] : []),
  ];
}

function cells(places: readonly number[]): Cell[] {
  const lookups = { ...readers, lookupPauseMs: 0 };
  return [
    ...[1, 2, 4, 16, 32, 64].map((inFlight) => ({ name: `${inFlight} in flight`, order: closed(inFlight) })),
    ...parts(places).map(({ name, through }) => ({ name, order: { ...closed(), through } })),
    ...(['grpc', 'gzip', 'json'] as const).map((format) => ({ name: `as ${format}`, order: { ...closed(), format } })),
    { name: 'with lookups', order: { ...closed(), ...readers } },
    { name: 'lookups alone', order: lookups },
    ...parts(places).map(({ name, through }) => ({ name: `lookups ${name}`, order: { ...lookups, through } })),
    ...[1, 10, 100, 8_192].map((batch) => ({ name: spans(batch), batch, order: closed() })),
    { name: `${connectionsMany} connections, ${spans(1)}`, batch: 1, order: closed(connectionsMany) },
  ];
}

const spans = (batch: number): string => `${batch.toLocaleString('en')} ${batch === 1 ? 'span' : 'spans'} an export`;

export async function measureMatrix(quorate: QuorateContender, { seconds, say }: MatrixOptions): Promise<Phase[]> {
  const { leader } = await quorate.whoLeads();
  const { nodes } = quorate.cluster;
  const at = nodes.findIndex(({ id }) => id === leader);
  const places = nodes.map((_, n) => (at + n) % nodes.length);
  const phases: Phase[] = [];
  let batchNow: number | undefined;
  for (const { name, batch = spansPerBatch, order } of cells(places)) {
    say(`load: ${name}`);
    if (batch !== batchNow) await quorate.sendBatchesOf(batch);
    batchNow = batch;
    const phase = await runPhase({ name }, quorate, { seconds, ...order });
    quorate.count({ spans: phase.load.spansAcked, otlpBytes: phase.load.bytesAcked });
    phases.push(phase);
  }
  return phases;
}
