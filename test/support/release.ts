/** A released version out of test/releases, unpacked to be run with the dependencies of this repository. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Program } from '../../cluster/local-node.ts';

const root = join(import.meta.dirname, '../..');

/** Quorate 0.1.0, and how to get rid of it. */
export function unpackRelease010(): { readonly program: Program; readonly remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-release-'));
  execFileSync('tar', ['-xzf', join(root, 'test/releases/quorate-0.1.0.tgz'), '-C', directory]);
  const release = join(directory, 'quorate-0.1.0');
  symlinkSync(join(root, 'node_modules'), join(release, 'node_modules'));
  return {
    program: { command: join(release, 'bin/quorate'), grpc: false },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
