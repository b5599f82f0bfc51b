/** The disk's own limit: what an append and its fdatasync take, by size, when nothing else writes. */
import { closeSync, fdatasyncSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { latency } from './statistics.ts';

const KiB = 1024;
/** A block of one export, a value of etcd, an export as it comes, a group of exports at peak. */
const probeSizes = [24 * KiB, 64 * KiB, 144 * KiB, 512 * KiB] as const;
/** The size whose median stands in the bar for ack latency. */
export const barProbe = probeSizes[0];

export interface DiskLimit {
  readonly bytes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly bytesPerSecond: number;
}

/** Appends `appends` times to a file of its own in `directory`, for each size. */
export function diskLimit(directory: string, appends: number): DiskLimit[] {
  return probeSizes.map((bytes) => {
    const path = join(directory, 'sync-probe');
    const file = openSync(path, 'a');
    const block = Buffer.alloc(bytes, 7);
    const samples: number[] = [];
    try {
      for (let n = 0; n < appends; n += 1) {
        const before = performance.now();
        writeSync(file, block);
        fdatasyncSync(file);
        samples.push(performance.now() - before);
      }
    } finally {
      closeSync(file);
      unlinkSync(path);
    }
    const { p50, p99 } = latency(samples);
    const total = samples.reduce((sum, ms) => sum + ms, 0);
    return { bytes, p50Ms: p50, p99Ms: p99, bytesPerSecond: (bytes * appends * 1_000) / total };
  });
}
