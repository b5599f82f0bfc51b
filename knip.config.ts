/** Unused files, exports and dependencies. The entries are what people, make and tests start. */
import type { KnipConfig } from 'knip';

const config: KnipConfig = {
  entry: [
    'src/cli/main.ts!',
    'cluster/*.ts!',
    'bench/main.ts',
    'bench/failover.ts',
    'bench/profile.ts',
    'bench/tail.ts',
    'demo/main.ts',
    'test/fuzz/main.ts',
    'test/sim/main.ts',
    'test/tooling/*.ts',
    // Loaded by --import.
    'test/system/fake-node.ts',
    // Forked.
    'test/sim/worker.ts',
    // Put into the page that it makes, by test/sim/timeline/timeline.ts.
    'test/sim/timeline/page/main.ts',
  ],
  project: ['src/**/*.ts!', 'cluster/**/*.ts!', 'bench/**/*.ts', 'demo/**/*.ts', 'test/**/*.ts'],
  ignoreExportsUsedInFile: { interface: true, type: true },
  ignoreBinaries: ['etcd', 'fallocate', 'make', 'mount', 'umount'],
};

export default config;
