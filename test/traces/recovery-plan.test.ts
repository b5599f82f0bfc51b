/** What `quorate recover` makes of the directories it is given (protocol A2). */
import { expect, test } from 'vitest';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { asHash, asIndex, asNodeId, asReplicaId, asTerm, type LogPosition } from '../../src/raft/core/types.ts';
import { planRecovery, type RecoveryPlan } from '../../src/traces/recovery-plan.ts';
import type { RecoverySource } from '../../src/traces/recovery-source.ts';
import { freshState } from './lone-node.ts';

const at = (term: number, index: number): LogPosition => ({
  term: asTerm(term),
  index: asIndex(index),
  hash: asHash(`${term}/${index}`),
});
const voters = ['n1#1', 'n2#2', 'n3#3'].map(asReplicaId);

interface Given {
  readonly end: LogPosition;
  /** Where it differs from the end: what the disk lost. */
  readonly promised?: LogPosition;
}

function source(node: number, { end, promised = end }: Given, others: Partial<RecoverySource> = {}): RecoverySource {
  return {
    where: `/n${node}`,
    replica: asReplicaId(`n${node}#${node}`),
    state: { ...freshState, incarnation: String(node), promised },
    clusterId: 'c1',
    end,
    endTimeMs: 0,
    cut: null,
    holes: [],
    holdsPromise: promised === end,
    configuration: { index: asIndex(0), configuration: votersOnly(voters) },
    unfinished: null,
    ...others,
  };
}

const plan = (
  sources: readonly RecoverySource[],
  wish: { readonly keep?: string; readonly acceptLoss?: boolean } = {},
): RecoveryPlan =>
  planRecovery(sources, {
    keep: wish.keep === undefined ? null : asNodeId(wish.keep),
    acceptLoss: wish.acceptLoss ?? false,
  });

test('the longest log is that of the last term, then of the last index', () => {
  const lost = at(9, 9);
  const sources = [
    source(1, { end: at(2, 90), promised: lost }),
    source(2, { end: at(3, 10), promised: lost }),
    source(3, { end: at(3, 12), promised: lost }),
  ];
  expect(plan(sources).chosen.where).toBe('/n3');
  expect(plan(sources).longest.where).toBe('/n3');
});

test('no candidate satisfies a majority of promised tails: the entry that no disk holds is named', () => {
  const { losses, refusal } = plan([
    source(1, { end: at(2, 10) }),
    source(2, { end: at(2, 8), promised: at(2, 20) }),
    source(3, { end: at(2, 8), promised: at(2, 20) }),
  ]);
  expect(refusal).toBeNull();
  expect(losses[0]).toBe(
    'n2 promised entries up to entry 20 of term 2, which no given disk holds: what was acknowledged behind entry 10 of term 2 is lost',
  );
});

test('a majority that can elect is started, not recovered', () => {
  const { refusal } = plan([source(1, { end: at(2, 10) }), source(2, { end: at(2, 8) })]);
  expect(refusal).toBe(
    'the given voters are a majority, and n1 holds what they promised: start them, they need no recovery',
  );
});

test('a candidate is judged by its own promise, too', () => {
  const sources = [
    source(1, { end: at(2, 10), promised: at(2, 11) }),
    source(2, { end: at(2, 8) }),
    source(3, { end: at(2, 6), promised: at(2, 9) }),
  ];
  expect(plan(sources)).toMatchObject({ chosen: { where: '/n1' }, refusal: null });
});

test('what the disks that are not there may have acknowledged is told', () => {
  expect(plan([source(1, { end: at(2, 10) })]).losses).toEqual([
    'n2 and n3 could acknowledge without the given disks: what they did behind entry 10 of term 2 is lost, and no given disk knows of it',
  ]);
});

test('a shorter log is kept only if one says so', () => {
  const sources = [source(1, { end: at(2, 10), promised: at(3, 1) }), source(2, { end: at(2, 8), promised: at(3, 1) })];
  const refused = plan(sources, { keep: 'n2' });
  expect(refused.refusal).toBe(
    'n1 has the longer log (entry 10 of term 2, n2 ends with entry 8 of term 2): keep that one, or say --accept-loss',
  );
  const accepted = plan(sources, { keep: 'n2', acceptLoss: true });
  expect(accepted.refusal).toBeNull();
  expect(accepted.chosen.where).toBe('/n2');
  expect(accepted.losses).toContain(
    'n1 holds entries up to entry 10 of term 2, n2 up to entry 8 of term 2: those behind are lost',
  );
});

test('a directory that is nobody’s, or damaged inside, is not made a cluster', () => {
  expect(plan([source(1, { end: at(2, 10) }, { replica: null, state: null, holdsPromise: false })]).refusal).toMatch(
    /^nobody knows whose directory \/n1 is/,
  );
  const holes = [{ index: asIndex(4), reason: 'it is missing' }];
  expect(plan([source(1, { end: at(2, 10) }, { holes })]).refusal).toMatch(/is damaged at entry 4 \(it is missing\)/);
});

test('directories of two clusters, or a node that is none of them, are a mistake', () => {
  const one = source(1, { end: at(2, 10) });
  expect(() => plan([one, source(2, { end: at(2, 10) }, { clusterId: 'c2' })])).toThrow('/n2 is of cluster c2');
  expect(() => plan([one], { keep: 'n7' })).toThrow('none of the directories is that of n7');
});

test('a recovery that was cut short goes on, whatever else is given', () => {
  const unfinished = { clusterId: 'c1', replica: asReplicaId('n1#1') };
  const half = source(1, { end: at(3, 11) }, { clusterId: 'c1.1.x', unfinished });
  const { chosen, refusal } = plan([source(2, { end: at(2, 20) }), half]);
  expect([chosen, refusal]).toEqual([half, null]);
});
