/** Configurations in entries, base records and hard states. */
import { describe, expect, test } from 'vitest';
import { asIndex, asReplicaId, type Configuration } from '../../src/raft/core/types.ts';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { decodeBaseRecord, encodeBaseRecord } from '../../src/store/base-record.ts';
import { decodeConfiguration, encodeConfiguration } from '../../src/store/configuration-record.ts';
import { DamagedError } from '../../src/store/damaged.ts';
import { decodeJsonRecord } from '../../src/store/record.ts';
import { emptyLog } from '../../src/raft/core/types.ts';

const [n1, n2, n3, n4] = ['n1#a', 'n2#b', 'n3#c', 'n4#d'].map(asReplicaId) as [never, never, never, never];
const joint: Configuration = {
  voters: [n1, n2, n4],
  outgoing: [n1, n2, n3],
  learners: [{ replica: asReplicaId('n5#e'), replaces: n1 }],
  addresses: { n4: 'h4:4319' } as Configuration['addresses'],
};

test('an entry carries a configuration and names the one before it', () => {
  expect(decodeConfiguration(encodeConfiguration(joint, asIndex(7)))).toEqual({
    configuration: joint,
    previous: 7,
    recovery: null,
  });
});

test('the entry of a recovery names what it was made from', () => {
  const recovery = { clusterId: 'c1', replica: n2 };
  expect(decodeConfiguration(encodeConfiguration(joint, asIndex(7), recovery)).recovery).toEqual(recovery);
});

describe('no configuration', () => {
  const good = { ...joint, previous: 7 };
  test.each([
    ['no JSON', '{'],
    ['no map', '[]'],
    ['nothing before it', JSON.stringify(joint)],
    ['no voters', JSON.stringify({ ...good, voters: undefined })],
    ['voters that are no text', JSON.stringify({ ...good, voters: [1] })],
    ['an outgoing half that is none', JSON.stringify({ ...good, outgoing: 'n1' })],
    ['a learner without a name', JSON.stringify({ ...good, learners: [{ replaces: null }] })],
    ['a learner that replaces a number', JSON.stringify({ ...good, learners: [{ replica: 'n5#e', replaces: 1 }] })],
    ['learners that are no list', JSON.stringify({ ...good, learners: {} })],
    ['an address that is no text', JSON.stringify({ ...good, addresses: { n4: 1 } })],
  ])('%s', (_, text) => {
    expect(() => decodeConfiguration(Buffer.from(text))).toThrow(DamagedError);
  });
});

test('a base record of settled voters at format level 1 is what 0.1.0 wrote, and any other of a format that it refuses', () => {
  const base = { clusterId: 'c1', position: emptyLog, timeMs: 0, configurationIndex: emptyLog.index, formatLevel: 1 };
  const plain = encodeBaseRecord({ ...base, configuration: votersOnly([n1, n2, n3]) });
  expect(decodeJsonRecord(plain, 'the base record')).toMatchObject({
    format: 1,
    configuration: { voters: [n1, n2, n3] },
  });
  expect(decodeJsonRecord(plain, 'the base record')).not.toHaveProperty('formatLevel');
  expect(decodeBaseRecord(plain)).toEqual({ ...base, configuration: votersOnly([n1, n2, n3]) });
  for (const changed of [
    { ...base, configuration: joint },
    { ...base, configuration: votersOnly([n1, n2, n3]), formatLevel: 2 },
  ]) {
    const record = encodeBaseRecord(changed);
    expect(decodeJsonRecord(record, 'the base record')['format']).toBe(2);
    expect(decodeBaseRecord(record)).toEqual(changed);
  }
});
