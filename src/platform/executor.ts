/** Long computations in slices between turns of the event loop, as a seam, so none delays a heartbeat (protocol F2, F4). */
export interface Executor {
  /** Resolves in a later turn of the event loop, after pending I/O had its chance. */
  nextTurn(): Promise<void>;
  /**
   * Drives `job` to its end and resolves with what it returns. The job yields wherever it can pause;
   * after `sliceMs` of work at the latest (2 ms by default) the loop gets a turn.
   */
  run<Result>(job: Iterator<void, Result, void>, options?: { readonly sliceMs?: number }): Promise<Result>;
}
