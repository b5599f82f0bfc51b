/** `quorate start`: one node, from its first line of log to exit 0 on SIGTERM. */
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import type { CommandModule } from 'yargs';
import { configFileSetting, nodeSettings, readNodeConfig } from '../config.ts';
import { limits } from '../limits.ts';
import type { RunningNode } from '../node.ts';
import { flagsOf, optionsOf } from './command.ts';
import type { Logger } from './log.ts';

export const start: CommandModule = {
  command: 'start',
  describe: 'Run one node',
  builder: (parser) => parser.options(optionsOf({ ...nodeSettings, config: configFileSetting })),
  handler: async (argv) => {
    // Before anything uses the pool, and so before src/node.ts is even loaded (protocol F4).
    process.env['UV_THREADPOOL_SIZE'] ??= String(limits.threadPoolSize);
    // V8 adds the buffers outside of its heap to what must be collected, and the heap is small: without more room it would mark
    // all of it several times a second (docs/performance.md).
    setFlagsFromString(`--heap-growing-percent=${limits.heapGrowingPercent}`);
    const { config, warnings } = readNodeConfig({
      flags: flagsOf(argv),
      environment: process.env,
      readFile: (path) => readFileSync(path, 'utf8'),
    });
    // Loaded only now, so that the other commands and a mistake in the settings do not wait for it.
    const { createLogger } = await import('./log.ts');
    const log = createLogger({ id: config.id, level: config.logLevel });
    for (const warning of warnings) log.warn(warning);
    process.on('uncaughtException', (error) => {
      log.fatal(error, 'stopped by a broken invariant');
      process.exit(1);
    });
    const signalled = firstSignal(log);
    const stopping = new AbortController();
    void signalled.then(() => stopping.abort());
    const { startNode } = await import('../node.ts');
    const node = await startNode(config, log, stopping.signal).catch((error: unknown) => {
      if (error !== stopping.signal.reason) throw error;
      log.info('stopped before it had started');
      process.exit(0);
    });
    void signalled.then((signal) => stop(node, signal, log));
    void node.failed.then((error) => {
      log.fatal(error, 'stopped: this node cannot go on safely');
      process.stderr.write(`${error.message}\n`);
      process.exit(1);
    });
  },
};

/** Resolves with the first SIGTERM or SIGINT; the second one ends the process at once. */
function firstSignal(log: Logger): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (asked) {
        log.warn('stopped at once by a second signal');
        process.exit(1);
      }
      asked = true;
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}

async function stop(node: RunningNode, signal: NodeJS.Signals, log: Logger): Promise<void> {
  log.info({ signal }, 'stopping: finishing what is in flight');
  try {
    await node.stop();
    log.info('stopped');
    process.exit(0);
  } catch (error) {
    log.fatal(error, 'could not stop cleanly');
    process.exit(1);
  }
}
