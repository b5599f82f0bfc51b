/** What `/metrics` says of the disk, the queues, the lead and retention (protocol A5, E3, F4, G3). */
import { Counter, Gauge } from 'prom-client';
import { spaceLevels } from '../platform/disk-space.ts';
import { handOverReasons } from '../transport/transport.ts';
import type { ApiOptions } from './api-options.ts';

export function registerHealthMetrics({ store, meters, clock }: ApiOptions): void {
  const registers = [meters.registry];
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  gauge('quorate_disk_free_bytes', 'Free bytes of the disk under --data, the ballast not among them.', () => {
    return store.health.disk.freeBytes;
  });
  gauge('quorate_disk_total_bytes', 'Size of that disk.', () => store.health.disk.totalBytes);
  gauge('quorate_disk_low_mark_bytes', 'Below so many free bytes no data is taken.', () => {
    return store.health.disk.lowMarkBytes;
  });
  gauge('quorate_disk_ballast_bytes', 'Size of the file that is deleted once the disk is full.', () => {
    return store.health.disk.ballastBytes;
  });
  gauge('quorate_disk_space_level', '0: ample; 1: low, no data is taken; 2: reserve, no block is appended.', () =>
    spaceLevels.indexOf(store.health.disk.level),
  );
  for (const percentile of ['50', '99'] as const) {
    gauge(
      `quorate_log_sync_p${percentile}_seconds`,
      `Time of a synced write of the log, percentile ${percentile} of the last ten seconds; 0 when nothing was written.`,
      () => (store.health.logWrites?.[`syncP${percentile}Ms`] ?? 0) / 1_000,
    );
    gauge(
      `quorate_log_queue_p${percentile}_seconds`,
      `Time that a write of the log waited for the one before it, percentile ${percentile} of the last ten seconds.`,
      () => (store.health.logWrites?.[`queueP${percentile}Ms`] ?? 0) / 1_000,
    );
  }
  new Counter({
    name: 'quorate_log_writes_total',
    help: 'Synced writes of the log.',
    registers,
    collect() {
      this.reset();
      this.inc(store.health.logWriteCount);
    },
  });
  gauge('quorate_exports_queued', 'Exports that wait for a block.', () => store.health.queues.exports);
  gauge('quorate_blocks_in_flight', 'Blocks of this node proposed and not settled.', () => store.health.queues.blocks);
  gauge('quorate_log_staged_bytes', 'Bytes of entries that wait for the disk.', () => store.health.queues.logBytes);
  gauge('quorate_retention_age_seconds', 'Entries of this age expire; 0: none by age.', () => {
    return (store.status.retention.ageMs ?? 0) / 1_000;
  });
  gauge('quorate_retention_bytes', 'Entries beyond so many bytes expire; 0: none by bytes.', () => {
    return store.status.retention.bytes ?? 0;
  });
  gauge('quorate_log_trimmed_index', 'The last entry that has expired.', () => store.status.retention.trimmedTo);
  gauge('quorate_log_trimmed_timestamp_seconds', 'The time of that entry; 0: none has expired.', () => {
    return (store.status.retention.trimmedToMs ?? 0) / 1_000;
  });
  gauge(
    'quorate_clock_alarm',
    '1 while the clock of this node cannot be relied on, or others cannot bear it out.',
    () => (store.status.clockAlarm === null ? 0 : 1),
  );
  const member = (name: string, help: string, read: (one: MemberStatus) => number | null): void => {
    new Gauge({
      name,
      help,
      registers,
      labelNames: ['member'],
      collect() {
        this.reset();
        for (const one of store.status.members) {
          const value = read(one);
          if (value !== null) this.set({ member: one.id }, value);
        }
      },
    });
  };
  member('quorate_member_match_index', 'On the leader: up to where a member holds the log durably.', (one) => {
    return one.matchIndex;
  });
  member('quorate_member_lag_seconds', 'On the leader: how long ago a member held all that was committed.', (one) =>
    one.lagMs === null ? null : one.lagMs / 1_000,
  );
  member('quorate_member_learner', '1 for a member that becomes a voter once it has caught up.', (one) =>
    one.learner ? 1 : 0,
  );
  new Gauge({
    name: 'quorate_last_hand_over_timestamp_seconds',
    help: 'When the lead was last handed over, as far as this node knows, by the reason.',
    registers,
    labelNames: ['why'],
    collect() {
      this.reset();
      for (const why of handOverReasons) {
        const last = store.status.lastHandOver;
        const atMs = last?.why === why ? clock.nowMs() - (clock.monotonicMs() - last.atMs) : 0;
        this.set({ why }, atMs / 1_000);
      }
    },
  });
}

type MemberStatus = ApiOptions['store']['status']['members'][number];
