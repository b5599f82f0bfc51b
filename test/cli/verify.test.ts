/** `quorate verify --data` and `quorate reindex` on the files of a real node. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Logger } from '../../src/logger.ts';
import { copyDirectory } from '../../src/platform/real/directory-copy.ts';
import { checkLevelFiles } from '../../src/platform/real/level-files.ts';
import { openLevel } from '../../src/platform/real/key-value.ts';
import { openRealPlatform } from '../../src/platform/real/platform.ts';
import { asIndex } from '../../src/raft/core/types.ts';
import { decodeEntry, encodeEntry, sealEntry } from '../../src/store/entry.ts';
import { bucketKey, decodeBucket, encodeBucket } from '../../src/store/index-records.ts';
import { entryKey } from '../../src/store/log-keys.ts';
import { decodePostings, encodePostings } from '../../src/store/postings.ts';
import type { KeyValue } from '../../src/platform/key-value.ts';
import { reindexDirectory } from '../../src/traces/reindex-directory.ts';
import { verifyDirectory } from '../../src/traces/verify-directory.ts';
import { OneNode } from '../api/one-node.ts';
import { inflict, type FileDamage } from '../platform/damage/files.ts';
import { smallExport } from '../support/otlp-workload.ts';
import { QuorateClient } from '../support/quorate-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const patienceMs = 120_000;
const quorate = join(import.meta.dirname, '../../bin/quorate');

let root = '';
let whole = '';
let data = '';
const traces: { readonly traceId: string; readonly spanIds: readonly string[] }[] = [];

async function fill(node: OneNode, count: number, random: SeededRandom): Promise<void> {
  const client = new QuorateClient({ id: 'n1', url: node.url });
  for (let written = 0; written < count; written += 1) {
    const { body, ...sent } = smallExport(random, { spans: 2 });
    expect((await client.export(body)).outcome).toBe('ok');
    traces.push(sent);
  }
  client.close();
}

/** Log and index in a table and in a write-ahead log. */
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'quorate-verify-'));
  whole = join(root, 'whole');
  const random = new SeededRandom(1);
  for (const count of [60, 40]) {
    const node = await OneNode.start({}, whole);
    await fill(node, count, random);
    await node.end();
  }
}, patienceMs);
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(() => {
  data = join(root, 'data');
  rmSync(data, { recursive: true, force: true });
  cpSync(whole, data, { recursive: true });
});

/** Every file below, with a hash of what is in it. */
function contentsOf(directory: string): Record<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  return Object.fromEntries(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path, createHash('sha256').update(readFileSync(path)).digest('hex')];
    }),
  );
}

/** What verify does, in this process; `part where: what` of each finding. */
async function findings(): Promise<string[]> {
  const before = contentsOf(data);
  const copy = await copyDirectory(data);
  const found: string[] = [];
  try {
    for (const store of ['log', 'index'])
      for (const { file, what } of await checkLevelFiles(join(copy.path, store)))
        found.push(`files ${store}/${file}: ${what}`);
    const { disk, codec } = await openRealPlatform({ dataDir: copy.path });
    await verifyDirectory({ disk, codec, found: ({ part, where, what }) => found.push(`${part} ${where}: ${what}`) });
  } finally {
    await copy.remove();
  }
  expect(contentsOf(data)).toEqual(before);
  expect(readdirSync(root)).toHaveLength(2);
  return found;
}

