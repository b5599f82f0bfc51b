/**
 * Peer messages as frames. One explicit decoder for each type: every field is checked before a message is made of it,
 * and entries are checked down to their hashes, so what leaves here is well-formed, and damage ends a connection
 * instead of reaching the log. Bytes from outside throw `FrameError` and nothing else.
 */
import { errorOf, isErrorCode } from '../errors.ts';
import { limits } from '../limits.ts';
import { crc32, digestBytes } from '../platform/digest.ts';
import { spaceLevels } from '../platform/disk-space.ts';
import { replicasOf } from '../raft/core/configuration.ts';
import type { Message } from '../raft/core/message.ts';
import {
  asBootId,
  asHash,
  asIndex,
  asNodeId,
  asReplicaId,
  asTerm,
  type Entry,
  type EntryHash,
  type LogBase,
  type LogIndex,
  type ReplicaId,
  type Term,
} from '../raft/core/types.ts';
import { decodeEntry, encodeEntry, recordOf, rememberRecord, verifyEntry } from '../store/entry.ts';
import { decodeTrim, encodeTrim } from '../store/trim-record.ts';
import { fieldsOf, packFields, type Fields } from './fields.ts';
import { encodeFrame, FrameError, type Frame } from './frame.ts';
import {
  handOverErrors,
  handOverReasons,
  type MemberChange,
  type MemberChangeResult,
  type PeerMessage,
} from './transport.ts';

const sentenceLengthMax = 1024;

/** Bytes of the blocks in `message`: nearly all of its size, known without encoding it. */
export function payloadBytesOf(message: PeerMessage): number {
  if (message.kind === 'forward') return message.payload.length;
  if (message.kind === 'fetched') return message.entry.payload.length;
  if (message.kind !== 'raft' || message.message.type !== 'append') return 0;
  return message.message.entries.reduce((sum, entry) => sum + entry.payload.length, 0);
}

/** The pieces to write for `message`. Throws RangeError when it is larger than any node takes. */
export function encodeMessage(message: PeerMessage): Uint8Array[] {
  switch (message.kind) {
    case 'raft': {
      if (message.message.type === 'snapshot') {
        const { base, ...snapshot } = message.message;
        const body = encodeTrim(base);
        return encodeFrame(packFields({ kind: 'raft', message: { ...snapshot, crc: crc32(body) } }), [body]);
      }
      if (message.message.type !== 'append') return encodeFrame(packFields({ kind: 'raft', message: message.message }));
      const { entries, ...append } = message.message;
      const records = entries.map((entry) => recordOf(entry));
      const sizes = records.map((record) => record.length);
      return encodeFrame(packFields({ kind: 'raft', message: { ...append, sizes } }), records);
    }
    case 'forward': {
      const { kind, term, payload } = message;
      return encodeFrame(packFields({ kind, term, crc: crc32(payload) }), [payload]);
    }
    case 'fetched': {
      const { kind, entry } = message;
      return encodeFrame(packFields({ kind, index: entry.index }), [encodeEntry(entry)]);
    }
    case 'trimmed': {
      const body = encodeTrim(message.base);
      return encodeFrame(packFields({ kind: message.kind, crc: crc32(body) }), [body]);
    }
    case 'found':
    case 'fetch':
    case 'lacking':
    case 'change-members':
    case 'members-changed':
    case 'hand-over':
    case 'not-handed-over':
    case 'report':
      return encodeFrame(packFields(message));
    default:
      return message satisfies never;
  }
}

const withBody: ReadonlySet<string> = new Set(['append', 'snapshot', 'forward', 'fetched', 'trimmed']);

