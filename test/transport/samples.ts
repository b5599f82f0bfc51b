/** One of everything that travels between nodes, and hellos to go with it. */
import { formatRange } from '../../src/raft/core/format-level.ts';
import { version } from '../../src/version.ts';
import fc from 'fast-check';
import {
  asBootId,
  asHash,
  asIndex,
  asNodeId,
  asReplicaId,
  asTerm,
  replicaIdOf,
  zeroHash,
  type Entry,
  type EntryHash,
} from '../../src/raft/core/types.ts';
import { spaceLevels } from '../../src/platform/disk-space.ts';
import { payloadHashOf, sealEntry } from '../../src/store/entry.ts';
import {
  handOverErrors,
  handOverReasons,
  protocolVersion,
  type Hello,
  type PeerMessage,
} from '../../src/transport/transport.ts';

export const n1 = asNodeId('n1');
export const n2 = asNodeId('n2');
export const n3 = asNodeId('n3');

export function helloOf(node: string, change: Partial<Hello> = {}): Hello {
  return {
    protocol: protocolVersion,
    node: asNodeId(node),
    replica: replicaIdOf(asNodeId(node), 'aa'),
    boot: asBootId(`boot-of-${node}`),
    clusterId: 'cluster-a',
    founded: true,
    hardStateCounter: 7,
    http: `http://${node}:4318`,
    peer: `${node}:4319`,
    members: {},
    version,
    formats: formatRange,
    formatLevel: formatRange.newest,
    ...change,
  };
}

/** Entries that follow one another, the first after `previous`. */
export function chain(payloads: readonly Uint8Array[], previous = { index: 0, term: 1, hash: zeroHash }): Entry[] {
  const entries: Entry[] = [];
  let previousHash: EntryHash = previous.hash;
  for (const payload of payloads) {
    const entry = sealEntry({
      index: asIndex(previous.index + 1 + entries.length),
      term: asTerm(previous.term),
      kind: payload.length === 0 ? 'noop' : 'block',
      timeMs: 1_767_225_600_000,
      previousHash,
      payloadHash: payloadHashOf(payload),
      payload,
    });
    previousHash = entry.hash;
    entries.push(entry);
  }
  return entries;
}

const number = fc.oneof(fc.maxSafeNat(), fc.nat(300));
const term = number.map(asTerm);
const index = number.map(asIndex);
const text = fc.oneof(fc.string({ maxLength: 256 }), fc.string({ minLength: 31, maxLength: 33 }));
const replica = fc.constantFrom('n1#aa', 'n2#bb', 'n3#0123456789abcdef').map(asReplicaId);
const envelope = { from: fc.constant(asReplicaId('n1#aa')), to: replica, term, boot: text.map(asBootId) };
const payload = fc.uint8Array({ maxLength: 300 });

const append = fc
  .record({
    ...envelope,
    session: number,
    previousIndex: fc.nat(1e12),
    commit: index,
    payloads: fc.array(payload, { maxLength: 5 }),
  })
  .map(({ payloads, previousIndex, ...rest }) => ({
    ...rest,
    type: 'append' as const,
    previousIndex: asIndex(previousIndex),
    previousTerm: asTerm(3),
    entries: chain(payloads, { index: previousIndex, term: 4, hash: zeroHash }),
  }));

const base = fc.record({
  position: fc.record({ index, term, hash: fc.constantFrom('0', 'e').map((digit) => asHash(digit.repeat(32))) }),
  timeMs: number,
  configuration: fc.record({
    voters: fc.array(replica, { maxLength: 7 }),
    outgoing: fc.array(replica, { maxLength: 7 }),
    learners: fc.array(fc.record({ replica, replaces: fc.option(replica) }), { maxLength: 2 }),
    addresses: fc.constantFrom<Record<string, string>>({}, { n4: '10.0.0.4:4319' }),
  }),
  configurationIndex: index,
  formatLevel: fc.constantFrom(1, 2),
});
const snapshot = fc.record({ ...envelope, type: fc.constant('snapshot' as const), session: number, base });

