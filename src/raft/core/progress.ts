/**
 * What a leader knows of one follower (thesis 3.5, 10.2.1).
 *
 *   0 <= match < next
 *
 * `probe`: match is not known to touch next; one append at a time. `replicate`: appends are pipelined inside a window
 * bounded in messages and bytes. All of it belongs to one replication session: (leader's term, follower's boot).
 */
import { invariant } from './invariant.ts';
import { asIndex, type BootId, type LogIndex } from './types.ts';

export interface Window {
  readonly messagesMax: number;
  readonly bytesMax: number;
}

export class Progress {
  readonly #window: Window;
  state: 'probe' | 'replicate' = 'probe';
  match = asIndex(0);
  next: LogIndex;
  /** Sent along with every append and heartbeat, echoed in the replies. */
  session: number;
  /** The boot that answered in this session; null until one does. */
  boot: BootId | null = null;
  /** Heard from since the last check of the quorum. */
  recentlyActive = false;
  /** Highest read round echoed in this session (protocol D1). */
  roundEchoed = 0;
  /** The commit index last told. */
  commitTold = asIndex(0);
  #probeSent = false;
  #inflight: { readonly last: LogIndex; readonly bytes: number }[] = [];
  #inflightBytes = 0;
  /** No acknowledgement since the heartbeat before: what is in flight may be lost (bug L7). */
  #quietHeartbeats = 0;

  constructor(next: LogIndex, session: number, window: Window) {
    this.next = next;
    this.session = session;
    this.#window = window;
  }

  /** May an append with entries be sent now? */
  get paused(): boolean {
    if (this.state === 'probe') return this.#probeSent;
    return this.#inflight.length >= this.#window.messagesMax || this.#inflightBytes >= this.#window.bytesMax;
  }

  get inflightMessages(): number {
    return this.#inflight.length;
  }

  /** An append with entries up to `last` was sent (`last` = next - 1 for an empty probe). */
  sent(last: LogIndex, bytes: number): void {
    if (this.state === 'probe') {
      this.#probeSent = true;
      return;
    }
    this.#inflight.push({ last, bytes });
    this.#inflightBytes += bytes;
    this.next = asIndex(last + 1);
  }

  /** The follower's log equals ours up to `match`. Old news changes nothing. */
  acknowledged(match: LogIndex): boolean {
    this.#quietHeartbeats = 0;
    while (this.#inflight[0] !== undefined && this.#inflight[0].last <= match) {
      this.#inflightBytes -= this.#inflight.shift()?.bytes ?? 0;
    }
    if (this.state === 'probe') this.#startReplicating(match);
    if (match <= this.match) return false;
    this.match = match;
    this.next = asIndex(Math.max(this.next, match + 1));
    return true;
  }

  /**
   * The follower had no match at `rejected`; `candidate` is where it may have one. False when the reply is late:
   * it speaks of an append from before `match` was known, or of another probe (bug L8).
   */
  refused(rejected: LogIndex, candidate: LogIndex): boolean {
    if (this.state === 'replicate') {
      if (rejected <= this.match) return false;
      this.becomeProbe();
      return true;
    }
    if (rejected !== this.next - 1) return false;
    this.next = asIndex(Math.max(Math.min(rejected, candidate + 1), this.match + 1));
    this.#probeSent = false;
    return true;
  }

  /** The follower answered a heartbeat. True when what is in flight should be asked after. */
  heartbeatEchoed(): boolean {
    this.#probeSent = false;
    if (this.#inflight.length === 0) return false;
    this.#quietHeartbeats += 1;
    return this.#quietHeartbeats >= 2;
  }

  becomeProbe(): void {
    this.state = 'probe';
    this.next = asIndex(this.match + 1);
    this.#clear();
  }

  #startReplicating(match: LogIndex): void {
    this.state = 'replicate';
    this.next = asIndex(Math.max(match, this.match) + 1);
    this.#clear();
    invariant(this.match < this.next, 'match must stay below next');
  }

  #clear(): void {
    this.#probeSent = false;
    this.#inflight = [];
    this.#inflightBytes = 0;
    this.#quietHeartbeats = 0;
  }
}
