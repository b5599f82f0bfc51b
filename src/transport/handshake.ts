/**
 * The first words on a connection, and those that keep it alive (protocol B3). The dialer opens with `hello`; the acceptor
 * answers `welcome` or `refuse`; the dialer may still `refuse` what it was welcomed by. Nobody is admitted who speaks another
 * version, belongs to another cluster, is another node than expected, or is this node itself.
 */
import { otherCluster } from '../raft/core/cluster-epoch.ts';
import { formatReleases } from '../raft/core/format-level.ts';
import { asBootId, asNodeId, asReplicaId, nodeIdOf, type NodeId } from '../raft/core/types.ts';
import { fieldsOf, packFields, type Fields } from './fields.ts';
import { encodeFrame, FrameError, type Frame } from './frame.ts';
import { type Channel, type Hello, type Refusal, refusalCodes } from './transport.ts';

export type Signal =
  /** `to` is the node that the dialer believes to be at this address; null when it knocks at a door. */
  | { readonly signal: 'hello'; readonly to: NodeId | null; readonly channel: Channel; readonly hello: Hello }
  | { readonly signal: 'welcome'; readonly hello: Hello }
  | { readonly signal: 'refuse'; readonly code: Refusal['code']; readonly sentence: string }
  | { readonly signal: 'ping' }
  | { readonly signal: 'pong' };

/** The largest frame taken from a stranger. */
export const handshakeBytesMax = 4 * 1024;
const sentenceLengthMax = 1024;

export function encodeSignal(signal: Signal): Uint8Array[] {
  return encodeFrame(packFields(signal));
}

/** The signal in a frame, or null when it is a message. Throws `FrameError`. */
export function decodeSignal(frame: Frame): Signal | null {
  // A message has `kind` where a signal has `signal`; both decoders check all they use.
  const fields = fieldsOf(frame);
  if (!fields.has('signal')) return null;
  if (frame.body.length > 0) throw new FrameError('a signal with a body');
  const signal = fields.string('signal');
  switch (signal) {
    case 'hello': {
      const channel = fields.string('channel');
      if (channel !== 'control' && channel !== 'bulk')
        throw new FrameError(`a channel of an unknown kind (${channel})`);
      return {
        signal,
        to: fields.isNull('to') ? null : asNodeId(fields.string('to')),
        channel,
        hello: helloIn(fields.map('hello')),
      };
    }
    case 'welcome':
      return { signal, hello: helloIn(fields.map('hello')) };
    case 'refuse':
      return { signal, code: refusalCodeIn(fields), sentence: fields.string('sentence', sentenceLengthMax) };
    case 'ping':
    case 'pong':
      return { signal };
    default:
      throw new FrameError(`a signal of an unknown kind (${signal})`);
  }
}

/** 0.1.0 says none. */
function refusalCodeIn(fields: Fields): Refusal['code'] {
  const code = fields.has('code') ? fields.string('code') : 'other';
  return refusalCodes.find((one) => one === code) ?? 'other';
}

function helloIn(fields: Fields): Hello {
  const hello: Hello = {
    protocol: fields.integer('protocol'),
    node: asNodeId(fields.string('node')),
    replica: asReplicaId(fields.string('replica')),
    boot: asBootId(fields.string('boot')),
    clusterId: fields.isNull('clusterId') ? null : fields.string('clusterId'),
    founded: fields.boolean('founded'),
    hardStateCounter: fields.integer('hardStateCounter'),
    http: fields.string('http', sentenceLengthMax),
    peer: fields.has('peer') ? fields.string('peer', sentenceLengthMax) : '',
    members: fields.has('members') ? addressesIn(fields.map('members')) : {},
    ...formatsIn(fields),
  };
  if (nodeIdOf(hello.replica) !== hello.node) throw new FrameError('a hello whose replica belongs to another node');
  return hello;
}

/** 0.1.0 does not say what it reads: level 1. */
function formatsIn(fields: Fields): Pick<Hello, 'version' | 'formats' | 'formatLevel'> {
  if (!fields.has('formats')) {
    const formatLevel = fields.isNull('clusterId') ? null : 1;
    return { version: formatReleases[1], formats: { oldest: 1, newest: 1 }, formatLevel };
  }
  const formats = fields.map('formats');
  return {
    version: fields.string('version'),
    formats: { oldest: formats.integer('oldest'), newest: formats.integer('newest') },
    formatLevel: fields.isNull('formatLevel') ? null : fields.integer('formatLevel'),
  };
}

function addressesIn(fields: Fields): Record<NodeId, string> {
  return Object.fromEntries(fields.names().map((node) => [node, fields.string(node)]));
}

/**
 * Why `own` does not talk to `theirs`, with a sentence for both sides, or null.
 * @param expected who should be there; null when anybody may be
 */
export function refusalOf(own: Hello, theirs: Hello, expected: NodeId | null): Refusal | null {
  if (theirs.protocol !== own.protocol) {
    const sentence = `${own.node} speaks protocol ${own.protocol} and ${theirs.node} speaks ${theirs.protocol}; run the same version on both`;
    return { code: 'protocol', sentence };
  }
  if (theirs.node === own.node) {
    const sentence = `${own.node} was reached by a node of the same name, or by itself; give each node its own id and address in --cluster`;
    return { code: 'same-name', sentence };
  }
  if (expected !== null && theirs.node !== expected) {
    return misdirected(theirs.node, expected, own.node);
  }
  return otherCluster(own, theirs) ?? formatRefusalOf(own, theirs) ?? formatRefusalOf(theirs, own);
}

/** Why `node` cannot be in the cluster of `member`, or null: its binary does not read the format level that is in force there. */
export function formatRefusalOf(member: Hello, node: Hello): Refusal | null {
  const level = member.formatLevel;
  if (level === null || (level >= node.formats.oldest && level <= node.formats.newest)) return null;
  const runs = `${node.node} runs Quorate ${node.version}, and the cluster of ${member.node} is at format level ${level}`;
  const sentence =
    level > node.formats.newest
      ? `${runs}: start ${node.node} with Quorate ${formatReleases[level] ?? member.version} or newer`
      : `${runs}: upgrade the cluster to a version in between first (docs/upgrade.md)`;
  return { code: 'format-level', sentence };
}

/** `answers` is where `asks` expects another node. */
export function misdirected(answers: NodeId, expected: NodeId, asks: NodeId): Refusal {
  const sentence = `${answers} answers where ${asks} expects ${expected}; correct the addresses in --cluster`;
  return { code: 'misdirected', sentence };
}
