/**
 * The corruption table: what is done to a stopped node's files, and what it must do when it is started again.
 * test/system/corruption.test.ts holds every row; docs/corruption.md is made from it.
 */
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflict, type FileDamage } from '../../platform/damage/files.ts';

/**
 * What a node makes of its damaged files.
 * - `no trace`: it runs on as if nothing had been; what was lost nobody needs.
 * - `repaired`: entries of the log were fetched from another node, and put back.
 * - `recovering`: the log lost its promised end; the node votes by its promise until it has the end again.
 * - `rebuilt`: the index was made again from the log.
 * - `new incarnation`: what was promised is not known any more; the node takes its old place as another replica, a learner first.
 * - `refuses`: it does not start, or stops, and says in one sentence what to do.
 */
export type Outcome = 'no trace' | 'repaired' | 'recovering' | 'rebuilt' | 'new incarnation' | 'refuses';

export interface CorruptionRow {
  readonly part: 'log' | 'hard state' | 'index';
  readonly damage: string;
  /** All of them, and no others, have to be seen. */
  readonly outcomes: readonly Outcome[];
  /** What the node says of it, in its log or as its last words. */
  readonly says: readonly string[];
  /** The files of the node, and copies of them from earlier in the same life. */
  readonly inflict: (node: string, earlier: Earlier) => void;
  /** The others have heard of the node before it is damaged. */
  readonly remembered?: true;
  /** LevelDB may end the process a few times before: it is started again, as whoever looks after it would. */
  readonly mayCrash?: true;
}

/** Files to put in the place of newer ones. */
export interface Earlier {
  /** The same node's directory, when it held less. */
  readonly itself: string;
  /** Another node's directory. */
  readonly other: string;
}

const slotBytes = 4096;

const largest = (directory: string, suffix: string): string => {
  const files = readdirSync(directory).filter((file) => file.endsWith(suffix) || file.startsWith(suffix));
  const [file] = files.sort((a, b) => statSync(join(directory, b)).size - statSync(join(directory, a)).size);
  if (file === undefined) throw new Error(`there is no ${suffix} in ${directory}`);
  return file;
};

type How = Pick<FileDamage, 'how'> & { readonly extent?: number; readonly at?: (bytes: Buffer) => number };

const halfWay = (bytes: Buffer): number => Math.floor(bytes.length / 2);

/** In the compressed spans of a block: LevelDB's own bytes between two values are few, but a bit there costs more than one entry. */
function insideFrame(bytes: Buffer): number {
  const magic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
  const frame = bytes.indexOf(magic, halfWay(bytes));
  if (frame < 0) throw new Error('there is no block in the second half of the file');
  return frame + magic.length + 12;
}

/** Damage to the largest file of a kind; half-way in, where its data is, if nothing else is said. */
function hurt(store: 'log' | 'index', suffix: string, { how, extent = 0, at = halfWay }: How): (node: string) => void {
  return (node) => {
    const directory = join(node, store);
    const file = largest(directory, suffix);
    inflict(directory, { file, kind: 'wal', how, at: at(readFileSync(join(directory, file))), extent });
  };
}

/** Breaks the slots of the hard state that `which` names; they hold generation g in slots 2(g mod 2) and the one after it. */
function breakSlots(node: string, which: (slot: number, newest: number) => boolean): void {
  const path = join(node, 'hard-state');
  const bytes = readFileSync(path);
  const counterOf = (slot: number): number =>
    Number(/"counter":(\d+)/.exec(bytes.toString('latin1', slot * slotBytes, (slot + 1) * slotBytes))?.[1] ?? -1);
  const slots = [0, 1, 2, 3];
  const newest = slots.reduce((best, slot) => (counterOf(slot) > counterOf(best) ? slot : best));
  for (const slot of slots.filter((each) => which(each, newest))) {
    const at = slot * slotBytes + 40;
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  }
  writeFileSync(path, bytes);
}

function replace(name: string, from: (earlier: Earlier) => string): (node: string, earlier: Earlier) => void {
  return (node, earlier) => {
    rmSync(join(node, name), { recursive: true });
    cpSync(join(from(earlier), name), join(node, name), { recursive: true });
  };
}

const wal = '.log';
const table = '.ldb';

