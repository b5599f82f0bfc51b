/**
 * One boot's handle of a simulated key-value store. Batches end in the order they were issued; a read sees the store as it
 * was at some moment between the call and the answer.
 */
import { DiskError } from '../../../src/platform/disk-error.ts';
import type { KeyValue, KeyValueOperation, KeyValueRange } from '../../../src/platform/key-value.ts';
import type { CrashKind, DiskIo } from './disk-io.ts';
import { writesOf, type BatchWrite, type KeyValueState, type ReadFault } from './key-value-state.ts';
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
    return this.#read(() => this.#got(at));
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const all = keys.map(keyOf);
    return this.#read(() => all.map((key) => this.#got(key)));
  }

  range(options: KeyValueRange): Promise<[key: Uint8Array, value: Uint8Array][]> {
    const found = this.#finder(options);
    return this.#read(() => found().map(([key, value]) => [bytesOf(key), copyOf(value)]));
  }

  keys(options: KeyValueRange): Promise<Uint8Array[]> {
    const found = this.#finder(options);
    return this.#read(() => found().map(([key]) => bytesOf(key)));
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

  /** What it rewrites is what was there. A failure is that of the handle; LevelDB tells it here or at the next batch. */
  async compact(_range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): Promise<void> {
    this.#io.boundary(`before a compaction of ${this.#name}`);
    if (!this.#open) throw closedError();
    await this.#io.after('syncMs', () => {
      const failure = this.#failure ?? this.#io.writeFailure(this.#name);
      if (failure === null) return;
      this.#failure = failure;
      if (this.#io.random.chance(0.5)) throw failure;
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
    const failure = this.#failure ?? this.#io.writeFailure(this.#name, bytesIn(batch.writes));
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
    const seen = outcomeOf(look);
    return this.#io.after('readMs', seen);
  }

  /**
   * The pairs of a range. One that ends at its limit never learns that a part was unreadable: LevelDB leaves such a table
   * out and tells at the end of the scan.
   */
  #finder(options: KeyValueRange): () => [ByteKey, Uint8Array][] {
    const [gte, lt, limit] = [keyOf(options.gte), keyOf(options.lt), options.limit ?? Infinity];
    const view = options.reverse === true ? 'reverse' : 'forward';
    return () => {
      const { contents, misplaced, readFaults, history } = this.#state;
      const faults = readFaults.filter((fault) => fault.view === view && fault.gte < lt && gte < fault.lt);
      const sound = faults.length === 0 && misplaced.size === 0;
      let keys = contents.keys(gte, lt, options.reverse, sound ? limit : Infinity);
      if (!sound) {
        // A view that misses a deletion still sees what was deleted.
        const written = history.flatMap(({ writes }) => writes.map(({ key }) => key));
        keys = [...new Set([...keys, ...written.filter((key) => gte <= key && key < lt)])];
        keys.sort((a, b) => (placeOf(a, misplaced) < placeOf(b, misplaced) ? -1 : 1));
        if (options.reverse === true) keys.reverse();
      }
      const found: [ByteKey, Uint8Array][] = [];
      for (const key of keys) {
        if (found.length >= limit) return found;
        const value = seenThrough(this.#state, faults, key);
        if (value instanceof Uint8Array) found.push([key, value]);
      }
      if (found.length < limit && faults.some(({ misses }) => misses === 'unreadable')) throw unreadable(this.#name);
      return found;
    };
  }

  #got(key: ByteKey): Uint8Array | undefined {
    const faults = this.#state.readFaults.filter(({ view }) => view === 'get');
    const value = seenThrough(this.#state, faults, key);
    if (value === 'unreadable') throw unreadable(this.#name);
    return value === undefined ? undefined : copyOf(value);
  }
}

/** What LevelDB's log grows by, about: deletions, too, take space before they give any back. */
function bytesIn(writes: readonly BatchWrite[]): number {
  return writes.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0);
}

/** What damaged eyes see of a key. */
function seenThrough(
  state: KeyValueState,
  faults: readonly ReadFault[],
  key: ByteKey,
): Uint8Array | undefined | 'unreadable' {
  const misses = faults.filter(({ gte, lt }) => gte <= key && key < lt).map((fault) => fault.misses);
  if (misses.includes('unreadable')) return 'unreadable';
  const shown = misses.find((each) => each instanceof Uint8Array);
  if (shown !== undefined) return shown;
  if (misses.includes('all')) return undefined;
  return state.valueBefore(key, Math.max(0, ...misses.filter((count) => typeof count === 'number')));
}

function placeOf(key: ByteKey, misplaced: ReadonlyMap<ByteKey, ByteKey>): ByteKey {
  return misplaced.get(key) ?? key;
}

/** Not value.slice(): of a Buffer that is a view, and damage to the disk would reach into the memory of nodes. */
function copyOf(value: Uint8Array): Uint8Array {
  return new Uint8Array(value);
}

/** Looks now; what was seen, an error too, is told when the result is called. */
function outcomeOf<Result>(look: () => Result): () => Result {
  try {
    const seen = look();
    return () => seen;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

function unreadable(name: string): DiskError {
  return new DiskError('damaged', `the simulated store ${name} is damaged; start this node with an empty --data`);
}

function closedError(): DiskError {
  return new DiskError('io', 'the simulated store is closed');
}
