/** `quorate reindex`: makes the index of a stopped node again from its log. Ctrl-C keeps what is done. */
import type { CommandModule } from 'yargs';
import { maintenanceSettings, readReindexSettings } from '../config.ts';
import { openRealPlatform } from '../platform/real/platform.ts';
import { reindexDirectory } from '../traces/reindex-directory.ts';
import { flagsOf, optionsOf } from './command.ts';
import { assertDataDirectory } from '../platform/real/directory-copy.ts';
import { ProgressBar } from './progress-bar.ts';

const { data } = maintenanceSettings;

export const reindex: CommandModule = {
  command: 'reindex',
  describe: 'Make the index of a node that does not run again from its log',
  builder: (parser) => parser.options(optionsOf({ data })),
  handler: async (argv) => {
    const { data: dataDir } = readReindexSettings({ flags: flagsOf(argv), environment: process.env });
    await assertDataDirectory(dataDir);
    let stopped = false;
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => (stopped = true));
    const bar = new ProgressBar();
    const { indexedTo, last } = await reindexDirectory({
      platform: await openRealPlatform({ dataDir }),
      progress: (index, end) => bar.show('entries', index, end),
      stopped: () => stopped,
    }).finally(() => bar.clear());
    if (indexedTo < last) {
      process.stdout.write(
        `Stopped at entry ${indexedTo} of ${last}: the next start of the node goes on from there, or run it again.\n`,
      );
      process.exitCode = 130;
    } else process.stdout.write(`The index of ${dataDir} goes up to entry ${last}.\n`);
  },
};
