/** A wall clock of its own for each node, by Debian's `faketime`: it can jump while the node runs, and the monotonic clock stays. */
import { mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The path has the machine's architecture in it. */
function library(): string {
  const found = readdirSync('/usr/lib').flatMap((folder) => {
    const path = `/usr/lib/${folder}/faketime`;
    return list(path).includes('libfaketimeMT.so.1') ? [`${path}/libfaketimeMT.so.1`] : [];
  })[0];
  if (found === undefined) throw new Error("Debian's package faketime is missing: make tools");
  return found;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

export class WrongClocks {
  readonly #directory = mkdtempSync(join(tmpdir(), 'quorate-clocks-'));
  readonly #library = library();

  /** What a node is started under. Its clock is right until it is set. */
  readonly wrapper = (id: string): readonly string[] => {
    this.set(id, '+0');
    return [
      'env',
      `LD_PRELOAD=${this.#library}`,
      `FAKETIME_TIMESTAMP_FILE=${join(this.#directory, id)}`,
      'FAKETIME_NO_CACHE=1',
      'FAKETIME_DONT_FAKE_MONOTONIC=1',
      'NO_FAKE_STAT=1',
    ];
  };

  /** From now on, also while the node runs, its clock is off by this: `+8d`. */
  set(id: string, offset: string): void {
    const path = join(this.#directory, id);
    writeFileSync(`${path}.new`, offset);
    renameSync(`${path}.new`, path);
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }
}
