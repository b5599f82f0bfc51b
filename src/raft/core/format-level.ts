/**
 * The format level (protocol B4): which entries, messages and records every node of a cluster can read. It is the least level
 * that all members announced, and only an entry of the log raises it.
 *
 *   level = max(that of the founding, those of committed `format-level` entries)
 *
 * An entry of a newer kind stands in no log without such an entry below it, so that no node is ever given what it cannot read.
 * A raised level counts once it is committed: a leader that does not know that yet takes the level for lower, never for higher.
 */
import { invariant } from './invariant.ts';
import type { Entry, EntryKind, LogIndex } from './types.ts';

/** The levels that a binary can read, and writes when the cluster is at them. */
export interface FormatRange {
  readonly oldest: number;
  readonly newest: number;
}

/** Of this version. */
export const formatRange: FormatRange = { oldest: 1, newest: 2 };

/** The first release that reads a level, by level (docs/upgrade.md). */
export const formatReleases: Readonly<Record<number, string>> & { readonly 1: string } = { 1: '0.1.0', 2: '0.2.0' };

/** The least level at which an entry of this kind may be written. An entry that raises the level is read by nobody below it. */
export const levelOfKind: Readonly<Record<EntryKind, number>> = {
  noop: 1,
  block: 1,
  configuration: 2,
  trim: 2,
  'format-level': 2,
};

/** From these levels on the members can be changed, and a node can be told to take the lead over. */
export const membersChangeFrom = levelOfKind.configuration;
export const transferFrom = 2;
/** From this level on the log can be trimmed. */
export const trimFrom = levelOfKind.trim;

export const encodeFormatLevel = (level: number): Uint8Array => Uint8Array.of(level);

export function decodeFormatLevel(payload: Uint8Array): number {
  const [level] = payload;
  invariant(payload.length === 1 && level !== undefined && level > 0, 'a format-level entry holds one level');
  return level;
}

export interface FormatLevelAt {
  readonly index: LogIndex;
  readonly level: number;
}

/** What was found of it when a log was opened. */
export interface OpenedFormatLevel {
  /** Known to be committed. */
  readonly level: number;
  /** The highest that was ever in this log. */
  readonly written: number;
  /** Raises that were found in the log, and may not be committed; ascending. */
  readonly raises: readonly FormatLevelAt[];
}

/** The level of one log, as far as it is committed, and what may come to be. */
export class FormatLevels {
  #level: number;
  #written: number;
  /** Raises that are in the log and not committed, ascending. */
  #pending: FormatLevelAt[];

  constructor({ level, written, raises }: OpenedFormatLevel) {
    this.#level = level;
    this.#pending = [...raises];
    this.#written = Math.max(level, written, ...raises.map((raise) => raise.level));
  }

  /** In force: committed. */
  get level(): number {
    return this.#level;
  }
  /** The highest that any entry ever in this log asks for. It outlives a truncation: the disk may remember what was there. */
  get written(): number {
    return this.#written;
  }
  /** A raise is in the log and not committed yet. */
  get isPending(): boolean {
    return this.#pending.length > 0;
  }

  /** The entry stands in the log now. */
  append(entry: Pick<Entry, 'index' | 'kind' | 'payload'>): void {
    this.#written = Math.max(this.#written, levelOfKind[entry.kind]);
    if (entry.kind !== 'format-level') return;
    const level = decodeFormatLevel(entry.payload);
    this.#pending.push({ index: entry.index, level });
    this.#written = Math.max(this.#written, level);
  }

  /** Entries from `from` on are gone. */
  truncate(from: LogIndex): void {
    this.#pending = this.#pending.filter(({ index }) => index < from);
  }

  /** A base stands in the place of all entries. What it says is committed. */
  install(level: number): void {
    this.#level = Math.max(this.#level, level);
    this.#written = Math.max(this.#written, level);
    this.#pending = [];
  }

  commitTo(commit: LogIndex): void {
    for (const { index, level } of this.#pending) if (index <= commit) this.#level = Math.max(this.#level, level);
    this.#pending = this.#pending.filter(({ index }) => index > commit);
  }
}
