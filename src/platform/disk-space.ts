/**
 * The space under the data directory, as a seam, and the ballast in it: a file that is there to be deleted once there is no
 * space left, so that a full disk can be opened, voted from, trimmed and left (protocol A5).
 */
export interface DiskSpace {
  /** What is there now. Rejects with a `DiskError`. */
  look(): Promise<SpaceSeen>;
  /**
   * Makes the ballast so much longer, by bytes that are really on the disk: neither a hole nor compressible. Rejects with a
   * `DiskError`; then there is no ballast.
   */
  addBallast(bytes: number): Promise<void>;
  /** Deletes the ballast; resolves when its space can be had. */
  releaseBallast(): Promise<void>;
}

export interface SpaceSeen {
  /** What this process may still write; the ballast is not in it. */
  readonly freeBytes: number;
  /** Of the whole file system; 0: it does not tell. */
  readonly totalBytes: number;
  readonly ballastBytes: number;
}

/** From much to little; what they mean is in src/traces/space-marks.ts. */
export const spaceLevels = ['ample', 'low', 'reserve'] as const;
export type SpaceLevel = (typeof spaceLevels)[number];
