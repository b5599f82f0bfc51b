/**
 * How much space is enough (protocol A5). What counts is the space that is left once the ballast is whole:
 *
 *   0 <= reserve mark <= low mark
 *
 * - below the low mark, 5 % of the disk, a node takes no data from clients and, as leader, none into the log;
 * - below the reserve mark it does not even append the blocks of others: that space is for opening, hard state, trims and
 *   changes of the members. So a disk that fills slowly never stops a node.
 *
 * On disks of less than 1.25 GiB the marks are absolute, and in proportion below 1 GiB: 5 % of little is too little for what
 * LevelDB writes in one go.
 */
import { limits } from '../limits.ts';
import { type SpaceLevel, spaceLevels, type SpaceSeen } from '../platform/disk-space.ts';

const share = (totalBytes: number, part: number, bytesMax: number): number =>
  Math.floor(Math.min(bytesMax, totalBytes / part));

/** The ballast of a disk of this size. */
export const ballastBytesFor = (totalBytes: number): number => share(totalBytes, 16, limits.ballastBytes);

/** Free space without which the data directory is not opened: LevelDB writes its last tables anew. */
export const openBytesFor = (totalBytes: number): number => share(totalBytes, 16, limits.spaceReserveBytes);

/** Below it a node takes no data. */
export const lowMarkOf = (totalBytes: number): number =>
  Math.max((totalBytes * limits.spaceLowPercent) / 100, share(totalBytes, 8, limits.spaceLowBytesMin));

const reserveMarkOf = openBytesFor;
/** What has been too little must become so much more before it is enough again. */
const returnFactor = 1.2;

/** The space that may be used: what is free, less what the ballast lacks. */
function usableBytes({ freeBytes, totalBytes, ballastBytes }: SpaceSeen): number {
  return freeBytes - Math.max(0, ballastBytesFor(totalBytes) - ballastBytes);
}

/** @param before the level until now */
export function spaceLevelOf(seen: SpaceSeen, before: SpaceLevel): SpaceLevel {
  if (seen.totalBytes === 0) return 'ample';
  const usable = usableBytes(seen);
  const isBelow = (mark: number, level: SpaceLevel): boolean =>
    usable < mark * (spaceLevels.indexOf(before) >= spaceLevels.indexOf(level) ? returnFactor : 1);
  if (isBelow(reserveMarkOf(seen.totalBytes), 'reserve')) return 'reserve';
  return isBelow(lowMarkOf(seen.totalBytes), 'low') ? 'low' : 'ample';
}
