/**
 * What a replica has promised, in a small file beside the log (protocol A1): LevelDB can forget without a sign, this must not.
 * Four slots: generation g stands twice, in slots 2(g mod 2) and the one after it, so a torn write leaves the generation before.
 * Must always hold: the state read after a crash is the last one whose write resolved, or one whose write had been called since.
 */
import type { SlotFile } from '../platform/slot-file.ts';
import type { ConfigurationAt, LogIndex, LogPosition, ReplicaId, Term } from '../raft/core/types.ts';
import { asHash, asIndex, asReplicaId, asTerm } from '../raft/core/types.ts';
import { formatRange, formatReleases } from '../raft/core/format-level.ts';
import { configurationIn } from './configuration-record.ts';
import { DamagedError, UnsupportedFormatError } from './damaged.ts';
import { invariant } from './invariant.ts';
import { decodeJsonRecord, encodeJsonRecord, viewOf } from './record.ts';
import { writeFailure } from './write-failure.ts';

export interface HardState {
  /** null until the cluster is founded. */
  readonly clusterId: string | null;
  /** Of this data directory, hex; a replaced disk has another (protocol B2). */
  readonly incarnation: string;
  readonly term: Term;
  readonly vote: ReplicaId | null;
  /** The promised tail: the end of the log that this replica is judged by (protocol A2). */
  readonly promised: LogPosition;
  /** min(commit index, durable last index). */
  readonly commit: LogIndex;
  /** Of the cluster's consistency mode (protocol H3). */
  readonly modeEpoch: number;
  readonly sealed: boolean;
  /** The newest configuration at or below `commit`; null while that is the one of the log's base (protocol G4). */
  readonly configuration: ConfigurationAt | null;
  /** Of the cluster, as far as it is known to be committed (protocol B4). */
  readonly formatLevel: number;
  /** The newest format level that anything on this disk may be of; stands here before any of it is written. */
  readonly formatLevelWritten: number;
}

/**
 * What stood in the file.
 * - `none`: all that was written is intact.
 * - `fresh`: nothing was ever written.
 * - `copy damaged`: the newest generation has one intact copy.
 * - `generation lost`: one generation has none; a write torn by a power cut, or damage to the newest state.
 * - `unreadable`: something was written, nothing is intact: the directory is a new incarnation (protocol A3).
 */
export type HardStateProblem = 'none' | 'fresh' | 'copy damaged' | 'generation lost' | 'unreadable';

export const hardStateSlots = { slotBytes: 4096, slotCount: 4 } as const;
const copies = 2;
/** Format 1 is that of format level 1, and is written while there is nothing newer: 0.1.0 refuses any other (protocol B4). */
const formatVersion = 2;
const lengthBytes = 4;

export interface Generation {
  readonly counter: number;
  readonly state: HardState;
}

export class HardStateFile {
  readonly #slots: SlotFile;
  /** What the file held when it was opened. */
  readonly problem: HardStateProblem;
  /** Writes that the file knew of when it was opened, before the first one of this run (protocol A3). */
  readonly counterFound: number;
  #counter: number;
  #state: HardState | null;
  /** The newest state asked for. */
  #requested: HardState | null;
  #writing: Promise<void> | null = null;
  /** The write after the one in flight. */
  #next: Promise<void> | null = null;
  #failure: Error | null = null;
  /** The copies of the generation that is being written; one write is in flight. */
  readonly #copies = new Uint8Array(copies * hardStateSlots.slotBytes);

  private constructor(slots: SlotFile, newest: Generation | null, problem: HardStateProblem) {
    this.#slots = slots;
    this.problem = problem;
    this.counterFound = newest?.counter ?? 0;
    this.#counter = this.counterFound;
    this.#state = newest?.state ?? null;
    this.#requested = this.#state;
  }

  /**
   * Reads the file and, when it holds a state, writes that once more: it may have been read from memory the system had not
   * yet written, and a damaged copy heals. `slots` has the shape `hardStateSlots`. Rejects with `UnsupportedFormatError`, before
   * anything is written, when this binary cannot read all that the directory may hold; `newest` is the level that it can.
   */
  static async open(slots: SlotFile, newest = formatRange.newest): Promise<HardStateFile> {
    const { slotBytes, slotCount } = hardStateSlots;
    invariant(
      slots.slotBytes === slotBytes && slots.slotCount === slotCount,
      'the hard-state file has four slots of 4096 bytes',
    );
    const found = readHardState(await slots.read(), newest);
    const file = new HardStateFile(slots, found.newest, found.problem);
    if (found.newest !== null) await file.write(found.newest.state);
    return file;
  }

