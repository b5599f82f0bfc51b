/** `quorate cluster add`, `replace` and `remove`: who the members are, changed while everything else goes on. */
import type { CommandModule } from 'yargs';
import { clientSettings, readClientSettings } from '../config.ts';
import { flagsOf, optionsOf } from './command.ts';
import { fetchJson, type FetchOptions } from './fetch-json.ts';

/** The answer to a change. */
interface Members {
  readonly configurationIndex: number;
  readonly voters: readonly string[];
  readonly learners: readonly string[];
}

const path = '/api/v1/cluster/members';

export const clusterAdd: CommandModule = {
  command: 'add <id>',
  describe: 'Add a node that waits with --join; it votes by itself once it has caught up',
  builder: (parser) =>
    parser
      .positional('id', { type: 'string', describe: 'The node to add.' })
      .options(optionsOf({ url: clientSettings.url })),
  handler: async (argv) => {
    await change(argv, path, { body: { id: argv['id'] } }, `${String(argv['id'])} was added`);
  },
};

export const clusterReplace: CommandModule = {
  command: 'replace <id> <by>',
  describe: 'Put a node that waits with --join in the place of a member, once it has caught up',
  builder: (parser) =>
    parser
      .positional('id', { type: 'string', describe: 'The member that leaves.' })
      .positional('by', { type: 'string', describe: 'The node that takes its place.' })
      .options(optionsOf({ url: clientSettings.url })),
  handler: async (argv) => {
    const [id, by] = [String(argv['id']), String(argv['by'])];
    await change(argv, path, { body: { id: by, replaces: id } }, `${by} was added and takes the place of ${id}`);
  },
};

export const clusterRemove: CommandModule = {
  command: 'remove <id>',
  describe: 'Take a member out; stop it then, and delete its --data',
  builder: (parser) =>
    parser
      .positional('id', { type: 'string', describe: 'The member to remove.' })
      .options(optionsOf({ url: clientSettings.url })),
  handler: async (argv) => {
    const id = String(argv['id']);
    await change(argv, `${path}/${encodeURIComponent(id)}`, { method: 'DELETE' }, `${id} was removed`);
  },
};

async function change(
  argv: Readonly<Record<string, unknown>>,
  at: string,
  options: FetchOptions,
  said: string,
): Promise<void> {
  const { url } = readClientSettings(['url'], { flags: flagsOf(argv, ['id', 'by']), environment: process.env });
  const { voters, learners } = (await fetchJson(url, at, options)) as Members;
  const waiting = learners.length === 0 ? '' : `, catching up: ${learners.join(', ')}`;
  process.stdout.write(`${said}; voters: ${voters.join(', ')}${waiting}\n`);
}
