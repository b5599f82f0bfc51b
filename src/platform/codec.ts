/** Compression, as a seam: zstd frames inside a block (protocol C5, I1). */
export interface Codec {
  /** One independent frame, made on the calling thread. For inputs up to about 150 KB (measurements d). */
  compress(raw: Uint8Array): Uint8Array;
  /** The raw bytes of a frame. Throws when the frame is damaged or does not hold exactly `rawBytes`. */
  decompress(frame: Uint8Array, rawBytes: number): Uint8Array;
}
