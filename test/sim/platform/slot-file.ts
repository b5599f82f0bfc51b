/** One boot's handle of a simulated slot file. A write that a crash cuts short leaves each sector old, new or garbage. */
import type { DiskError } from '../../../src/platform/disk-error.ts';
import type { SlotFile } from '../../../src/platform/slot-file.ts';
import type { CrashKind, DiskIo } from './disk-io.ts';
import type { SimDiskState, SlotState } from './disk-state.ts';

interface Options {
  readonly name: string;
  readonly slotBytes: number;
  readonly slotCount: number;
  readonly file: SlotState;
  readonly disk: SimDiskState;
  readonly io: DiskIo;
}

export class SimSlotFile implements SlotFile {
  readonly slotBytes: number;
  readonly slotCount: number;
  readonly #options: Options;
  #writing: { readonly offset: number; readonly bytes: Uint8Array } | null = null;
  #failure: DiskError | null = null;

  constructor(options: Options) {
    this.slotBytes = options.slotBytes;
    this.slotCount = options.slotCount;
    this.#options = options;
  }

  read(): Promise<Uint8Array[]> {
    const { file, io } = this.#options;
    return io.after('readMs', () =>
      Array.from({ length: this.slotCount }, (_, slot) =>
        file.bytes.slice(slot * this.slotBytes, (slot + 1) * this.slotBytes),
      ),
    );
  }

  async write(first: number, bytes: Uint8Array): Promise<void> {
    const count = bytes.length / this.slotBytes;
    if (!Number.isInteger(count) || count < 1 || first < 0 || first + count > this.slotCount) {
      throw new RangeError(`not whole slots inside the file: ${bytes.length} bytes at slot ${first}`);
    }
    if (this.#writing !== null) throw new Error('a slot file takes one write at a time');
    if (this.#failure !== null) throw this.#failure;
    const { name, file, disk, io } = this.#options;
    io.boundary(`before a write of ${name}`);
    const write = { offset: first * this.slotBytes, bytes: Uint8Array.prototype.slice.call(bytes) };
    this.#writing = write;
    // A dead process goes no further than this line.
    await io.after('syncMs', () => {
      this.#writing = null;
      this.#failure = io.writeFailure(name);
      if (this.#failure !== null) {
        disk.tearSlots(file, write.offset, write.bytes, false);
        throw this.#failure;
      }
      disk.writeSlots(file, write.offset, write.bytes);
      io.boundary(`after a write of ${name}`);
    });
    if (!io.alive) await new Promise(() => undefined);
  }

  close(): Promise<void> {
    return this.#options.io.after('readMs', () => {});
  }

  crash(kind: CrashKind): void {
    if (this.#writing === null) return;
    const { file, disk } = this.#options;
    disk.tearSlots(file, this.#writing.offset, this.#writing.bytes, kind === 'power');
    this.#writing = null;
  }
}
