/**
 * The platter of one simulated machine: outlives every boot, and is the simulator's to damage. A node reaches it through a
 * `SimDisk`; here are the faults. All damage comes from the seed that is handed in, so a run repeats.
 */
import { bytesOf, keyOf, type ByteKey } from './ordered-bytes.ts';
import { SpaceState } from './disk-space.ts';
import { KeyValueState } from './key-value-state.ts';
import type { SimRandom } from './random.ts';
import { blind, forgetRun, garbleValue, misplaceValue, type KeyRange } from './table-damage.ts';

/** How slow a disk is: bounds of a uniform draw in virtual ms, with a rare long one. */
export interface DiskLatency {
  readonly readMs: readonly [number, number];
  readonly writeMs: readonly [number, number];
  readonly syncMs: readonly [number, number];
  /** Probability of an operation that takes ten to fifty times as long. */
  readonly slowChance: number;
}

const defaultLatency: DiskLatency = {
  readMs: [0.02, 0.3],
  writeMs: [0.02, 0.2],
  syncMs: [0.2, 3],
  slowChance: 0.01,
};

export interface SlotState {
  /** Bytes of the whole file. */
  bytes: Uint8Array;
  /** What each write so far replaced, newest last; few are kept. */
  readonly before: { readonly first: number; readonly bytes: Uint8Array }[];
  /** Damaged, or written in part, since a write was done. */
  isHurt: boolean;
  /** Grows with every change, damage too. */
  version: number;
}

/** What a damage function hurt, for the fault atlas (protocol I3). */
export interface Damage {
  readonly store: string;
  readonly keys: readonly Uint8Array[];
}

const sectorBytes = 512;
const slotHistoryMax = 8;

export class SimDiskState {
  readonly keyValues = new Map<string, KeyValueState>();
  readonly slotFiles = new Map<string, SlotState>();
  latency: DiskLatency = defaultLatency;
  /** Every write fails with this, per store or slot file name; `*` stands for all. */
  readonly failWrites = new Map<string, 'io' | 'full'>();
  /** No operation ends before this virtual time; Infinity: before `heal`. */
  stalledUntilMs = 0;
  /** Ends of operations on a disk that hangs until `heal`. */
  waiting: (() => void)[] = [];
  /** A write met the end of the space. */
  metFull = false;
  readonly space = new SpaceState();
  readonly #random: SimRandom;

  constructor(random: SimRandom) {
    this.#random = random;
  }

  keyValue(name: string): KeyValueState {
    let state = this.keyValues.get(name);
    if (state === undefined) this.keyValues.set(name, (state = new KeyValueState()));
    return state;
  }

  /** The slot file `name` of `size` bytes, made of zeros when absent. */
  slotFile(name: string, size: number): SlotState {
    let file = this.slotFiles.get(name);
    if (file === undefined)
      this.slotFiles.set(name, (file = { bytes: new Uint8Array(size), before: [], isHurt: false, version: 0 }));
    if (file.bytes.length !== size)
      throw new Error(`the slot file ${name} has ${file.bytes.length} bytes, not ${size}`);
    return file;
  }

  /** Looks, without a node and without time passing. */
  peek(name: string, key: Uint8Array): Uint8Array | undefined {
    return this.keyValues.get(name)?.contents.get(keyOf(key));
  }

  /** All pairs of a store, ascending, without time passing. */
  entries(name: string): [key: Uint8Array, value: Uint8Array][] {
    const contents = this.keyValues.get(name)?.contents;
    if (contents === undefined) return [];
    return contents.all().map((key) => [bytesOf(key), contents.get(key) ?? new Uint8Array(0)]);
  }

  /** No operation ends before `untilMs`. */
  stall(untilMs: number): void {
    this.stalledUntilMs = Math.max(this.stalledUntilMs, untilMs);
  }

  /** Writes to `name` (or `*`) fail from now on: a dying device, or no space. */
  fail(name: string, how: 'io' | 'full'): void {
    this.failWrites.set(name, how);
  }

  heal(): void {
    this.failWrites.clear();
    this.space.foreignBytes = 0;
    this.latency = defaultLatency;
    this.stalledUntilMs = 0;
    for (const end of this.waiting.splice(0)) end();
  }

