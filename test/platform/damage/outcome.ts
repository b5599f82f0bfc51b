/**
 * Which faults of the simulated disk explain what a damaged store answers (protocol I2). Pure: from the history that was
 * written and the answers that came back to the faults that turn one into the other; `null` where none do.
 */
import type { DiskErrorCode } from '../../../src/platform/disk-error.ts';
import { views, type View } from '../../sim/platform/key-value-state.ts';
import type { ByteKey } from '../../sim/platform/ordered-bytes.ts';
import { contentsOf, type Contents, type History } from './history.ts';

/** Everything a store was asked: each key that was ever written by `get`, and all of it by scans both ways. */
export interface Answers {
  readonly get: ReadonlyMap<ByteKey, ByteKey | undefined | Failure>;
  readonly forward: readonly Pair[] | Failure;
  readonly reverse: readonly Pair[] | Failure;
}
export type Pair = readonly [key: ByteKey, value: ByteKey];
export interface Failure {
  readonly failed: DiskErrorCode;
}

export type Outcome =
  | { readonly kind: 'opened'; readonly answers: Answers }
  | { readonly kind: 'refused'; readonly code: DiskErrorCode; readonly sentence: string }
  /** The process was killed from within. */
  | { readonly kind: 'died' };

/** One fault, in the words of `SimDiskState`. */
export type Fault =
  | { readonly fault: 'refuse'; readonly code: DiskErrorCode }
  | { readonly fault: 'crash' }
  | { readonly fault: 'lose' }
  | { readonly fault: 'cutLog'; readonly count: number }
  | { readonly fault: 'vanish'; readonly batch: number }
  | { readonly fault: 'forget'; readonly key: ByteKey; readonly count: number }
  | { readonly fault: 'flipBit' | 'garble' | 'misplace'; readonly key: ByteKey; readonly value: ByteKey }
  /** In this view `key` shows an older value, other bytes, or none. */
  | { readonly fault: 'hide'; readonly view: View; readonly key: ByteKey; readonly value: ByteKey | undefined }
  /** Of one key, or of all in a scan. */
  | { readonly fault: 'failReads'; readonly view: View; readonly key: ByteKey | null };
export type FaultName = Fault['fault'];

export function explain(history: History, outcome: Outcome): Fault[] | null {
  if (outcome.kind === 'opened') return explainAnswers(history, outcome.answers);
  if (outcome.kind === 'died') return [{ fault: 'crash' }];
  return outcome.code === 'damaged' || outcome.code === 'io' ? [{ fault: 'refuse', code: outcome.code }] : null;
}

export function isFailure(answer: unknown): answer is Failure {
  return typeof answer === 'object' && answer !== null && 'failed' in answer;
}

function explainAnswers(history: History, answers: Answers): Fault[] {
  const seen = {
    get: new Map([...answers.get].filter((answer): answer is [ByteKey, ByteKey] => typeof answer[1] === 'string')),
    forward: isFailure(answers.forward) ? null : new Map(answers.forward),
    reverse: isFailure(answers.reverse) ? null : new Map(answers.reverse),
  };
  const held = newestSeen(history, [seen.forward, seen.reverse, seen.get]);
  const wholeScan = seen.forward ?? seen.reverse;
  /** Keys of which nothing is known: no scan ended, and `get` failed. */
  const unknown = new Set(
    [...answers.get]
      .filter(([key, answer]) => isFailure(answer) && wholeScan === null && !held.has(key))
      .map(([key]) => key),
  );

  const found = lostWrites(history, held, unknown);
  const faults: Fault[] = [...found.faults, ...changedValues(history, held, found.left)];
  for (const view of views) {
    const answered = seen[view];
    if (answered === null) {
      faults.push({ fault: 'failReads', view, key: null });
      continue;
    }
    for (const key of new Set([...held.keys(), ...answered.keys()])) {
      const failure = view === 'get' && isFailure(answers.get.get(key));
      if (failure || (view === 'get' && !answers.get.has(key)) || answered.get(key) === held.get(key)) continue;
      faults.push({ fault: 'hide', view, key, value: answered.get(key) });
    }
  }
  for (const [key, answer] of answers.get) if (isFailure(answer)) faults.push({ fault: 'failReads', view: 'get', key });
  return faults;
}

/** Of each key the newest that any view shows: a view can miss a write, never see one that is lost. */
function newestSeen(history: History, found: readonly (Contents | null)[]): Map<ByteKey, ByteKey> {
  const held = new Map<ByteKey, ByteKey>();
  for (const [key, value] of found.flatMap((contents) => [...(contents ?? [])])) {
    const known = held.get(key);
    const age = (each: ByteKey): number => writesMissed(history, key, each) ?? Infinity;
    if (known === undefined || age(value) < age(known)) held.set(key, value);
  }
  return held;
}

