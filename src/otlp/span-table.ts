/**
 * The spans of one export as a struct of arrays: one typed array per fact, so that half a million spans cost no object
 * each.
 *
 * Always holds: all columns have the same length; start <= traceIdAt, spanIdAt < end.
 */
import type { SpanScanner } from './span-scan.ts';

/** The accepted spans in order of the request, one column per fact. Offsets count from the start of the request. */
export interface SpanTable {
  /** Index into `groups`. */
  readonly group: Uint32Array;
  /** The span message, without tag and length, is request[start, end). */
  readonly start: Uint32Array;
  readonly end: Uint32Array;
  /** Where the 16 bytes of the trace id and the 8 bytes of the span id begin. */
  readonly traceIdAt: Uint32Array;
  readonly spanIdAt: Uint32Array;
  /** start_time_unix_nano and end_time_unix_nano as halves: high * 2^32 + low. */
  readonly startTimeHigh: Uint32Array;
  readonly startTimeLow: Uint32Array;
  readonly endTimeHigh: Uint32Array;
  readonly endTimeLow: Uint32Array;
}

/** Rows to start with for a request of `bytes`: enough for typical spans, never a large share of the request. */
function expectedRows(bytes: number): number {
  return Math.min(Math.max(bytes >>> 8, 8), 1 << 16);
}

/** The growing span table. */
export class SpanColumns implements SpanTable {
  length = 0;
  group: Uint32Array;
  start: Uint32Array;
  end: Uint32Array;
  traceIdAt: Uint32Array;
  spanIdAt: Uint32Array;
  startTimeHigh: Uint32Array;
  startTimeLow: Uint32Array;
  endTimeHigh: Uint32Array;
  endTimeLow: Uint32Array;

  /** Empty, for a request of `requestBytes`. */
  constructor(requestBytes: number) {
    const rows = expectedRows(requestBytes);
    this.group = new Uint32Array(rows);
    this.start = new Uint32Array(rows);
    this.end = new Uint32Array(rows);
    this.traceIdAt = new Uint32Array(rows);
    this.spanIdAt = new Uint32Array(rows);
    this.startTimeHigh = new Uint32Array(rows);
    this.startTimeLow = new Uint32Array(rows);
    this.endTimeHigh = new Uint32Array(rows);
    this.endTimeLow = new Uint32Array(rows);
  }

  /** Adds a row for the span in [start, end) of the request, as scanned. */
  add(group: number, start: number, end: number, scanned: SpanScanner): void {
    const row = this.length;
    if (row === this.group.length) this.#map(doubled);
    this.group[row] = group;
    this.start[row] = start;
    this.end[row] = end;
    this.traceIdAt[row] = scanned.traceIdAt;
    this.spanIdAt[row] = scanned.spanIdAt;
    this.startTimeHigh[row] = scanned.startTimeHigh;
    this.startTimeLow[row] = scanned.startTimeLow;
    this.endTimeHigh[row] = scanned.endTimeHigh;
    this.endTimeLow[row] = scanned.endTimeLow;
    this.length = row + 1;
  }

  /** Cuts the columns to their length. */
  trim(): SpanTable {
    this.#map((column) => column.subarray(0, this.length));
    return this;
  }

  #map(change: (column: Uint32Array) => Uint32Array): void {
    this.group = change(this.group);
    this.start = change(this.start);
    this.end = change(this.end);
    this.traceIdAt = change(this.traceIdAt);
    this.spanIdAt = change(this.spanIdAt);
    this.startTimeHigh = change(this.startTimeHigh);
    this.startTimeLow = change(this.startTimeLow);
    this.endTimeHigh = change(this.endTimeHigh);
    this.endTimeLow = change(this.endTimeLow);
  }
}

/** The column with room for as many rows again. */
export function doubled(column: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(column.length * 2);
  larger.set(column);
  return larger;
}
