/** The real seams, on a temporary directory and the loopback. */
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { constants, deflateSync, zstdCompressSync } from 'node:zlib';
import { Level } from 'level';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { realClock } from '../../src/platform/real/clock.ts';
import { realCodec } from '../../src/platform/real/codec.ts';
import { openRealExecutor } from '../../src/platform/real/executor.ts';
import { openLevel } from '../../src/platform/real/key-value.ts';
import { RealPipeNetwork } from '../../src/platform/real/pipe.ts';
import { openRealPlatform } from '../../src/platform/real/platform.ts';
import { realRandom } from '../../src/platform/real/random.ts';
import { diskErrorOf } from '../../src/platform/real/system-error.ts';
import { clockConformance, executorConformance } from './clock.conformance.ts';
import { codecConformance, randomConformance } from './codec.conformance.ts';
import {
  diskSpaceConformance,
  keyValueConformance,
  slotFileConformance,
  type DiskSubject,
} from './disk.conformance.ts';
import { bytes, driveReal, expectRejection } from './harness.ts';
import { pipeConformance } from './pipe.conformance.ts';

let dataDir = '';
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'quorate-platform-'));
});
afterEach(async () => {
  await rm(dataDir, { recursive: true, force: true });
});

const openSubject = async (): Promise<DiskSubject> => {
  const { disk } = await openRealPlatform({ dataDir });
  return { drive: driveReal, disk: () => disk };
};

keyValueConformance('LevelDB', openSubject);
slotFileConformance('file', openSubject);
diskSpaceConformance('statfs', openSubject);
clockConformance('system', () => ({ clock: realClock, drive: driveReal }));
executorConformance('event loop', () => ({ executor: openRealExecutor(), clock: realClock, drive: driveReal }));
codecConformance('zstd', realCodec);
it('frames are those of zstd, whatever was compressed before', () => {
  const params = { [constants.ZSTD_c_compressionLevel]: 1 };
  const raws = [3, 60_000, 0, 131_072, 500, 131_073, 64_000].map((length) =>
    randomBytes(length).fill(7, 0, length >>> 1),
  );
  for (const raw of [...raws, ...raws.toReversed()]) {
    const expected = zstdCompressSync(raw, { params, pledgedSrcSize: raw.length });
    expect(Buffer.compare(realCodec.compress(raw), expected), `${raw.length} bytes`).toBe(0);
  }
});
randomConformance('system', realRandom);
pipeConformance('TCP', () => {
  const network = new RealPipeNetwork();
  return { drive: driveReal, server: network, client: network, host: '127.0.0.1' };
});

async function bytesUnder(directory: string): Promise<number> {
  const files = await readdir(directory);
  const sizes = await Promise.all(files.map((file) => stat(join(directory, file)).catch(() => ({ size: 0 }))));
  return sizes.reduce((sum, { size }) => sum + size, 0);
}

describe('data directory', () => {
  it('is made, with the directories above it, and left without a trace of the probe', async () => {
    await openRealPlatform({ dataDir: join(dataDir, 'a', 'b') });
    expect(await readdir(join(dataDir, 'a', 'b'))).toEqual([]);
  });

  it('refuses a file in its place', async () => {
    await writeFile(join(dataDir, 'file'), '');
    await expectRejection(openRealPlatform({ dataDir: join(dataDir, 'file') }), {
      code: 'not-a-directory',
      message: /is a file; choose a directory for --data$/,
    });
    await expectRejection(openRealPlatform({ dataDir: join(dataDir, 'file', 'below') }), { code: 'not-a-directory' });
  });

  it('finishes the removal of a store that a crash cut short', async () => {
    const { disk } = await openRealPlatform({ dataDir });
    await (await disk.openKeyValue('index.gone')).close();
    await openRealPlatform({ dataDir });
    expect(await readdir(dataDir)).toEqual([]);
  });

  it('holds a ballast that is no hole, and that no file system makes small', async () => {
    const { disk } = await openRealPlatform({ dataDir });
    await disk.space.addBallast(1 << 20);
    const path = join(dataDir, 'ballast');
    expect((await stat(path)).blocks * 512).toBeGreaterThanOrEqual(1 << 20);
    expect(deflateSync(await readFile(path)).length).toBeGreaterThanOrEqual(1 << 20);
  });

  it('a slot file cut short by damage reads as never written from there on', async () => {
    const { disk } = await openRealPlatform({ dataDir });
    const shape = { slotBytes: 512, slotCount: 4 };
    const file = await disk.openSlotFile('slots', shape);
    await file.write(0, new Uint8Array(2048).fill(9));
    await file.close();
    await truncate(join(dataDir, 'slots'), 700);
    const again = await disk.openSlotFile('slots', shape);
    expect((await again.read()).map((slot) => [slot[0], slot[511]])).toEqual([
      [9, 9],
      [9, 0],
      [0, 0],
      [0, 0],
    ]);
    await again.close();
    expect((await stat(join(dataDir, 'slots'))).size).toBe(2048);
  });
});

