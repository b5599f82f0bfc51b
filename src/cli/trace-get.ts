/** `quorate trace get`: one trace as a tree to read, or as OTLP JSON. */
import { pipeline } from 'node:stream/promises';
import type { CommandModule } from 'yargs';
import { clientSettings, readClientSettings } from '../config.ts';
import { encodingJson, tracesToJson } from '../otlp/json-encode.ts';
import { CommandError, flagsOf, optionsOf } from './command.ts';
import { fetchTrace } from './fetch-trace.ts';
import { wantsColour } from './terminal-text.ts';
import { readTraceJson } from './trace-json.ts';
import { renderTrace } from './trace-tree.ts';

/** The settings this command takes, as flags or from the environment. */
const names = ['url', 'consistency', 'format'] as const;
const widthWithoutTerminal = 120;
const expiredSentence = 'A part of this trace has expired: these are the spans that are left.';

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
    const { trace, expired } = await fetchTrace(url, {
      traceId,
      consistency,
      notFound: `${url} knows no trace ${traceId}${consistency === 'stale' ? ' yet: ask without --consistency stale' : ''}.`,
    });
    if (format === 'json') {
      await printAll(encodingJson(trace));
      // Beside what programs read.
      if (expired) process.stderr.write(`${expiredSentence}\n`);
      return;
    }
    const colour = wantsColour(process.stdout);
    const width = process.stdout.columns ?? widthWithoutTerminal;
    process.stdout.write(`${renderTrace(readTraceJson(tracesToJson(trace)), { width, colour })}\n`);
    if (expired) process.stdout.write(`\n${expiredSentence}\n`);
  },
};

/** Prints the pieces of a text that may be too long for one string, and the end of the line, as far as somebody reads on. */
async function printAll(pieces: Iterable<string>): Promise<void> {
  try {
    await pipeline(pieces, process.stdout, { end: false });
    process.stdout.write('\n');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error;
  }
}
