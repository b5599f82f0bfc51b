/** One node on a simulated machine, with a disk that an earlier run left and nobody else on its network. */
import { type ClientLimits, limits } from '../../src/limits.ts';
import { silentLogger } from '../../src/logger.ts';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { asIndex, asNodeId, asReplicaId, asTerm, emptyLog, type Entry } from '../../src/raft/core/types.ts';
import { BlockLog } from '../../src/store/block-log.ts';
import { type HardState, HardStateFile, hardStateSlots } from '../../src/store/hard-state.ts';
import { TraceStore } from '../../src/traces/trace-store.ts';
import type { Hello, Transport, TransportHandlers } from '../../src/transport/transport.ts';
import { Machine } from '../store/machine.ts';

export const voters = ['n1#i1', 'n2#i2', 'n3#i3'].map((voter) => asReplicaId(voter));
export const freshState: HardState = {
  clusterId: 'c1',
  incarnation: 'i1',
  term: asTerm(0),
  vote: null,
  promised: emptyLog,
  commit: asIndex(0),
  modeEpoch: 0,
  sealed: false,
  formatLevel: 2,
  formatLevelWritten: 2,
  configuration: null,
};

/** A network without anybody else; the test speaks through `handlers`. */
class LoneTransport implements Transport {
  handlers: TransportHandlers | null = null;

  async start(_hello: () => Hello, handlers: TransportHandlers): Promise<void> {
    this.handlers = handlers;
  }
  send(): boolean {
    return false;
  }
  reach(): void {}
  helloChanged(): void {}
  async close(): Promise<void> {}
}

export class LoneNode {
  readonly machine = new Machine(1);
  readonly transport = new LoneTransport();
  readonly committed: Entry[] = [];
  failure: Error | null = null;

  /** What an earlier run left on the disk. */
  async disk(state: HardState, log: { voters: typeof voters; entries: readonly Entry[] } | null): Promise<void> {
    const { disk } = this.machine.platform;
    await this.machine.tell(async () => {
      const hardState = await HardStateFile.open(await disk.openSlotFile('hard-state', hardStateSlots));
      await hardState.write(state);
      const blockLog = await BlockLog.open({ keyValue: await disk.openKeyValue('log') });
      if (log !== null)
        await blockLog.found({ clusterId: 'c1', configuration: votersOnly(log.voters), formatLevel: 2 });
      if (log !== null && log.entries.length > 0) {
        blockLog.stage({ sequence: 1, truncateFrom: null, entries: log.entries });
        await blockLog.flush();
      }
    });
    this.machine.crash('process');
  }

  open(
    members: readonly string[],
    lookup: Pick<Partial<ClientLimits>, 'lookupBlocksMax' | 'lookupBytesMax'> = {},
  ): Promise<TraceStore> {
    return this.machine.wait(
      TraceStore.open({
        platform: this.machine.platform,
        transport: this.transport,
        node: asNodeId('n1'),
        http: 'http://n1',
        address: 'n1:4319',
        members: new Map(members.map((id) => [asNodeId(id), `${id}:4319`])),
        logger: silentLogger,
        limits: { ...limits, ...lookup },
        committed: (entry) => this.committed.push(entry),
        fatal: (error) => (this.failure = error),
      }),
    );
  }

  /** Not one byte of the slot is what it was. */
  damageSlot(slot: number): void {
    const bytes = this.machine.disk.slotFiles.get('hard-state')?.bytes ?? new Uint8Array(0);
    const { slotBytes } = hardStateSlots;
    for (let at = slot * slotBytes; at < (slot + 1) * slotBytes; at += 1) bytes[at] = (bytes[at] ?? 0) ^ 0xff;
  }

  async runFor(durationMs: number): Promise<void> {
    const { scheduler } = this.machine;
    await scheduler.run({ untilMs: scheduler.nowMs + durationMs, settled: () => false });
  }
}
