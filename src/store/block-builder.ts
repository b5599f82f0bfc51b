/**
 * Builds one block out of concurrent exports (design 2). On the hot path of every span: columns of numbers, no object per
 * span; the bytes of a span are copied once, from the request into its frame.
 *
 *   exports come in -> spans are chained per trace -> seal: per trace one slice, slices fill frames, frames are compressed
 */
import { limits } from '../limits.ts';
import type { Codec } from '../platform/codec.ts';
import { blockIdFrom } from './block.ts';
import { encodeBlock } from './block-encoding.ts';
import { grown } from './columns.ts';
import { fingerprintAt, FingerprintTable } from './fingerprint.ts';
import { FrameWriter } from './frame-writer.ts';
import { invariant } from './invariant.ts';
import { none, type Part, PartTable } from './part-table.ts';
import { viewOf } from './record.ts';

/** What the builder needs of a walked export (`WalkedExport`). Columns have one value per span. */
export interface WalkedSpans {
  readonly spanCount: number;
  readonly groups: readonly Part[];
  readonly spans: {
    readonly group: Uint32Array;
    readonly start: Uint32Array;
    readonly end: Uint32Array;
    readonly traceIdAt: Uint32Array;
    readonly startTimeHigh: Uint32Array;
    readonly startTimeLow: Uint32Array;
    readonly endTimeHigh: Uint32Array;
    readonly endTimeLow: Uint32Array;
  };
}

export interface SealedBlock {
  readonly id: string;
  readonly payload: Uint8Array;
  readonly spanCount: number;
  /** Bytes of all frames before compression. */
  readonly rawBytes: number;
}

export interface BlockBuilderOptions {
  readonly codec: Codec;
  /** 32 hex digits. With the counter given to `seal` it must name a block once and for all: take a new one at every start. */
  readonly builder: string;
  readonly blockRawBytesTarget?: number;
  readonly frameRawBytesTarget?: number;
}

/** Part number and length in front of a span, at most. */
const spanOverheadBytesMax = 7;
/** A builder with columns for more spans is not used again. */
const reusedSpansMax = 32_768;

export class BlockBuilder {
  readonly #codec: Codec;
  readonly #builder: string;
  readonly #rawBytesTarget: number;
  readonly #frameBytesTarget: number;
  #parts = new PartTable();
  /** Per group of every export taken. */
  #groups: { readonly request: Buffer; readonly part: number }[] = [];
  readonly #traces = new FingerprintTable();
  // Per trace: the rows of the first and the last span of its chain, plus one, so that zero is none yet; its bytes at most.
  #head = new Int32Array(64);
  #tail = new Int32Array(64);
  #traceBytes = new Int32Array(64);
  // Per span.
  #group = new Int32Array(256);
  #start = new Int32Array(256);
  #end = new Int32Array(256);
  #next = new Int32Array(256);
  #spanCount = 0;
  #rawBytes = 0;
  #minStart = { high: 0xffff_ffff, low: 0xffff_ffff };
  #maxEnd = { high: 0, low: 0 };
  /** Where frames are put together. */
  readonly #frameRoom: Buffer;

  constructor(options: BlockBuilderOptions) {
    invariant(/^[0-9a-f]{32}$/.test(options.builder), 'a builder is named by 32 hex digits');
    this.#codec = options.codec;
    this.#builder = options.builder;
    this.#rawBytesTarget = options.blockRawBytesTarget ?? limits.blockRawBytesTarget;
    this.#frameBytesTarget = options.frameRawBytesTarget ?? limits.frameRawBytesTarget;
    this.#frameRoom = Buffer.allocUnsafeSlow(this.#frameBytesTarget);
  }