function run(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('QUORATE_')));
  return new Promise((resolve) => {
    execFile(quorate, args, { env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

const besideMiddle = 64;

function hurt(store: 'log' | 'index', suffix: string, how: FileDamage['how'], extent = 0): void {
  const directory = join(data, store);
  const size = (file: string): number => statSync(join(directory, file)).size;
  const files = readdirSync(directory).filter((file) => file.endsWith(suffix) || file.startsWith(suffix));
  const [file = ''] = files.sort((a, b) => size(b) - size(a));
  // A little beside the middle, which falls into a value. Where it falls into a key LevelDB ends the process, and that is this one.
  const at = Math.floor(size(file) / 2) + (suffix === '.ldb' ? besideMiddle : 0);
  inflict(directory, { file, kind: 'table', how, at, extent });
}

/** Changes records as no disk would, with checksums that fit. */
async function rewrite(store: 'log' | 'index', change: (keyValue: KeyValue) => Promise<void>): Promise<void> {
  const options = { compression: false, writeBufferBytes: 4 * 1024 * 1024, dataDir: data };
  const keyValue = await openLevel(join(data, store), options);
  await change(keyValue);
  await keyValue.close();
}

async function changeEntry(index: number, change: (record: Uint8Array) => Uint8Array): Promise<void> {
  await rewrite('log', async (keyValue) => {
    const record = await keyValue.get(entryKey(index));
    if (record === undefined) throw new Error('no entry');
    await keyValue.batch([{ type: 'put', key: entryKey(index), value: change(record) }], { sync: true });
  });
}

describe('verify --data', () => {
  it('finds nothing in what a node left, from the command line too', { timeout: patienceMs }, async () => {
    expect(await findings()).toEqual([]);
    const { code, stdout } = await run(['verify', '--data', data]);
    expect(stdout).toMatch(/entries 1 to 102, 100 blocks, \d+ bytes; index up to 102: sound\.\n$/);
    expect(code).toBe(0);
    expect(readdirSync(root).toSorted()).toEqual(['data', 'whole']);
  });

  it('refuses while a node runs on it, and lets one start again afterwards', { timeout: patienceMs }, async () => {
    const node = await OneNode.start({}, data);
    try {
      // From another process: a lock keeps out others alone.
      const { code, stderr } = await run(['verify', '--data', data]);
      expect(stderr).toMatch(/^the data directory .* is in use by another process; stop it/);
      expect(code).toBe(1);
    } finally {
      await node.end();
    }
    expect(await findings()).toEqual([]);
    await (await OneNode.start({}, data)).end();
  });

  it('refuses what is no data directory', async () => {
    await expect(copyDirectory(join(root, 'nothing'))).rejects.toThrow(/does not exist/);
    await expect(copyDirectory(dirname(data))).rejects.toThrow(/is not a data directory/);
  });

  const damages: readonly [what: string, damage: () => void, found: readonly RegExp[]][] = [
    [
      'a bit in a table of the log',
      () => hurt('log', '.ldb', 'flip'),
      [/^files log\/\d+\.ldb: the block at byte \d+ fails/, /^log entry \d+: its checksum does not match/],
    ],
    ['a bit in the write-ahead log', () => hurt('log', '.log', 'flip'), [/^files log\/\d+\.log: the record at byte/]],
    [
      'a write-ahead log cut',
      () => hurt('log', '.log', 'cut'),
      [/^hard state the promise: the log ends at entry \d+, and this node promised entries up to 102/],
    ],
    [
      'a write-ahead log lost',
      () => hurt('log', '.log', 'delete'),
      [/^hard state the promise: /, /^index the flush record: it goes up to entry 102, the log ends at/],
    ],
    ['a table lost', () => hurt('log', '.ldb', 'delete'), [/^log its store: it does not open/]],
    ['a bit in MANIFEST', () => hurt('log', 'MANIFEST', 'flip'), [/^files log\/MANIFEST-\d+: the record/]],
    ['CURRENT lost', () => hurt('log', 'CURRENT', 'delete'), [/^files log\/CURRENT: it is missing/]],
    ['CURRENT changed', () => hurt('log', 'CURRENT', 'flip'), [/^files log\/CURRENT: it (names|does not name)/]],
    [
      'a copy of the hard state',
      () => {
        const bytes = readFileSync(join(data, 'hard-state'));
        writeFileSync(join(data, 'hard-state'), bytes.fill(7, 100, 200));
      },
      [/^hard state its copies: /],
    ],
    ['the hard state lost', () => rmSync(join(data, 'hard-state')), [/^hard state the file: nothing is in it/]],
    ['the log lost', () => rmSync(join(data, 'log'), { recursive: true }), [/^log the base record: it is missing/]],
    [
      'a bit in a table of the index',
      () => hurt('index', '.ldb', 'flip'),
      [/^files index\/\d+\.ldb: the block at byte/],
    ],
  ];
  it.each(damages)('%s', { timeout: patienceMs }, async (_, damage, expected) => {
    damage();
    const found = await findings();
    for (const pattern of expected) expect(found).toContainEqual(expect.stringMatching(pattern));
  });

  it('an entry whose payload is another one, its checksum made to fit', async () => {
    await changeEntry(20, (record) => {
      const { payload, ...entry } = decodeEntry(record);
      const other = Uint8Array.from(payload);
      other[payload.length - 1] = (other[payload.length - 1] ?? 0) ^ 1;
      return encodeEntry({ ...entry, payload: other });
    });
    expect(await findings()).toEqual(['log entry 20: its payload does not have the hash in its header']);
  });

  it('an entry of another log in the place of one', async () => {
    await changeEntry(20, (record) => {
      const { hash: _, ...draft } = decodeEntry(record);
      return encodeEntry(sealEntry({ ...draft, timeMs: draft.timeMs + 1 }));
    });
    expect(await findings()).toContain('log entry 21: it does not follow entry 20: the hash chain is broken');
  });

  it('entries that are missing, as one line', async () => {
    await rewrite('log', (keyValue) =>
      keyValue.batch(
        [30, 31, 32].map((index) => ({ type: 'del', key: entryKey(index) })),
        { sync: true },
      ),
    );
    expect(await findings()).toEqual(['log entries 30 to 32: they are missing']);
  });

  /** Rewrites the first bucket of window 0 that holds anything. */
  async function changePostings(change: (indices: readonly number[]) => number[]): Promise<void> {
    await rewrite('index', async (keyValue) => {
      for (let bucket = 0; bucket < 256; bucket += 1) {
        const key = bucketKey(0, bucket);
        const record = await keyValue.get(key);
        if (record === undefined) continue;
        const [first, ...rest] = decodePostings(decodeBucket(key, record, 'a bucket'), bucket, asIndex(1)) ?? [];
        if (first === undefined) continue;
        const changed = { ...first, indices: change(first.indices).map(asIndex) };
        const value = encodeBucket(key, encodePostings([changed, ...rest], asIndex(1)));
        await keyValue.batch([{ type: 'put', key, value }], { sync: true });
        return;
      }
    });
  }

  it('a block that the index does not find through a trace in it', async () => {
    await changePostings(() => []);
    expect(await findings()).toEqual([expect.stringMatching(/^index window 0: block \d+ is not found through trace/)]);
  });

  it('a block that the index names for a trace that is not in it', async () => {
    await changePostings((indices) => [...indices, 60]);
    expect(await findings()).toEqual([
      expect.stringMatching(/^index window 0: it names block 60 for trace .* not in it/),
    ]);
  });

  it('prints a line for each finding, or JSON, and exits 1', { timeout: patienceMs }, async () => {
    hurt('log', '.ldb', 'flip');
    const table = await run(['verify', '--data', data]);
    expect(table.code).toBe(1);
    expect(table.stdout).toMatch(/: 2 findings\.\n\nPART +WHERE +WHAT\nfiles +log\/\d+\.ldb .*\nlog +entry \d+ .*\n$/);
    const json = await run(['verify', '--json', '--data', data]);
    expect(json.code).toBe(1);
    const { sound, findings: listed } = JSON.parse(json.stdout) as { sound: boolean; findings: unknown[] };
    expect([sound, listed.length]).toEqual([false, 2]);
  });
});

describe('reindex', () => {
  const lines: string[] = [];
  const note = (_: object, sentence: string): void => void lines.push(sentence);
  const logger: Logger = { debug: note, info: note, warn: note, error: note };

  /** The node starts on it, finds everything, and makes no index again. */
  async function expectUsed(): Promise<void> {
    lines.length = 0;
    const node = await OneNode.start({}, data, logger);
    const client = new QuorateClient({ id: 'n1', url: node.url });
    for (const { traceId, spanIds } of traces)
      expect((await client.spanIds(traceId)).toSorted()).toEqual([...spanIds].toSorted());
    client.close();
    await node.end();
    expect(lines.filter((line) => line.includes('rebuilt'))).toEqual([]);
  }

  it('makes a damaged index again, and the next start uses it', { timeout: patienceMs }, async () => {
    hurt('index', 'MANIFEST', 'flip');
    const { code, stdout } = await run(['reindex', '--data', data]);
    expect(stdout).toMatch(/^The index of .* goes up to entry 10[12]\.\n$/);
    expect(code).toBe(0);
    expect(await findings()).toEqual([]);
    await expectUsed();
  });

  it('that is stopped half-way leaves an index that goes less far', { timeout: patienceMs }, async () => {
    let steps = 0;
    const platform = await openRealPlatform({ dataDir: data });
    const stopped = (): boolean => (steps += 1) > 1;
    const { indexedTo, last } = await reindexDirectory({ platform, stopped, entriesAtOnce: 30 });
    expect([indexedTo, last >= 101]).toEqual([30, true]);
    expect(await findings()).toEqual([]);
    await expectUsed();
  });

  it('refuses a log that is not whole, and says that the node mends it', async () => {
    hurt('log', '.log', 'delete');
    const platform = await openRealPlatform({ dataDir: data });
    await expect(reindexDirectory({ platform, stopped: () => false })).rejects.toThrow(
      /start the node, which recovers it/,
    );
  });
});
