/** What every command shares: flags made from the tables of src/config.ts, and mistakes in one sentence. */
import type { Options } from 'yargs';
import type { Settings } from '../settings.ts';

/** Something the operator can mend, in one sentence. Printed without a stack; the exit code is 1. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** yargs options for a table of settings. Values stay text: src/settings.ts judges them. */
export function optionsOf(table: Settings): Record<string, Options> {
  return Object.fromEntries(
    Object.entries(table).map(([name, setting]) => {
      const fallback = setting.default ?? 'required';
      return [name, { type: 'string', description: setting.description, defaultDescription: fallback }];
    }),
  );
}

/** The flags the user gave, without what yargs adds and without positional arguments. */
export function flagsOf(
  argv: Readonly<Record<string, unknown>>,
  positional: readonly string[] = [],
): Record<string, unknown> {
  const ignored = new Set(['_', '$0', 'help', 'version', ...positional]);
  return Object.fromEntries(Object.entries(argv).filter(([name, value]) => !ignored.has(name) && value !== undefined));
}
