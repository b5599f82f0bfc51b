/** Something that a check of a data directory found, as `quorate verify` prints it. */
export interface Finding {
  readonly part: 'files' | 'hard state' | 'log' | 'index';
  /** `entry 17`. */
  readonly where: string;
  /** `its checksum does not match`. */
  readonly what: string;
}
