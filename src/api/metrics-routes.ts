/** `/metrics` in Prometheus text. */
import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Counter, Gauge } from 'prom-client';
import type { StatusOptions } from './api-options.ts';
import { registerHealthMetrics } from './health-metrics.ts';

export async function metricsRoutes(server: FastifyInstance, options: StatusOptions): Promise<void> {
  const { store, intake, meters, loopDelay } = options;
  const { registry } = meters;
  collectDefaultMetrics({ register: registry });
  registerHealthMetrics(options);
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  gauge('quorate_event_loop_delay_p99_seconds', 'Event-loop delay, 99th percentile since the last scrape.', () => {
    return loopDelay.takeP99Ms() / 1_000;
  });
  gauge('quorate_term', 'Raft term.', () => store.status.replica?.term ?? 0);
  gauge('quorate_is_leader', '1 on the leader.', () => (store.status.replica?.role === 'leader' ? 1 : 0));
  gauge('quorate_commit_index', 'Last committed entry.', () => store.status.replica?.commit ?? 0);
  gauge('quorate_applied_index', 'Last applied entry.', () => store.status.replica?.applied ?? 0);
  gauge('quorate_ready', '1 when the node can serve linearizable reads and writes.', () =>
    store.status.ready ? 1 : 0,
  );
  gauge('quorate_recovering', '1 while the node lacks log entries that it once promised.', () =>
    store.status.replica?.lostPromise == null ? 0 : 1,
  );
  gauge(
    'quorate_log_entries_damaged',
    'Damaged log entries met and not yet repaired from another node.',
    () => store.logRepairs.damaged,
  );
  const counter = (name: string, help: string, read: () => number): void => {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };
  counter(
    'quorate_log_entries_repaired_total',
    'Damaged log entries repaired from another node.',
    () => store.logRepairs.repaired,
  );
  counter('quorate_scrub_entries_total', 'Log entries read again by the scrub.', () => store.scrubStatus?.entries ?? 0);
  counter('quorate_scrub_bytes_total', 'Payload bytes of them.', () => store.scrubStatus?.bytes ?? 0);
  counter(
    'quorate_scrub_findings_total',
    'Log entries that the scrub found damaged, and blocks that the index did not find.',
    () => store.scrubStatus?.findings ?? 0,
  );
  gauge(
    'quorate_scrub_last_pass_timestamp_seconds',
    'When the scrub last came to the end of the log; 0 before.',
    () => (store.scrubStatus?.lastPassMs ?? 0) / 1_000,
  );
  gauge('quorate_admitted_bytes', 'Bytes of all requests being read, inflated and built.', () => intake.admittedBytes);
  server.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
}