export const corruptionRows: readonly CorruptionRow[] = [
  {
    part: 'log',
    damage: 'one bit in the write-ahead log',
    outcomes: ['repaired'],
    says: ['a damaged entry of the log was repaired'],
    inflict: hurt('log', wal, { how: 'flip' }),
  },
  {
    part: 'log',
    damage: 'write-ahead log cut in half',
    outcomes: ['recovering', 'rebuilt'],
    says: ['the log ends before what this node promised', 'it was made from another log'],
    inflict: hurt('log', wal, { how: 'cut' }),
  },
  {
    part: 'log',
    damage: 'write-ahead log deleted',
    outcomes: ['recovering', 'rebuilt'],
    says: ['the log ends before what this node promised', 'it was made from another log'],
    inflict: hurt('log', wal, { how: 'delete' }),
  },
  {
    part: 'log',
    damage: 'one bit in a table',
    outcomes: ['repaired'],
    says: ['a damaged entry of the log was repaired'],
    inflict: hurt('log', table, { how: 'flip', at: insideFrame }),
  },
  {
    part: 'log',
    damage: 'a page of a table zeroed',
    outcomes: ['refuses'],
    says: ['is damaged'],
    inflict: hurt('log', table, { how: 'zero', extent: 4096 }),
  },
  {
    part: 'log',
    damage: 'a table deleted',
    outcomes: ['refuses'],
    says: ['is damaged'],
    inflict: hurt('log', table, { how: 'delete' }),
  },
  {
    part: 'log',
    damage: 'one bit in MANIFEST',
    outcomes: ['refuses'],
    says: ['is damaged'],
    inflict: hurt('log', 'MANIFEST', { how: 'flip' }),
  },
  {
    part: 'log',
    damage: 'one bit in CURRENT',
    outcomes: ['refuses'],
    says: ['is damaged: its file CURRENT is lost or altered'],
    inflict: hurt('log', 'CURRENT', { how: 'flip' }),
  },
  {
    part: 'log',
    damage: 'CURRENT deleted',
    outcomes: ['refuses'],
    says: ['is damaged: its file CURRENT is lost or altered'],
    inflict: hurt('log', 'CURRENT', { how: 'delete' }),
  },
  {
    part: 'log',
    damage: 'the whole log lost',
    outcomes: ['recovering', 'rebuilt'],
    says: ['the log ends before what this node promised'],
    inflict: (node) => rmSync(join(node, 'log'), { recursive: true }),
  },
  {
    part: 'log',
    damage: 'an older log put back, so that the index is ahead of it',
    outcomes: ['recovering', 'rebuilt'],
    says: ['the log ends before what this node promised', 'it was made from another log'],
    inflict: replace('log', ({ itself }) => itself),
  },
  {
    part: 'hard state',
    damage: 'one copy of the newest state',
    outcomes: ['no trace'],
    says: [],
    inflict: (node) => breakSlots(node, (slot, newest) => slot === newest),
  },
  {
    part: 'hard state',
    damage: 'all copies',
    outcomes: ['rebuilt', 'new incarnation'],
    says: ['the hard state is lost: this data directory is a new incarnation'],
    inflict: (node) => breakSlots(node, () => true),
  },
  {
    part: 'hard state',
    damage: 'the file lost',
    outcomes: ['rebuilt', 'new incarnation'],
    says: ['the hard state is lost: this data directory is a new incarnation'],
    inflict: (node) => rmSync(join(node, 'hard-state')),
  },
  {
    part: 'hard state',
    damage: 'an older one put back, while the others remember more',
    outcomes: ['refuses'],
    says: ['hard state'],
    inflict: replace('hard-state', ({ itself }) => itself),
    remembered: true,
  },
  {
    part: 'index',
    damage: 'a page of the write-ahead log lost',
    outcomes: ['rebuilt'],
    says: ['the index is rebuilt from the log'],
    inflict: hurt('index', wal, { how: 'zero', extent: 4096 }),
  },
  {
    part: 'index',
    damage: 'write-ahead log deleted',
    outcomes: ['no trace'],
    says: [],
    inflict: hurt('index', wal, { how: 'delete' }),
  },
  {
    part: 'index',
    damage: 'one bit in a table',
    outcomes: ['rebuilt'],
    says: ['the index is rebuilt from the log'],
    inflict: hurt('index', table, { how: 'flip' }),
  },
  {
    part: 'index',
    damage: 'a page of a table zeroed',
    outcomes: ['rebuilt'],
    says: ['the index is rebuilt from the log'],
    inflict: hurt('index', table, { how: 'zero', extent: 4096 }),
    mayCrash: true,
  },
  {
    part: 'index',
    damage: 'a table deleted',
    outcomes: ['rebuilt'],
    says: ['the index is rebuilt from the log: its store does not open'],
    inflict: hurt('index', table, { how: 'delete' }),
  },
  {
    part: 'index',
    damage: 'MANIFEST damaged',
    outcomes: ['rebuilt'],
    says: ['the index is rebuilt from the log: its store does not open'],
    inflict: hurt('index', 'MANIFEST', { how: 'flip' }),
  },
  {
    part: 'index',
    damage: "another node's index in its place",
    outcomes: ['rebuilt'],
    says: ['it belongs to another cluster or another disk'],
    inflict: replace('index', ({ other }) => other),
  },
  {
    part: 'index',
    damage: 'lost',
    outcomes: ['no trace'],
    says: [],
    inflict: (node) => rmSync(join(node, 'index'), { recursive: true }),
  },
];
