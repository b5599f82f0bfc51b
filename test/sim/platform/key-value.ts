/**
 * One boot's handle of a simulated key-value store. Batches end in the order they were issued; a read sees the store as it
 * was at some moment between the call and the answer.
 */
import { DiskError } from '../../../src/platform/disk-error.ts';
import type { KeyValue, KeyValueOperation, KeyValueRange } from '../../../src/platform/key-value.ts';
import type { CrashKind, DiskIo } from './disk-io.ts';
import { writesOf, type BatchWrite, type KeyValueState } from './key-value-state.ts';
import { bytesOf, keyOf, type ByteKey } from './ordered-bytes.ts';

interface PendingBatch {
  readonly writes: readonly BatchWrite[];
  readonly sync: boolean;
  resolve(): void;
  reject(error: Error): void;
}

/** A synced batch carries the unsynced ones before it to the platter, but for a log file that LevelDB just left behind. */
const carriesEarlier = 7 / 8;

export class SimKeyValue implements KeyValue {
  readonly #name: string;
  readonly #state: KeyValueState;
  readonly #io: DiskIo;
  readonly #onClosed: () => void;
  #pending: PendingBatch[] = [];
  /** Batches that failed and may be on the platter all the same, once somebody looks again. */
  #doubtful: PendingBatch[] = [];
  #failure: DiskError | null = null;
  #open = true;
  #idle: (() => void) | null = null;

  constructor(options: { name: string; state: KeyValueState; io: DiskIo; onClosed: () => void }) {
    this.#name = options.name;
    this.#state = options.state;
    this.#io = options.io;
    this.#onClosed = options.onClosed;
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const at = keyOf(key);
    return this.#read(() => this.#valueAt(at));
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const all = keys.map(keyOf);
    return this.#read(() => all.map((key) => this.#valueAt(key)));
  }

  range(options: KeyValueRange): Promise<[key: Uint8Array, value: Uint8Array][]> {
    const found = this.#finder(options);
    return this.#read(() => found().map((key) => [bytesOf(key), this.#valueAt(key) ?? new Uint8Array(0)]));
  }

  keys(options: KeyValueRange): Promise<Uint8Array[]> {
    const found = this.#finder(options);
    return this.#read(() => found().map(bytesOf));
  }

  batch(operations: readonly KeyValueOperation[], options: { readonly sync: boolean }): Promise<void> {
    this.#io.boundary(`before a batch of ${this.#name}`);
    if (!this.#io.alive) return new Promise(() => undefined);
    if (!this.#open) return Promise.reject(closedError());
    const writes = writesOf(operations);
    return new Promise((resolve, reject) => {
      this.#pending.push({ writes, sync: options.sync, resolve, reject });
      this.#io.end(options.sync ? 'syncMs' : 'writeMs', () => this.#completeFirst());
    });
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    if (this.#pending.length > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.#io.after('writeMs', () => {
      this.#settleDoubts();
      this.#onClosed();
    });
  }

  /** Decides what becomes of the batches in flight. Their promises stay open. */
  crash(kind: CrashKind): void {
    this.#open = false;
    this.#settleDoubts();
    // A process takes with it what it had not handed to the system: a suffix. A power loss then takes any of the rest.
    const kept = kind === 'power' ? this.#pending.length : this.#io.random.below(this.#pending.length + 1);
    for (const batch of this.#pending.slice(0, kept)) this.#state.apply(batch.writes, false);
    this.#pending = [];
  }

  /** The end of an operation ends the oldest batch, so that no delay can reorder them. */
  #completeFirst(): void {
    const batch = this.#pending.shift();
    if (batch === undefined) return;
    const failure = this.#failure ?? this.#io.writeFailure(this.#name);
    if (failure !== null) {
      if (this.#failure === null && failure.code === 'io') this.#doubtful.push(batch);
      this.#failure = failure;
      batch.reject(failure);
    } else {
      if (batch.sync && this.#io.random.chance(carriesEarlier)) this.#state.markDurable();
      this.#state.apply(batch.writes, batch.sync);
      this.#io.boundary(`after a batch of ${this.#name}`);
      if (!this.#io.alive) return;
      batch.resolve();
    }
    if (this.#pending.length === 0) this.#idle?.();
  }

  #settleDoubts(): void {
    for (const batch of this.#doubtful) if (this.#io.random.chance(0.5)) this.#state.apply(batch.writes, false);
    this.#doubtful = [];
  }

  #read<Result>(look: () => Result): Promise<Result> {
    if (!this.#open) return Promise.reject(closedError());
    if (this.#io.random.chance(0.5)) return this.#io.after('readMs', look);
    const seen = look();
    return this.#io.after('readMs', () => seen);
  }

  #finder(options: KeyValueRange): () => ByteKey[] {
    const [gte, lt] = [keyOf(options.gte), keyOf(options.lt)];
    return () => this.#state.contents.keys(gte, lt, options.reverse, options.limit);
  }

  #valueAt(key: ByteKey): Uint8Array | undefined {
    const value = this.#state.contents.get(key);
    // Not value.slice(): of a Buffer that is a view, and damage to the disk would reach into the memory of nodes.
    return value === undefined ? undefined : new Uint8Array(value);
  }
}

function closedError(): DiskError {
  return new DiskError('io', 'the simulated store is closed');
}
