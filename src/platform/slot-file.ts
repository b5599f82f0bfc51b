/**
 * A small file of fixed-size slots, as a seam: the home of hard state, outside LevelDB (protocol A1).
 *
 * Faults: a slot being written when power fails may hold the old bytes, the new ones or a mixture;
 * slots not being written keep their bytes. Later damage can change or lose any slot.
 */
export interface SlotFile {
  /** Bytes per slot. */
  readonly slotBytes: number;
  readonly slotCount: number;
  /** All slots, in order; a slot never written reads as zeros. */
  read(): Promise<Uint8Array[]>;
  /**
   * Writes consecutive slots from `first` with one synced write, and resolves once they are durable.
   * `bytes` is a whole number of slots long. One write at a time. A rejection is final (protocol A5).
   */
  write(first: number, bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}
