/** `quorate`: reads the command line and runs one command. Whatever goes wrong is one sentence on stderr and exit code 1. */
import yargs from 'yargs';
import { clusterStatus } from './cluster-status.ts';
import { clusterAdd, clusterRemove, clusterReplace } from './cluster-members.ts';
import { clusterTransfer } from './cluster-transfer.ts';
import { recover } from './recover.ts';
import { reindex } from './reindex.ts';
import { start } from './start.ts';
import { traceGet } from './trace-get.ts';
import { verify } from './verify.ts';

const parser = yargs(process.argv.slice(2))
  .scriptName('quorate')
  .usage('$0 <command>\n\nA trace store for OpenTelemetry that never loses an acknowledged span.')
  .parserConfiguration({
    'boolean-negation': false,
    'camel-case-expansion': false,
    'dot-notation': false,
    'duplicate-arguments-array': false,
    'parse-numbers': false,
    'parse-positional-numbers': false,
  })
  .command(start)
  .command('trace', 'Look traces up', (trace) =>
    trace
      .command(traceGet)
      .demandCommand(1, 'Say what to do with the trace: quorate trace get TRACE_ID.')
      .strictCommands(),
  )
  .command('cluster', 'See and change the cluster', (cluster) =>
    cluster
      .command(clusterStatus)
      .command(clusterTransfer)
      .command(clusterAdd)
      .command(clusterReplace)
      .command(clusterRemove)
      .demandCommand(1, 'Say what to do with the cluster: quorate cluster status, transfer, add, replace or remove.')
      .strictCommands(),
  )
  .command(verify)
  .command(reindex)
  .command(recover)
  .demandCommand(
    1,
    'Say what to do: quorate start, trace get, cluster status, verify, reindex or recover; --help tells more.',
  )
  .strictCommands()
  .recommendCommands()
  .epilogue('Every flag can also be set in the environment: --log-level is QUORATE_LOG_LEVEL.')
  .wrap(Math.min(120, process.stdout.columns ?? 100))
  .fail(false);

try {
  await parser.parseAsync();
} catch (error) {
  process.stderr.write(`${sentenceOf(error)}\n`);
  // Not only an exit code: whatever a half-started node still holds open must not keep the process.
  process.exit(1);
}

/** One line for a mistake of the operator; a mistake of ours keeps its stack. */
function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const isOurs = error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError;
  return isOurs ? (error.stack ?? error.message) : error.message.replaceAll(/\s*\n\s*/g, ' ');
}
