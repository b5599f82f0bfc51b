/** The two ways in which stored bytes cannot be used. Neither is ever mistaken for absence, nor for the other. */
import type { LogIndex } from '../raft/core/types.ts';

/** Bytes that are not what was written: a checksum, a length, a hash or a whole record does not fit. */
export class DamagedError extends Error {
  override readonly name = 'DamagedError';
  /** The record: `entry 17 of the log`. */
  readonly where: string;
  /** What does not fit: `its checksum does not match`. */
  readonly what: string;

  constructor(where: string, what: string, options?: ErrorOptions) {
    super(`${where} is damaged: ${what}`, options);
    this.where = where;
    this.what = what;
  }
}

/** An entry inside the log, by its index: another node may have it (protocol A4). */
export class DamagedEntryError extends DamagedError {
  readonly index: LogIndex;

  constructor(index: LogIndex, what: string, options?: ErrorOptions) {
    super(`entry ${index} of the log`, what, options);
    this.index = index;
  }
}

/** Intact bytes of a newer format. An old binary must refuse them, never repair or cut them away (protocol B4). */
export class UnsupportedFormatError extends Error {
  override readonly name = 'UnsupportedFormatError';

  /** @param release the first one that can read it, where that is known */
  constructor(where: string, what: string, release?: string) {
    const start = release === undefined ? 'the version of Quorate that wrote it' : `Quorate ${release} or newer`;
    super(`${where} was written by a newer version (${what}); start ${start}`);
  }
}
