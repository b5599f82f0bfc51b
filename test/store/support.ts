/** Small helpers shared by the store's tests. */
import fc from 'fast-check';
import type { Entry, LogPosition } from '../../src/raft/core/types.ts';
import { asIndex, asTerm, emptyLog } from '../../src/raft/core/types.ts';
import { payloadHashOf, sealEntry } from '../../src/store/entry.ts';

export const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

/** The entry after `before`. */
export function entryAfter(
  before: LogPosition,
  draft: { term?: number; timeMs?: number; payload?: Uint8Array } = {},
): Entry {
  const payload = draft.payload ?? bytesOf(`payload ${before.index + 1}`);
  return sealEntry({
    index: asIndex(before.index + 1),
    term: asTerm(draft.term ?? Math.max(1, before.term)),
    kind: payload.length === 0 ? 'noop' : 'block',
    timeMs: draft.timeMs ?? 1_000 + before.index,
    previousHash: before.hash,
    payloadHash: payloadHashOf(payload),
    payload,
  });
}

/** `terms.length` entries after `before`, one per term given. */
export function entriesAfter(before: LogPosition, terms: readonly number[], salt = ''): Entry[] {
  const entries: Entry[] = [];
  for (const term of terms) {
    const last = entries.at(-1) ?? before;
    entries.push(entryAfter(last, { term, payload: bytesOf(`${salt}${last.index + 1} in term ${term}`) }));
  }
  return entries;
}

export const chain = (length: number): Entry[] => entriesAfter(emptyLog, Array<number>(length).fill(1));

export const anyPayload = fc.uint8Array({ maxLength: 200 });