/** Whole batches if they explain what is held, else single writes. `left` is what the store then holds. */
function lostWrites(
  history: History,
  held: Contents,
  unknown: ReadonlySet<ByteKey>,
): { readonly faults: Fault[]; readonly left: Contents } {
  const intended = contentsOf(history);
  const versions = versionsOf(history);
  /** Keys that show one of their versions, or nothing: only they tell which writes are lost. */
  const telling = [...versions].filter(([key, each]) => {
    const value = held.get(key);
    return !unknown.has(key) && (value === undefined || each.some((version) => version.value === value));
  });

  const lost = lostBatches(telling, held);
  const left = contentsOf(history, (batch) => !lost.has(batch));
  if (telling.every(([key]) => left.get(key) === held.get(key))) return { faults: batchFaults(history, lost), left };

  const faults: Fault[] = [];
  const remaining = new Map(intended);
  for (const [key] of telling) {
    const value = held.get(key);
    if (value === intended.get(key)) continue;
    faults.push({ fault: 'forget', key, count: writesMissed(history, key, value) ?? Infinity });
    if (value === undefined) remaining.delete(key);
    else remaining.set(key, value);
  }
  return { faults, left: remaining };
}

interface Version {
  readonly batch: number;
  readonly value: ByteKey | undefined;
}

/** Per key what each batch left it with, oldest first. */
function versionsOf(history: History): Map<ByteKey, Version[]> {
  const versions = new Map<ByteKey, Version[]>();
  for (const [batch, writes] of history.entries()) {
    for (const [key, { value }] of new Map(writes.map((write) => [write.key, write]))) {
      versions.set(key, [...(versions.get(key) ?? []), { batch, value }]);
    }
  }
  return versions;
}

/**
 * The fewest batches that must be lost: while the newest batch left that wrote a key says otherwise than is held, it is lost.
 * Each step is forced, so if any set of whole batches explains what is held, this one does.
 */
function lostBatches(telling: readonly (readonly [ByteKey, readonly Version[]])[], held: Contents): Set<number> {
  const lost = new Set<number>();
  for (let before = -1; before !== lost.size;) {
    before = lost.size;
    for (const [key, versions] of telling) {
      const newest = versions.findLast(({ batch }) => !lost.has(batch));
      if (newest !== undefined && newest.value !== held.get(key)) lost.add(newest.batch);
    }
  }
  return lost;
}

function batchFaults(history: History, lost: ReadonlySet<number>): Fault[] {
  if (lost.size === 0) return [];
  if (lost.size === history.length) return [{ fault: 'lose' }];
  if (Math.min(...lost) === history.length - lost.size) return [{ fault: 'cutLog', count: lost.size }];
  return [...lost].sort((a, b) => b - a).map((batch) => ({ fault: 'vanish', batch }));
}

/** Values that their key never had. */
function changedValues(history: History, held: Contents, left: Contents): Fault[] {
  const owners = new Set(
    history.flatMap((writes) => writes.flatMap(({ value }) => (value === undefined ? [] : [value]))),
  );
  const versions = versionsOf(history);
  return [...held].flatMap(([key, value]): Fault[] => {
    if (left.get(key) === value) return [];
    if (!versions.has(key) || owners.has(value)) return [{ fault: 'misplace', key, value }];
    const flipped = versions.get(key)?.some((version) => bitsBetween(version.value, value) === 1) === true;
    return [{ fault: flipped ? 'flipBit' : 'garble', key, value }];
  });
}

/** How many of the newest writes of `key` must be missed to see `value`; null when nothing brings it. */
function writesMissed(history: History, key: ByteKey, value: ByteKey | undefined): number | null {
  const written = history.flatMap((writes) => writes.filter((write) => write.key === key));
  if (value === undefined) return written.length;
  const at = written.findLastIndex((write) => write.value === value);
  return at < 0 ? null : written.length - 1 - at;
}

/** Bits in which two values of one length differ; Infinity for different lengths. */
function bitsBetween(a: ByteKey | undefined, b: ByteKey): number {
  if (a?.length !== b.length) return Infinity;
  let bits = 0;
  for (let at = 0; at < b.length && bits < 2; at += 1) {
    for (let left = a.charCodeAt(at) ^ b.charCodeAt(at); left !== 0; left &= left - 1) bits += 1;
  }
  return bits;
}