  /** Ready for another block, with the memory of the one that was sealed; false when that was so large that it had better be given up. */
  reuse(): boolean {
    if (this.#group.length > reusedSpansMax) return false;
    this.#parts = new PartTable();
    this.#groups = [];
    this.#traces.clear();
    this.#head.fill(0);
    this.#tail.fill(0);
    this.#traceBytes.fill(0);
    this.#spanCount = 0;
    this.#rawBytes = 0;
    this.#minStart = { high: 0xffff_ffff, low: 0xffff_ffff };
    this.#maxEnd = { high: 0, low: 0 };
    return true;
  }

  /** What the frames will hold before compression, at most. */
  get rawBytes(): number {
    return this.#rawBytes;
  }
  get spanCount(): number {
    return this.#spanCount;
  }
  get isEmpty(): boolean {
    return this.#spanCount === 0;
  }

  /**
   * Takes spans of `walked`, from number `from` on, as long as they fit; an empty block takes one of any size. Returns the number
   * of the first span not taken: `walked.spanCount` when all are in, else seal and go on with it in the next block.
   * `request` must not change before that.
   */
  add(request: Uint8Array, walked: WalkedSpans, from = 0): number {
    const { group, start, end, traceIdAt } = walked.spans;
    const buffer = Buffer.from(request.buffer, request.byteOffset, request.length);
    const view = viewOf(request);
    let walkedGroup = none;
    let span = from;
    for (; span < walked.spanCount; span += 1) {
      const newGroup = group[span] !== walkedGroup ? walked.groups[group[span] as number] : undefined;
      const bytes = (end[span] as number) - (start[span] as number) + spanOverheadBytesMax;
      const known = newGroup === undefined ? none : this.#parts.find(newGroup);
      const partBytes =
        newGroup === undefined || known !== none
          ? 0
          : newGroup.resourcePart.length + newGroup.scopePart.length + spanOverheadBytesMax;
      if (this.#rawBytes + bytes + partBytes > this.#rawBytesTarget && this.#spanCount > 0) break;
      if (newGroup !== undefined) {
        walkedGroup = group[span] as number;
        this.#groups.push({ request: buffer, part: known === none ? this.#parts.add(newGroup) : known });
        this.#rawBytes += partBytes;
      }
      const row = this.#addRow();
      this.#group[row] = this.#groups.length - 1;
      this.#start[row] = start[span] as number;
      this.#end[row] = end[span] as number;
      this.#chain(this.#traces.add(fingerprintAt(view, traceIdAt[span] as number)), row, bytes);
      this.#rawBytes += bytes;
      this.#noteTimes(walked.spans, span);
    }
    return span;
  }

  #addRow(): number {
    const row = this.#spanCount;
    if (row === this.#group.length) {
      this.#group = grown(this.#group);
      this.#start = grown(this.#start);
      this.#end = grown(this.#end);
      this.#next = grown(this.#next);
    }
    this.#spanCount = row + 1;
    return row;
  }

  /** Adds a span to the end of its trace's chain. */
  #chain(trace: number, row: number, bytes: number): void {
    if (trace === this.#head.length) {
      this.#head = grown(this.#head);
      this.#tail = grown(this.#tail);
      this.#traceBytes = grown(this.#traceBytes);
    }
    const last = (this.#tail[trace] as number) - 1;
    this.#next[row] = none;
    if (last === none) this.#head[trace] = row + 1;
    else this.#next[last] = row;
    this.#tail[trace] = row + 1;
    this.#traceBytes[trace] = (this.#traceBytes[trace] as number) + bytes;
  }

  #noteTimes(spans: WalkedSpans['spans'], span: number): void {
    const startHigh = spans.startTimeHigh[span] as number;
    const startLow = spans.startTimeLow[span] as number;
    const minStart = this.#minStart;
    if (startHigh < minStart.high || (startHigh === minStart.high && startLow < minStart.low)) {
      minStart.high = startHigh;
      minStart.low = startLow;
    }
    const endHigh = spans.endTimeHigh[span] as number;
    const endLow = spans.endTimeLow[span] as number;
    const maxEnd = this.#maxEnd;
    if (endHigh > maxEnd.high || (endHigh === maxEnd.high && endLow > maxEnd.low)) {
      maxEnd.high = endHigh;
      maxEnd.low = endLow;
    }
  }

  /** Makes the block at once. A full one takes about 15 ms: see `sealing`. */
  seal(counter: number): SealedBlock {
    const job = this.sealing(counter);
    for (;;) {
      const step = job.next();
      if (step.done === true) return step.value;
    }
  }

  /** The same as a job for `Executor.run`, which may pause after every frame. Nothing may be added meanwhile, or afterwards. */
  *sealing(counter: number): Generator<void, SealedBlock, void> {
    invariant(!this.isEmpty, 'a block holds spans');
    invariant(Number.isSafeInteger(counter) && counter >= 0, `not a block counter: ${counter}`);
    const frames = new FrameWriter(this.#codec, this.#frameBytesTarget, this.#frameRoom);
    for (let trace = 0; trace < this.#traces.size; trace += 1) {
      if (frames.makeRoom(this.#traceBytes[trace] as number)) yield;
      yield* this.#writeTrace(trace, frames);
    }
    frames.finish(this.#parts.parts);
    const payload = encodeBlock({
      builder: this.#builder,
      counter,
      spanCount: this.#spanCount,
      minStart: this.#minStart,
      maxEnd: this.#maxEnd,
      traces: this.#traces,
      frames,
    });
    return {
      id: blockIdFrom(this.#builder, counter),
      payload,
      spanCount: this.#spanCount,
      rawBytes: frames.rawBytesClosed,
    };
  }

  /** Writes the trace as one slice, or as several when it is larger than a frame. */
  *#writeTrace(trace: number, frames: FrameWriter): Generator<void, void, void> {
    for (let row = (this.#head[trace] as number) - 1; row !== none; row = this.#next[row] as number) {
      const start = this.#start[row] as number;
      const end = this.#end[row] as number;
      if (frames.sliceBytes > 0 && frames.wouldExceed(end - start + spanOverheadBytesMax)) {
        frames.endSlice(trace);
        frames.close();
        yield;
      }
      const group = this.#groups[this.#group[row] as number];
      invariant(group !== undefined, 'every span has a group');
      frames.span(group.part, group.request, start, end);
    }
    frames.endSlice(trace);
  }
}
