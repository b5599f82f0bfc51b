/** A cluster under load as the bench sees it: Quorate, or what it is compared with. */
import type { Generator } from './generator.ts';

export type ContenderName = 'Quorate' | 'etcd';

export interface Contender {
  readonly name: ContenderName;
  readonly generator: Generator;
  /** Processes as they are now. */
  readonly servers: readonly { readonly id: string; readonly pid: number }[];
  /** The highest term that any server has seen, and who leads in it. */
  whoLeads(): Promise<{ readonly term: number; readonly leader: string }>;
  /** 99th percentile of this server's event-loop delay since the last call, ms; NaN when it has no event loop. */
  takeLoopDelayP99Ms(id: string): Promise<number>;
}
