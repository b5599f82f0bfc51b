/**
 * Time, as a seam. Nothing in raft/, store/ or api/ reads the system clock or sets a timer by itself,
 * so the simulator can run the same code on virtual time (protocol I1).
 */
export interface Clock {
  /** Wall-clock time in ms since the Unix epoch. May jump in either direction. */
  nowMs(): number;
  /** Monotonic time in ms from an arbitrary origin. Never goes back; use it for every duration. */
  monotonicMs(): number;
  /** Calls `fire` once, not before `delayMs` of monotonic time have passed. The returned function cancels it. */
  after(delayMs: number, fire: () => void): () => void;
}