/** Throws `FrameError`. Entries and payloads are views of the frame's body. */
export function decodeMessage(frame: Frame): PeerMessage {
  const fields = fieldsOf(frame);
  const kind = fields.string('kind');
  const isRaft = kind === 'raft';
  const message = isRaft ? fields.map('message') : fields;
  const type = isRaft ? message.string('type') : kind;
  if (frame.body.length > 0 && !withBody.has(type)) throw new FrameError(`a ${type} with a body`);
  switch (kind) {
    case 'raft':
      return { kind, message: raftMessage(type, message, frame.body) };
    case 'forward':
      if (crc32(frame.body) !== fields.integer('crc')) throw new FrameError('a forwarded block was damaged on the way');
      return { kind, term: term(fields), payload: frame.body };
    case 'found': {
      const founding = fields.map('founding');
      const voters = founding.strings('voters', limits.votersMax).map((voter) => replicaNamed(voter, 'voters'));
      // 0.1.0 does not say: it only ever brings the founding to founders.
      const admits = fields.isMissing('admits') ? null : replica(fields, 'admits');
      const formatLevel = founding.has('formatLevel') ? founding.integer('formatLevel') : 1;
      return { kind, founding: { clusterId: founding.string('clusterId'), voters, formatLevel }, admits };
    }
    case 'change-members':
      return { kind, requestId: fields.string('requestId'), change: memberChange(fields.map('change')) };
    case 'members-changed':
      return { kind, requestId: fields.string('requestId'), result: memberChangeResult(fields.map('result')) };
    case 'fetch':
    case 'lacking':
      return { kind, index: index(fields, 'index'), hash: hash(fields, 'hash') };
    case 'trimmed':
      return { kind, base: baseIn(frame.body, fields) };
    case 'fetched':
      return { kind, entry: entryIn(frame.body, index(fields, 'index')) };
    case 'hand-over':
      return { kind, id: fields.string('id'), to: fields.isNull('to') ? null : asNodeId(fields.string('to')) };
    case 'not-handed-over': {
      const code = oneOf(fields.string('code'), handOverErrors, 'code');
      return { kind, id: fields.string('id'), code, reason: fields.string('reason', 1_024) };
    }
    case 'report':
      return {
        kind,
        applied: index(fields, 'applied'),
        ready: fields.boolean('ready'),
        recovering: fields.boolean('recovering'),
        hardStateCounter: fields.integer('hardStateCounter'),
        // 0.1.0 says nothing of its disk, nor whom it gave the lead.
        writeMicros: fields.isMissing('writeMicros') ? null : fields.integer('writeMicros'),
        space: fields.has('space') ? oneOf(fields.string('space'), spaceLevels, 'space') : 'ample',
        handOver: fields.isMissing('handOver') ? null : handOver(fields.map('handOver')),
        clockMs: fields.isMissing('clockMs') ? null : fields.integer('clockMs'),
      };
    default:
      throw new FrameError(`a message of an unknown kind (${kind})`);
  }
}

function raftMessage(type: string, fields: Fields, body: Uint8Array): Message {
  const envelope = {
    from: replica(fields, 'from'),
    to: replica(fields, 'to'),
    term: term(fields),
    boot: asBootId(fields.string('boot')),
  };
  switch (type) {
    case 'pre-vote':
      return { ...envelope, type, lastTerm: term(fields, 'lastTerm'), lastIndex: index(fields, 'lastIndex') };
    case 'vote': {
      const last = { lastTerm: term(fields, 'lastTerm'), lastIndex: index(fields, 'lastIndex') };
      // 0.1.0 cannot be asked to take over, and does not say.
      return { ...envelope, type, ...last, transfer: fields.has('transfer') && fields.boolean('transfer') };
    }
    case 'pre-vote-reply':
      return { ...envelope, type, granted: fields.boolean('granted'), campaignTerm: term(fields, 'campaignTerm') };
    case 'vote-reply':
      return { ...envelope, type, granted: fields.boolean('granted') };
    case 'append': {
      const previousIndex = index(fields, 'previousIndex');
      return {
        ...envelope,
        type,
        session: fields.integer('session'),
        previousIndex,
        previousTerm: term(fields, 'previousTerm'),
        entries: entriesIn(body, fields.integers('sizes', limits.appendEntriesMax), previousIndex),
        commit: index(fields, 'commit'),
      };
    }
    case 'snapshot':
      return { ...envelope, type, session: fields.integer('session'), base: baseIn(body, fields) };
    case 'append-reply': {
      const result = fields.map('result');
      return {
        ...envelope,
        type,
        session: fields.integer('session'),
        result: result.boolean('accepted')
          ? { accepted: true, match: index(result, 'match') }
          : {
              accepted: false,
              rejected: index(result, 'rejected'),
              hintIndex: index(result, 'hintIndex'),
              hintTerm: term(result, 'hintTerm'),
            },
      };
    }
    case 'heartbeat': {
      const commit = index(fields, 'commit');
      return { ...envelope, type, session: fields.integer('session'), round: fields.integer('round'), commit };
    }
    case 'heartbeat-reply':
      return { ...envelope, type, session: fields.integer('session'), round: fields.integer('round') };
    case 'timeout-now':
      return { ...envelope, type, lastIndex: index(fields, 'lastIndex') };
    case 'read-index':
      return { ...envelope, type, requestId: fields.string('requestId') };
    case 'read-index-reply': {
      const readIndex = fields.isNull('index') ? null : index(fields, 'index');
      return { ...envelope, type, requestId: fields.string('requestId'), index: readIndex };
    }
    default:
      throw new FrameError(`a raft message of an unknown type (${type})`);
  }
}

