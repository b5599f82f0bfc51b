/**
 * The disk of the leader hangs: not an error, no answer at all, and the process lives (fsfreeze on a disk of its own). Writes go on
 * through the others; whatever the frozen node still answers is right; thawed, it serves again and lacks nothing.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { TestCluster } from '../support/cluster.ts';
import { LoopDisk } from '../support/loop-disk.ts';
import { eventually } from '../support/quorate-client.ts';
import { Traffic } from '../support/traffic.ts';

const rounds = 2;
/** Longer than any deadline of a write. */
const frozenMs = limits.writeDeadlineMs + 1_000;

/** When the files of the hard state were last written. */
function promisedAt(data: string): number[] {
  const files = readdirSync(data).filter((name) => name.startsWith('hard-state'));
  expect(files).not.toEqual([]);
  return files.map((name) => statSync(join(data, name)).mtimeMs);
}

/** A cluster whose nodes have a disk each. */
async function onDisks(ids: readonly string[]): Promise<{ cluster: TestCluster; disk: (id: string) => LoopDisk }> {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-disks-'));
  const disks = new Map<string, LoopDisk>();
  // Runs last: the nodes have ended by then.
  onTestFinished(() => {
    for (const disk of disks.values()) disk.unmount();
    rmSync(directory, { recursive: true });
  });
  for (const id of ids) disks.set(id, new LoopDisk(directory, id));
  const disk = (id: string): LoopDisk => {
    const found = disks.get(id);
    if (found === undefined) throw new Error(`${id} has no disk`);
    return found;
  };
  const cluster = await TestCluster.start({ nodes: ids.length, data: (id) => disk(id).data });
  onTestFinished(async () => {
    // A process that waits for a frozen disk cannot end.
    for (const one of disks.values()) one.thaw();
    await cluster.stop();
  });
  return { cluster, disk };
}

test('the disk of the leader frozen under load, and thawed: the others go on, nothing is lost', async () => {
  const { cluster, disk } = await onDisks(['n1', 'n2', 'n3']);
  const traffic = new Traffic(cluster, 21);
  traffic.start();
  for (let round = 0; round < rounds; round += 1) {
    await traffic.moreAcks(100);
    const { id: frozen } = await cluster.leader();
    const others = cluster.others(frozen).map(({ id }) => id);
    disk(frozen).freeze();
    try {
      const promised = promisedAt(cluster.node(frozen).data);
      await delay(frozenMs);
      await Promise.all(others.map(async (id) => traffic.moreAcks(30, [id])));
      // Nothing was acknowledged on the strength of this disk: it took no promise.
      expect(promisedAt(cluster.node(frozen).data)).toEqual(promised);
    } finally {
      disk(frozen).thaw();
    }
    await Promise.all(cluster.ids.map(async (id) => traffic.moreAcks(30, [id])));
    await eventually(`${frozen} to be ready`, async () => cluster.client(frozen).isReady());
  }
  const counts = await traffic.settle();
  expect(counts.acked).toBeGreaterThan(rounds * 100);
});
