/**
 * Remembers starts that did not end in a stop, so that a crash loop ends in a sentence. LevelDB answers some damage to its
 * tables by ending the process (docs/disk-faults.md): whoever starts the node again would see it end again, for ever. To
 * compare all checksums at every start would take too long; after some ends in a row nothing else is worth doing.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkLevelFiles, type FileFault } from './level-files.ts';

/** Ends in so many ms before a start that make it check its files. */
const endsMax = 3;
const withinMs = 600_000;

export class StartRecord {
  readonly #path: string;
  readonly #dataDir: string;
  /** Earlier starts that were not stopped, not long ago. */
  readonly earlier: number;

  private constructor(dataDir: string, earlier: number) {
    this.#dataDir = dataDir;
    this.#path = join(dataDir, 'starts');
    this.earlier = earlier;
  }

  /** Notes this start. Never synced: what a power loss takes of it was no crash of ours. A full disk is no reason not to start. */
  static async begin(dataDir: string, nowMs: number): Promise<StartRecord> {
    const path = join(dataDir, 'starts');
    const starts = await readFile(path, 'utf8').then(readTimes, () => []);
    const recent = starts.filter((at) => at <= nowMs && nowMs - at < withinMs);
    await writeFile(path, JSON.stringify([...recent, nowMs])).catch(() => undefined);
    return new StartRecord(dataDir, recent.length);
  }

  /** Whether a check of all tables is due. */
  get isCrashLoop(): boolean {
    return this.earlier >= endsMax;
  }

  /** The tables of `store` that do not have their checksums. Other files LevelDB survives. */
  async damagedTables(store: 'log' | 'index'): Promise<FileFault[]> {
    const faults = await checkLevelFiles(join(this.#dataDir, store));
    return faults.filter(({ file }) => /\.(ldb|sst)$/.test(file));
  }

  /** It was stopped, or said why it cannot go on. */
  async end(): Promise<void> {
    await rm(this.#path, { force: true }).catch(() => undefined);
  }
}

function readTimes(text: string): number[] {
  try {
    const times: unknown = JSON.parse(text);
    return Array.isArray(times) ? times.filter((time) => typeof time === 'number') : [];
  } catch {
    return [];
  }
}
