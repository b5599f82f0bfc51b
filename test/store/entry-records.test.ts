import { expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { emptyLog } from '../../src/raft/core/types.ts';
import { decodeEntry, encodeEntry, recordOf, rememberRecord } from '../../src/store/entry.ts';
import { entriesAfter, entryAfter } from './support.ts';

test('the record of an entry is what encoding it makes, and is made once', () => {
  const entry = entryAfter(emptyLog);
  const record = recordOf(entry);
  expect(Buffer.from(record).toString('hex')).toBe(Buffer.from(encodeEntry(entry)).toString('hex'));
  expect(recordOf(entry)).toBe(record);
});

test('an entry that was received is written down as it came', () => {
  const record = encodeEntry(entryAfter(emptyLog));
  const entry = decodeEntry(record);
  rememberRecord(entry, record);
  expect(recordOf(entry)).toBe(record);
  // Another entry with the same content is another entry.
  expect(recordOf({ ...entry })).not.toBe(record);
});

test('of those that were encoded the newest are kept, as far as there is room', () => {
  const payload = new Uint8Array(limits.recordsBytesMax / 4);
  const entries = entriesAfter(emptyLog, [1, 1, 1, 1, 1]).map((entry) => ({ ...entry, payload }));
  const records = entries.map((entry) => recordOf(entry));
  expect(recordOf(entries.at(-1) as (typeof entries)[0])).toBe(records.at(-1));
  expect(recordOf(entries[0] as (typeof entries)[0])).not.toBe(records[0]);
});