  /** The machine lost power: of what was written and not synced, any subset is gone. `SimDisk.crash` calls it by itself. */
  losePower(): void {
    for (const state of this.keyValues.values()) state.losePower(this.#random);
  }

  /** The disk was replaced by an empty one. */
  wipe(): void {
    this.keyValues.clear();
    this.slotFiles.clear();
    this.space.wipe();
  }

  /** The effect of one of the newest batches is gone, though it was synced: `age` 0 is the newest. Null when there is none. */
  vanish(name: string, age?: number): Damage | null {
    const state = this.keyValues.get(name);
    const history = state?.history ?? [];
    const victim = history.at(-1 - (age ?? this.#random.below(Math.max(1, history.length))));
    if (state === undefined || victim === undefined) return null;
    return { store: name, keys: state.keepOnly((batch) => batch !== victim).map(bytesOf) };
  }

  /** The write-ahead log was cut: the newest `count` batches are gone. Null when there were none. */
  cutLog(name: string, count?: number): Damage | null {
    const state = this.keyValues.get(name);
    if (state === undefined || state.history.length === 0) return null;
    const left =
      state.history.length - Math.min(state.history.length, count ?? 1 + this.#random.below(state.history.length));
    const kept = new Set(state.history.slice(0, left));
    return { store: name, keys: state.keepOnly((batch) => kept.has(batch)).map(bytesOf) };
  }

  /** One bit of one value in [gte, lt) of a store is not what it was. Null when there is no value with a bit. */
  flipBit(name: string, range?: KeyRange): Damage | null {
    const contents = this.keyValues.get(name)?.contents;
    if (contents === undefined) return null;
    const inRange = range === undefined ? contents.all() : contents.keys(keyOf(range.gte), keyOf(range.lt));
    const keys = inRange.filter((key: ByteKey) => (contents.get(key)?.length ?? 0) > 0);
    if (keys.length === 0) return null;
    const key = this.#random.pick(keys);
    const value = contents.get(key);
    // In place: the history holds the same bytes, so no later loss heals them.
    if (value !== undefined) this.#random.flipBit(value);
    this.keyValue(name).onChange(null);
    return { store: name, keys: [bytesOf(key)] };
  }

  /** Some neighbouring keys of [gte, lt) show what they held before, or nothing. Null when there are none. */
  forget(name: string, range?: KeyRange): Damage | null {
    return this.#damage(name, (state) => forgetRun(state, this.#random, range));
  }

  /** Several bytes of one value in [gte, lt) are not what they were, its length perhaps neither. */
  garble(name: string, range?: KeyRange): Damage | null {
    return this.#damage(name, (state) => garbleValue(state, this.#random, range));
  }

  /** A value of [gte, lt) stands under another key there, one that holds something else or that nobody wrote. */
  misplace(name: string, range?: KeyRange): Damage | null {
    return this.#damage(name, (state) => misplaceValue(state, this.#random, range));
  }

  /** `get`, or scans in one direction, see some keys of [gte, lt) older, otherwise or not at all; the others see them. */
  hide(name: string, range?: KeyRange): Damage | null {
    return this.#damage(name, (state) => blind(state, this.#random, 'hides', range));
  }

  /** Reads of some keys of [gte, lt) reject with `damaged`, and scans over them once they have reached their end. */
  failReads(name: string, range?: KeyRange): Damage | null {
    return this.#damage(name, (state) => blind(state, this.#random, 'fails', range));
  }

  /** The store does not open again, until it is destroyed. */
  refuse(name: string): Damage {
    const state = this.keyValue(name);
    state.refusal = this.#random.pick(['damaged', 'io'] as const);
    return { store: name, keys: state.contents.all().map(bytesOf) };
  }

  /** Everything in the store is gone. It opens as if it were new. */
  lose(name: string): Damage {
    const keys = this.entries(name).map(([key]) => key);
    this.keyValues.delete(name);
    return { store: name, keys };
  }

  #damage(name: string, inflict: (state: KeyValueState) => ByteKey[] | null): Damage | null {
    const state = this.keyValues.get(name);
    const keys = state === undefined ? null : inflict(state);
    return keys === null ? null : { store: name, keys: keys.map(bytesOf) };
  }

  /** One bit of one slot is not what it was. False when the file is not there. */
  flipSlotBit(name: string, slot: number, slotBytes: number): boolean {
    const file = this.slotFiles.get(name);
    if (file === undefined) return false;
    this.#random.flipBit(file.bytes.subarray(slot * slotBytes, (slot + 1) * slotBytes));
    file.version += 1;
    return true;
  }

  /** What a slot holds; null when the file is not there. */
  slotBytes(name: string, slot: number, bytes: number): Uint8Array | null {
    return this.slotFiles.get(name)?.bytes.slice(slot * bytes, (slot + 1) * bytes) ?? null;
  }

  /** A slot holds something else than was written. Nothing happens when the file is not there. */
  overwriteSlot(name: string, slot: number, bytes: Uint8Array): void {
    const file = this.slotFiles.get(name);
    if (file === undefined) return;
    file.bytes.set(bytes, slot * bytes.length);
    file.isHurt = true;
    file.version += 1;
  }

  /** The last `count` slot writes went nowhere though the disk said they were done. False when it remembers fewer. */
  revertSlotWrites(name: string, count: number): boolean {
    const file = this.slotFiles.get(name);
    if (file === undefined || file.before.length < count) return false;
    for (let n = 0; n < count; n++) {
      const write = file.before.pop();
      if (write !== undefined) file.bytes.set(write.bytes, write.first);
    }
    file.version += 1;
    return true;
  }

  /** Called by the disk handle: a slot write is done. */
  writeSlots(file: SlotState, offset: number, bytes: Uint8Array): void {
    file.before.push({ first: offset, bytes: file.bytes.slice(offset, offset + bytes.length) });
    if (file.before.length > slotHistoryMax) file.before.shift();
    file.bytes.set(bytes, offset);
    file.isHurt = false;
    file.version += 1;
  }

  /** Was the slot file damaged, or its last write cut short, since a write was done? */
  isHurt(name: string): boolean {
    return this.slotFiles.get(name)?.isHurt === true;
  }

  /** Called by the disk handle: a slot write was cut short. Each sector is old or new; after a power loss, or garbage. */
  tearSlots(file: SlotState, offset: number, bytes: Uint8Array, powerLost: boolean): void {
    for (let at = 0; at < bytes.length; at += sectorBytes) {
      const sector = bytes.subarray(at, at + sectorBytes);
      const fate = this.#random.below(powerLost ? 9 : 8);
      if (fate < 4) continue;
      file.bytes.set(fate < 8 ? sector : this.#random.bytes(sector.length), offset + at);
    }
    file.isHurt = true;
    file.version += 1;
  }
}