  /** The newest durable state; null before the first write, and when the file was unreadable. */
  get state(): HardState | null {
    return this.#state;
  }
  /** The newest state asked for, durable or on its way. */
  get requested(): HardState | null {
    return this.#requested;
  }
  /** Writes so far, those before this opening included. */
  get counter(): number {
    return this.#counter;
  }

  /**
   * Resolves when this state, or one requested after it, is durable. One write is in flight; the newest of those requested
   * meanwhile follows it. A rejection is final: so is every later call's (protocol A5).
   */
  write(state: HardState): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    assertFollows(this.#requested, state);
    this.#requested = state;
    if (this.#next !== null) return this.#next;
    if (this.#writing === null) return this.#start();
    this.#next = this.#writing.then(() => this.#start());
    return this.#next;
  }

  /**
   * Another life of this directory, asked for by an operator (`quorate recover`): another cluster and incarnation, so that
   * nobody takes it for the voter it was, which never takes anything back. Only while nothing else is written.
   */
  refound(state: HardState): Promise<void> {
    const before = this.#requested;
    invariant(this.#writing === null && this.#next === null, 'a hard state is founded again before it is used');
    invariant(
      before === null || (before.incarnation !== state.incarnation && before.clusterId !== state.clusterId),
      'another life has another incarnation and another cluster',
    );
    this.#requested = null;
    return this.write(state);
  }

  #start(): Promise<void> {
    this.#next = null;
    this.#writing = this.#writeRequested();
    return this.#writing;
  }

  async #writeRequested(): Promise<void> {
    const state = this.#requested;
    invariant(state !== null, 'a write has a state');
    const counter = this.#counter + 1;
    this.#encode({ counter, state });
    try {
      await this.#slots.write(copies * (counter % 2), this.#copies);
    } catch (error) {
      this.#failure ??= writeFailure('the hard state', error);
      throw this.#failure;
    }
    this.#counter = counter;
    this.#state = state;
    this.#writing = null;
  }

  #encode(generation: Generation): void {
    const { slotBytes } = hardStateSlots;
    encodeSlot(generation, this.#copies.subarray(0, slotBytes));
    for (let copy = 1; copy < copies; copy += 1) this.#copies.copyWithin(copy * slotBytes, 0, slotBytes);
  }

  async close(): Promise<void> {
    this.#failure ??= new Error('the hard-state file is closed');
    await (this.#next ?? this.#writing)?.catch(() => undefined);
    await this.#slots.close();
  }
}

/**
 * The newest intact generation in the slots of a hard-state file, and what is wrong with them. Throws `UnsupportedFormatError`
 * where the directory may hold what is above the format level `newest`.
 */
export function readHardState(
  slots: readonly Uint8Array[],
  newest = formatRange.newest,
): { newest: Generation | null; problem: HardStateProblem } {
  return judge(slots.map((slot, position) => readSlot(slot, position, newest)));
}

/** What may never be taken back: an incarnation, a cluster, a term, a vote (thesis figure 3.1). */
function assertFollows(before: HardState | null, after: HardState): void {
  if (before === null) return;
  invariant(after.incarnation === before.incarnation, 'hard state belongs to one incarnation');
  invariant(before.clusterId === null || after.clusterId === before.clusterId, 'hard state belongs to one cluster');
  invariant(after.term >= before.term, `term ${after.term} would take back term ${before.term}`);
  invariant(
    after.term > before.term || before.vote === null || after.vote === before.vote,
    `a second vote in term ${after.term}`,
  );
  invariant(
    (after.configuration?.index ?? 0) >= (before.configuration?.index ?? 0),
    'the committed configuration never goes back',
  );
  invariant(
    after.formatLevel >= before.formatLevel && after.formatLevelWritten >= before.formatLevelWritten,
    'a format level never goes back',
  );
  invariant(after.modeEpoch >= before.modeEpoch, `mode epoch ${after.modeEpoch} would take back ${before.modeEpoch}`);
}

/** Slot: length u32 of the record | JSON record | zeros. */
function encodeSlot({ counter, state }: Generation, slot: Uint8Array): void {
  const { configuration, formatLevel, formatLevelWritten, ...rest } = state;
  invariant(formatLevel <= formatLevelWritten, 'what is in force was written');
  const isPlain = configuration === null && formatLevelWritten === 1;
  // For a binary that is too old, and can say no more than that.
  const release = formatReleases[formatLevelWritten];
  const fields = isPlain ? { format: 1, counter, ...rest } : { format: formatVersion, counter, release, ...state };
  const record = encodeJsonRecord(fields);
  invariant(lengthBytes + record.length <= slot.length, 'hard state must fit into a slot');
  viewOf(slot).setUint32(0, record.length);
  slot.set(record, lengthBytes);
  slot.fill(0, lengthBytes + record.length);
}

type Slot = Generation | 'empty' | 'damaged';

function readSlot(slot: Uint8Array, position: number, newest: number): Slot {
  if (slot.every((byte) => byte === 0)) return 'empty';
  try {
    const length = viewOf(slot).getUint32(0);
    const where = `slot ${position} of the hard state`;
    if (length > slot.length - lengthBytes) throw new DamagedError(where, 'its length does not fit');
    const generation = decodeGeneration(slot.subarray(lengthBytes, lengthBytes + length), where, newest);
    return generation.counter % 2 === Math.floor(position / copies) ? generation : 'damaged';
  } catch (error) {
    if (error instanceof DamagedError) return 'damaged';
    throw error;
  }
}

function decodeGeneration(record: Uint8Array, where: string, newest: number): Generation {
  const fields = decodeJsonRecord(record, where);
  const { format, counter, clusterId, incarnation, term, vote, promised, commit, modeEpoch, sealed } = fields;
  const { formatLevel = 1, formatLevelWritten = 1 } = fields;
  const release = typeof fields['release'] === 'string' ? fields['release'] : undefined;
  if (typeof format === 'number' && format > formatVersion) {
    throw new UnsupportedFormatError(where, `hard-state format ${format}`, release);
  }
  if (typeof formatLevelWritten === 'number' && formatLevelWritten > newest) {
    throw new UnsupportedFormatError(where, `format level ${formatLevelWritten}`, release);
  }
  const tail = typeof promised === 'object' && promised !== null ? (promised as Partial<Record<string, unknown>>) : {};
  if (
    typeof counter !== 'number' ||
    (typeof clusterId !== 'string' && clusterId !== null) ||
    typeof incarnation !== 'string' ||
    typeof term !== 'number' ||
    (typeof vote !== 'string' && vote !== null) ||
    typeof tail['index'] !== 'number' ||
    typeof tail['term'] !== 'number' ||
    typeof tail['hash'] !== 'string' ||
    typeof commit !== 'number' ||
    typeof modeEpoch !== 'number' ||
    typeof sealed !== 'boolean' ||
    typeof formatLevel !== 'number' ||
    typeof formatLevelWritten !== 'number'
  ) {
    throw new DamagedError(where, 'a field is missing');
  }
  const state: HardState = {
    clusterId,
    incarnation,
    term: asTerm(term),
    vote: vote === null ? null : asReplicaId(vote),
    promised: { index: asIndex(tail['index']), term: asTerm(tail['term']), hash: asHash(tail['hash']) },
    commit: asIndex(commit),
    modeEpoch,
    sealed,
    configuration: configurationAtIn(fields['configuration'] ?? null, where),
    formatLevel,
    formatLevelWritten,
  };
  return { counter, state };
}

function configurationAtIn(value: unknown, where: string): ConfigurationAt | null {
  if (value === null) return null;
  const { index, configuration } = value as Partial<Record<string, unknown>>;
  if (typeof index !== 'number') throw new DamagedError(where, 'its configuration has no index');
  return { index: asIndex(index), configuration: configurationIn(configuration, where) };
}

function judge(slots: readonly Slot[]): { newest: Generation | null; problem: HardStateProblem } {
  const intact = slots.filter((slot): slot is Generation => typeof slot === 'object');
  const newest = intact.reduce<Generation | null>(
    (best, slot) => (slot.counter > (best?.counter ?? 0) ? slot : best),
    null,
  );
  if (newest === null) return { newest, problem: slots.every((slot) => slot === 'empty') ? 'fresh' : 'unreadable' };
  const copiesOf = (counter: number): number => intact.filter((slot) => slot.counter === counter).length;
  const before = newest.counter - 1;
  if (before > 0 && copiesOf(before) === 0) return { newest, problem: 'generation lost' };
  const whole = copiesOf(newest.counter) === copies && (before === 0 || copiesOf(before) === copies);
  return { newest, problem: whole ? 'none' : 'copy damaged' };
}