const raft = fc.oneof(
  fc.record({ ...envelope, type: fc.constant('pre-vote' as const), lastTerm: term, lastIndex: index }),
  fc.record({
    ...envelope,
    type: fc.constant('vote' as const),
    lastTerm: term,
    lastIndex: index,
    transfer: fc.boolean(),
  }),
  fc.record({ ...envelope, type: fc.constant('timeout-now' as const), lastIndex: index }),
  fc.record({ ...envelope, type: fc.constant('pre-vote-reply' as const), granted: fc.boolean(), campaignTerm: term }),
  fc.record({ ...envelope, type: fc.constant('vote-reply' as const), granted: fc.boolean() }),
  append,
  snapshot,
  fc.record({
    ...envelope,
    type: fc.constant('append-reply' as const),
    session: number,
    result: fc.oneof(
      fc.record({ accepted: fc.constant(true as const), match: index }),
      fc.record({ accepted: fc.constant(false as const), rejected: index, hintIndex: index, hintTerm: term }),
    ),
  }),
  fc.record({ ...envelope, type: fc.constant('heartbeat' as const), session: number, round: number, commit: index }),
  fc.record({ ...envelope, type: fc.constant('heartbeat-reply' as const), session: number, round: number }),
  fc.record({ ...envelope, type: fc.constant('read-index' as const), requestId: text }),
  fc.record({ ...envelope, type: fc.constant('read-index-reply' as const), requestId: text, index: fc.option(index) }),
);

/** Any message that a node could send, of a sender n1#aa. */
export const anyMessage: fc.Arbitrary<PeerMessage> = fc.oneof(
  { weight: 9, arbitrary: raft.map((message): PeerMessage => ({ kind: 'raft', message })) },
  fc.record({ kind: fc.constant('forward' as const), term, payload }),
  fc.record({
    kind: fc.constant('found' as const),
    founding: fc.record({ clusterId: text, voters: fc.array(replica, { maxLength: 7 }), formatLevel: number }),
    admits: fc.option(replica),
  }),
  fc.record({
    kind: fc.constant('change-members' as const),
    requestId: text,
    change: fc.record({
      kind: fc.constantFrom('add' as const, 'remove' as const),
      node: text.map(asNodeId),
      replaces: fc.option(text.map(asNodeId)),
      expected: fc.option(index),
    }),
  }),
  fc.record({
    kind: fc.constant('members-changed' as const),
    requestId: text,
    result: fc.oneof(
      fc.record({ outcome: fc.constant('begun' as const), index }),
      fc.record({ outcome: fc.constant('refused' as const), code: fc.constant('conflict' as const), sentence: text }),
    ),
  }),
  fc.record({
    kind: fc.constantFrom('fetch' as const, 'lacking' as const),
    index,
    hash: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => asHash(Buffer.from(bytes).toString('hex'))),
  }),
  fc.record({ kind: fc.constant('trimmed' as const), base }),
  fc.tuple(fc.nat(1e12), payload).map(([before, bytes]) => ({
    kind: 'fetched' as const,
    entry: chain([bytes], { index: before, term: 2, hash: zeroHash })[0] as Entry,
  })),
  fc.record({
    kind: fc.constant('hand-over' as const),
    id: text,
    to: fc.option(fc.constantFrom(n1, n2)),
  }),
  fc.record({
    kind: fc.constant('not-handed-over' as const),
    id: text,
    code: fc.constantFrom(...handOverErrors),
    reason: text,
  }),
  fc.record({
    kind: fc.constant('report' as const),
    applied: index,
    ready: fc.boolean(),
    recovering: fc.boolean(),
    hardStateCounter: number,
    writeMicros: fc.option(number),
    space: fc.constantFrom(...spaceLevels),
    handOver: fc.option(
      fc.record({ term, to: fc.constantFrom(n1, n2), why: fc.constantFrom(...handOverReasons), agoMs: number }),
    ),
    clockMs: fc.option(number),
  }),
);
