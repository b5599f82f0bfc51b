import type { ClientLimits } from '../limits.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../platform/clock.ts';
import type { TraceStore } from '../traces/trace-store.ts';
import type { Intake } from './intake.ts';
import type { JsonWork } from './json-work.ts';
import type { LoopDelay } from './loop-delay.ts';
import type { Meters } from './meters.ts';

/** What every group of routes is made with. */
export interface ApiOptions {
  readonly store: TraceStore;
  readonly intake: Intake;
  readonly meters: Meters;
  readonly limits: ClientLimits;
  readonly clock: Clock;
  readonly json: JsonWork;
  readonly logger: Logger;
}

/** What the routes are made with that tell how the node does. */
export interface StatusOptions extends ApiOptions {
  readonly loopDelay: LoopDelay;
}
