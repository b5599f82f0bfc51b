/** The process that `quorate verify` reads a copied data directory in: damage that ends it is a finding of its parent. */
import { openRealPlatform } from '../platform/real/platform.ts';
import type { LogIndex } from '../raft/core/types.ts';
import type { Finding } from '../store/finding.ts';
import { type VerifiedDirectory, verifyDirectory } from '../traces/verify-directory.ts';

export type WorkerMessage =
  | { readonly kind: 'finding'; readonly finding: Finding }
  | { readonly kind: 'progress'; readonly index: LogIndex; readonly last: LogIndex }
  | { readonly kind: 'failed'; readonly sentence: string }
  | { readonly kind: 'verified'; readonly verified: VerifiedDirectory };

const progressEvery = 256;
const tell = (message: WorkerMessage): void => void process.send?.(message);

const [, , dataDir = ''] = process.argv;
try {
  const { disk, codec } = await openRealPlatform({ dataDir });
  const verified = await verifyDirectory({
    disk,
    codec,
    found: (finding) => tell({ kind: 'finding', finding }),
    progress: (index, last) => {
      if (index % progressEvery === 0) tell({ kind: 'progress', index, last });
    },
  });
  tell({ kind: 'verified', verified });
} catch (error) {
  tell({ kind: 'failed', sentence: error instanceof Error ? error.message : String(error) });
}
process.disconnect?.();
