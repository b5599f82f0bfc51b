/** Structured logs: JSON lines for machines, readable lines on a terminal. Written behind the event loop's back, whole at exit. */
import { pino } from 'pino';
import type { Logger } from 'pino';
import pretty from 'pino-pretty';
import type { LogLevel } from '../config.ts';
import { wantsColour } from './terminal-text.ts';

export type { Logger } from 'pino';

/** How one record reads on a terminal. */
const prettyOptions = { translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname,node', singleLine: true } as const;

/** The log of node `id` on standard output; every line carries the id as `node`. */
export function createLogger(options: { readonly id: string; readonly level: LogLevel }): Logger {
  const settings = { level: options.level, base: { node: options.id } };
  if (process.stdout.isTTY) return pino(settings, pretty({ ...prettyOptions, colorize: wantsColour(process.stdout) }));
  return pino(settings, pino.destination({ dest: 1, sync: false }));
}

/** Turns one JSON line of a node's log into the line a terminal shows; other text passes unchanged. */
export function prettyLine(colour: boolean): (line: string) => string {
  const format = pretty.prettyFactory({ ...prettyOptions, colorize: colour });
  return (line) => (line.startsWith('{') ? format(line).trimEnd() : line);
}
