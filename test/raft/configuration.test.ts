/** What a change makes of a configuration, and which one is in force where (protocol G4). */
import { describe, expect, test } from 'vitest';
import { configurationAfter, promoted, settled, votersOnly } from '../../src/raft/core/configuration.ts';
import { RaftLog } from '../../src/raft/core/log.ts';
import {
  asHash,
  asIndex,
  asReplicaId,
  asTerm,
  type Configuration,
  emptyLog,
  type Entry,
  type ReplicaId,
} from '../../src/raft/core/types.ts';

const named = (...names: readonly string[]): ReplicaId[] => names.map(asReplicaId);
const three = votersOnly(named('n1#a', 'n2#b', 'n3#c'));

function after(active: Configuration, name: string, replaces: string | null, membersMax = 7): Configuration | string {
  const replica = asReplicaId(name);
  const change = {
    kind: 'add',
    replica,
    replaces: replaces === null ? null : asReplicaId(replaces),
    addresses: {},
  } as const;
  return configurationAfter(active, change, membersMax);
}

function made(configuration: Configuration | string): Configuration {
  if (typeof configuration === 'string') throw new Error(configuration);
  return configuration;
}

describe('a learner', () => {
  test('of the same node, or for the same voter, drops the one that waited before: its disk is gone, or the plan', () => {
    const first = made(after(three, 'n3#d', 'n3#c'));
    expect(made(after(first, 'n3#e', 'n3#c')).learners).toEqual([{ replica: 'n3#e', replaces: 'n3#c' }]);
    const other = made(after(three, 'n4#d', 'n3#c'));
    expect(made(after(other, 'n5#e', 'n3#c')).learners).toEqual([{ replica: 'n5#e', replaces: 'n3#c' }]);
    expect(made(after(other, 'n5#e', null)).learners).toHaveLength(2);
  });

  test('that replaces a voter needs no room; one more than the most has none', () => {
    expect(after(three, 'n4#d', null, 3)).toBe('the cluster has 3 members, which is the most');
    expect(made(after(three, 'n4#d', 'n3#c', 3)).learners).toHaveLength(1);
  });

  test('of a node that votes by another name replaces exactly that one', () => {
    expect(after(three, 'n3#d', null)).toBe('another incarnation of n3 votes: replace that one');
    expect(after(three, 'n3#d', 'n2#b')).toBe('another incarnation of n3 votes: replace that one');
  });
});

test('several are promoted at once, each in its own place; whoever leaves counts until the end', () => {
  const waiting = made(after(made(after(three, 'n4#d', null)), 'n3#e', 'n3#c'));
  const joint = promoted(waiting, waiting.learners);
  expect(joint).toMatchObject({ voters: named('n1#a', 'n2#b', 'n3#e', 'n4#d'), outgoing: three.voters, learners: [] });
  expect(settled(joint)).toMatchObject({ voters: joint.voters, outgoing: [] });
});

test('addresses are those of members', () => {
  const addresses = { n1: 'h1:1', n4: 'h4:1', n9: 'h9:1' } as Configuration['addresses'];
  const change = { kind: 'add', replica: asReplicaId('n4#d'), replaces: null, addresses } as const;
  const grown = made(configurationAfter(three, change, 7));
  expect(grown.addresses).toEqual({ n1: 'h1:1', n4: 'h4:1' });
  expect(made(configurationAfter(grown, { kind: 'remove', replica: asReplicaId('n4#d') }, 7)).addresses).toEqual({
    n1: 'h1:1',
  });
});

describe('in a log', () => {
  const at = (index: number): Configuration => votersOnly(named(`n${index}#x`));
  const entry = (index: number, term = 1): Entry => ({
    index: asIndex(index),
    term: asTerm(term),
    kind: 'configuration',
    timeMs: 0,
    previousHash: asHash(`${index - 1}`),
    payloadHash: asHash(''),
    payload: Uint8Array.of(index),
    hash: asHash(`${index}`),
  });
  const opened = (first: number): RaftLog =>
    new RaftLog({
      base: {
        position: { ...emptyLog, hash: asHash('0') },
        timeMs: 0,
        configuration: at(first),
        configurationIndex: asIndex(first),
        formatLevel: 2,
      },
      last: { ...emptyLog, hash: asHash('0') },
      runs: [],
      commit: asIndex(0),
      configurations: [{ index: asIndex(first), configuration: at(first) }],
      formatLevel: { level: 2, written: 2, raises: [] },
      configurationIn: ([index = 0]) => at(index),
    });

  test('the newest counts, and a truncation takes it back', () => {
    const log = opened(0);
    log.append([entry(1), entry(2)]);
    expect(log.configuration).toEqual({ index: 2, configuration: at(2) });
    log.tryAppend(asIndex(1), asTerm(1), [{ ...entry(2, 2), kind: 'noop' }]);
    expect(log.configuration.index).toBe(1);
  });

  test('what the disk does not hold yet is remembered with what it does: the hard state needs the one it can vouch for', () => {
    const log = opened(0);
    log.append([entry(1), entry(2), entry(3)]);
    log.becameDurable(asIndex(1), 1);
    log.commitTo(asIndex(3));
    expect(log.configurationAsOf(asIndex(1)).index).toBe(1);
    log.becameDurable(asIndex(3), 1);
    expect(log.configurationAsOf(asIndex(3)).index).toBe(3);
  });

  test('one that is committed stands, wherever the log ends and whatever comes again below it', () => {
    const log = opened(5);
    log.append([entry(1), entry(2)]);
    log.tryAppend(asIndex(0), asTerm(0), [{ ...entry(1, 2), kind: 'noop' }]);
    expect(log.configuration.index).toBe(5);
  });
});
