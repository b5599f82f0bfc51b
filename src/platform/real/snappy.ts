/** Decompresses a snappy block: LevelDB compresses the blocks of its tables so. Format: google/snappy, format_description.txt. */

/** The raw bytes. Throws a RangeError when they are not what the head of the block says. */
export function snappyDecompress(block: Uint8Array): Uint8Array {
  let at = 0;
  let rawBytes = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = block[at];
    if (byte === undefined || scale > 128 ** 4) throw new RangeError('a snappy block without a length');
    at += 1;
    rawBytes += (byte & 127) * scale;
    if (byte < 128) break;
  }
  const little = (bytes: number): number => {
    let value = 0;
    for (let k = 0; k < bytes; k += 1) value += (block[at + k] ?? 0) * 256 ** k;
    at += bytes;
    return value;
  };
  const raw = new Uint8Array(rawBytes);
  let filled = 0;
  while (at < block.length) {
    const tag = block[at] as number;
    at += 1;
    const upper = tag >>> 2;
    if ((tag & 3) === 0) {
      const length = 1 + (upper < 60 ? upper : little(upper - 59));
      if (at + length > block.length) throw new RangeError('a snappy block is cut');
      raw.set(block.subarray(at, at + length), filled);
      at += length;
      filled += length;
      continue;
    }
    const length = (tag & 3) === 1 ? 4 + (upper & 7) : 1 + upper;
    const offset = (tag & 3) === 1 ? (upper >>> 3) * 256 + little(1) : little((tag & 3) === 2 ? 2 : 4);
    if (offset === 0 || offset > filled || filled + length > rawBytes)
      throw new RangeError('a snappy copy from nowhere');
    // Byte by byte: a copy may overlap what it makes.
    for (let k = 0; k < length; k += 1) raw[filled + k] = raw[filled + k - offset] as number;
    filled += length;
  }
  if (filled !== rawBytes) throw new RangeError('a snappy block is shorter than it says');
  return raw;
}
