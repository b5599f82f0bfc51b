/** CRC-32C (Castagnoli), which LevelDB's files carry; Node.js has no other one than zlib's. Eight bytes at a time. */

const polynomial = 0x82f63b78;
const width = 8;

/** `tables[k][byte]`: what `byte` does to the checksum when k more bytes follow it. */
const tables = Array.from({ length: width }, () => new Int32Array(256));
for (let byte = 0; byte < 256; byte += 1) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
  (tables[0] as Int32Array)[byte] = crc;
}
for (let k = 1; k < width; k += 1) {
  for (let byte = 0; byte < 256; byte += 1) {
    const before = (tables[k - 1] as Int32Array)[byte] as number;
    (tables[k] as Int32Array)[byte] = (before >>> 8) ^ ((tables[0] as Int32Array)[before & 255] as number);
  }
}
const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];
const at = (table: Int32Array, byte: number): number => table[byte & 255] as number;

export function crc32c(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let crc = -1;
  let offset = 0;
  for (; offset + width <= bytes.length; offset += width) {
    const low = view.getInt32(offset, true) ^ crc;
    const high = view.getInt32(offset + 4, true);
    crc =
      at(t7, low) ^
      at(t6, low >>> 8) ^
      at(t5, low >>> 16) ^
      at(t4, low >>> 24) ^
      at(t3, high) ^
      at(t2, high >>> 8) ^
      at(t1, high >>> 16) ^
      at(t0, high >>> 24);
  }
  for (; offset < bytes.length; offset += 1) crc = (crc >>> 8) ^ at(t0, crc ^ (bytes[offset] as number));
  return (crc ^ -1) >>> 0;
}

/** LevelDB stores checksums masked: one of bytes that hold checksums would be weak. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
