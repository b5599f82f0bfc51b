/** Damage to the files of a LevelDB store: cut, zeroed, flipped, deleted, at offsets where it matters. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SeededRandom } from '../../support/seeded-random.ts';

export type FileKind = 'wal' | 'table' | 'manifest' | 'current';
export const damages = ['cut', 'zero', 'flip', 'delete'] as const;

export interface FileDamage {
  readonly file: string;
  readonly kind: FileKind;
  readonly how: (typeof damages)[number];
  readonly at: number;
  /** Bytes zeroed, or the bit flipped. */
  readonly extent: number;
}

/** Damage to every file of the store in `path`: each file deleted once, and `perFile` times something else. */
export function drawDamages(path: string, perFile: number, random: SeededRandom): FileDamage[] {
  return readdirSync(path).flatMap((file): FileDamage[] => {
    const kind = kindOf(file);
    if (kind === null) return [];
    const bytes = readFileSync(join(path, file));
    const drawn: FileDamage[] = [{ file, kind, how: 'delete', at: 0, extent: 0 }];
    const places = placesOf(kind, bytes);
    while (bytes.length > 0 && drawn.length <= perFile) {
      const how = random.pick(['cut', 'zero', 'flip', 'flip'] as const);
      // Half of them where something begins, give or take a byte or two.
      const near = random.pick(places) + random.between(-2, 8);
      const at = random.below(2) === 0 ? random.below(bytes.length) : Math.max(0, Math.min(bytes.length - 1, near));
      const extent = how === 'zero' ? random.pick([1, 16, 512, 4096, 40_000]) : random.below(8);
      drawn.push({ file, kind, how, at, extent });
    }
    return drawn;
  });
}

export function inflict(path: string, { file, how, at, extent }: FileDamage): void {
  const target = join(path, file);
  if (how === 'delete') {
    rmSync(target);
    return;
  }
  const bytes = readFileSync(target);
  if (how === 'zero') bytes.fill(0, at, Math.min(bytes.length, at + extent));
  if (how === 'flip') bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << extent), at);
  writeFileSync(target, how === 'cut' ? bytes.subarray(0, at) : bytes);
}

function kindOf(file: string): FileKind | null {
  if (file.endsWith('.log')) return 'wal';
  if (file.endsWith('.ldb')) return 'table';
  if (file.startsWith('MANIFEST')) return 'manifest';
  return file === 'CURRENT' ? 'current' : null;
}

const logBlockBytes = 32 * 1024;
const recordHeaderBytes = 7;
const footerBytes = 48;

/** Where something begins. */
function placesOf(kind: FileKind, bytes: Buffer): number[] {
  if (kind === 'wal' || kind === 'manifest') return [...recordsOf(bytes)];
  // Of a table: the first entry, the filter and index before the footer, the footer and its magic number.
  return [0, ...[400, 200, 100, footerBytes, 8].map((before) => Math.max(0, bytes.length - before))];
}

/** The records of LevelDB's log format: CRC-32C, length u16 and type u8 before each, none across a block. */
function* recordsOf(bytes: Buffer): Generator<number> {
  yield 0;
  for (let at = 0; at + recordHeaderBytes <= bytes.length;) {
    const left = logBlockBytes - (at % logBlockBytes);
    if (left < recordHeaderBytes) at += left;
    else {
      yield at;
      at += recordHeaderBytes + bytes.readUInt16LE(at + 4);
    }
    if (at % logBlockBytes === 0) yield Math.min(at, bytes.length - 1);
  }
}
