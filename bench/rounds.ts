/**
 * The loads that are compared: Quorate, etcd, Quorate, etcd, round after round, so that whatever the machine does meanwhile
 * falls on both. First all rounds at peak; the median of etcd's peaks then sets the one rate of all rounds at half of it.
 */
import type { Contender } from './contender.ts';
import { etcdValueBytes } from './etcd-sender.ts';
import type { EtcdDisk } from './etcd-contender.ts';
import type { DiskLimit } from './disk-limit.ts';
import { diskLimit } from './disk-limit.ts';
import { readLargeTrace, storeLargeTrace } from './large-trace.ts';
import type { LoadOrder } from './load-messages.ts';
import { runPhase } from './phases.ts';
import type { Phase } from './phases.ts';
import type { QuorateContender } from './quorate-contender.ts';
import type { Stage } from './stage.ts';
import { spread } from './statistics.ts';

export interface RoundsOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly say: (what: string) => void;
}

/** The batch of every row of the table. */
export const spansPerBatch = 512;
/** Exports in flight at peak. */
export const peaks = [16, 32] as const;
const warmUpSeconds = 4;
const etcdWarmUpSeconds = 1;
const probeAppends = 100;

export const loads = {
  peak: (inFlight: number): string => `peak, ${inFlight} in flight`,
  half: 'half of its own peak',
  serial: 'one serial writer',
  halfEtcd: "half of etcd's peak",
  largeRead: 'half of its own peak, a 100,000-span trace read',
} as const;

export interface RoundsResult {
  readonly phases: readonly Phase[];
  /** The disk alone, once a round. */
  readonly disk: readonly (readonly DiskLimit[])[];
  readonly halfOfEtcdBytesPerSecond: number;
  /** Of each etcd after its round at peak. */
  readonly etcdDisk: readonly EtcdDisk[];
  /** Of the trace of 100,000 spans, all pages, as JSON; ms. */
  readonly largeTraceReads: readonly number[];
}

const idle = { lookupsInFlight: 0, lookupPauseMs: 0 } as const;
const closed = (inFlight: number): Omit<LoadOrder, 'seconds'> => ({ ingest: { kind: 'closed', inFlight }, ...idle });
const open = (bytesPerSecond: number): Omit<LoadOrder, 'seconds'> => ({
  ingest: { kind: 'open', bytesPerSecond },
  ...idle,
});

export async function compare(stage: Stage, quorate: QuorateContender, options: RoundsOptions): Promise<RoundsResult> {
  const { rounds, seconds, say } = options;
  const phases: Phase[] = [];
  const disk: DiskLimit[][] = [];
  const etcdDisk: EtcdDisk[] = [];
  const largeTraceReads: number[] = [];
  const measure = async (
    name: string,
    round: number,
    [contender, other]: readonly [Contender, Contender],
    order: Omit<LoadOrder, 'seconds'>,
  ): Promise<Phase> => {
    say(`round ${round} of ${rounds}: ${contender.name}, ${name}`);
    const phase = await runPhase({ name, round, other }, contender, { seconds, ...order });
    if (contender === quorate) quorate.count({ spans: phase.load.spansAcked, otlpBytes: phase.load.bytesAcked });
    phases.push(phase);
    return phase;
  };

  await quorate.sendBatchesOf(spansPerBatch);
  say('warm-up, and a trace of 100,000 spans');
  await quorate.load({ seconds: warmUpSeconds, ...closed(peaks[0]) });
  const largeTraceAt = quorate.cluster.node((await quorate.whoLeads()).leader).http;
  quorate.count(await storeLargeTrace(largeTraceAt));

  for (let round = 1; round <= rounds; round += 1) {
    disk.push(diskLimit(stage.directory, probeAppends));
    await stage.besideEtcd(async (etcd) => {
      const ourTurn = [quorate, etcd] as const;
      const theirTurn = [etcd, quorate] as const;
      let put = await etcd.generator.run({ seconds: etcdWarmUpSeconds, ...closed(sameBytes(peaks[0])) });
      let putBytes = put.bytesAcked;
      let own = 0;
      for (const inFlight of peaks) {
        const ours = await measure(loads.peak(inFlight), round, ourTurn, closed(inFlight));
        own = Math.max(own, ours.load.bytesPerSecond);
        ({ load: put } = await measure(loads.peak(inFlight), round, theirTurn, closed(sameBytes(inFlight))));
        putBytes += put.bytesAcked;
      }
      await measure(loads.serial, round, ourTurn, closed(1));
      ({ load: put } = await measure(loads.serial, round, theirTurn, closed(1)));
      putBytes += put.bytesAcked;
      etcdDisk.push(etcd.diskFor(putBytes));
      await measure(loads.half, round, ourTurn, open(own / 2));
      let isOver = false;
      const { leader } = await quorate.whoLeads();
      const [took] = await Promise.all([
        readLargeTrace(quorate.cluster.node(leader).http, () => isOver),
        measure(loads.largeRead, round, ourTurn, open(own / 2)).finally(() => (isOver = true)),
      ]);
      largeTraceReads.push(...took);
    });
  }

  const etcdPeaks = peaks.map(
    (inFlight) =>
      spread(
        phases
          .filter(({ of, name }) => of === 'etcd' && name === loads.peak(inFlight))
          .map(({ load }) => load.bytesPerSecond),
      ).median,
  );
  const halfOfEtcdBytesPerSecond = Math.max(...etcdPeaks) / 2;
  for (let round = 1; round <= rounds; round += 1) {
    await stage.besideEtcd(async (etcd) => {
      const ourTurn = [quorate, etcd] as const;
      const theirTurn = [etcd, quorate] as const;
      await etcd.generator.run({ seconds: etcdWarmUpSeconds, ...closed(sameBytes(peaks[0])) });
      await measure(loads.halfEtcd, round, ourTurn, open(halfOfEtcdBytesPerSecond));
      await measure(loads.halfEtcd, round, theirTurn, open(halfOfEtcdBytesPerSecond));
    });
  }
  return { phases, disk, halfOfEtcdBytesPerSecond, etcdDisk, largeTraceReads };

  /** Puts in flight that are as many bytes as so many exports. */
  function sameBytes(inFlight: number): number {
    return Math.ceil((inFlight * quorate.generator.bytesPerRequest) / etcdValueBytes);
  }
}
