/**
 * Those who wait for the lead to go over to another replica: whoever gives it away, and whoever asked the leader to.
 * Everybody is told exactly once (bug L12).
 */
import { type ErrorCode, QuorateError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import type { TransferResult } from './core/options.ts';
import { nodeIdOf, type ReplicaId, type Term } from './core/types.ts';

export interface NewLeader {
  readonly leader: ReplicaId;
  readonly term: Term;
}

export interface LeaderChange {
  /** The leader of a later term. Rejects when that is the same replica again, when nobody is heard of in time, and by `fail`. */
  readonly next: Promise<NewLeader>;
  readonly fail: (error: QuorateError) => void;
}

interface Waiting {
  readonly from: NewLeader;
  readonly settle: (outcome: NewLeader | QuorateError) => void;
}

export interface LeaderChangesOptions {
  readonly clock: Clock;
  readonly deadlineMs: number;
}

export class LeaderChanges {
  readonly #options: LeaderChangesOptions;
  readonly #waiting = new Set<Waiting>();

  constructor(options: LeaderChangesOptions) {
    this.#options = options;
  }

  /** Waits for another leader than `from`, in a later term. */
  after(from: NewLeader): LeaderChange {
    const { promise, resolve, reject } = Promise.withResolvers<NewLeader>();
    const { clock, deadlineMs } = this.#options;
    const settle = (outcome: NewLeader | QuorateError): void => {
      if (!this.#waiting.delete(waiting)) return;
      cancelDeadline();
      if (outcome instanceof QuorateError) reject(outcome);
      else resolve(outcome);
    };
    const waiting: Waiting = { from, settle };
    this.#waiting.add(waiting);
    const cancelDeadline = clock.after(deadlineMs, () =>
      settle(
        new QuorateError('unavailable', `no other leader was heard of within ${deadlineMs} ms: look at cluster status`),
      ),
    );
    return { next: promise, fail: settle };
  }

  /** This replica heard who leads `term`. */
  announced(term: Term, leader: ReplicaId): void {
    for (const { from, settle } of [...this.#waiting]) {
      if (term <= from.term) continue;
      const again = leader === from.leader;
      settle(
        again
          ? new QuorateError('unavailable', `${nodeIdOf(leader)} was elected again, in term ${term}: ask again`)
          : { leader, term },
      );
    }
  }

  /** Nobody will be heard of any more. */
  close(error: QuorateError): void {
    for (const { settle } of [...this.#waiting]) settle(error);
  }
}

const refusals: Readonly<Record<Exclude<TransferResult, 'begun'>, readonly [ErrorCode, string]>> = {
  'not-leader': ['unavailable', 'this node leads no more: ask again'],
  'leads-already': ['conflict', 'it leads already'],
  'not-a-voter': ['conflict', 'only voters can lead'],
  'under-way': ['conflict', 'another hand-over is under way; ask again in a second'],
};

/** Why a hand-over to `target` was not begun. */
export function transferRefused(result: Exclude<TransferResult, 'begun'>, target: ReplicaId): QuorateError {
  const [code, reason] = refusals[result];
  return new QuorateError(code, `the lead does not go to ${nodeIdOf(target)}: ${reason}`);
}
