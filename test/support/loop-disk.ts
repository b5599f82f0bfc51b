/**
 * A disk of its own for one node: an ext4 in a file, mounted through a loop device, so that it can be frozen while the node runs.
 * Frozen, every write and sync waits, without an error, as on a disk that hangs; what the kernel has in memory can be read. Needs
 * root, and mkfs.ext4, mount and fsfreeze.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The file is sparse. */
const imageBytes = 1024 ** 3;

export class LoopDisk {
  readonly #mountPoint: string;
  #frozen = false;

  /** Makes and mounts the disk `name` below `directory`. */
  constructor(directory: string, name: string) {
    const image = join(directory, `${name}.ext4`);
    writeFileSync(image, '');
    truncateSync(image, imageBytes);
    this.#mountPoint = join(directory, name);
    mkdirSync(this.#mountPoint);
    run('mkfs.ext4', '-q', '-F', image);
    run('mount', '-o', 'loop', image, this.#mountPoint);
  }

  /** A directory on it, for a node's data. */
  get data(): string {
    return join(this.#mountPoint, 'data');
  }

  freeze(): void {
    run('fsfreeze', '--freeze', this.#mountPoint);
    this.#frozen = true;
  }

  /** Nothing happens when it is not frozen. */
  thaw(): void {
    if (!this.#frozen) return;
    run('fsfreeze', '--unfreeze', this.#mountPoint);
    this.#frozen = false;
  }

  /** Whatever used it must have ended. */
  unmount(): void {
    this.thaw();
    run('umount', this.#mountPoint);
  }
}

/** Throws with what the command said. */
function run(command: string, ...options: readonly string[]): void {
  execFileSync(command, options, { stdio: ['ignore', 'ignore', 'pipe'] });
}
