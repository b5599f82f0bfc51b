import type { Logger } from '../logger.ts';
import type { TraceStore } from '../traces/trace-store.ts';
import type { JsonWork } from './json-work.ts';

/** What every group of routes is made with. */
export interface ApiOptions {
  readonly store: TraceStore;
  readonly json: JsonWork;
  readonly logger: Logger;
}
