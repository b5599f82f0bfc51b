/**
 * What went wrong with the data directory, in one sentence that tells the operator what to do.
 * Every implementation of Disk, KeyValue and SlotFile rejects with this and nothing else.
 */
export type DiskErrorCode =
  /** Another process, or another handle of this one, has it open. */
  | 'locked'
  /** No right to write there. */
  | 'permission'
  /** A path that should be a directory is not one, or the other way round. */
  | 'not-a-directory'
  /** No space left (ENOSPC, EDQUOT). */
  | 'full'
  /** The operating system gave us too few of something, file descriptors for one. */
  | 'resources'
  /** The store says of itself that it is damaged. */
  | 'damaged'
  /** The device failed, or anything not named above. Also every call after a failed write (protocol A5). */
  | 'io';

export class DiskError extends Error {
  readonly code: DiskErrorCode;

  constructor(code: DiskErrorCode, sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? undefined : { cause });
    this.name = 'DiskError';
    this.code = code;
  }
}
