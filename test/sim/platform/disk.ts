/**
 * One boot's view of a simulated disk. `crash` decides the fate of what is in flight (protocol I2);
 * after it nothing of this handle ever ends or takes effect.
 */
import { DiskError } from '../../../src/platform/disk-error.ts';
import type { KeyValue } from '../../../src/platform/key-value.ts';
import type { DiskSpace } from '../../../src/platform/disk-space.ts';
import type { Disk } from '../../../src/platform/platform.ts';
import type { SlotFile } from '../../../src/platform/slot-file.ts';
import { DiskIo, type CrashKind } from './disk-io.ts';
import type { SimDiskState } from './disk-state.ts';
import { SimKeyValue } from './key-value.ts';
import type { SimProcess } from './process.ts';
import type { SimRandom } from './random.ts';
import { SimDiskSpace } from './disk-space.ts';
import { SimSlotFile } from './slot-file.ts';

/** A MANIFEST, and a table from what stood in the log: small, as all is in simulations. */
const openBytes = 4_096;

const lockedSentence = 'the data directory (simulated) is in use by another process; stop it or choose another --data';

function refusalSentence(name: string): string {
  return `the data directory (simulated) is damaged (${name} does not open); start this node with an empty --data`;
}

export class SimDisk implements Disk {
  readonly space: DiskSpace;
  readonly #state: SimDiskState;
  readonly #process: SimProcess;
  readonly #io: DiskIo;
  readonly #stores = new Map<string, SimKeyValue>();
  readonly #files: SimSlotFile[] = [];

  constructor(state: SimDiskState, process: SimProcess, random: SimRandom) {
    this.#state = state;
    this.#process = process;
    this.#io = new DiskIo(state, process, random);
    this.space = new SimDiskSpace(state.space, process);
  }

  openKeyValue(name: string): Promise<KeyValue> {
    return this.#io.after('syncMs', () => {
      if (this.#stores.has(name)) throw new DiskError('locked', lockedSentence);
      // A new store begins with files of its own.
      const failure = this.#state.keyValues.has(name) ? null : this.#io.writeFailure(name, openBytes);
      if (failure !== null) throw failure;
      const state = this.#state.keyValue(name);
      if (state.refusal !== null) throw new DiskError(state.refusal, refusalSentence(name));
      // LevelDB replays its log into a synced table before it answers: what this boot can see, it can keep.
      state.markDurable();
      const store = new SimKeyValue({ name, state, io: this.#io, onClosed: () => this.#stores.delete(name) });
      this.#stores.set(name, store);
      return store;
    });
  }

  destroyKeyValue(name: string): Promise<void> {
    return this.#io.after('syncMs', () => {
      if (this.#stores.has(name)) throw new Error(`the store ${name} is open`);
      this.#state.keyValues.delete(name);
    });
  }

  openSlotFile(name: string, shape: { readonly slotBytes: number; readonly slotCount: number }): Promise<SlotFile> {
    return this.#io.after('syncMs', () => {
      const file = this.#state.slotFile(name, shape.slotBytes * shape.slotCount);
      const handle = new SimSlotFile({ name, ...shape, file, disk: this.#state, io: this.#io });
      this.#files.push(handle);
      return handle;
    });
  }

  /** The process dies now, or the machine loses power. */
  crash(kind: CrashKind): void {
    this.#process.kill();
    for (const store of this.#stores.values()) store.crash(kind);
    for (const file of this.#files) file.crash(kind);
    this.#stores.clear();
    if (kind === 'power') this.#state.losePower();
  }
}
