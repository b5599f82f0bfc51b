/** `quorate trace get`: one trace as a tree to read, or as OTLP JSON. */
import type { CommandModule } from 'yargs';
import { clientSettings, readClientSettings } from '../config.ts';
import { CommandError, flagsOf, optionsOf } from './command.ts';
import { fetchText } from './fetch-json.ts';
import { wantsColour } from './terminal-text.ts';
import { readTraceJson } from './trace-json.ts';
import { renderTrace } from './trace-tree.ts';

/** The settings this command takes, as flags or from the environment. */
const names = ['url', 'consistency', 'format'] as const;
const widthWithoutTerminal = 120;

export const traceGet: CommandModule = {
  command: 'get <trace-id>',
  describe: 'Look one trace up by its id',
  builder: (parser) =>
    parser.positional('trace-id', { type: 'string', describe: '32 hex digits' }).options(optionsOf(clientSettings)),
  handler: async (argv) => {
    const { url, consistency, format } = readClientSettings(names, {
      flags: flagsOf(argv, ['trace-id']),
      environment: process.env,
    });
    const traceId = String(argv['trace-id']).toLowerCase();
    if (!/^[0-9a-f]{32}$/.test(traceId)) {
      throw new CommandError(`${JSON.stringify(argv['trace-id'])} is not a trace id: 32 hex digits.`);
    }
    const json = await fetchText(url, `/api/v1/traces/${traceId}?consistency=${consistency}`, {
      notFound: `${url} knows no trace ${traceId}${consistency === 'stale' ? ' yet: ask without --consistency stale' : ''}.`,
    });
    const colour = wantsColour(process.stdout);
    const width = process.stdout.columns ?? widthWithoutTerminal;
    process.stdout.write(format === 'json' ? `${json}\n` : `${renderTrace(readTraceJson(json), { width, colour })}\n`);
  },
};
