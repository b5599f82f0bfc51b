/**
 * Real LevelDB files are cut, zeroed, flipped and deleted; all that comes of it must be something that the simulated disk can
 * do, so that what the simulator proves holds on real disks (protocol I2). `DAMAGE_SEED=n` repeats a run.
 */
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { openLevel } from '../../src/platform/real/key-value.ts';
import { bytesOf } from '../sim/platform/ordered-bytes.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { Examiner } from './damage/examiner.ts';
import { drawDamages, inflict, type FileDamage, type FileKind } from './damage/files.ts';
import type { History, Write } from './damage/history.ts';
import { entriesOf, wrongEntry, type LogOutcome, type WrongEntry } from './damage/log-outcome.ts';
import { explain, type Fault, type FaultName, type Outcome } from './damage/outcome.ts';
import { impossible, possible } from './damage/possible.ts';
import { keysOf, reproduce, sameAnswers } from './damage/reproduce.ts';
import { buildStores, type RealStore } from './damage/stores.ts';

const seed = Number(process.env['DAMAGE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** Beside its deletion. Raise it to look for what is rare; `DAMAGE_TABLE=1` prints the counts of docs/disk-faults.md. */
const damagesPerFile = Number(process.env['DAMAGES'] ?? 9);
const examiningMs = 60_000 + damagesPerFile * 10_000;
/** The one verifies all of these small logs, as it does the newest part of a real one; the other leaves most unverified. */
const verifyBytes = { all: limits.logVerifyBytes, end: 8 * 1024 };

interface Case {
  readonly name: string;
  readonly kind: FileKind;
  readonly how: FileDamage['how'];
  /** null when nothing explains the outcome. */
  readonly faults: Fault[] | null;
  /** The simulated store answers the same after these faults. */
  readonly reproduced: boolean;
  readonly log: {
    readonly outcome: LogOutcome;
    readonly verified: 'all' | 'end';
    readonly wrong: WrongEntry | null;
  } | null;
}

const random = new SeededRandom(seed);
const examiner = new Examiner();
let root = '';
let stores: RealStore[] = [];
const cases: Case[] = [];

/** A copy that `change` damages, for as long as `look` takes. */
async function withCopy<Result>(
  { path }: RealStore,
  change: (copy: string) => void | Promise<void>,
  look: (copy: string) => Promise<Result>,
): Promise<Result> {
  const copy = join(root, 'copy');
  cpSync(path, copy, { recursive: true });
  try {
    await change(copy);
    return await look(copy);
  } finally {
    rmSync(copy, { recursive: true });
  }
}

function examine(store: RealStore, change: (copy: string) => void | Promise<void>): Promise<Outcome> {
  return withCopy(store, change, (copy) => examiner.store(copy, store.options, keysOf(store.history)));
}

async function examineLog(store: RealStore, change: (copy: string) => void): Promise<Case['log']> {
  if (store.holds !== 'log') return null;
  const verified = random.pick(['all', 'end'] as const);
  const outcome = await withCopy(store, change, (copy) => examiner.log(copy, store.options, verifyBytes[verified]));
  const wrong = outcome.kind === 'opened' ? wrongEntry(entriesOf(store.history), outcome) : null;
  return { outcome, verified, wrong };
}

beforeAll(async () => {
  // In memory where there is such a place: what is tested is not the waiting for syncs.
  root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'quorate-damage-'));
  stores = await buildStores(root, random);
  for (const store of stores) {
    for (const damage of drawDamages(store.path, damagesPerFile, random)) {
      const change = (copy: string): void => inflict(copy, damage);
      const outcome = await examine(store, change);
      const faults = explain(store.history, outcome);
      const reproduced = faults !== null && sameAnswers(outcome, await reproduce(store.history, faults));
      const { file, kind, how, at, extent } = damage;
      const name = `${store.name}/${file}: ${how} at ${at}, ${extent}`;
      cases.push({ name, kind, how, faults, reproduced, log: await examineLog(store, change) });
    }
  }
}, examiningMs);

afterAll(() => {
  if (process.env['DAMAGE_TABLE'] !== undefined) console.log(countsOf(cases));
  examiner.close();
  rmSync(root, { recursive: true, force: true });
});

/** A line for each damage: how often it came to what, in the store and in the block log. */
function countsOf(all: readonly Case[]): string {
  const counts = new Map<string, Map<string, number>>();
  for (const { kind, how, faults, log } of all) {
    const row = counts.get(`${kind} ${how}`) ?? new Map<string, number>();
    counts.set(`${kind} ${how}`, row);
    const store =
      faults === null ? ['unexplained'] : faults.length === 0 ? ['whole'] : faults.map(({ fault }) => fault);
    const wrong =
      log?.wrong === null || log === null ? [] : [log.wrong.replaced ? 'log: replaced entry' : 'log: WRONG'];
    const opening = log === null ? [] : [`log: ${log.outcome.kind}`];
    for (const each of new Set(['damages', ...store, ...opening, ...wrong])) row.set(each, (row.get(each) ?? 0) + 1);
  }
  const lines = [...counts].map(([damage, row]) => `${damage}: ${[...row].map((each) => each.join(' ')).join(', ')}`);
  return lines.sort().join('\n');
}

/** The outcomes that the simulated disk could not give if it had only these faults. */
function outside(allowed: (kind: FileKind) => readonly FaultName[]): string[] {
  return cases.flatMap(({ name, kind, faults }) => {
    const fault = impossible(faults, allowed(kind));
    return fault === null ? [] : [`${name}: ${fault}`];
  });
}

function occurrences(fault: FaultName): number {
  return cases.filter(({ faults }) => faults?.some((each) => each.fault === fault)).length;
}