describe('what no conformance suite sees', () => {
  it('a synced batch is handed to LevelDB as such, an unsynced one not', async () => {
    const batch = vi.spyOn(Level.prototype, 'batch');
    const { disk } = await openRealPlatform({ dataDir });
    const store = await disk.openKeyValue('store');
    for (const sync of [true, false])
      await store.batch([{ type: 'put', key: bytes('a'), value: bytes('1') }], { sync });
    expect(batch.mock.calls.map((call: unknown[]) => call[1])).toEqual([{ sync: true }, { sync: false }]);
    await store.close();
    batch.mockRestore();
  });

  it('compaction gives the space of deleted keys back to the file system, and only that of its range', async () => {
    const { disk } = await openRealPlatform({ dataDir });
    const store = await disk.openKeyValue('store');
    const keys = Array.from({ length: 64 }, (_, n) => bytes(`k${String(n).padStart(2, '0')}`));
    for (const key of keys)
      await store.batch([{ type: 'put', key, value: realRandom.bytes(128 * 1024) }], { sync: false });
    await store.batch(
      keys.slice(0, 48).map((key) => ({ type: 'del', key })),
      { sync: true },
    );
    const before = await bytesUnder(join(dataDir, 'store'));
    await store.compact({ gte: bytes('k'), lt: bytes('k48') });
    const after = await bytesUnder(join(dataDir, 'store'));
    expect(before).toBeGreaterThan(8 * 1024 * 1024);
    expect(after).toBeLessThan(3 * 1024 * 1024);
    expect((await store.keys({ gte: bytes('k'), lt: bytes('l') })).length).toBe(16);
    await store.close();
  });

  it('a pipe ends with the other side, even when its own queue can never be emptied', async () => {
    const sockets: Socket[] = [];
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => sockets.push(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const pipe = await new RealPipeNetwork().connect({ host: '127.0.0.1', port }, { timeoutMs: 1000 });
    const closed = new Promise<void>((resolve) => (pipe.onClose = resolve));
    pipe.write([new Uint8Array(32 << 20)]);
    while (sockets.length === 0) await new Promise((resolve) => setImmediate(resolve));
    for (const socket of sockets) socket.end();
    await closed;
    for (const socket of sockets) socket.destroy();
    server.close();
  });
});

describe('sentences for system errors', () => {
  const failing = (code: string, message = code): Error => Object.assign(new Error(message), { code });
  it.each([
    ['EACCES', 'permission', 'DIR cannot be written; give this user write access or choose another --data'],
    ['ENOSPC', 'full', 'the disk under DIR is full; free some space and start again'],
    ['EMFILE', 'resources', 'too many open files while using DIR; raise the limit (ulimit -n) and start again'],
    ['EIO', 'io', 'the disk under DIR failed (EIO); check it, then start again or use an empty --data'],
  ])('%s is %s', (code, expected, sentence) => {
    expect(diskErrorOf(failing(code), 'DIR')).toMatchObject({ code: expected, message: sentence });
  });

  it('finds the errno in the words of LevelDB, however deep', () => {
    const level = failing('LEVEL_IO_ERROR', 'IO error: DIR/000003.log: No space left on device');
    const outer = Object.assign(new Error('Database failed to open', { cause: level }), {
      code: 'LEVEL_DATABASE_NOT_OPEN',
    });
    expect(diskErrorOf(outer, 'DIR')).toMatchObject({ code: 'full' });
  });
});

describe('a LevelDB store without its file CURRENT', () => {
  it.each([
    ['lost', null],
    ['altered', 'MANIFEST-999999\n'],
  ])('%s: is refused in a sentence, and nothing of it is deleted', async (_, current) => {
    const path = join(dataDir, 'headless');
    const options = { compression: false, writeBufferBytes: 64 * 1024, dataDir };
    const value = new Uint8Array(1_000);
    for (let session = 0; session < 2; session += 1) {
      const store = await openLevel(path, options);
      await store.batch([{ type: 'put', key: Uint8Array.of(session), value }], { sync: true });
      await store.close();
    }
    const named = await readFile(join(path, 'CURRENT'), 'utf8');
    if (current === null) await rm(join(path, 'CURRENT'));
    else await writeFile(join(path, 'CURRENT'), current);
    const before = (await readdir(path)).toSorted();
    await expect(openLevel(path, options)).rejects.toMatchObject({
      code: 'damaged',
      message: expect.stringMatching(/its file CURRENT is lost or altered.*write the line MANIFEST-\d+ into/),
    });
    // A handle that was made all the same would open itself now.
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await readdir(path)).toSorted()).toEqual(before);
    await writeFile(join(path, 'CURRENT'), named);
    const mended = await openLevel(path, options);
    expect(await mended.get(Uint8Array.of(0))).toEqual(value);
    await mended.close();
  });
});
