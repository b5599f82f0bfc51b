/** TcpTransport: the contract over real sockets and simulated ones, and what only byte streams can do to it. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import type { Pipe } from '../../src/platform/pipe.ts';
import { asNodeId } from '../../src/raft/core/types.ts';
import { encodeMessage } from '../../src/transport/codec.ts';
import { packFields } from '../../src/transport/fields.ts';
import { encodeFrame } from '../../src/transport/frame.ts';
import { encodeSignal } from '../../src/transport/handshake.ts';
import { founded, forward, Party, pause, transportContract, until } from './contract.ts';
import { chain, helloOf, n1, n2, n3 } from './samples.ts';
import { openReal, openSim, type SimSubject } from './tcp-subjects.ts';

transportContract('TCP on the loopback', openReal);
transportContract('TCP on simulated pipes', openSim);

const party = (subject: { make: SimSubject['make'] }, node: string, peers?: Parameters<SimSubject['make']>[1]): Party =>
  new Party(subject.make(asNodeId(node), peers), helloOf(node));

async function joined(subject: SimSubject): Promise<[Party, Party]> {
  const both: [Party, Party] = [party(subject, 'n1'), party(subject, 'n2')];
  for (const each of both) await each.start();
  await until(subject.clock, () => both[0].up.has(n2) && both[1].up.has(n1));
  await until(subject.clock, () => both[0].transport.send(n2, 'bulk', founded('probe')));
  await until(subject.clock, () => both[1].received.length === 1);
  both[1].received.length = 0;
  return both;
}

describe('who may connect', () => {
  const story = (title: string, tell: (subject: SimSubject) => Promise<void>): void =>
    it(title, () => {
      const subject = openSim();
      return subject.drive(() => tell(subject));
    });

  story('a node that is not admitted is refused by a sentence', async (subject) => {
    const home = party(subject, 'n1');
    home.admit = ({ node }) => (node === 'n9' ? { code: 'stranger', sentence: 'n9 is unknown here' } : null);
    await home.start();
    const stranger = party(subject, 'n9', new Map([[n1, { host: 'n1', port: 4319 }]]));
    await stranger.start();
    await until(subject.clock, () => stranger.events.length > 0);
    expect(stranger.events[0]).toBe('n1 refused (stranger): n9 is unknown here');
    await pause(subject.clock, 10_000);
    expect(subject.log.filter((line) => line.startsWith('n1: refused n9'))).toHaveLength(1);
  });

  story('a node at the door learns where the others are, and then talks to them alone', async (subject) => {
    const home = party(subject, 'n1');
    home.hello = { ...home.hello, members: { [n1]: 'n1:4319' } };
    await home.start();
    const newcomer = new Party(subject.make(asNodeId('n9'), new Map(), { host: 'n1', port: 4319 }), helloOf('n9'));
    await newcomer.start();
    await until(subject.clock, () => newcomer.up.has(n1));
    // Nobody there was told of it; that it came is told.
    await until(subject.clock, () => home.up.has(asNodeId('n9')));
    expect(newcomer.transport.send(n1, 'control', founded('c'))).toBe(false);
    const members = Object.entries(newcomer.up.get(n1)?.members ?? {});
    newcomer.transport.reach(new Map(members.map(([node, address]) => [asNodeId(node), address])));
    await until(subject.clock, () => newcomer.transport.send(n1, 'control', founded('c')));
    await until(subject.clock, () => home.received.length > 0);
    newcomer.transport.reach(new Map());
    await until(subject.clock, () => newcomer.events.includes('down n1'));
    await until(subject.clock, () => home.events.includes('down n9'));
    expect(newcomer.transport.send(n1, 'control', founded('c'))).toBe(false);
  });

  story('a node under the address of another is refused by both sides', async (subject) => {
    const wrong = new Map([
      [n2, { host: 'n2', port: 4319 }],
      [n3, { host: 'n2', port: 4319 }],
    ]);
    const [left, right] = [party(subject, 'n1', wrong), party(subject, 'n2')];
    for (const each of [left, right]) await each.start();
    await until(subject.clock, () => left.up.has(n2) && left.events.length > 1);
    expect(left.events).toContain(
      'n3 refused (misdirected): n2 answers where n1 expects n3; correct the addresses in --cluster',
    );
    expect(left.up.has(n3)).toBe(false);
  });

  story('a node that reaches itself is told so', async (subject) => {
    const left = party(subject, 'n1', new Map([[n2, { host: 'n1', port: 4319 }]]));
    await left.start();
    await until(subject.clock, () => left.events.length > 0);
    expect(left.events[0]).toMatch(
      /^n2 refused \(same-name\): n1 was reached by a node of the same name, or by itself; give each node its own id/,
    );
  });
});

describe('what strangers send', () => {
  const hello = encodeSignal({ signal: 'hello', to: n1, channel: 'control', hello: helloOf('n2') });
  const raft = { from: 'n3#aa', to: 'n1#aa', term: 1, boot: 'b' };
  const [entry] = chain([new Uint8Array(100)]);
  const damaged = encodeMessage({
    kind: 'raft',
    message: {
      ...raft,
      type: 'append',
      session: 1,
      previousIndex: 0,
      previousTerm: 0,
      entries: [entry],
      commit: 0,
    } as never,
  });
  damaged[1] = (damaged[1] ?? new Uint8Array()).map((byte, at) => (at === 150 ? byte ^ 1 : byte));
  const attacks: [string, readonly Uint8Array[], RegExp][] = [
    ['noise', [new Uint8Array(64).fill(0xa5)], /a header of 2779096485 bytes/],
    ['an HTTP request', [new Uint8Array(Buffer.from('GET / HTTP/1.1\r\nHost: n1\r\n\r\n'))], /a header of/],
    [
      'a large frame before any hello',
      encodeFrame(packFields({ signal: 'hello' }), [new Uint8Array(8000)]),
      /a frame of 8\d\d\d bytes; at most 4096/,
    ],
    ['a message before any hello', encodeMessage(founded('x')), /a message before/],
    [
      'a welcome before any hello',
      encodeSignal({ signal: 'welcome', hello: helloOf('n2') }),
      /a welcome before its hello/,
    ],
    ['a second hello', [...hello, ...hello], /a hello out of place/],
    [
      'a message in the name of another replica',
      [...hello, ...encodeFrame(packFields({ kind: 'raft', message: { ...raft, type: 'vote-reply', granted: true } }))],
      /a message of n3#aa on a connection of n2#aa/,
    ],
    ['a damaged entry', [...hello, ...damaged], /entry 1 arrived damaged/],
    [
      'a frame too large for anybody',
      [...hello, new Uint8Array([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 4, 0, 0, 0, 0])],
      /a frame of 4294967311 bytes; at most 33554432/,
    ],
    ['a message of an unknown kind', [...hello, ...encodeFrame(packFields({ kind: 'coup' }))], /unknown kind \(coup\)/],
  ];
  it.each(attacks)('%s cuts the sender off, and the node lives', async (_, pieces, sentence) => {
    const subject = openReal();
    const home = new Party(subject.make(n1), helloOf('n1'));
    await home.start();
    const address = subject.addresses.get(n1) ?? { host: '', port: 0 };
    const pipe = await subject.network.connect(address, { timeoutMs: 1000 });
    let closed = false;
    pipe.onClose = () => (closed = true);
    pipe.write(pieces);
    await until(subject.clock, () => closed);
    expect(subject.log.at(-1)).toMatch(sentence);
    expect(home.received).toEqual([]);
    const peer = new Party(subject.make(n2), helloOf('n2'));
    await peer.start();
    await until(subject.clock, () => home.up.has(n2) && peer.up.has(n1));
    await home.transport.close();
    await peer.transport.close();
  });

  it('connections that never say who they are are few, and given up', async () => {
    const subject = openSim();
    await subject.drive(async () => {
      const home = party(subject, 'n1');
      await home.start();
      const dialer = subject.pipes.view('n9', subject.processes.get(n1) ?? raise());
      const pipes: Pipe[] = [];
      let closed = 0;
      for (let n = 0; n < limits.strangersMax + 10; n++) {
        const pipe = await dialer.connect({ host: 'n1', port: 4319 }, { timeoutMs: 1000 });
        pipe.onClose = () => closed++;
        pipes.push(pipe);
      }
      await pause(subject.clock, 20);
      expect(closed).toBe(10);
      await until(subject.clock, () => closed === pipes.length, limits.connectTimeoutMs + 1000);
    });
  });
});

describe('what networks do', () => {
  const story = (title: string, tell: (subject: SimSubject) => Promise<void>): void =>
    it.each([1, 2, 3, 4, 5])(`${title} (seed %i)`, (seed) => {
      const subject = openSim(seed);
      return subject.drive(() => tell(subject));
    });

  story('a peer that falls silent is down after three seconds, and up again once it is back', async (subject) => {
    const [left, right] = await joined(subject);
    subject.pipes.link('n1', 'n2').cut = true;
    subject.pipes.link('n2', 'n1').cut = true;
    const startMs = subject.clock.monotonicMs();
    await until(subject.clock, () => !left.up.has(n2) && !right.up.has(n1));
    const tookMs = subject.clock.monotonicMs() - startMs;
    expect(tookMs).toBeGreaterThan(limits.controlSilenceMs - limits.pingMs);
    expect(tookMs).toBeLessThan(limits.controlSilenceMs + 2 * limits.pingMs);
    await pause(subject.clock, 5000);
    subject.pipes.heal();
    await until(
      subject.clock,
      () => left.up.has(n2) && right.up.has(n1),
      2 * limits.reconnectMsMax + limits.connectTimeoutMs,
    );
    expect(left.transport.send(n2, 'control', founded('again'))).toBe(true);
    await until(subject.clock, () => right.received.some(({ message }) => message.kind === 'found'));
  });

  story('a machine that loses power is noticed by silence, and met again at its next boot', async (subject) => {
    const [left, right] = await joined(subject);
    subject.processes.get(n2)?.kill();
    subject.pipes.crash('n2', subject.processes.get(n2) ?? raise(), 'power');
    await until(subject.clock, () => !left.up.has(n2), limits.controlSilenceMs + 2 * limits.pingMs);
    const again = new Party(subject.make(n2), helloOf('n2', { boot: helloOf('later').boot }));
    await again.start();
    await until(subject.clock, () => left.up.get(n2)?.boot === again.hello.boot && again.up.has(n1));
    expect(right.events).toEqual([`up n1 ${left.hello.boot}`]);
  });

  story('a restart faster than the silence is noticed by the new boot', async (subject) => {
    const [left] = await joined(subject);
    subject.processes.get(n2)?.kill();
    subject.pipes.crash('n2', subject.processes.get(n2) ?? raise(), 'power');
    const again = new Party(subject.make(n2), helloOf('n2', { boot: helloOf('later').boot }));
    await again.start();
    await until(subject.clock, () => left.up.get(n2)?.boot === again.hello.boot, 1000);
    expect(left.events.slice(1)).toEqual(['down n2', `up n2 ${again.hello.boot}`]);
  });

  story('a bulk path that is dead leaves control alone, and comes back', async (subject) => {
    const [left, right] = await joined(subject);
    subject.pipes.link('n1', 'n2').stuckAboveBytes = 1000;
    const block = new Uint8Array(8 << 20);
    expect(left.transport.send(n2, 'bulk', forward(block))).toBe(true);
    for (let n = 0; n < 100; n++) {
      expect(left.transport.send(n2, 'control', founded(String(n)))).toBe(true);
      left.transport.send(n2, 'bulk', forward(block));
      await pause(subject.clock, 50);
    }
    expect(left.transport.send(n2, 'bulk', forward(block))).toBe(false);
    expect(right.received.map(({ message }) => message.kind)).not.toContain('forward');
    expect(right.received.length).toBeGreaterThan(95);
    await pause(subject.clock, limits.bulkSilenceMs);
    expect(left.events).toEqual([`up n2 ${right.hello.boot}`]);
    subject.pipes.heal();
    right.received.length = 0;
    await until(subject.clock, () => left.transport.send(n2, 'bulk', forward(block)));
    await until(subject.clock, () => right.received.some(({ message }) => message.kind === 'forward'));
  });

  story('a pause of its own is not taken for silence of the others', async (subject) => {
    const [left] = await joined(subject);
    subject.processes.get(n1)?.pauseFor(10_000);
    await pause(subject.clock, 15_000);
    expect(subject.log.filter((line) => line.includes('nothing came'))).toEqual([
      'n2: lost the connection to n1: nothing came for 3000 ms',
    ]);
    expect(left.up.has(n2)).toBe(true);
  });

  story('attempts at a node that is away grow rare, and begin afresh when it was there', async (subject) => {
    const left = party(subject, 'n1');
    await left.start();
    await pause(subject.clock, 60_000);
    const eventsBefore = subject.scheduler.events;
    await pause(subject.clock, 60_000);
    // Two peers, two channels, at least a second between attempts, a handful of events each.
    expect(subject.scheduler.events - eventsBefore).toBeLessThan(1500);
    const right = party(subject, 'n2');
    await right.start();
    await until(subject.clock, () => left.up.has(n2) && right.up.has(n1), 500);
  });
});

function raise(): never {
  throw new Error('no such process');
}
