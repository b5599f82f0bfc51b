/** Appends get their entries from the log: all of them in order, or nothing (bug E14). */
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/logger.ts';
import { AppendSender } from '../../src/raft/append-sender.ts';
import type { Append, AppendRange } from '../../src/raft/core/message.ts';
import { asBootId, asIndex, asReplicaId, asTerm, type Entry } from '../../src/raft/core/types.ts';
import { DamagedEntryError } from '../../src/store/damaged.ts';
import { chain } from '../store/support.ts';

const entries = chain(6);
const peer = asReplicaId('n2#b');

/** What the log is asked for and what it gives, by hand. */
class Stage {
  readonly sent: string[] = [];
  readonly failed: string[] = [];
  leads = true;
  /** The answers of the disk, in the order of the questions. */
  readonly reads: ((answer: readonly Entry[] | Error) => void)[] = [];
  readonly sender = new AppendSender({
    log: { cached: () => null },
    entries: {
      tryReadRange: () =>
        new Promise((resolve, reject) => {
          this.reads.push((answer) => (answer instanceof Error ? reject(answer) : resolve([...answer])));
        }),
      waitingFor: () => null,
    },
    logger: silentLogger,
    stillLeads: () => this.leads,
    send: (append: Append) =>
      this.sent.push(`after ${append.previousIndex}: ${append.entries.map(({ index }) => index).join(' ')}`),
    failed: (to) => this.failed.push(to),
  });

  send(previous: number, last: number): void {
    const range: AppendRange = {
      type: 'append',
      from: asReplicaId('n1#a'),
      to: peer,
      term: asTerm(1),
      boot: asBootId('a'),
      session: 1,
      previousIndex: asIndex(previous),
      previousTerm: asTerm(previous === 0 ? 0 : 1),
      lastIndex: asIndex(last),
      commit: asIndex(0),
    };
    this.sender.send(range);
  }

  /** The disk answers the question that is open. */
  async answer(answer: readonly Entry[] | Error): Promise<void> {
    await turn();
    const read = this.reads.shift();
    if (read === undefined) throw new Error('nothing is asked');
    read(answer);
    await turn();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('an entry that cannot be read: nothing is sent in its place, and the follower is asked again later', async () => {
  const stage = new Stage();
  stage.send(2, 4);
  await stage.answer(new DamagedEntryError(asIndex(3), 'its bytes are others'));
  expect(stage).toMatchObject({ sent: [], failed: [peer] });
});

test('entries leave in the order they were asked for, in as many appends as they need', async () => {
  const stage = new Stage();
  stage.send(0, 4);
  stage.send(4, 6);
  await stage.answer(entries.slice(0, 2));
  await stage.answer(entries.slice(2, 4));
  await stage.answer(entries.slice(4, 6));
  expect(stage.sent).toEqual(['after 0: 1 2', 'after 2: 3 4', 'after 4: 5 6']);
});

test('a log that gives others than those that follow: nothing is sent', async () => {
  const stage = new Stage();
  stage.send(1, 3);
  await stage.answer(entries.slice(0, 2));
  expect(stage).toMatchObject({ sent: [], failed: [peer] });
});

test('whoever leads no more when they have been read sends nothing', async () => {
  const stage = new Stage();
  stage.send(0, 2);
  await turn();
  stage.leads = false;
  await stage.answer(entries.slice(0, 2));
  expect(stage).toMatchObject({ sent: [], failed: [] });
});
