/** What stands before the log once it is trimmed up to an entry: everything as of that entry, nothing newer (protocol E1). */
import type { ConfigurationAt, Entry, LogBase, LogIndex } from '../raft/core/types.ts';
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
  const inForce = await configurationAt(index, options);
  return {
    position: positionOf(entry),
    timeMs: entry.timeMs,
    configuration: inForce.configuration,
    configurationIndex: inForce.index,
    formatLevel: options.formatLevel,
  };
}

/** Each configuration entry names the one before it: from the newest down to the one in force at `index`. */
async function configurationAt(
  index: LogIndex,
  { read, base, configuration }: BaseAtOptions,
): Promise<ConfigurationAt> {
  const inBase: ConfigurationAt = { index: base.configurationIndex, configuration: base.configuration };
  for (let at = configuration; ;) {
    if (at.index <= base.position.index) return inBase;
    if (at.index <= index) return at;
    const { previous } = decodeConfiguration((await read(at.index)).payload);
    if (previous <= base.position.index) return inBase;
    at = { index: previous, configuration: decodeConfiguration((await read(previous)).payload).configuration };
  }
}
