/** What stands before the log once it is trimmed up to an entry: everything as of that entry, nothing newer (protocol E1). */
import type { Configuration, ConfigurationAt, Entry, LogBase, LogIndex } from '../raft/core/types.ts';
import { decodeConfiguration } from '../store/configuration-record.ts';
import { positionOf } from '../store/entry.ts';

export interface BaseAtOptions {
  /** Reads an entry above the base. */
  readonly read: (index: LogIndex) => Promise<Entry>;
  /** Where the log begins now. */
  readonly base: LogBase;
  /** The newest configuration in the log, committed or not. */
  readonly configuration: ConfigurationAt;
  readonly formatLevel: number;
}

/** `index` is applied, and above the base. Rejects as `read` does, with `NotInLogError` when the log was trimmed meanwhile. */
export async function baseAt(index: LogIndex, options: BaseAtOptions): Promise<LogBase> {
  const entry = await options.read(index);
  return {
    position: positionOf(entry),
    timeMs: entry.timeMs,
    configuration: await configurationAt(index, options),
    formatLevel: options.formatLevel,
  };
}

/** Each configuration entry names the one before it: from the newest down to the one in force at `index`. */
async function configurationAt(index: LogIndex, { read, base, configuration }: BaseAtOptions): Promise<Configuration> {
  for (let at: ConfigurationAt = configuration; ;) {
    if (at.index <= base.position.index) return base.configuration;
    if (at.index <= index) return at.configuration;
    const { previous } = decodeConfiguration((await read(at.index)).payload);
    if (previous <= base.position.index) return base.configuration;
    at = { index: previous, configuration: decodeConfiguration((await read(previous)).payload).configuration };
  }
}
