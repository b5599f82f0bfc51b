/**
 * Checks the files of a LevelDB store without opening it. LevelDB neither checks nor tells most damage (docs/disk-faults.md):
 * it skips what does not fit, deletes the files it then calls obsolete, serves what stands in a table, and where it has an
 * assertion it ends the process. Here every checksum that the files carry is compared, and nothing is written.
 *
 * Formats: https://github.com/google/leveldb/blob/1.20/doc/table_format.md and log_format.md.
 */
import { open, readdir, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { maskedCrc32c } from './crc32c.ts';
import { snappyDecompress } from './snappy.ts';
import { diskErrorOf } from './system-error.ts';

export interface FileFault {
  readonly file: string;
  /** What does not fit: `the block at byte 4096 fails its checksum`. */
  readonly what: string;
}

interface Progress {
  /** Bytes that were looked at since the last call. */
  readonly read?: (bytes: number) => void;
}

const footerBytes = 48;
const magic = Uint8Array.of(0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb);
/** Compression type and checksum behind every block of a table. */
const trailerBytes = 5;
const logBlockBytes = 32 * 1024;
const logHeaderBytes = 7;
const readBytes = 4 * 1024 * 1024;

/** The faults of every file of the store in `path`; none for a store that is not there. Rejects with a `DiskError`. */
export async function checkLevelFiles(path: string, progress: Progress = {}): Promise<FileFault[]> {
  try {
    const files = (await readdir(path).catch(ignoreAbsent)) ?? [];
    const faults: FileFault[] = [];
    for (const file of files.toSorted()) {
      const what = await checkFile(join(path, file), file, new Set(files), progress);
      faults.push(...what.map((each) => ({ file, what: each })));
    }
    const isStore = files.some((file) => /\.(log|ldb|sst)$|^MANIFEST-/.test(file));
    if (isStore && !files.includes('CURRENT')) faults.push({ file: 'CURRENT', what: 'it is missing' });
    return faults;
  } catch (error) {
    throw diskErrorOf(error, path);
  }
}

/** Bytes that `checkLevelFiles` will look at. */
export async function levelBytes(path: string): Promise<number> {
  const files = (await readdir(path).catch(ignoreAbsent)) ?? [];
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(path, file))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function checkFile(
  path: string,
  file: string,
  files: ReadonlySet<string>,
  progress: Progress,
): Promise<string[]> {
  if (file === 'CURRENT') return checkCurrent(path, files);
  const check = /\.(ldb|sst)$/.test(file) ? checkTable : /\.log$|^MANIFEST-/.test(file) ? checkLog : null;
  if (check === null) return [];
  const handle = await open(path, 'r');
  try {
    return await check(handle, progress);
  } finally {
    await handle.close();
  }
}

async function checkCurrent(path: string, files: ReadonlySet<string>): Promise<string[]> {
  const handle = await open(path, 'r');
  try {
    const text = (await handle.readFile()).toString('latin1');
    if (!/^MANIFEST-\d+\n$/.test(text)) return ['it does not name a MANIFEST'];
    return files.has(text.trim()) ? [] : [`it names ${text.trim()}, which is missing`];
  } finally {
    await handle.close();
  }
}

/** A write-ahead log or a MANIFEST: records with checksums in blocks of 32 KiB. Cut at its end it is as a crash leaves it. */
async function checkLog(handle: FileHandle, { read }: Progress): Promise<string[]> {
  const { size } = await handle.stat();
  const faults: string[] = [];
  for (let start = 0; start < size; start += readBytes) {
    const bytes = await readAt(handle, start, Math.min(readBytes, size - start));
    for (let block = 0; block < bytes.length; block += logBlockBytes) {
      const fault = faultOfLogBlock(bytes.subarray(block, block + logBlockBytes), start + block);
      if (fault !== null) faults.push(fault);
    }
    read?.(bytes.length);
  }
  return faults;
}

/** The first fault: LevelDB, too, passes over the rest of the block. */
function faultOfLogBlock(block: Buffer, offset: number): string | null {
  for (let at = 0; at + logHeaderBytes <= block.length;) {
    const length = block.readUInt16LE(at + 4);
    const end = at + logHeaderBytes + length;
    // A writer that knew the file's size left zeros behind its end.
    if (length === 0 && block[at + 6] === 0 && block.subarray(at).every((byte) => byte === 0)) {
      return block.length === logBlockBytes ? `the block at byte ${offset} has zeros for records` : null;
    }
    if (end > block.length)
      return block.length === logBlockBytes ? `a record at byte ${offset + at} is too long` : null;
    if (block.readUInt32LE(at) !== maskedCrc32c(block.subarray(at + 6, end))) {
      return `the record at byte ${offset + at} fails its checksum`;
    }
    at = end;
  }
  return null;
}

interface BlockHandle {
  readonly offset: number;
  readonly size: number;
}

/** A table: data blocks, meta blocks, their index, and a footer that says where those are. */
async function checkTable(handle: FileHandle, { read }: Progress): Promise<string[]> {
  const { size } = await handle.stat();
  if (size < footerBytes) return ['it is shorter than its footer'];
  const footer = await readAt(handle, size - footerBytes, footerBytes);
  if (!footer.subarray(footerBytes - magic.length).equals(magic)) return ['its footer is damaged'];
  const [metaIndex, index] = handlesIn(footer);
  if (metaIndex === undefined || index === undefined) return ['its footer is damaged'];
  const faults: string[] = [];
  /** A sound block with its trailer. */
  const blockAt = async ({ offset, size: bytes }: BlockHandle, what: string): Promise<Buffer | null> => {
    if (offset + bytes + trailerBytes > size - footerBytes) {
      faults.push(`${what} at byte ${offset} reaches behind its end`);
      return null;
    }
    const block = await readAt(handle, offset, bytes + trailerBytes);
    read?.(block.length);
    if (block.readUInt32LE(bytes + 1) === maskedCrc32c(block.subarray(0, bytes + 1))) return block;
    faults.push(`${what} at byte ${offset} fails its checksum`);
    return null;
  };
  for (const [where, what] of [
    [metaIndex, 'the filter'],
    [index, 'the block'],
  ] as const) {
    const block = await blockAt(where, 'the index of its blocks');
    if (block === null) continue;
    const handles = handlesOf(contentsOf(block));
    if (handles === null) faults.push(`the index of its blocks at byte ${where.offset} cannot be read`);
    for (const each of handles ?? []) await blockAt(each, what);
  }
  return faults;
}

/** What stands in a block, from its bytes and its trailer. Its checksum fits, so a compressed one can be decompressed. */
function contentsOf(block: Buffer): Buffer {
  const bytes = block.subarray(0, -trailerBytes);
  return block.at(-trailerBytes) === 1 ? Buffer.from(snappyDecompress(bytes).buffer) : bytes;
}

/** The values of an index block, which are handles; null when it makes no sense. */
function handlesOf(block: Buffer): BlockHandle[] | null {
  const handles: BlockHandle[] = [];
  if (block.length < 4) return null;
  const entriesEnd = block.length - 4 * (1 + block.readUInt32LE(block.length - 4));
  let at = 0;
  while (at < entriesEnd) {
    const lengths = varintsAt(block, at, 3);
    if (lengths === null) return null;
    const [, keyBytes = 0, valueBytes = 0] = lengths.values;
    const valueAt = lengths.end + keyBytes;
    at = valueAt + valueBytes;
    const [handle] = handlesIn(block.subarray(valueAt, at));
    if (handle === undefined) return null;
    handles.push(handle);
  }
  return at === entriesEnd ? handles : null;
}

/** The one or two handles that `bytes` begin with. */
function handlesIn(bytes: Buffer): BlockHandle[] {
  const numbers = varintsAt(bytes, 0, 4) ?? varintsAt(bytes, 0, 2);
  const [offset, size, secondOffset, secondSize] = numbers?.values ?? [];
  if (offset === undefined || size === undefined) return [];
  if (secondOffset === undefined || secondSize === undefined) return [{ offset, size }];
  return [
    { offset, size },
    { offset: secondOffset, size: secondSize },
  ];
}

function varintsAt(bytes: Buffer, from: number, count: number): { values: number[]; end: number } | null {
  const values: number[] = [];
  let at = from;
  for (let value = 0, scale = 1; values.length < count; at += 1) {
    const byte = bytes[at];
    if (byte === undefined || !Number.isSafeInteger(scale)) return null;
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte < 128) {
      values.push(value);
      value = 0;
      scale = 1;
    }
  }
  return { values, end: at };
}

async function readAt(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length;) {
    const { bytesRead } = await handle.read(bytes, at, length - at, offset + at);
    if (bytesRead === 0) throw new Error('the file became shorter while it was read');
    at += bytesRead;
  }
  return bytes;
}

function ignoreAbsent(error: unknown): null {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
  throw error;
}
