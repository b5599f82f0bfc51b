import type { Logger } from '../logger.ts';
import type { Executor } from '../platform/executor.ts';
import type { TraceStore } from '../traces/trace-store.ts';

/** What every group of routes is made with. */
export interface ApiOptions {
  readonly store: TraceStore;
  readonly executor: Executor;
  readonly logger: Logger;
}
