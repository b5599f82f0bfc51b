/** The one sentence with which a node stops after a write that failed: nothing is tried again (protocol A5). */
import { DiskError } from '../platform/disk-error.ts';

/** @param what could not be written: `the log`, `the hard state` */
export function writeFailure(what: string, cause: unknown): Error {
  const isFull = cause instanceof DiskError && cause.code === 'full';
  const advice = isFull
    ? `the disk is full: start the node again, it opens with its ballast and takes data once space is free`
    : 'restart the node once its disk is sound';
  return new Error(`${what} could not be written; ${advice}`, { cause });
}
