import { describe, expect, test } from 'vitest';
import { DiskReads } from '../../src/store/disk-reads.ts';

const deadlineMs = 5_000;

class Stage {
  readonly reads: DiskReads;
  readonly begun: string[] = [];
  readonly #ends = new Map<string, () => void>();
  nowMs = 0;

  constructor(atOnce: number) {
    this.reads = new DiskReads({ monotonicMs: () => this.nowMs }, atOnce);
  }

  begin(name: string, failure?: Error): Promise<string> {
    return this.reads.until(deadlineMs)(async () => {
      this.begun.push(name);
      await new Promise<void>((resolve) => this.#ends.set(name, resolve));
      if (failure !== undefined) throw failure;
      return name;
    });
  }

  end(name: string): void {
    this.#ends.get(name)?.();
  }
}

describe('reads of the disk', () => {
  test('so many at a time, the others in the order they came', async () => {
    const stage = new Stage(2);
    const read = ['a', 'b', 'c', 'd'].map((name) => stage.begin(name));
    expect(stage.begun).toEqual(['a', 'b']);
    stage.end('b');
    expect(await read[1]).toBe('b');
    expect(stage.begun).toEqual(['a', 'b', 'c']);
    stage.end('a');
    stage.end('c');
    await Promise.all([read[0], read[2]]);
    expect(stage.begun).toEqual(['a', 'b', 'c', 'd']);
    stage.end('d');
    await read[3];
    // Nobody waited: the places are free again.
    void stage.begin('e');
    void stage.begin('f');
    void stage.begin('g');
    expect(stage.begun).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  });

  test('one that fails leaves its place to the next', async () => {
    const stage = new Stage(1);
    const failed = stage.begin('a', new Error('no such luck'));
    void stage.begin('b');
    stage.end('a');
    await expect(failed).rejects.toThrow('no such luck');
    expect(stage.begun).toEqual(['a', 'b']);
  });

  test('those whose time is over before their turn comes read nothing, and hold nobody up', async () => {
    const stage = new Stage(1);
    void stage.begin('a');
    const late = [stage.begin('b'), stage.begin('c')].map((read) =>
      expect(read).rejects.toMatchObject({ code: 'unavailable' }),
    );
    stage.nowMs = deadlineMs;
    stage.end('a');
    await Promise.all(late);
    stage.nowMs = deadlineMs - 1;
    void stage.begin('d');
    expect(stage.begun).toEqual(['a', 'd']);
  });
});
