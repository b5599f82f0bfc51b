import type { Logger } from '../logger.ts';
import type { TraceStore } from '../traces/trace-store.ts';

/** What every group of routes is made with. */
export interface ApiOptions {
  readonly store: TraceStore;
  readonly logger: Logger;
}
