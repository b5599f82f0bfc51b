/** What became of the requests of one run of the load generator. */
import type { Ack, LoadResult } from './load-messages.ts';
import { latency } from './statistics.ts';

export class Tally {
  readonly lookups: number[] = [];
  lookupsWrong = 0;
  skipped = 0;
  readonly #acks: number[] = [];
  readonly #kept: Ack[] | null;
  readonly #refused: Record<string, number> = {};
  readonly #retries: Record<string, number> = {};
  readonly #errors: Record<string, number> = {};
  readonly #cpuBefore = process.cpuUsage();
  #spans = 0;
  #bytes = 0;
  #spansInTime = 0;
  #bytesInTime = 0;

  constructor({ keepsAcks = false }: { readonly keepsAcks?: boolean | undefined } = {}) {
    this.#kept = keepsAcks ? [] : null;
  }

  /** A request that was due at `sinceMs`. Those acked after `endMs` do not count as throughput. */
  acked(sinceMs: number, endMs: number, spans: number, bytes: number): void {
    const nowMs = performance.now();
    this.#acks.push(nowMs - sinceMs);
    this.#kept?.push({ dueMs: performance.timeOrigin + sinceMs, atMs: performance.timeOrigin + nowMs });
    this.#spans += spans;
    this.#bytes += bytes;
    if (nowMs > endMs) return;
    this.#spansInTime += spans;
    this.#bytesInTime += bytes;
  }

  refused(status: string): void {
    this.#refused[status] = (this.#refused[status] ?? 0) + 1;
  }

  retried(status: string): void {
    this.#retries[status] = (this.#retries[status] ?? 0) + 1;
  }

  failed(why: string): void {
    this.#errors[why] = (this.#errors[why] ?? 0) + 1;
  }

  result(seconds: number): LoadResult {
    const { user, system } = process.cpuUsage(this.#cpuBefore);
    return {
      spansPerSecond: this.#spansInTime / seconds,
      bytesPerSecond: this.#bytesInTime / seconds,
      spansAcked: this.#spans,
      bytesAcked: this.#bytes,
      ack: latency(this.#acks),
      acks: this.#kept ?? [],
      lookup: latency(this.lookups),
      lookupsWrong: this.lookupsWrong,
      refused: this.#refused,
      retries: this.#retries,
      errors: this.#errors,
      skipped: this.skipped,
      generatorCores: (user + system) / 1e6 / seconds,
    };
  }
}
