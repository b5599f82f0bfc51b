/** What 0.1.0 says, as this version reads it, and who is refused for what it can read (protocol B3, B4). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { packFields } from '../../src/transport/fields.ts';
import { encodeFrame, FrameReader, type Frame } from '../../src/transport/frame.ts';
import { decodeMessage } from '../../src/transport/codec.ts';
import { decodeSignal, formatRefusalOf, refusalOf } from '../../src/transport/handshake.ts';
import { levelOfMessage } from '../../src/transport/message-level.ts';
import { limits } from '../../src/limits.ts';
import { anyMessage, helloOf } from './samples.ts';

function frameOf(header: Record<string, unknown>): Frame {
  const frames: Frame[] = [];
  const reader = new FrameReader({ frameBytesMax: limits.frameBytesMax, onFrame: (frame) => frames.push(frame) });
  for (const piece of encodeFrame(packFields(header))) reader.push(piece);
  const [frame] = frames;
  if (frame === undefined) throw new Error('no frame');
  return frame;
}

/** Of 0.1.0, to the letter. */
const hello = {
  protocol: 1,
  node: 'n1',
  replica: 'n1#aa',
  boot: 'b',
  clusterId: 'c1',
  founded: true,
  hardStateCounter: 7,
  http: 'http://n1',
};
const envelope = { from: 'n1#aa', to: 'n2#bb', term: 3, boot: 'b' };

describe('0.1.0', () => {
  test('says nothing of format levels: it reads level 1', () => {
    const one = { peer: '', members: {}, version: '0.1.0', formats: { oldest: 1, newest: 1 } };
    const read = (of: object): unknown => decodeSignal(frameOf({ signal: 'welcome', hello: of }));
    expect(read(hello)).toEqual({ signal: 'welcome', hello: { ...hello, ...one, formatLevel: 1 } });
    expect(read({ ...hello, clusterId: null })).toMatchObject({
      hello: { ...one, clusterId: null, formatLevel: null },
    });
  });

  test('its votes are no transfers, and its foundings of level 1', () => {
    const vote = { type: 'vote', lastTerm: 2, lastIndex: 9 };
    expect(decodeMessage(frameOf({ kind: 'raft', message: { ...envelope, ...vote } }))).toEqual({
      kind: 'raft',
      message: { ...envelope, ...vote, transfer: false },
    });
    expect(decodeMessage(frameOf({ kind: 'found', founding: { clusterId: 'c1', voters: ['n1#aa'] } }))).toEqual({
      kind: 'found',
      founding: { clusterId: 'c1', voters: ['n1#aa'], formatLevel: 1 },
      admits: null,
    });
  });

  test('its reports say nothing of its disk', () => {
    const report = { kind: 'report', applied: 9, ready: true, recovering: false, hardStateCounter: 7 };
    const unsaid = { writeMicros: null, space: 'ample', handOver: null, clockMs: null };
    expect(decodeMessage(frameOf(report))).toEqual({ ...report, ...unsaid });
  });
});

test('a report with a clock is for who reads level 2, one without for everybody', () => {
  const sampled = fc.sample(anyMessage, { numRuns: 2_000, seed: 1 }).filter((message) => message.kind === 'report');
  const levels = new Set(sampled.map((report) => `${report.clockMs === null}: ${levelOfMessage(report)}`));
  expect(levels).toEqual(new Set(['true: 1', 'false: 2']));
});

describe('a node that cannot read the format level of a cluster', () => {
  const at = (
    formatLevel: number | null,
    oldest: number,
    newest: number,
    version = '0.2.0',
  ): ReturnType<typeof helloOf> => helloOf('n1', { formatLevel, formats: { oldest, newest }, version });
  const other = (
    formatLevel: number | null,
    oldest: number,
    newest: number,
    version: string,
  ): ReturnType<typeof helloOf> => helloOf('n2', { formatLevel, formats: { oldest, newest }, version });

  test('is refused by a sentence that names the version it takes, whichever of the two says it', () => {
    const [member, old] = [at(2, 1, 2), other(1, 1, 1, '0.1.0')];
    const sentence =
      'n2 runs Quorate 0.1.0, and the cluster of n1 is at format level 2: start n2 with Quorate 0.2.0 or newer';
    expect(refusalOf(member, old, null)).toEqual({ code: 'format-level', sentence });
    expect(refusalOf(old, member, null)).toEqual({ code: 'format-level', sentence });
    // Of a level that this version has never heard of, the version that is there is enough.
    expect(formatRefusalOf(at(7, 5, 7, '1.4.0'), other(null, 1, 2, '0.2.0'))?.sentence).toBe(
      'n2 runs Quorate 0.2.0, and the cluster of n1 is at format level 7: start n2 with Quorate 1.4.0 or newer',
    );
    expect(refusalOf(at(1, 1, 2), other(null, 2, 3, '0.3.0'), null)?.sentence).toBe(
      'n2 runs Quorate 0.3.0, and the cluster of n1 is at format level 1: upgrade the cluster to a version in between first (docs/upgrade.md)',
    );
  });

  test('and whoever can is not: old and new at level 1, empty ones, levels that one has yet to hear of', () => {
    expect(refusalOf(at(1, 1, 2), other(1, 1, 1, '0.1.0'), null)).toBeNull();
    expect(refusalOf(at(null, 1, 2), other(null, 1, 1, '0.1.0'), null)).toBeNull();
    expect(refusalOf(at(2, 1, 2), other(1, 1, 2, '0.2.0'), null)).toBeNull();
  });
});
