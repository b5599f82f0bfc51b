/** What every Transport must do (src/transport/transport.ts). */
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/platform/clock.ts';
import { crc32 } from '../../src/platform/digest.ts';
import { asIndex, asTerm, type NodeId } from '../../src/raft/core/types.ts';
import type {
  Channel,
  Hello,
  PeerMessage,
  Refusal,
  Transport,
  TransportHandlers,
} from '../../src/transport/transport.ts';
import type { Drive } from '../platform/harness.ts';
import { chain, helloOf, n1, n2, n3 } from './samples.ts';

export interface TransportSubject {
  readonly drive: Drive;
  readonly clock: Clock;
  /** A transport for one run of `node`, not started, in a network where n1, n2 and n3 know each other. */
  make(node: NodeId): Transport;
}

/** A node that writes down what happens to it. */
export class Party implements TransportHandlers {
  readonly transport: Transport;
  hello: Hello;
  readonly events: string[] = [];
  readonly up = new Map<NodeId, Hello>();
  readonly received: { readonly from: Hello; readonly message: PeerMessage }[] = [];
  admit: (hello: Hello) => Refusal | null = () => null;

  constructor(transport: Transport, hello: Hello) {
    this.transport = transport;
    this.hello = hello;
  }

  start(): Promise<void> {
    return this.transport.start(() => this.hello, this);
  }

  onUp(hello: Hello): void {
    this.events.push(`up ${hello.node} ${hello.boot}`);
    this.up.set(hello.node, hello);
  }

  onDown(node: NodeId): void {
    this.events.push(`down ${node}`);
    this.up.delete(node);
  }

  onMessage(from: Hello, message: PeerMessage): void {
    this.received.push({ from, message });
  }

  onRefused(node: NodeId, { code, sentence }: Refusal): void {
    this.events.push(`${node} refused (${code}): ${sentence}`);
  }
}

/** Waits until `check` holds, on whatever time the subject has. */
export async function until(clock: Clock, check: () => boolean, patienceMs = 20_000): Promise<void> {
  const endMs = clock.monotonicMs() + patienceMs;
  while (!check()) {
    if (clock.monotonicMs() > endMs) throw new Error(`it never came true: ${check.toString()}`);
    await new Promise<void>((resolve) => clock.after(3, resolve));
  }
}

export const pause = (clock: Clock, delayMs: number): Promise<void> =>
  new Promise((resolve) => clock.after(delayMs, resolve));

/** A message with its bytes as length and checksum: comparing megabytes one by one takes a minute. */
const legible = (message: PeerMessage): string =>
  JSON.stringify(message, (_, value: unknown) =>
    value instanceof Uint8Array ? `${value.length} bytes, ${crc32(value)}` : value,
  );

export const founded = (clusterId: string): PeerMessage => ({
  kind: 'found',
  founding: { clusterId, voters: [], formatLevel: 2 },
  admits: null,
});
export const forward = (payload: Uint8Array): PeerMessage => ({ kind: 'forward', term: asTerm(1), payload });

