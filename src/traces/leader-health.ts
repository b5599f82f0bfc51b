/**
 * A leader whose disk is clearly slower than that of another voter, or has too little space, hands over (protocol G3): when that
 * has been so for some seconds, and at most once a minute in the whole cluster, whoever leads by then. Nothing is decided by one
 * measurement, and nothing goes to and fro.
 */
import { errorOf } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../platform/clock.ts';
import { majority } from '../raft/core/quorum.ts';
import { nodeIdOf, type ReplicaId, type Term } from '../raft/core/types.ts';
import type { Leadership } from './leadership.ts';
import type { Report } from './peers.ts';
import { type DiskHealth, type Relief, relief } from './relief.ts';

export interface LeaderHealthOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly leadership: Leadership;
  readonly own: () => DiskHealth;
}

export class LeaderHealth {
  readonly #options: LeaderHealthOptions;
  /** Why this leader should go, since when, and in which of its terms. */
  #complaint: { readonly why: Relief['why']; readonly sinceMs: number; readonly term: Term } | null = null;
  /** Whoever did not take over when it was asked to. */
  readonly #tried = new Set<ReplicaId>();
  #notBeforeMs = 0;
  #handingOver = false;

  constructor(options: LeaderHealthOptions) {
    this.#options = options;
  }

  /**
   * Whether, as leader, this node takes blocks into the log: while it has space, and enough voters append what it would send;
   * else the log would end in entries that nobody can commit, and each leader make room for the next (protocol G2).
   */
  get takesBlocks(): boolean {
    const { leadership, own } = this.#options;
    if (own().space !== 'ample') return false;
    const { candidates } = leadership;
    const full = candidates.filter(({ connected, disk }) => connected && disk?.space === 'reserve').length;
    return candidates.length + 1 - full >= majority(candidates.length + 1);
  }

  /** What the others are told. */
  get report(): Pick<Report, 'writeMicros' | 'space' | 'handOver'> {
    const { clock, leadership, own } = this.#options;
    const { writeMs, space } = own();
    const last = leadership.lastOwn;
    return {
      writeMicros: writeMs === null ? null : Math.round(writeMs * 1_000),
      space,
      handOver: last && {
        term: last.term,
        to: last.to,
        why: last.why,
        agoMs: Math.max(0, Math.round(clock.monotonicMs() - last.atMs)),
      },
    };
  }

  /** Looks at the state of things; to be called several times a second. */
  look(): void {
    const { clock, leadership, own } = this.#options;
    const nowMs = clock.monotonicMs();
    const { leadingTerm } = leadership;
    const candidates = leadership.candidates.filter(({ voter }) => !this.#tried.has(voter));
    const found = leadingTerm === null ? null : relief(own(), candidates, leadership.commit);
    if (found === null || leadingTerm === null) {
      this.#complaint = null;
      // Nobody is left to be asked, or nothing is wrong any more: whoever was asked may be again.
      if (!this.#handingOver && nowMs >= this.#notBeforeMs) this.#tried.clear();
      return;
    }
    if (this.#complaint?.why !== found.why || this.#complaint.term !== leadingTerm)
      this.#complaint = { why: found.why, sinceMs: nowMs, term: leadingTerm };
    const lastsMs = nowMs - this.#complaint.sinceMs;
    if (lastsMs < (found.why === 'low space' ? limits.reliefLowSpaceMs : limits.reliefSlowDiskMs)) return;
    if (this.#handingOver || nowMs < this.#notBeforeMs || this.#wasLately(nowMs)) return;
    void this.#handOver(found);
  }

  /** Somebody in this cluster has handed over for this kind of reason in the last minute. */
  #wasLately(nowMs: number): boolean {
    const last = this.#options.leadership.lastForHealthMs;
    return last !== null && nowMs - last < limits.reliefEveryMs;
  }

  async #handOver({ to, why }: Relief): Promise<void> {
    const { leadership, logger, clock } = this.#options;
    this.#handingOver = true;
    logger.warn({ to: nodeIdOf(to), why, own: this.#options.own() }, `handing the lead over: ${why}`);
    try {
      await leadership.handOver(nodeIdOf(to), why);
      this.#tried.clear();
    } catch (error) {
      this.#tried.add(to);
      logger.warn({ to: nodeIdOf(to), error: errorOf(error).message }, 'could not hand the lead over');
    }
    this.#handingOver = false;
    this.#complaint = null;
    this.#notBeforeMs = clock.monotonicMs() + limits.reliefRetryMs;
  }
}
