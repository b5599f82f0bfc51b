/** Reads one block. Opens only the frames it needs, and gives spans back in the bytes they came in, as `TracesData`. */
import type { Codec } from '../platform/codec.ts';
import { crc32 } from '../platform/digest.ts';
import {
  type BlockHeader,
  frameRecordBytes,
  headerAt,
  readBlockHeader,
  sectionHeadBytes,
  sectionTags,
} from './block.ts';
import { DamagedError } from './damaged.ts';
import { type Fingerprint, fingerprintBytes, readFingerprint } from './fingerprint.ts';
import { viewOf } from './record.ts';
import { encodeTracesData, type SharedSpans } from './traces-data.ts';
import { VarintReader } from './varint.ts';

interface Frame {
  readonly at: number;
  readonly rawBytes: number;
  readonly bytes: number;
  readonly checksum: number;
  /** Its slices are [firstSlice, sliceEnd). */
  readonly firstSlice: number;
  readonly sliceEnd: number;
}

type Part = Pick<SharedSpans, 'resourcePart' | 'scopePart'>;

/** Every method throws `DamagedError` when the block is not what was written. */
export class BlockReader {
  readonly header: BlockHeader;
  readonly #payload: Uint8Array;
  readonly #codec: Codec;
  readonly #frames: Frame[] = [];
  readonly #fingerprints: DataView;
  readonly #lengths: Uint32Array;
  /** Raw bytes of the last frame, once it was opened: it holds the parts, and perhaps slices. */
  #lastRaw: Uint8Array | null = null;
  #parts: readonly Part[] | null = null;

