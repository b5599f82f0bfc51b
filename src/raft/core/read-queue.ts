/**
 * Reads waiting for a leader to confirm that it still leads (thesis 6.4, protocol D1).
 *
 * A read joins the next round to be *sent* after it arrived, and is confirmed when a majority echoed that round or a
 * later one. The leader chooses the rounds and keeps the maximum per voter; a late echo of an earlier round confirms
 * nothing newer (bug R2).
 */
import type { LogIndex, ReplicaId } from './types.ts';

export interface PendingRead {
  readonly requestId: string;
  /** Who asked: this replica or a follower. */
  readonly from: ReplicaId;
  readonly index: LogIndex;
  readonly round: number;
}

/** Reads that one leader holds at most; more are refused at once (bug R8). */
const pendingMax = 65_536;

export class ReadQueue {
  /** The round that was sent last. */
  round = 0;
  #confirmed = 0;
  /** Ascending in round. */
  #pending: PendingRead[] = [];
  /** Reads that came before the first commit of the term; they have no index yet (bug R1). */
  #early: { readonly requestId: string; readonly from: ReplicaId }[] = [];

  /** False when the queue is full. `index` is the commit index now, or null while nothing is committed in this term. */
  add(requestId: string, from: ReplicaId, index: LogIndex | null): boolean {
    if (this.#pending.length + this.#early.length >= pendingMax) return false;
    if (index === null) this.#early.push({ requestId, from });
    else this.#pending.push({ requestId, from, index, round: this.round + 1 });
    return true;
  }

  /** The term has its first commit. */
  releaseEarly(index: LogIndex): void {
    const early = this.#early;
    this.#early = [];
    for (const read of early) this.#pending.push({ ...read, index, round: this.round + 1 });
  }

  /** Somebody waits for a round that has not been sent, and none is under way. */
  get wantsRound(): boolean {
    return this.#hasUnsent && this.#confirmed === this.round;
  }

  /** Starts the next round if anybody waits for it, even with one under way: its messages may be lost. */
  startRound(): boolean {
    if (!this.#hasUnsent) return false;
    this.round += 1;
    return true;
  }

  get #hasUnsent(): boolean {
    const newest = this.#pending.at(-1);
    return newest !== undefined && newest.round > this.round;
  }

  /** A majority echoed `round`: the reads it confirms. */
  confirm(round: number): readonly PendingRead[] {
    if (round <= this.#confirmed) return [];
    this.#confirmed = round;
    const firstWaiting = this.#pending.findIndex((read) => read.round > round);
    return this.#pending.splice(0, firstWaiting < 0 ? this.#pending.length : firstWaiting);
  }

  /** Everybody who waits, when the leader steps down. */
  abandon(): readonly { readonly requestId: string; readonly from: ReplicaId }[] {
    const abandoned = [...this.#pending, ...this.#early];
    this.#pending = [];
    this.#early = [];
    return abandoned;
  }
}
