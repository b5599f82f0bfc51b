/** Which faults explain what a damaged store answers; and that not everything is explained. */
import { describe, expect, it } from 'vitest';
import { contentsOf, type Contents, type History } from './history.ts';
import { explain, type Answers, type Fault, type Outcome } from './outcome.ts';
import { impossible, possible } from './possible.ts';
import { keysOf, reproduce } from './reproduce.ts';

/** `a=1 b` puts a and deletes b. */
const batch = (text: string) =>
  text.split(' ').map((write) => {
    const [key = '', value] = write.split('=');
    return { key, value };
  });
const history: History = ['a=a1 b=b1', 'c=c1', 'a=a2 b=b2', 'c', 'd=d1 e=e1'].map(batch);

/** A store that answers alike, however it is asked: `a=1 b=2`. */
function holding(text: string, changes: Partial<Answers> = {}): Outcome {
  const held: Contents = contentsOf([text === '' ? [] : batch(text)]);
  const pairs = [...held].sort(([a], [b]) => (a < b ? -1 : 1));
  const get = new Map(keysOf(history).map((key) => [key, held.get(key)]));
  return { kind: 'opened', answers: { get, forward: pairs, reverse: pairs.toReversed(), ...changes } };
}
const changed = (text: string, key: string, answer: string | undefined | { failed: 'damaged' }): Outcome => {
  const whole = holding(text);
  if (whole.kind !== 'opened') throw new Error('it was made to open');
  return holding(text, { get: new Map([...whole.answers.get, [key, answer]]) });
};
const written = 'a=a2 b=b2 d=d1 e=e1';

const explained: readonly [what: string, outcome: Outcome, faults: readonly Fault[]][] = [
  ['nothing happened', holding(written), []],
  ['the end is gone', holding('a=a2 b=b2 c=c1'), [{ fault: 'cutLog', count: 2 }]],
  [
    'two batches in the middle are gone',
    holding('a=a1 b=b1 c=c1 d=d1 e=e1'),
    [
      { fault: 'vanish', batch: 3 },
      { fault: 'vanish', batch: 2 },
    ],
  ],
  ['half a batch is gone', holding('a=a1 b=b2 d=d1 e=e1'), [{ fault: 'forget', key: 'a', count: 1 }]],
  ['a whole key is gone', holding('b=b2 d=d1 e=e1'), [{ fault: 'forget', key: 'a', count: 2 }]],
  ['a bit of a value flipped', holding('a=a3 b=b2 d=d1 e=e1'), [{ fault: 'flipBit', key: 'a', value: 'a3' }]],
  ['a value has other bytes', holding('a=x9 b=b2 d=d1 e=e1'), [{ fault: 'garble', key: 'a', value: 'x9' }]],
  ['a value is longer', holding('a=a2+ b=b2 d=d1 e=e1'), [{ fault: 'garble', key: 'a', value: 'a2+' }]],
  [
    'two values changed places',
    holding('a=b2 b=a2 d=d1 e=e1'),
    [
      { fault: 'misplace', key: 'a', value: 'b2' },
      { fault: 'misplace', key: 'b', value: 'a2' },
    ],
  ],
  ['a key was never written', holding(`${written} f=d1`), [{ fault: 'misplace', key: 'f', value: 'd1' }]],
  [
    'get does not find a key',
    changed(written, 'a', undefined),
    [{ fault: 'hide', view: 'get', key: 'a', value: undefined }],
  ],
  ['get finds an old value', changed(written, 'a', 'a1'), [{ fault: 'hide', view: 'get', key: 'a', value: 'a1' }]],
  ['get finds other bytes', changed(written, 'a', 'a9'), [{ fault: 'hide', view: 'get', key: 'a', value: 'a9' }]],
  ['get of a key fails', changed(written, 'a', { failed: 'damaged' }), [{ fault: 'failReads', view: 'get', key: 'a' }]],
  ['scans fail', holding(written, { forward: { failed: 'io' } }), [{ fault: 'failReads', view: 'forward', key: null }]],
  ['the store does not open', { kind: 'refused', code: 'io', sentence: '' }, [{ fault: 'refuse', code: 'io' }]],
  ['the process is killed', { kind: 'died' }, [{ fault: 'crash' }]],
];

describe('an outcome', () => {
  it('in which everything is gone is a lost store', () => {
    const noDeletes = history.map((writes) => writes.filter(({ value }) => value !== undefined));
    expect(explain(noDeletes.slice(0, 2), holding(''))).toEqual([{ fault: 'lose' }]);
  });

  it.each(explained)(
    '%s: is explained by the fewest faults, and they give it on the simulated disk',
    async (_, outcome, faults) => {
      expect(explain(history, outcome)).toEqual(faults);
      const again = await reproduce(history, faults);
      expect(explain(history, again)).toEqual(faults);
    },
  );

  it('that is a store which says it is locked is explained by nothing', () => {
    expect(explain(history, { kind: 'refused', code: 'locked', sentence: '' })).toBeNull();
  });
});

describe('a damaged write-ahead log', () => {
  const judge = (text: string) => impossible(explain(history, holding(text)), possible.wal);

  it.each([written, '', 'a=a1 b=b1', 'c=c1 d=d1 e=e1', 'a=a1 b=b1 d=d1 e=e1'])('may leave %s', (text) => {
    expect(judge(text)).toBeNull();
  });

  it.each([
    ['half a batch', 'a=a1 b=b2 d=d1 e=e1', 'forget'],
    ['one key of two', 'a=a2 b=b2 d=d1', 'forget'],
    ['swapped values', 'a=b2 b=a2 d=d1 e=e1', 'misplace'],
    ['a flipped value', 'a=a3 b=b2 d=d1 e=e1', 'flipBit'],
    ['a stranger', `${written} f=f1`, 'misplace'],
  ])('cannot leave %s', (_, text, fault) => {
    expect(judge(text)).toBe(fault);
  });
});