describe(`damage to LevelDB's files, seed ${seed}`, () => {
  it('harms nothing when there is none', async () => {
    for (const store of stores) {
      const outcome = await examine(store, () => undefined);
      expect([store.name, explain(store.history, outcome)]).toEqual([store.name, []]);
    }
  });

  it('gives only what the simulated disk can give', () => {
    expect(outside((kind) => possible[kind])).toEqual([]);
  });

  it('gives the answers that the simulated store gives after the same faults', () => {
    expect(cases.filter(({ reproduced }) => !reproduced).map(({ name }) => name)).toEqual([]);
  });

  it.each<[what: string, fault: FaultName, least: number]>([
    ['loses the end', 'cutLog', 5],
    ['loses the middle', 'vanish', 3],
    ['loses everything', 'lose', 2],
    ['flips a bit of a value', 'flipBit', 3],
    ['keeps a store from opening', 'refuse', 20],
    ['fails reads', 'failReads', 5],
  ])('now and then %s, and without that fault the simulated disk could not follow', (_, fault, least) => {
    expect(occurrences(fault)).toBeGreaterThanOrEqual(least);
    expect(outside((kind) => possible[kind].filter((each) => each !== fault)).length).toBeGreaterThanOrEqual(least);
  });

  it('often harms nothing at all', () => {
    expect(cases.filter(({ faults }) => faults?.length === 0).length).toBeGreaterThanOrEqual(5);
  });

  it('does more than lose batches and flip bits', () => {
    expect(outside(() => ['lose', 'cutLog', 'vanish', 'flipBit'])).not.toEqual([]);
  });
});

describe('the comparison sees a real store', () => {
  const walOf = (name: string): RealStore => {
    const store = stores.find((each) => each.name === name);
    if (store === undefined) throw new Error(`there is no store ${name}`);
    return store;
  };
  /** What is wrong if this came from a damaged write-ahead log. */
  const judge = async (store: RealStore, history: History, writes: readonly Write[]): Promise<string | null> => {
    const outcome = await examine({ ...store, history: [...history] }, async (copy) => {
      const keyValue = await openLevel(copy, store.options);
      const operations = writes.map(({ key, value }) =>
        value === undefined
          ? ({ type: 'del', key: bytesOf(key) } as const)
          : ({ type: 'put', key: bytesOf(key), value: bytesOf(value) } as const),
      );
      await keyValue.batch(operations, { sync: true });
      await keyValue.close();
    });
    return impossible(explain(history, outcome), possible.wal);
  };
  const last: Write[] = [
    { key: 'p', value: 'value of p' },
    { key: 'q', value: 'value of q' },
  ];

  it.each(['log-wal', 'index-wal'])('%s: that holds a batch whole, or not at all', async (name) => {
    const store = walOf(name);
    expect(await judge(store, [...store.history, last], last)).toBeNull();
    expect(await judge(store, [...store.history, last], [])).toBeNull();
  });

  it.each(['log-wal', 'index-wal'])('%s: that holds half a batch', async (name) => {
    const store = walOf(name);
    expect(await judge(store, [...store.history, last], last.slice(1))).toBe('forget');
  });

  it.each(['log-wal', 'index-wal'])('%s: that swapped two values', async (name) => {
    const store = walOf(name);
    const swapped = [
      { key: 'p', value: 'value of q' },
      { key: 'q', value: 'value of p' },
    ];
    expect(await judge(store, [...store.history, last], swapped)).toBe('misplace');
  });

  it.each(['log-wal', 'index-wal'])('%s: that made a value up', async (name) => {
    const store = walOf(name);
    expect(await judge(store, [...store.history, last], [...last, { key: 'p', value: 'something else' }])).toBe(
      'garble',
    );
  });
});

describe('the block log on damaged files', () => {
  const opened = () =>
    cases.flatMap(({ name, kind, log }) =>
      log?.outcome.kind === 'opened' ? [{ name, kind, log, outcome: log.outcome }] : [],
    );

  it('opens or says in one sentence why it does not; only damaged tables kill the process', () => {
    for (const { name, kind, log } of cases) {
      if (log?.outcome.kind === 'refused') expect(log.outcome.sentence, name).toMatch(/the data directory/);
      if (log?.outcome.kind === 'died') expect(kind, name).toBe('table');
    }
  });

  it('never serves an entry that was not written there', () => {
    expect(
      opened()
        .filter(({ log }) => log.wrong?.replaced === false)
        .map(({ name }) => name),
    ).toEqual([]);
  });

  // Below its verified end, and where a damaged table answers get and scan differently, it does so still: see
  // docs/disk-faults.md and test/store/replaced-entry.test.ts.
  it('never serves an entry that a conflict replaced, where opening verified and no table is damaged', () => {
    const verified = opened().filter(({ kind, log }) => kind !== 'table' && log.verified === 'all');
    expect(verified.filter(({ log }) => log.wrong !== null).map(({ name, log }) => [name, log.wrong])).toEqual([]);
  });

  it('without its base record serves nothing', () => {
    const unfounded = opened().filter(({ outcome }) => !outcome.founded);
    expect(unfounded.length).toBeGreaterThan(0);
    expect(unfounded.filter(({ outcome }) => outcome.entries.length > 0)).toEqual([]);
  });

  it('serves the rest of a log with damage inside', () => {
    const partly = opened().filter(({ outcome }) => outcome.entries.some((entry) => 'damaged' in entry));
    expect(partly.length).toBeGreaterThan(0);
    for (const { name, outcome } of partly)
      expect(
        outcome.entries.some((entry) => 'hash' in entry),
        name,
      ).toBe(true);
  });
});
