/**
 * What damage to LevelDB's tables does to a store, drawn from a seed. Tables are read without their checksums being checked
 * (reliability notes, finding 1), so beside lost and flipped values there are old values, wrong ones, strangers and views that
 * disagree. docs/disk-faults.md has the damage that was seen to give each. A function gives the keys it hurt, null for none.
 */
import { views, type KeyValueState } from './key-value-state.ts';
import { keyOf, type ByteKey } from './ordered-bytes.ts';
import type { SimRandom } from './random.ts';

export interface KeyRange {
  readonly gte: Uint8Array;
  readonly lt: Uint8Array;
}

/** Behind every key that a store uses. */
const lastKey = '\xff\xff';

/** Some neighbouring keys lose their newest writes: a table is gone, and what it had replaced or deleted is back. */
export function forgetRun(state: KeyValueState, random: SimRandom, range?: KeyRange): ByteKey[] | null {
  const { history } = state;
  const written = history.flatMap(({ writes }) => writes.map(({ key }) => key));
  const keys = [...new Set([...keysIn(state, range), ...written.filter((key) => isIn(key, range))])].sort();
  if (keys.length === 0) return null;
  const first = random.below(keys.length);
  const run = keys.slice(first, first + 1 + random.below(keys.length - first));
  // The table holds what came in with one batch and the ones after it; sometimes all there ever was of these keys.
  const since = random.below(history.length + 1) - 1;
  const lost = history.slice(Math.max(0, since)).flatMap(({ writes }) => writes);
  const count = (key: ByteKey): number => (since < 0 ? Infinity : lost.filter((write) => write.key === key).length);
  return state.forget(new Map(run.map((key) => [key, count(key)])));
}

/** One value has other bytes: a part is zeros or noise, its end is missing, or bytes of a neighbour follow. */
export function garbleValue(state: KeyValueState, random: SimRandom, range?: KeyRange): ByteKey[] | null {
  const keys = keysIn(state, range).filter((key) => (state.contents.get(key)?.length ?? 0) > 0);
  if (keys.length === 0) return null;
  const key = random.pick(keys);
  const value = new Uint8Array(state.contents.get(key) ?? []);
  const at = random.below(value.length);
  const length = 1 + random.below(value.length - at);
  const garblings: readonly (() => Uint8Array)[] = [
    () => value.fill(0, at, at + length),
    () => (value.set(random.bytes(length), at), value),
    () => value.slice(0, at),
    () => new Uint8Array([...value, ...random.bytes(length)]),
  ];
  state.damage(key, random.pick(garblings)());
  return [key];
}

/** One value stands under another key: that of a neighbour, or one that nobody wrote. */
export function misplaceValue(state: KeyValueState, random: SimRandom, range?: KeyRange): ByteKey[] | null {
  const keys = keysIn(state, range);
  if (keys.length === 0) return null;
  const from = random.pick(keys);
  const value = state.contents.get(from);
  const strangers = Array.from({ length: 8 }, () => flipBitOf(from, random));
  const to = strangers.find((key) => isIn(key, range));
  if (value === undefined || to === undefined) return null;
  state.forget(new Map([[from, 1]]));
  state.apply([{ key: to, value }], true);
  // A scan meets it where it was written.
  if (random.chance(0.5)) state.misplaced.set(to, from);
  return [from, to];
}

/**
 * Some neighbouring keys cannot be read, or miss their newest writes, or one shows other bytes. A broken table fails or hides for whoever looks; a
 * broken filter or index blinds one view, and the others still see.
 */
export function blind(
  state: KeyValueState,
  random: SimRandom,
  how: 'fails' | 'hides',
  range?: KeyRange,
): ByteKey[] | null {
  const keys = keysIn(state, range);
  if (keys.length === 0) return null;
  const from = random.below(keys.length);
  const other = state.contents.get(keys[from] ?? '')?.map((byte) => byte ^ 0xff) ?? 'all';
  const misses = how === 'fails' ? 'unreadable' : random.pick(['all', 1, 2, other] as const);
  const to = misses instanceof Uint8Array ? from + 1 : from + 1 + random.below(keys.length - from);
  const blinded = how === 'fails' && random.chance(0.5) ? views : [random.pick(views)];
  const [gte, lt] = [keys[from] ?? '', keys[to] ?? (range === undefined ? lastKey : keyOf(range.lt))];
  for (const view of blinded) state.readFaults.push({ view, gte, lt, misses });
  return keys.slice(from, to);
}

function keysIn(state: KeyValueState, range?: KeyRange): ByteKey[] {
  return range === undefined ? state.contents.all() : state.contents.keys(keyOf(range.gte), keyOf(range.lt));
}

function isIn(key: ByteKey, range?: KeyRange): boolean {
  return range === undefined || (keyOf(range.gte) <= key && key < keyOf(range.lt));
}

function flipBitOf(key: ByteKey, random: SimRandom): ByteKey {
  const at = random.below(key.length);
  const flipped = key.charCodeAt(at) ^ (1 << random.below(8));
  return key.slice(0, at) + String.fromCharCode(flipped) + key.slice(at + 1);
}
