/**
 * Blocks on their way into the log, seen from the node that built them (protocol C1, C2).
 *
 * A block is sent to the leader of one term. It is committed when this node applies it from its own log; it is certainly
 * lost when an entry of a later term is applied without having met it, and then goes to the new leader by itself. Past
 * its deadline the outcome is unknown. Every block resolves exactly once (bug L12).
 */
import type { Clock } from '../platform/clock.ts';
import type { Term } from './core/types.ts';

export type ProposalOutcome = 'committed' | 'unknown';

interface Pending {
  readonly id: string;
  readonly payload: Uint8Array;
  readonly resolve: (outcome: ProposalOutcome) => void;
  readonly cancelDeadline: () => void;
  /** The term it was sent for; null: to be sent as soon as there is a leader. */
  term: Term | null;
  sentAtMs: number;
}

export interface ProposalsOptions {
  readonly clock: Clock;
  readonly deadlineMs: number;
  readonly retryMs: number;
  /** Hands a block to the leader of `term`, wherever it is. May lose it. */
  readonly send: (term: Term, payload: Uint8Array) => void;
}

export class Proposals {
  readonly #options: ProposalsOptions;
  readonly #pending = new Map<string, Pending>();
  /** The term whose leader is known now. */
  #leaderTerm: Term | null = null;
  #highestAppliedTerm = 0;

  constructor(options: ProposalsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Resolves once the block is committed, or with `unknown` at its deadline. Never rejects. */
  submit(id: string, payload: Uint8Array): Promise<ProposalOutcome> {
    return new Promise((resolve) => {
      const cancelDeadline = this.#options.clock.after(this.#options.deadlineMs, () => this.#settle(id, 'unknown'));
      const pending: Pending = { id, payload, resolve, cancelDeadline, term: null, sentAtMs: 0 };
      this.#pending.set(id, pending);
      this.#send(pending);
    });
  }

  /** There is a leader in `term`, or none is known. */
  leaderChanged(term: Term | null): void {
    this.#leaderTerm = term;
    for (const pending of this.#pending.values()) this.#send(pending);
  }

  /** An entry was applied from this node's own log; `blockId` is null for entries without a block. */
  applied(term: Term, blockId: string | null): void {
    if (blockId !== null) this.#settle(blockId, 'committed');
    if (term <= this.#highestAppliedTerm) return;
    this.#highestAppliedTerm = term;
    for (const pending of this.#pending.values()) {
      if (pending.term === null || pending.term >= term) continue;
      pending.term = null;
      this.#send(pending);
    }
  }

  /**
   * A base was installed past what this node had applied. Blocks that were sent before may be below it, or lost: nobody will
   * learn which (protocol C2).
   */
  baseInstalled(term: Term): void {
    for (const { id, term: sentIn } of this.#pending.values()) if (sentIn !== null) this.#settle(id, 'unknown');
    this.#highestAppliedTerm = Math.max(this.#highestAppliedTerm, term);
  }

  /** Sends again what the leader of the current term has not brought into our log for a while: it may have been lost. */
  tick(): void {
    const due = this.#options.clock.monotonicMs() - this.#options.retryMs;
    for (const pending of this.#pending.values()) {
      if (pending.term !== null && pending.term === this.#leaderTerm && pending.sentAtMs <= due)
        this.#transmit(pending);
    }
  }

  /** The node stops: nobody will learn more. */
  abandon(): void {
    for (const id of [...this.#pending.keys()]) this.#settle(id, 'unknown');
  }

  #send(pending: Pending): void {
    if (pending.term !== null || this.#leaderTerm === null) return;
    // A term already overtaken in our own log takes nothing in; its successor will be announced.
    if (this.#leaderTerm < this.#highestAppliedTerm) return;
    pending.term = this.#leaderTerm;
    this.#transmit(pending);
  }

  #transmit(pending: Pending): void {
    if (pending.term === null) return;
    pending.sentAtMs = this.#options.clock.monotonicMs();
    this.#options.send(pending.term, pending.payload);
  }

  #settle(id: string, outcome: ProposalOutcome): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    pending.cancelDeadline();
    pending.resolve(outcome);
  }
}