/** The entries of an append: consecutive from `previousIndex` + 1, each the child of the one before, each with its own hashes. */
function entriesIn(body: Uint8Array, sizes: readonly number[], previousIndex: LogIndex): Entry[] {
  const entries: Entry[] = [];
  let at = 0;
  for (const size of sizes) {
    const expected = previousIndex + 1 + entries.length;
    if (at + size > body.length || !Number.isSafeInteger(expected)) throw new FrameError('an append that is cut short');
    const entry = entryIn(body.subarray(at, at + size), asIndex(expected));
    const previous = entries.at(-1);
    if (previous !== undefined && (entry.previousHash !== previous.hash || entry.term < previous.term)) {
      throw new FrameError(`entry ${expected} does not follow the entry before it`);
    }
    entries.push(entry);
    at += size;
  }
  if (at !== body.length) throw new FrameError('an append with bytes behind its entries');
  return entries;
}

function entryIn(record: Uint8Array, expected: LogIndex): Entry {
  try {
    const entry = decodeEntry(record, expected);
    verifyEntry(entry);
    rememberRecord(entry, record);
    return entry;
  } catch (error) {
    throw new FrameError(
      `entry ${expected} arrived damaged (${error instanceof Error ? error.message : String(error)})`,
    );
  }
}

function baseIn(body: Uint8Array, fields: Fields): LogBase {
  if (crc32(body) !== fields.integer('crc')) throw new FrameError('a base was damaged on the way');
  try {
    const base = decodeTrim(body);
    hashNamed(base.position.hash, 'the hash of the base');
    for (const voter of replicasOf(base.configuration)) replicaNamed(voter, 'the base');
    return base;
  } catch (error) {
    throw error instanceof FrameError ? error : new FrameError(`a base that is none (${errorOf(error).message})`);
  }
}

function memberChange(fields: Fields): MemberChange {
  const kind = fields.string('kind');
  if (kind !== 'add' && kind !== 'remove') throw new FrameError(`a change of an unknown kind (${kind})`);
  return {
    kind,
    node: asNodeId(fields.string('node')),
    replaces: fields.isNull('replaces') ? null : asNodeId(fields.string('replaces')),
    expected: fields.isNull('expected') ? null : index(fields, 'expected'),
  };
}

function memberChangeResult(fields: Fields): MemberChangeResult {
  const outcome = fields.string('outcome');
  if (outcome === 'begun') return { outcome, index: index(fields, 'index') };
  if (outcome !== 'refused') throw new FrameError(`an outcome of an unknown kind (${outcome})`);
  const code = fields.string('code');
  if (!isErrorCode(code)) throw new FrameError(`an unknown error code (${code})`);
  return { outcome, code, sentence: fields.string('sentence', sentenceLengthMax) };
}

function handOver(fields: Fields): Extract<PeerMessage, { kind: 'report' }>['handOver'] {
  return {
    term: term(fields),
    to: asNodeId(fields.string('to')),
    why: oneOf(fields.string('why'), handOverReasons, 'why'),
    agoMs: fields.integer('agoMs'),
  };
}

const term = (fields: Fields, name = 'term'): Term => asTerm(fields.integer(name));
const index = (fields: Fields, name: string): LogIndex => asIndex(fields.integer(name));
const hash = (fields: Fields, name: string): EntryHash => hashNamed(fields.string(name), name);
const replica = (fields: Fields, name: string): ReplicaId => replicaNamed(fields.string(name), name);

function oneOf<Choice extends string>(value: string, choices: readonly Choice[], name: string): Choice {
  const choice = choices.find((one) => one === value);
  if (choice === undefined) throw new FrameError(`${name} is none of ${choices.join(', ')}`);
  return choice;
}

function hashNamed(value: string, name: string): EntryHash {
  if (value.length !== 2 * digestBytes || /[^0-9a-f]/.test(value)) throw new FrameError(`${name} is not a hash`);
  return asHash(value);
}

function replicaNamed(value: string, name: string): ReplicaId {
  if (!/^[^#]+#[^#]+$/.test(value)) throw new FrameError(`${name} does not name a replica`);
  return asReplicaId(value);
}
