/** The two ways in which stored bytes cannot be used. Neither is ever mistaken for absence, nor for the other. */

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

/** Intact bytes of a newer format. An old binary must refuse them, never repair or cut them away (protocol B4). */
export class UnsupportedFormatError extends Error {
  override readonly name = 'UnsupportedFormatError';

  constructor(where: string, what: string) {
    super(`${where} was written by a newer version (${what}); start the version of Quorate that wrote it`);
  }
}
