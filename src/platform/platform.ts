import type { Clock } from './clock.ts';
import type { Codec } from './codec.ts';
import type { DiskSpace } from './disk-space.ts';
import type { Executor } from './executor.ts';
import type { KeyValue } from './key-value.ts';
import type { Random } from './random.ts';
import type { SlotFile } from './slot-file.ts';

/** Everything a node's replica and store take from the machine. `real/` has one; the simulator has another. */
export interface Platform {
  readonly clock: Clock;
  readonly random: Random;
  readonly codec: Codec;
  readonly executor: Executor;
  readonly disk: Disk;
}

/** The node's data directory: named key-value stores and slot files. */
export interface Disk {
  readonly space: DiskSpace;
  /** Opens the store `name`, made when absent. One handle at a time. */
  openKeyValue(name: string): Promise<KeyValue>;
  /** Removes the store `name` and all it holds. It must not be open. */
  destroyKeyValue(name: string): Promise<void>;
  /** Opens the slot file `name`; made, zeroed and synced (its directory too) when absent. */
  openSlotFile(name: string, shape: { readonly slotBytes: number; readonly slotCount: number }): Promise<SlotFile>;
}
