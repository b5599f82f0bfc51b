/** `quorate cluster transfer`: another node leads, without an election timeout in between. */
import type { CommandModule } from 'yargs';
import { readTransferSettings, transferSettings } from '../config.ts';
import { CommandError, flagsOf, optionsOf } from './command.ts';
import { fetchJson } from './fetch-json.ts';

export const clusterTransfer: CommandModule = {
  command: 'transfer',
  describe: 'Make another node the leader',
  builder: (parser) => parser.options(optionsOf(transferSettings)),
  handler: async (argv) => {
    const { url, to } = readTransferSettings({ flags: flagsOf(argv), environment: process.env });
    const body = to === null ? {} : { to };
    const { leader, term } = (await fetchJson(url, '/api/v1/cluster/leader', { body })) as Leader;
    if (to !== null && leader !== to)
      throw new CommandError(`${to} did not take over: ${leader} leads term ${term}. Ask again.`);
    process.stdout.write(`${leader} leads term ${term}\n`);
  },
};

interface Leader {
  readonly leader: string;
  readonly term: number;
}
