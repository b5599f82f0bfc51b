/**
 * A window of the index while it is in memory: the entries of about 8,000 traces (protocol F2). Columns of numbers, no object
 * per trace; work per trace and block.
 */
import type { EntryHash, LogIndex } from '../raft/core/types.ts';
import { asIndex } from '../raft/core/types.ts';
import { BloomFilter } from './bloom-filter.ts';
import { grown } from './columns.ts';
import { type Fingerprint, FingerprintTable } from './fingerprint.ts';
import { invariant } from './invariant.ts';
import { bucketCount, bucketOf, encodePostings, type Posting } from './postings.ts';

const none = -1;
/** Buckets encoded between two pauses. */
const bucketsPerStep = 8;
const tracesPerStep = 1_024;

export interface EncodedWindow {
  readonly filter: BloomFilter;
  /** Buckets that hold anything, ascending. */
  readonly buckets: readonly { readonly bucket: number; readonly postings: Uint8Array }[];
}

/** What retention counts of an entry, or of some that follow one another. */
export interface EntryWeight {
  /** What the log holds of it. */
  readonly bytes: number;
  /** The entry time, of the last one. */
  readonly timeMs: number;
}

export class IndexWindow {
  /** The first entry of the window; it covers all entries from there to `last`. */
  readonly first: LogIndex;
  #last: LogIndex;
  #lastHash: EntryHash;
  #bytes = 0;
  #firstTimeMs = 0;
  #timeMs = 0;
  readonly #traces = new FingerprintTable();
  // Per trace: the first and the last of its references, plus one, so that zero is none yet.
  #head = new Int32Array(64);
  #tail = new Int32Array(64);
  // Per reference: its entry as a distance from `first`, and the next one of the trace.
  #entry = new Uint32Array(256);
  #next = new Int32Array(256);
  #references = 0;

  /** An empty window that goes on after entry `applied`. */
  constructor(applied: LogIndex, hash: EntryHash) {
    this.first = asIndex(applied + 1);
    this.#last = applied;
    this.#lastHash = hash;
  }

  get last(): LogIndex {
    return this.#last;
  }
  get lastHash(): EntryHash {
    return this.#lastHash;
  }
  /** Of all its entries. */
  get weight(): EntryWeight {
    return { bytes: this.#bytes, timeMs: this.#timeMs };
  }
  /** The entry time of the first one. */
  get firstTimeMs(): number {
    return this.#firstTimeMs;
  }
  get traceCount(): number {
    return this.#traces.size;
  }
  /** Entries covered, those without traces included. */
  get entryCount(): number {
    return this.#last - this.first + 1;
  }

  /** Adds the entry after `last`. A fingerprint may come more than once. */
  add(index: LogIndex, hash: EntryHash, fingerprints: Iterable<Fingerprint>, weight: EntryWeight): void {
    invariant(index === this.#last + 1, `entry ${index} does not follow entry ${this.#last} in the index`);
    if (index === this.first) this.#firstTimeMs = weight.timeMs;
    this.#bytes += weight.bytes;
    this.#timeMs = weight.timeMs;
    this.#last = index;
    this.#lastHash = hash;
    const entry = index - this.first;
    for (const fingerprint of fingerprints) this.#addReference(this.#traces.add(fingerprint), entry);
  }

  #addReference(trace: number, entry: number): void {
    if (trace === this.#head.length) {
      this.#head = grown(this.#head);
      this.#tail = grown(this.#tail);
    }
    const last = (this.#tail[trace] as number) - 1;
    if (last !== none && this.#entry[last] === entry) return;
    const reference = this.#references;
    if (reference === this.#entry.length) {
      this.#entry = grown(this.#entry);
      this.#next = grown(this.#next);
    }
    this.#entry[reference] = entry;
    this.#next[reference] = none;
    if (last === none) this.#head[trace] = reference + 1;
    else this.#next[last] = reference;
    this.#tail[trace] = reference + 1;
    this.#references = reference + 1;
  }

  /** The entries that hold the trace, ascending. */
  find(fingerprint: Fingerprint): LogIndex[] {
    const trace = this.#traces.find(fingerprint);
    return trace === none ? [] : this.#indicesOf(trace);
  }

  /** All of it, in no order. Traces and entries may come in meanwhile. */
  *postings(): Generator<Posting> {
    for (let trace = 0; trace < this.#traces.size; trace += 1)
      yield { fingerprint: this.#traces.at(trace), indices: this.#indicesOf(trace) };
  }

  #indicesOf(trace: number): LogIndex[] {
    const indices: LogIndex[] = [];
    for (
      let reference = (this.#head[trace] as number) - 1;
      reference !== none;
      reference = this.#next[reference] as number
    ) {
      indices.push(asIndex(this.first + (this.#entry[reference] as number)));
    }
    return indices;
  }

  /** Encodes the window for the disk, with pauses; it must not change meanwhile. */
  *encoding(): Generator<void, EncodedWindow, void> {
    const filter = BloomFilter.for(this.#traces.size);
    const byBucket: number[][] = Array.from({ length: bucketCount }, () => []);
    for (let trace = 0; trace < this.#traces.size; trace += 1) {
      const fingerprint = this.#traces.at(trace);
      filter.add(fingerprint);
      byBucket[bucketOf(fingerprint)]?.push(trace);
      if (trace % tracesPerStep === 0) yield;
    }
    const buckets: { bucket: number; postings: Uint8Array }[] = [];
    for (const [bucket, traces] of byBucket.entries()) {
      if (traces.length > 0) {
        const postings = traces
          .map((trace) => ({ fingerprint: this.#traces.at(trace), indices: this.#indicesOf(trace) }))
          .toSorted((one, other) => one.fingerprint - other.fingerprint);
        buckets.push({ bucket, postings: encodePostings(postings, this.first) });
      }
      if (bucket % bucketsPerStep === 0) yield;
    }
    return { filter, buckets };
  }
}
