/**
 * The spans of one trace as they are found, one column per fact, so that 100,000 of them cost no object each: objects that
 * live as long as a lookup make the garbage collector stop everybody else.
 *
 * Always holds: slices[slice].subarray(start, end) is a whole span; part is a number in `parts`.
 */
import { doubled } from './span-table.ts';
import type { SpanGroup } from './walk.ts';

/** Resource and scope of spans, equal bytes under one number. */
export interface Part extends SpanGroup {
  /** Equal for parts whose resources have the same bytes. */
  readonly resource: number;
}

export class FoundSpans {
  length = 0;
  readonly slices: Buffer[] = [];
  readonly parts: Part[] = [];
  slice = new Uint32Array(256);
  start = new Uint32Array(256);
  end = new Uint32Array(256);
  part = new Uint32Array(256);
  /** Start time and span id, big-endian, in halves that compare as numbers. */
  timeHigh = new Uint32Array(256);
  timeLow = new Uint32Array(256);
  idHigh = new Uint32Array(256);
  idLow = new Uint32Array(256);
  readonly #partNumbers = new Map<string, number>();
  readonly #resourceNumbers = new Map<string, number>();

  /** The number of the slice, for the rows of its spans. */
  addSlice(slice: Uint8Array): number {
    return this.slices.push(Buffer.from(slice.buffer, slice.byteOffset, slice.length)) - 1;
  }

  /** The number of a part, a new one when its bytes were not seen before. */
  partNumber({ resourcePart, scopePart }: SpanGroup): number {
    const resourceKey = latin1(resourcePart);
    const key = `${resourceKey.length} ${resourceKey}${latin1(scopePart)}`;
    const known = this.#partNumbers.get(key);
    if (known !== undefined) return known;
    const resource = this.#resourceNumbers.get(resourceKey) ?? this.#resourceNumbers.size;
    this.#resourceNumbers.set(resourceKey, resource);
    this.#partNumbers.set(key, this.parts.length);
    return this.parts.push({ resourcePart, scopePart, resource }) - 1;
  }

  /** A new row, all zero. */
  addRow(): number {
    const row = this.length;
    if (row === this.slice.length) {
      this.slice = doubled(this.slice);
      this.start = doubled(this.start);
      this.end = doubled(this.end);
      this.part = doubled(this.part);
      this.timeHigh = doubled(this.timeHigh);
      this.timeLow = doubled(this.timeLow);
      this.idHigh = doubled(this.idHigh);
      this.idLow = doubled(this.idLow);
    }
    this.length = row + 1;
    return row;
  }

  sliceOf(row: number): Buffer {
    return this.slices[this.slice[row] as number] as Buffer;
  }

  partOf(row: number): Part {
    return this.parts[this.part[row] as number] as Part;
  }

  bytesOf(row: number): Uint8Array {
    return this.sliceOf(row).subarray(this.start[row], this.end[row]);
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