export function transportContract(name: string, open: () => TransportSubject): void {
  describe(`Transport: ${name}`, () => {
    interface Stage extends TransportSubject {
      party(node: NodeId, change?: Partial<Hello>): Party;
    }
    const story = (title: string, tell: (stage: Stage) => Promise<void>): void =>
      it(title, async () => {
        const subject = open();
        const parties: Party[] = [];
        const party = (node: NodeId, change?: Partial<Hello>): Party => {
          const made = new Party(subject.make(node), helloOf(node, change));
          parties.push(made);
          return made;
        };
        await subject.drive(async () => {
          await tell({ ...subject, party });
          for (const each of parties) await each.transport.close();
        });
      });

    /** Two parties that can reach each other on both channels. */
    const pair = async (
      { clock, party }: Stage,
      left: Partial<Hello> = {},
      right: Partial<Hello> = {},
    ): Promise<[Party, Party]> => {
      const both: [Party, Party] = [party(n1, left), party(n2, right)];
      for (const each of both) await each.start();
      await until(clock, () => both[0].up.has(n2) && both[1].up.has(n1));
      // A message that could be queued shows that the bulk connection is there.
      await until(clock, () => both[0].transport.send(n2, 'bulk', founded('probe')));
      await until(clock, () => both[1].transport.send(n1, 'bulk', founded('probe')));
      await until(clock, () => both.every((each) => each.received.length === 1));
      for (const each of both) each.received.length = 0;
      return both;
    };

    story('each learns who the other is', async (stage) => {
      const [left, right] = await pair(
        stage,
        { hardStateCounter: 3, clusterId: null, founded: false },
        { http: 'http://here' },
      );
      expect(left.up.get(n2)).toEqual(right.hello);
      expect(right.up.get(n1)).toEqual(left.hello);
      left.transport.send(n2, 'control', founded('a'));
      await until(stage.clock, () => right.received.length === 1);
      expect(right.received[0]?.from).toEqual(left.hello);
    });

    story('a node of an older format level is sent what it can read, and nothing else (B4)', async (stage) => {
      const [left, right] = await pair(
        stage,
        { formatLevel: 1 },
        { formats: { oldest: 1, newest: 1 }, formatLevel: 1, version: '0.1.0' },
      );
      const envelope = { from: left.hello.replica, to: right.hello.replica, term: asTerm(3), boot: left.hello.boot };
      const newer: PeerMessage[] = [
        { kind: 'hand-over', id: '1', to: null },
        { kind: 'raft', message: { ...envelope, type: 'timeout-now', lastIndex: asIndex(1) } },
      ];
      for (const message of newer) expect(left.transport.send(n2, 'control', message)).toBe(false);
      expect(left.transport.send(n2, 'control', founded('a'))).toBe(true);
      await until(stage.clock, () => right.received.length === 1);
      // The other way there is nothing to hold back.
      for (const message of newer.slice(0, 1)) expect(right.transport.send(n1, 'control', message)).toBe(true);
      await until(stage.clock, () => left.received.length === 1);
    });

    story('messages of a channel arrive whole, unchanged and in order, both ways', async (stage) => {
      const [left, right] = await pair(stage);
      const envelope = { from: left.hello.replica, to: right.hello.replica, term: asTerm(3), boot: left.hello.boot };
      const entries = chain([new Uint8Array(200_000).map((_, n) => n * 13), new Uint8Array(), new Uint8Array([1])]);
      const messages: PeerMessage[] = [
        { kind: 'raft', message: { ...envelope, type: 'heartbeat', session: 1, round: 2, commit: asIndex(9) } },
        {
          kind: 'raft',
          message: {
            ...envelope,
            type: 'append',
            session: 1,
            previousIndex: asIndex(0),
            previousTerm: asTerm(0),
            entries,
            commit: asIndex(2),
          },
        },
        forward(new Uint8Array(3_000_000).map((_, n) => n * 7)),
        {
          kind: 'found',
          founding: { clusterId: 'c', voters: [left.hello.replica, right.hello.replica], formatLevel: 2 },
          admits: right.hello.replica,
        },
        {
          kind: 'report',
          applied: asIndex(2 ** 40),
          ready: true,
          recovering: false,
          hardStateCounter: 5,
          writeMicros: null,
          space: 'ample',
          handOver: null,
          clockMs: null,
        },
        ...Array.from({ length: 200 }, (_, n) => founded(String(n))),
      ];
      for (const message of messages) expect(left.transport.send(n2, 'bulk', message)).toBe(true);
      expect(right.transport.send(n1, 'bulk', founded('back'))).toBe(true);
      await until(stage.clock, () => right.received.length === messages.length && left.received.length === 1);
      expect(right.received.map(({ message }) => legible(message))).toEqual(messages.map(legible));
      expect(left.received.map(({ message }) => message)).toEqual([founded('back')]);
    });

    story('a message to nobody is dropped and said to be', async (stage) => {
      const left = stage.party(n1);
      await left.start();
      for (const channel of ['control', 'bulk'] satisfies Channel[]) {
        for (const node of [n1, n2]) expect(left.transport.send(node, channel, founded('a'))).toBe(false);
      }
    });

    story('a peer that goes is down, and up again as who it has become', async (stage) => {
      const [left, right] = await pair(stage);
      await right.transport.close();
      await until(stage.clock, () => !left.up.has(n2));
      expect(left.transport.send(n2, 'control', founded('a'))).toBe(false);
      const again = stage.party(n2, { boot: helloOf('second-boot').boot });
      await again.start();
      await until(stage.clock, () => left.up.has(n2) && again.up.has(n1));
      expect(left.events).toEqual([`up n2 ${right.hello.boot}`, 'down n2', `up n2 ${again.hello.boot}`]);
      expect(left.transport.send(n2, 'control', founded('b'))).toBe(true);
      await until(stage.clock, () => again.received.length === 1);
    });

    story('a changed hello reaches those who knew the old one', async (stage) => {
      const [left, right] = await pair(stage, { clusterId: null }, { clusterId: null });
      left.hello = { ...left.hello, clusterId: 'cluster-new' };
      left.transport.helloChanged();
      await until(stage.clock, () => right.up.get(n1)?.clusterId === 'cluster-new' && left.up.has(n2));
      left.transport.send(n2, 'control', founded('a'));
      await until(stage.clock, () => right.received.length === 1);
      expect(right.received[0]?.from.clusterId).toBe('cluster-new');
    });

    const refusals: [
      title: string,
      left: Partial<Hello>,
      right: Partial<Hello>,
      sentence: RegExp,
      leftIsTold: Refusal['code'],
      rightIsTold?: Refusal['code'],
    ][] = [
      [
        'another cluster',
        { clusterId: 'cluster-a' },
        { clusterId: 'cluster-b' },
        /belongs to cluster cluster-[ab] and .* to cluster-[ab]/,
        'other-cluster',
      ],
      [
        'the cluster as it was before it was recovered',
        { clusterId: 'cluster' },
        { clusterId: 'cluster.1.unique' },
        /n1 belongs to the cluster as it was before `quorate recover` made n2 one of its own/,
        // It is told that to its face; what it says itself is not about the other.
        'recovered-without-you',
        'other-cluster',
      ],
      [
        'another version',
        { protocol: 1 },
        { protocol: 2 },
        /speaks protocol [12] and .* speaks [12]; run the same version/,
        'protocol',
      ],
    ];
    for (const [title, leftHello, rightHello, sentence, leftIsTold, rightIsTold = leftIsTold] of refusals) {
      story(`${title} is refused by a sentence, and nothing gets through`, async (stage) => {
        const [left, right] = [stage.party(n1, leftHello), stage.party(n2, rightHello)];
        const onlooker = stage.party(n3, { clusterId: null, protocol: leftHello.protocol ?? 1 });
        for (const each of [left, right, onlooker]) await each.start();
        await until(stage.clock, () => left.events.some((event) => event.startsWith('n2 refused')));
        await until(stage.clock, () => right.events.some((event) => event.startsWith('n1 refused')));
        expect(left.events.find((event) => event.startsWith(`n2 refused (${leftIsTold})`))).toMatch(sentence);
        expect(right.events.find((event) => event.startsWith(`n1 refused (${rightIsTold})`))).toMatch(sentence);
        expect(left.transport.send(n2, 'control', founded('a'))).toBe(false);
        expect(right.transport.send(n1, 'control', founded('a'))).toBe(false);
        expect([left.up.has(n2), right.up.has(n1)]).toEqual([false, false]);
        await until(stage.clock, () => left.up.has(n3));
      });
    }

    story('who is not admitted is told so in the words of the other side', async (stage) => {
      const [left, right] = [stage.party(n1), stage.party(n2)];
      let shut = true;
      right.admit = (hello) => (shut ? { code: 'stranger', sentence: `${hello.node} is unknown here` } : null);
      for (const each of [left, right]) await each.start();
      await until(stage.clock, () => left.events.includes('n2 refused (stranger): n1 is unknown here'));
      expect([left.up.has(n2), right.up.has(n1)]).toEqual([false, false]);
      shut = false;
      await until(stage.clock, () => left.up.has(n2) && right.up.has(n1));
    });

    story('megabytes on bulk do not hold up control', async (stage) => {
      const [left, right] = await pair(stage);
      for (let n = 0; n < 8; n++) expect(left.transport.send(n2, 'bulk', forward(new Uint8Array(4 << 20)))).toBe(true);
      expect(left.transport.send(n2, 'control', founded('quick'))).toBe(true);
      await until(stage.clock, () => right.received.length === 9);
      const place = right.received.findIndex(({ message }) => message.kind === 'found');
      expect(place).toBeLessThan(8);
    });

    story('a queue that is full says so instead of growing', async (stage) => {
      const [left, right] = await pair(stage);
      const block = new Uint8Array(8 << 20);
      const taken = Array.from({ length: 20 }, () => left.transport.send(n2, 'bulk', forward(block)));
      expect(taken.slice(0, 3)).toEqual([true, true, true]);
      expect(taken.at(-1)).toBe(false);
      const count = taken.filter((each) => each).length;
      await until(stage.clock, () => right.received.length === count);
      expect(left.transport.send(n2, 'bulk', forward(block))).toBe(true);
    });

    story('after close nothing happens any more, on either side of it', async (stage) => {
      const [left, right] = await pair(stage);
      const before = left.events.length;
      await left.transport.close();
      right.transport.send(n1, 'control', founded('late'));
      await until(stage.clock, () => !right.up.has(n1));
      await pause(stage.clock, 30);
      expect(left.transport.send(n2, 'control', founded('a'))).toBe(false);
      expect([left.events.length, left.received.length]).toEqual([before, 0]);
    });
  });
}
