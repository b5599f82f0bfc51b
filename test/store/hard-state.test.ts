import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SlotFile } from '../../src/platform/slot-file.ts';
import { votersOnly } from '../../src/raft/core/configuration.ts';
import { asHash, asIndex, asReplicaId, asTerm, emptyLog } from '../../src/raft/core/types.ts';
import type { HardState } from '../../src/store/hard-state.ts';
import { HardStateFile, hardStateSlots } from '../../src/store/hard-state.ts';

const { slotBytes, slotCount } = hardStateSlots;

/** Slots in memory; `gate` holds writes back, `failure` rejects them. */
class MemorySlots implements SlotFile {
  readonly slotBytes = slotBytes;
  readonly slotCount = slotCount;
  slots: Uint8Array[];
  writes: { first: number; bytes: Uint8Array }[] = [];
  gate: Promise<void> = Promise.resolve();
  failure: Error | null = null;

  constructor(slots: readonly Uint8Array[] = Array.from({ length: slotCount }, () => new Uint8Array(slotBytes))) {
    this.slots = slots.map((slot) => slot.slice());
  }
  read(): Promise<Uint8Array[]> {
    return Promise.resolve(this.slots.map((slot) => slot.slice()));
  }
  async write(first: number, bytes: Uint8Array): Promise<void> {
    await this.gate;
    if (this.failure !== null) throw this.failure;
    this.writes.push({ first, bytes });
    for (let at = 0; at < bytes.length; at += slotBytes)
      this.slots[first + at / slotBytes] = bytes.slice(at, at + slotBytes);
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

const stateOf = (term: number): HardState => ({
  clusterId: 'c1',
  incarnation: '00ff',
  term: asTerm(term),
  vote: asReplicaId('n1#00ff'),
  promised: { index: asIndex(10 * term), term: asTerm(term), hash: asHash('ab'.repeat(16)) },
  commit: asIndex(term),
  modeEpoch: 0,
  sealed: false,
  formatLevel: 2,
  formatLevelWritten: 2,
  configuration: null,
});

/** A file that was opened once and then written with terms 1 to `terms`. */
async function written(terms: number): Promise<MemorySlots> {
  const slots = new MemorySlots();
  const file = await HardStateFile.open(slots);
  for (let term = 1; term <= terms; term += 1) await file.write(stateOf(term));
  return slots;
}

const levels = (level: number): Pick<HardState, 'formatLevel' | 'formatLevelWritten'> => ({
  formatLevel: level,
  formatLevelWritten: level,
});

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await Promise.resolve();
}

describe('hard state', () => {
  test('keeps the committed configuration, and is written as 0.1.0 did while nothing here is newer', async () => {
    const slots = new MemorySlots();
    const file = await HardStateFile.open(slots);
    await file.write({ ...stateOf(1), ...levels(1) });
    expect(Buffer.from(slots.slots[2] ?? []).toString('latin1')).toContain('"format":1,');
    expect((await HardStateFile.open(slots)).state).toEqual({ ...stateOf(1), ...levels(1) });
    const configuration = { index: asIndex(9), configuration: votersOnly([asReplicaId('n1#00ff')]) };
    await file.write({ ...stateOf(2), configuration });
    expect(Buffer.from(slots.slots[0] ?? []).toString('latin1')).toContain('"format":2,');
    expect((await HardStateFile.open(slots)).state).toEqual({ ...stateOf(2), configuration });
    const back = { index: asIndex(8), configuration: configuration.configuration };
    expect(() => file.write({ ...stateOf(3), configuration: back })).toThrow(
      'the committed configuration never goes back',
    );
  });

  test('names the format level of its directory: a binary below it does not open it, and changes nothing (B4)', async () => {
    const slots = new MemorySlots();
    const file = await HardStateFile.open(slots);
    await file.write({ ...stateOf(1), ...levels(1) });
    await file.write({ ...stateOf(2), formatLevel: 1, formatLevelWritten: 2 });
    const before = slots.slots.map((slot) => Buffer.from(slot ?? []).toString('latin1'));
    await expect(HardStateFile.open(slots, 1)).rejects.toThrow(
      /hard state was written by a newer version \(format level 2\); start Quorate 0\.2\.0 or newer/,
    );
    expect(slots.slots.map((slot) => Buffer.from(slot ?? []).toString('latin1'))).toEqual(before);
    expect((await HardStateFile.open(slots, 2)).state).toMatchObject({ formatLevel: 1, formatLevelWritten: 2 });
    expect(() => file.write({ ...stateOf(3), ...levels(1) })).toThrow('a format level never goes back');
  });

  test('a file never written is fresh', async () => {
    const file = await HardStateFile.open(new MemorySlots());
    expect([file.problem, file.state, file.counter]).toEqual(['fresh', null, 0]);
  });

  test('what was written is read, whole, and the counter grows with every write', async () => {
    const state = { ...stateOf(3), clusterId: null, vote: null, promised: emptyLog, sealed: true, modeEpoch: 4 };
    const slots = new MemorySlots();
    const first = await HardStateFile.open(slots);
    await first.write(state);
    expect([first.state, first.counter]).toEqual([state, 1]);
    const second = await HardStateFile.open(slots);
    expect([second.problem, second.state]).toEqual(['none', state]);
    expect(second.counter).toBe(2);
  });

  test('every torn write leaves the old state or the new one, and never neither', async () => {
    for (const terms of [0, 1, 2, 3, 4]) {
      const before = await written(terms);
      const after = new MemorySlots(before.slots);
      await (await HardStateFile.open(after)).write(stateOf(terms + 1));
      const { first, bytes } = after.writes.at(-1) ?? { first: 0, bytes: new Uint8Array(0) };
      // The opening wrote once by itself when there was a state.
      const opened = new MemorySlots(before.slots);
      await HardStateFile.open(opened);
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.constantFrom('old', 'new', 'zero', 'noise'), { minLength: 2 * 8, maxLength: 2 * 8 }),
          fc.uint8Array({ minLength: 512, maxLength: 512 }),
          async (sectors, noise) => {
            const torn = new MemorySlots(opened.slots);
            sectors.forEach((what, sector) => {
              if (what === 'old') return;
              const at = sector * 512;
              const source = { new: bytes.subarray(at, at + 512), zero: new Uint8Array(512), noise }[what];
              torn.slots[first + Math.floor(at / slotBytes)]?.set(source, at % slotBytes);
            });
            const file = await HardStateFile.open(torn);
            if (terms === 0 && file.state === null) expect(['fresh', 'unreadable']).toContain(file.problem);
            else expect([terms, terms + 1]).toContain(file.state?.term);
          },
        ),
        { numRuns: 60 },
      );
    }
  });

  test('one whole new copy is enough for the new state', async () => {
    const slots = await written(2);
    slots.slots[0]?.fill(0x5a);
    const file = await HardStateFile.open(slots);
    expect([file.problem, file.state?.term]).toEqual(['copy damaged', 2]);
  });

  test('opening heals a damaged copy', async () => {
    const slots = await written(2);
    slots.slots[0]?.fill(0);
    await HardStateFile.open(slots);
    const again = await HardStateFile.open(slots);
    expect(again.state?.term).toBe(2);
    expect((await HardStateFile.open(slots)).problem).toBe('none');
  });

  test.each([
    ['garbage', 0x5a],
    ['zeros', 0],
  ])('a generation of %s is reported: it may have been the newest', async (_, fill) => {
    const slots = await written(4);
    slots.slots[0]?.fill(fill);
    slots.slots[1]?.fill(fill);
    const file = await HardStateFile.open(slots);
    expect([file.problem, file.state?.term]).toEqual(['generation lost', 3]);
  });

  test('when nothing is intact but something was written, it is unreadable and not fresh (protocol A3)', async () => {
    const slots = await written(4);
    for (const slot of slots.slots) slot[20] = (slot[20] ?? 0) ^ 1;
    const file = await HardStateFile.open(slots);
    expect([file.problem, file.state, file.counter]).toEqual(['unreadable', null, 0]);
  });

  test('one write is in flight; the newest of those that wait follows it', async () => {
    const slots = new MemorySlots();
    const file = await HardStateFile.open(slots);
    const gate = Promise.withResolvers<void>();
    slots.gate = gate.promise;
    const durable: string[] = [];
    const writes = [1, 2, 3, 4].map((term) =>
      file.write(stateOf(term)).then(() => durable.push(`${term} when ${file.state?.term ?? 'nothing'} is durable`)),
    );
    expect([file.state, slots.writes.length]).toEqual([null, 0]);
    gate.resolve();
    await Promise.all(writes);
    expect(slots.writes.length).toBe(2);
    expect(durable).toEqual([
      '1 when 1 is durable',
      '2 when 4 is durable',
      '3 when 4 is durable',
      '4 when 4 is durable',
    ]);
  });

  test('writes asked for in any rhythm resolve only once a state as new is durable, and never overlap', async () => {
    const anyRhythm = fc.array(fc.record({ pauseTurns: fc.nat(6), writeTurns: fc.nat(6) }), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(anyRhythm, async (rhythm) => {
        const slots = new MemorySlots();
        const file = await HardStateFile.open(slots);
        let inFlight = 0;
        const write = slots.write.bind(slots);
        slots.write = async (first, bytes) => {
          inFlight += 1;
          expect(inFlight).toBe(1);
          await turns(rhythm[slots.writes.length]?.writeTurns ?? 0);
          inFlight -= 1;
          await write(first, bytes);
        };
        const all: Promise<void>[] = [];
        for (const [position, { pauseTurns }] of rhythm.entries()) {
          const newEnough = (): void => expect(file.state?.term).toBeGreaterThanOrEqual(position + 1);
          all.push(file.write(stateOf(position + 1)).then(newEnough));
          await turns(pauseTurns);
        }
        await Promise.all(all);
        const reopened = await HardStateFile.open(new MemorySlots(slots.slots));
        expect(reopened.state?.term).toBe(rhythm.length > 0 ? rhythm.length : undefined);
      }),
    );
  });

  test('a failed write is final (protocol A5)', async () => {
    const slots = new MemorySlots();
    const file = await HardStateFile.open(slots);
    await file.write(stateOf(1));
    slots.failure = new Error('EIO');
    const [first, second] = [file.write(stateOf(2)), file.write(stateOf(3))];
    await expect(first).rejects.toThrow('restart the node');
    await expect(second).rejects.toThrow('restart the node');
    slots.failure = null;
    await expect(file.write(stateOf(4))).rejects.toThrow('restart the node');
    expect(file.state?.term).toBe(1);
  });

  test.each<[string, Partial<HardState>]>([
    ['a term', { term: asTerm(1) }],
    ['a vote', { vote: asReplicaId('n2#00aa') }],
    ['a vote', { vote: null }],
    ['a cluster', { clusterId: 'c2' }],
    ['an incarnation', { incarnation: '00fe' }],
  ])('%s is never taken back', async (_, change) => {
    const file = await HardStateFile.open(await written(2));
    expect(() => file.write({ ...stateOf(2), ...change })).toThrow();
  });
});