  /** Checks header and directory; throws like `readBlockHeader`. */
  constructor(payload: Uint8Array, codec: Codec) {
    this.header = readBlockHeader(payload);
    this.#payload = payload;
    this.#codec = codec;
    const sections = this.#readSections();
    this.#fingerprints = viewOf(sections.get(sectionTags.fingerprints) ?? this.#damaged('it names no traces'));
    if (this.#fingerprints.byteLength % fingerprintBytes !== 0) this.#damaged('its list of traces is cut');
    this.#lengths = this.#readLengths(sections.get(sectionTags.lengths) ?? this.#damaged('it has no slice lengths'));
    this.#readFrames(sections.get(sectionTags.frames) ?? this.#damaged('it lists no frames'));
  }

  /** The traces in the block, for the index; one too large for a frame comes more than once. */
  *fingerprints(): Generator<Fingerprint> {
    for (let slice = 0; slice < this.#lengths.length; slice += 1) yield this.#fingerprintAt(slice);
  }

  /**
   * `TracesData` messages with all spans of the traces that have this fingerprint; none when the block has none. A job that can
   * pause after each frame it opens: there a message is given, or null when the next one is not full yet.
   */
  *slicesOf(fingerprint: Fingerprint): Generator<Uint8Array | null, void, void> {
    let gathered = new GatheredSpans();
    for (const frame of this.#frames) {
      let raw: Uint8Array | null = null;
      let offset = 0;
      for (let slice = frame.firstSlice; slice < frame.sliceEnd; slice += 1) {
        const length = this.#lengths[slice] as number;
        if (this.#fingerprintAt(slice) === fingerprint) {
          raw ??= this.#open(frame);
          this.#gather(raw.subarray(offset, offset + length), gathered);
        }
        offset += length;
      }
      if (raw === null) continue;
      yield gathered.isFull ? gathered.encode() : null;
      if (gathered.isFull) gathered = new GatheredSpans();
    }
    if (!gathered.isEmpty) yield gathered.encode();
  }

  /** Every slice with its trace, in the order of the block: for search and scrub. Keeps one frame at a time. */
  *slices(): Generator<{ readonly fingerprint: Fingerprint; readonly slice: Uint8Array }> {
    for (const frame of this.#frames) {
      const raw = this.#decompress(frame);
      let offset = 0;
      for (let slice = frame.firstSlice; slice < frame.sliceEnd; slice += 1) {
        const end = offset + (this.#lengths[slice] as number);
        yield { fingerprint: this.#fingerprintAt(slice), slice: this.#decodeSlice(raw.subarray(offset, end)) };
        offset = end;
      }
    }
  }

  /** Checks every frame's checksum without decompressing it: for a block that came from another node. */
  verifyFrames(): void {
    for (const frame of this.#frames) this.#compressed(frame);
  }

  #fingerprintAt(slice: number): Fingerprint {
    return readFingerprint(this.#fingerprints, slice * fingerprintBytes);
  }

  #decodeSlice(slice: Uint8Array): Uint8Array {
    const gathered = new GatheredSpans();
    this.#gather(slice, gathered);
    return gathered.encode();
  }

  #gather(slice: Uint8Array, gathered: GatheredSpans): void {
    const parts = this.#openParts();
    const reader = new VarintReader(slice);
    while (!reader.atEnd) {
      const number = reader.next();
      const span = reader.take(reader.next());
      const part = parts[number];
      if (!reader.ok || part === undefined) this.#damaged('a slice does not hold whole spans');
      gathered.add(number, part, span);
    }
  }

  #openParts(): readonly Part[] {
    if (this.#parts !== null) return this.#parts;
    const frame = this.#frames.at(-1);
    if (frame === undefined) return [];
    const reader = new VarintReader(this.#open(frame), this.#sliceBytesOf(frame));
    const parts = [];
    while (!reader.atEnd) {
      parts.push({ resourcePart: reader.take(reader.next()), scopePart: reader.take(reader.next()) });
    }
    if (!reader.ok) this.#damaged('its parts are cut');
    this.#parts = parts;
    return parts;
  }

  #open(frame: Frame): Uint8Array {
    if (frame !== this.#frames.at(-1)) return this.#decompress(frame);
    this.#lastRaw ??= this.#decompress(frame);
    return this.#lastRaw;
  }

  #decompress(frame: Frame): Uint8Array {
    const compressed = this.#compressed(frame);
    try {
      return this.#codec.decompress(compressed, frame.rawBytes);
    } catch (error) {
      throw new DamagedError(`block ${this.header.id}`, 'a frame cannot be decompressed', { cause: error });
    }
  }

  #compressed(frame: Frame): Uint8Array {
    const compressed = this.#payload.subarray(frame.at, frame.at + frame.bytes);
    if (crc32(compressed) !== frame.checksum) this.#damaged("a frame's checksum does not match");
    return compressed;
  }

  #readSections(): Map<number, Uint8Array> {
    const sections = new Map<number, Uint8Array>();
    const { headBytes } = this.header;
    const view = viewOf(this.#payload);
    let at: number = headerAt.end;
    while (at < headBytes) {
      const start = at + sectionHeadBytes;
      const end = start > headBytes ? Infinity : start + view.getUint32(at + 1);
      if (end > headBytes) this.#damaged('a section reaches behind its directory');
      sections.set(view.getUint8(at), this.#payload.subarray(start, end));
      at = end;
    }
    return sections;
  }

  #readLengths(section: Uint8Array): Uint32Array {
    const lengths = new Uint32Array(this.#fingerprints.byteLength / fingerprintBytes);
    const reader = new VarintReader(section);
    for (let slice = 0; slice < lengths.length; slice += 1) lengths[slice] = reader.next();
    if (!reader.ok || reader.at !== section.length) this.#damaged('its slice lengths do not match its list of traces');
    return lengths;
  }

  #readFrames(section: Uint8Array): void {
    const view = viewOf(section);
    let at = this.header.headBytes;
    let firstSlice = 0;
    for (let record = 0; record + frameRecordBytes <= section.length; record += frameRecordBytes) {
      const bytes = view.getUint32(record + 4);
      const sliceEnd = firstSlice + view.getUint32(record + 12);
      const rawBytes = view.getUint32(record);
      const frame = { at, rawBytes, bytes, checksum: view.getUint32(record + 8), firstSlice, sliceEnd };
      const isLast = record + frameRecordBytes === section.length;
      const sliceBytes = this.#sliceBytesOf(frame);
      if (isLast ? sliceBytes > rawBytes : sliceBytes !== rawBytes)
        this.#damaged('the slices of a frame do not fill it');
      this.#frames.push(frame);
      at += bytes;
      firstSlice = sliceEnd;
    }
    if (at !== this.#payload.length) this.#damaged('its frames do not end where it does');
    if (firstSlice !== this.#lengths.length) this.#damaged('its frames do not hold all of its slices');
  }

  #sliceBytesOf({ firstSlice, sliceEnd }: Frame): number {
    let bytes = 0;
    for (let slice = firstSlice; slice < sliceEnd; slice += 1) bytes += this.#lengths[slice] ?? Infinity;
    return bytes;
  }

  #damaged(what: string): never {
    throw new DamagedError(`block ${this.header.id}`, what);
  }
}

/** Spans on their way into one message. */
class GatheredSpans {
  readonly #byPart = new Map<number, SharedSpans>();
  #spanBytes = 0;
  #partBytes = 0;

  add(number: number, part: Part, span: Uint8Array): void {
    const shared = this.#byPart.get(number);
    if (shared === undefined) {
      this.#byPart.set(number, { ...part, spans: [span] });
      this.#partBytes += part.resourcePart.length + part.scopePart.length;
    } else shared.spans.push(span);
    this.#spanBytes += span.length;
  }

  get isEmpty(): boolean {
    return this.#byPart.size === 0;
  }

  /** Every message repeats its parts. Where spans outweigh them, all messages of a block hold less than twice its bytes. */
  get isFull(): boolean {
    return this.#spanBytes > this.#partBytes;
  }

  encode(): Uint8Array {
    return encodeTracesData([...this.#byPart.values()]);
  }
}
